// SPDX-License-Identifier: Apache-2.0
// The file of refused records.
#include "client/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "client/event.h"
#include "contract/event_line.h"
#include "contract/record.h"

#define LINE_MAX_BYTES ((size_t)4 << 20)
#define ARENA_MAX ((size_t)16 << 20)

void ee_aside_init(struct ee_aside *aside, int directory, uint64_t most_bytes) {
  *aside = (struct ee_aside){.directory = directory, .most_bytes = most_bytes, .fd = -1};
  ee_buf_init(&aside->line, LINE_MAX_BYTES);
  ee_arena_init(&aside->arena, ARENA_MAX);
}

void ee_aside_release(struct ee_aside *aside) {
  if (aside->fd >= 0) close(aside->fd);
  aside->fd = -1;
  ee_buf_release(&aside->line);
  ee_arena_release(&aside->arena);
}

// ---- A line.

static void *decode(struct ee_arena *arena, const struct ee_spool_item *item) {
  if (!ee_topic_has_events((enum ee_topic)item->topic)) return NULL;
  const struct ee_record_type *type = ee_topics[item->topic].value;
  const struct ee_plan *plan = item->schema == type->fingerprint ? ee_plan_own(type) : NULL;
  void *record = plan == NULL ? NULL : ee_arena_zero(arena, 1, type->size);
  if (record == NULL || !ee_decode(plan, item->payload, arena, record, NULL)) return NULL;
  return record;
}

static void write_avro(const struct ee_spool_item *item, struct ee_buf *out) {
  size_t room = sodium_base64_encoded_len(item->payload.size, sodium_base64_VARIANT_ORIGINAL);
  ee_buf_printf(out, ",\"schema\":\"%016" PRIx64 "\",\"avro\":\"", item->schema);
  char *at = (char *)ee_buf_reserve(out, room);
  if (at == NULL) return;
  sodium_bin2base64(at, room, item->payload.data, item->payload.size,
                    sodium_base64_VARIANT_ORIGINAL);
  out->size += room - 1;  // without its NUL
  ee_buf_byte(out, '"');
}

static void write_line(struct ee_aside *aside, const struct ee_refused *refused) {
  struct ee_buf *out = &aside->line;
  char at[EE_RFC3339_SIZE];
  struct ee_str parent, state;
  ee_time_print(refused->at, at);
  ee_buf_clear(out);
  ee_buf_printf(out, "{\"refused_at\":\"%s\",\"reason\":", at);
  ee_buf_json_string(out, ee_str(refused->why));
  ee_buf_text(out, ",\"topic\":");
  ee_buf_json_string(out, refused->topic);
  ee_buf_printf(out, ",\"partition\":%" PRId32, refused->partition);
  if (refused->seq.data != NULL) {
    ee_buf_text(out, ",\"seq\":");
    ee_buf_json_string(out, refused->seq);
  }
  void *record = decode(&aside->arena, refused->item);
  if (record == NULL) {
    write_avro(refused->item, out);
  } else {
    ee_trace_read(refused->item->attributes, &parent, &state);
    ee_buf_text(out, ",\"event\":");
    ee_event_line_write((enum ee_topic)refused->item->topic, record, parent, state, out);
  }
  ee_buf_text(out, "}\n");
  ee_arena_clear(&aside->arena);
}

// ---- The file.

static bool open_file(struct ee_aside *aside, struct ee_err *err) {
  if (aside->fd >= 0) return true;
  aside->fd = openat(aside->directory, EE_ASIDE_NAME,
                     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  return aside->fd >= 0 || ee_err_set(err, EE_ASIDE_NAME ": %s", strerror(errno));
}

// A line is there as a whole or, after a failure, not at all.
static bool append(struct ee_aside *aside, struct ee_bytes line, struct ee_err *err) {
  struct stat found;
  if (fstat(aside->fd, &found) != 0) return ee_err_set(err, EE_ASIDE_NAME ": %s", strerror(errno));
  if ((uint64_t)found.st_size + line.size > aside->most_bytes) {
    return ee_err_set(err, EE_ASIDE_NAME ": it has its most bytes, %llu, already",
                      (unsigned long long)aside->most_bytes);
  }
  ssize_t written = write(aside->fd, line.data, line.size);
  if (written == (ssize_t)line.size) return true;
  int error = written < 0 ? errno : ENOSPC;
  if (written > 0 && ftruncate(aside->fd, found.st_size) != 0) error = errno;
  return ee_err_set(err, EE_ASIDE_NAME ": %s", strerror(error));
}

bool ee_aside_keep(struct ee_aside *aside, const struct ee_refused *refused, struct ee_err *err) {
  if (!open_file(aside, err)) return false;
  write_line(aside, refused);
  if (aside->line.failed) return ee_err_set(err, EE_ASIDE_NAME ": no memory for a line");
  if (!append(aside, ee_buf_bytes(&aside->line), err)) return false;
  aside->unsynced = true;
  return true;
}

bool ee_aside_sync(struct ee_aside *aside, struct ee_err *err) {
  if (!aside->unsynced) return true;
  if (fdatasync(aside->fd) != 0) return ee_err_set(err, EE_ASIDE_NAME ": %s", strerror(errno));
  aside->unsynced = false;
  return true;
}
