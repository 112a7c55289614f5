// SPDX-License-Identifier: Apache-2.0
// From lines to events, and from deliveries to counts and printed lines.
#include "emit/emit.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/log.h"
#include "contract/event_line.h"
#include "emit/lines.h"
#include "producers/program.h"

#define PRINT_MAX 2048
#define FULL_WAIT_MS 5
#define FLUSH_SLICE_MS 20
#define CLOSE_MS 2000  // for the last report

// Lines whose events are in the spool and not delivered yet, in the order of both.
struct pending {
  uint64_t *lines;
  size_t first, count, capacity;  // count from the array's beginning
};

struct ee_emit {
  const struct ee_emit_settings *settings;
  struct ee_wait *wait;
  envelope_producer *producer;
  struct ee_emit_counts counts;  // lines and refused
  uint64_t seen;                 // deliveries at the last look
  pthread_mutex_t lock;          // of what follows: the library's thread delivers
  struct pending pending;
  uint64_t delivered, failed;
  struct ee_buf printed;
  bool print_failed;
};

// ---- Pending lines.

static bool push(struct pending *pending, uint64_t line) {
  if (pending->first > 4096 && pending->first > pending->count / 2) {
    pending->count -= pending->first;
    memmove(pending->lines, pending->lines + pending->first, pending->count * sizeof line);
    pending->first = 0;
  }
  uint64_t *lines =
      ee_array_room(pending->lines, pending->count, &pending->capacity, sizeof *lines);
  if (lines == NULL) return false;
  pending->lines = lines;
  lines[pending->count++] = line;
  return true;
}

// ---- Deliveries.

static void print_delivery(struct ee_emit *emit, uint64_t line,
                           const struct envelope_delivery *delivery) {
  struct ee_buf *out = &emit->printed;
  FILE *file = emit->settings->print;
  ee_buf_clear(out);
  ee_buf_byte(out, '{');
  if (line > 0) ee_buf_printf(out, "\"line\":%" PRIu64 ",", line);
  ee_buf_text(out, "\"envelope_id\":");
  ee_buf_json_string(out, ee_str(delivery->envelope_id));
  if (delivery->event_id[0] != '\0') {
    ee_buf_text(out, ",\"event_id\":");
    ee_buf_json_string(out, ee_str(delivery->event_id));
  }
  ee_buf_text(out, ",\"topic\":");
  ee_buf_json_string(out, ee_str(delivery->topic));
  ee_buf_printf(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 "}\n", delivery->partition,
                delivery->offset);
  if (out->failed || fwrite(out->data, 1, out->size, file) != out->size || fflush(file) != 0) {
    emit->print_failed = true;
  }
}

static void log_failed(uint64_t line, const struct envelope_delivery *delivery) {
  struct ee_log_member members[4] = {EE_LOG_S("topic", ee_str(delivery->topic)),
                                     EE_LOG_S("reason", ee_str(delivery->refused))};
  if (line > 0) members[2] = EE_LOG_I("line", (int64_t)line);
  ee_log(EE_ERROR, "event not written", members);
}

// What an earlier run has left in the spool has no line here, and is not counted.
static void on_delivery(void *context, const struct envelope_delivery *delivery) {
  struct ee_emit *emit = context;
  uint64_t line = 0;
  pthread_mutex_lock(&emit->lock);
  struct pending *pending = &emit->pending;
  if (!delivery->earlier && pending->first < pending->count) {
    line = pending->lines[pending->first++];
    if (delivery->refused == NULL) {
      emit->delivered++;
    } else {
      emit->failed++;
    }
  }
  if (delivery->refused != NULL) {
    log_failed(line, delivery);
  } else if (emit->settings->print != NULL) {
    print_delivery(emit, line, delivery);
  }
  pthread_mutex_unlock(&emit->lock);
}

// ---- Life.

bool ee_emit_new(const struct ee_emit_settings *settings, struct ee_wait *wait,
                 struct ee_emit **ret, struct ee_err *err) {
  struct envelope_error error;
  struct ee_emit *emit = calloc(1, sizeof *emit);
  if (emit == NULL) return ee_err_set(err, "memory is out");
  emit->settings = settings;
  emit->wait = wait;
  pthread_mutex_init(&emit->lock, NULL);
  ee_buf_init(&emit->printed, PRINT_MAX);
  struct envelope_settings library = {.values = *settings->producer};
  library.values.when_full = "refuse";
  envelope_settings_on_delivery(&library, on_delivery, emit);
  envelope_settings_on_notice(&library, ee_program_notice, NULL);
  if (envelope_producer_open(&library, &emit->producer, &error) == ENVELOPE_OK) {
    *ret = emit;
    return true;
  }
  ee_emit_free(emit);
  return ee_err_set(err, "%s", error.text);
}

void ee_emit_free(struct ee_emit *emit) {
  if (emit == NULL) return;
  ee_buf_release(&emit->printed);
  free(emit->pending.lines);
  pthread_mutex_destroy(&emit->lock);
  free(emit);
}

// ---- Lines.

static void refuse(struct ee_emit *emit, uint64_t number, const struct envelope_error *error) {
  emit->counts.refused++;
  struct ee_log_member members[5] = {
      EE_LOG_I("line", (int64_t)number),
      EE_LOG_S("reason", ee_str(envelope_result_name(error->result))),
      EE_LOG_S("detail", ee_str(error->text))};
  if (error->column > 0) members[3] = EE_LOG_I("column", error->column);
  ee_log(EE_ERROR, "line refused", members);
}

void ee_emit_too_long(struct ee_emit *emit, uint64_t number) {
  struct envelope_error error = {.result = ENVELOPE_OVERSIZED};
  snprintf(error.text, sizeof error.text, "a line may have at most %zu bytes", EE_LINE_MAX);
  emit->counts.lines++;
  refuse(emit, number, &error);
}

// Before the event is emitted: it may be delivered before the call returns.
static bool expect(struct ee_emit *emit, uint64_t number) {
  pthread_mutex_lock(&emit->lock);
  bool expected = push(&emit->pending, number);
  pthread_mutex_unlock(&emit->lock);
  return expected;
}

static void expect_no_more(struct ee_emit *emit) {
  pthread_mutex_lock(&emit->lock);
  emit->pending.count--;
  pthread_mutex_unlock(&emit->lock);
}

// Nothing that an operator has to make first is waited for.
static bool wait_more(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err) {
  char trouble[EE_ERR_MAX];
  int result = envelope_producer_trouble(emit->producer, trouble, sizeof trouble);
  if (result == ENVELOPE_BAD_SETTING) return ee_err_set(err, "%s", trouble);
  if (result == ENVELOPE_OK) {
    snprintf(trouble, sizeof trouble, "Kafka at %s", emit->settings->producer->client.bootstrap);
  }
  return ee_wait_more(wait, trouble, NULL, err);
}

bool ee_emit_line(struct ee_emit *emit, uint64_t number, struct ee_str line, struct ee_err *err) {
  const struct ee_emit_settings *settings = emit->settings;
  struct envelope_error error;
  if (ee_line_is_blank(line)) return true;
  if (!ee_emit_waits(emit)) ee_wait_again(emit->wait);
  if (!expect(emit, number)) return ee_err_set(err, "memory is out");
  emit->counts.lines++;
  for (;;) {
    int result = envelope_emit_json(emit->producer, line.data, line.size, settings->traceparent,
                                    settings->tracestate, &error);
    if (result == ENVELOPE_OK) return true;
    if (result != ENVELOPE_FULL) {
      expect_no_more(emit);
      if (result > 0) return ee_err_set(err, "%s", error.text);
      refuse(emit, number, &error);
      return true;
    }
    poll(NULL, 0, FULL_WAIT_MS);
    if (!ee_emit_serve(emit, err)) return false;
  }
}

// ---- Waiting.

// Whether something was delivered since the last look.
static bool moved(struct ee_emit *emit, bool *ret_print_failed) {
  pthread_mutex_lock(&emit->lock);
  uint64_t now = emit->delivered + emit->failed;
  *ret_print_failed = emit->print_failed;
  pthread_mutex_unlock(&emit->lock);
  bool moved = now != emit->seen;
  emit->seen = now;
  return moved;
}

static bool look(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err) {
  bool print_failed;
  if (moved(emit, &print_failed)) ee_wait_again(wait);
  if (print_failed) return ee_err_set(err, "standard output cannot be written");
  return !ee_emit_waits(emit) || wait_more(emit, wait, err);
}

bool ee_emit_serve(struct ee_emit *emit, struct ee_err *err) {
  return look(emit, emit->wait, err);
}

bool ee_emit_waits(struct ee_emit *emit) {
  pthread_mutex_lock(&emit->lock);
  bool waits = emit->pending.first < emit->pending.count;
  pthread_mutex_unlock(&emit->lock);
  return waits;
}

bool ee_emit_flush(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err) {
  while (envelope_producer_flush(emit->producer, ee_wait_slice(wait, FLUSH_SLICE_MS)) !=
         ENVELOPE_OK) {
    if (!look(emit, wait, err)) return false;
    if (!ee_emit_waits(emit) && !wait_more(emit, wait, err)) return false;
  }
  return look(emit, wait, err);
}

struct ee_emit_counts ee_emit_finish(struct ee_emit *emit) {
  envelope_producer_close(emit->producer, emit->pending.first < emit->pending.count ? 0 : CLOSE_MS);
  struct ee_emit_counts counts = emit->counts;
  counts.delivered = emit->delivered;
  counts.failed = emit->failed;
  counts.given_up = counts.lines - counts.refused - counts.delivered - counts.failed;
  return counts;
}
