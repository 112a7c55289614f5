// SPDX-License-Identifier: Apache-2.0
// Writes a spool as a service would, from lines as envelope-emit reads them:
//   write_spool DIR FILE NUMBERED SETTLED
// The first so many records are numbered, and settled. Logs "ready" and has the spool open until
// its standard input ends.
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/time.h"
#include "client/event.h"
#include "contract/event_line.h"
#include "contract/record.h"
#include "spool/spool.h"

#define ARENA_MAX ((size_t)16 << 20)
#define SEGMENT ((size_t)1 << 20)

struct writer {
  struct ee_spool *spool;
  struct ee_arena arena;
  struct ee_buf payload;
  struct ee_err err;
};

static bool keep(struct writer *writer) {
  return ee_spool_remove_settled(writer->spool, &writer->err) &&
         ee_spool_keep(writer->spool, ee_clock_monotonic_ms(), &writer->err);
}

static bool append(struct writer *writer, const struct ee_event_line *event) {
  ee_buf_clear(&writer->payload);
  ee_encode(event->type, event->record, &writer->payload);
  struct ee_trace trace = {.size = 0};
  if (event->traceparent.data != NULL) ee_trace_set(&trace, event->traceparent, event->tracestate);
  struct ee_spool_item item = {.schema = event->type->fingerprint,
                               .accepted_us = ee_clock_wall_micros(),
                               .topic = (uint8_t)event->topic,
                               .attributes = ee_bytes(trace.bytes, trace.size),
                               .payload = ee_buf_bytes(&writer->payload)};
  return !writer->payload.failed && keep(writer) &&
         (ee_spool_append(writer->spool, &item, NULL) ||
          ee_err_set(&writer->err, "there is no room in the spool"));
}

static bool append_line(struct writer *writer, struct ee_str text) {
  static const struct ee_line_defaults defaults = {.envelope_id = EE_STR_INIT("envelope"),
                                                   .event_id = EE_STR_INIT("event"),
                                                   .source = EE_STR_INIT("urn:source")};
  struct ee_event_line event;
  struct ee_line_fault fault;
  bool ok = ee_event_line_read(text, &defaults, &writer->arena, &event, &fault)
                ? append(writer, &event)
                : ee_err_set(&writer->err, "%s", fault.fault.detail);
  ee_arena_clear(&writer->arena);
  return ok;
}

static bool append_file(struct writer *writer, const char *path) {
  FILE *in = fopen(path, "r");
  char *line = NULL;
  size_t capacity = 0;
  ssize_t size = 0;
  if (in == NULL) return ee_err_set(&writer->err, "%s: cannot be read", path);
  bool ok = true;
  while (ok && (size = getline(&line, &capacity, in)) > 0)
    ok = append_line(writer, (struct ee_str){line, (size_t)size});
  free(line);
  fclose(in);
  return ok;
}

static bool pass(struct writer *writer, uint64_t numbered, uint64_t settled) {
  uint64_t most = numbered > settled ? numbered : settled;
  for (uint64_t i = 0; i < most; i++) {
    struct ee_spool_entry entry;
    if (ee_spool_read(writer->spool, &entry, &writer->err) != EE_SPOOL_READ_RECORD) return false;
    struct ee_spool_numbering numbering = {.number = i, .epoch = ee_spool_epoch(writer->spool)};
    if (i < numbered) ee_spool_number(writer->spool, &entry, &numbering);
    struct ee_spool_at behind = {entry.at.segment, entry.at.offset + entry.size};
    if (i < settled) ee_spool_settle(writer->spool, behind);
  }
  return keep(writer);
}

static void hold(void) {
  ee_log(EE_INFO, "ready", NULL);
  while (getchar() != EOF)
    continue;
}

int main(int argc, char **argv) {
  struct writer writer = {.spool = NULL};
  if (argc != 5) {
    fprintf(stderr, "usage: %s DIR FILE NUMBERED SETTLED\n", argv[0]);
    return 2;
  }
  struct ee_spool_settings settings = {
      .directory = argv[1], .segment_bytes = SEGMENT, .most_bytes = 64 * SEGMENT, .wall_s = 1000};
  ee_arena_init(&writer.arena, ARENA_MAX);
  ee_buf_init(&writer.payload, EE_EVENT_SIZE_MAX);
  bool ok = ee_spool_open(&settings, &writer.spool, &writer.err) && append_file(&writer, argv[2]) &&
            pass(&writer, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
  if (ok) hold();
  if (!ok) ee_log(EE_ERROR, writer.err.text, NULL);
  ee_spool_close(writer.spool);
  ee_arena_release(&writer.arena);
  ee_buf_release(&writer.payload);
  return ok ? 0 : 1;
}
