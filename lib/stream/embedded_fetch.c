// SPDX-License-Identifier: Apache-2.0
// What a member of the embedded cluster reads: positions, and batches of messages.
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "stream/embedded_client.h"

struct ee_fetch *ee_fetch_of(struct ee_client *client, struct ee_tp tp) {
  for (size_t i = 0; i < client->fetch_count; i++) {
    struct ee_fetch *fetch = &client->fetches[i];
    if (fetch->tp.topic == tp.topic && fetch->tp.partition == tp.partition) return fetch;
  }
  return NULL;
}

struct ee_fetch *ee_fetch_add(struct ee_client *client, struct ee_tp tp, bool of_group) {
  const struct ee_log *log = ee_log_of(client->cluster, tp);
  assert(log != NULL && ee_fetch_of(client, tp) == NULL);
  struct ee_fetch *fetch = &client->fetches[client->fetch_count++];
  *fetch = (struct ee_fetch){.tp = tp, .log = log, .of_group = of_group, .position = log->start};
  return fetch;
}

void ee_fetch_remove(struct ee_client *client, struct ee_tp tp) {
  struct ee_fetch *fetch = ee_fetch_of(client, tp);
  if (fetch != NULL) *fetch = client->fetches[--client->fetch_count];
}

void ee_fetch_remove_group(struct ee_client *client) {
  size_t kept = 0;
  for (size_t i = 0; i < client->fetch_count; i++) {
    if (!client->fetches[i].of_group) client->fetches[kept++] = client->fetches[i];
  }
  client->fetch_count = kept;
}

void ee_fetch_start(struct ee_client *client, struct ee_fetch *fetch, int64_t offset) {
  const struct ee_log *log = fetch->log;
  if (offset == EE_OFFSET_EARLIEST) offset = log->start;
  fetch->position = offset;
  fetch->running = offset >= log->start && offset <= log->end;
  if (!fetch->running) {
    ee_client_out_of_range(client, fetch->tp,
                           "%s [%" PRId32 "]: offset %" PRId64
                           " is not in the log, which holds %" PRId64 " to %" PRId64,
                           client->cluster->names[fetch->tp.topic], fetch->tp.partition, offset,
                           log->start, log->end);
    return;
  }
  fetch->index = ee_log_find(log, offset);
}

// The next record to report, or NULL; moves past what is never reported.
static const struct ee_log_record *next_record(const struct ee_client *client,
                                               struct ee_fetch *fetch, int64_t stable) {
  const struct ee_log *log = fetch->log;
  const struct ee_log_record *record = NULL;
  for (; fetch->index < log->count; fetch->index++) {
    record = &log->records[fetch->index];
    if (record->offset >= stable || ee_log_committed(client->cluster, record)) break;
  }
  bool any = fetch->index < log->count && record->offset < stable;
  int64_t seen = any ? record->offset : stable;
  if (seen > fetch->position) fetch->position = seen;
  return any ? record : NULL;
}

int64_t ee_fetch_position(const struct ee_client *client, struct ee_fetch *fetch) {
  if (fetch->running) next_record(client, fetch, ee_log_stable(client->cluster, fetch->log));
  return fetch->position;
}

static struct ee_batch *batch_new(void) {
  struct ee_batch *batch = malloc(sizeof *batch + EE_BATCH_MAX * sizeof(struct ee_item));
  if (batch != NULL) batch->live = 0;
  return batch;
}

// At most one partition's share, into a batch that is made when it is needed.
static bool take_share(struct ee_client *client, struct ee_fetch *fetch, struct ee_batch **batch) {
  int64_t stable = ee_log_stable(client->cluster, fetch->log);
  for (size_t taken = 0; taken < EE_SHARE_MAX; taken++) {
    const struct ee_log_record *record = next_record(client, fetch, stable);
    if (record == NULL) break;
    if (*batch == NULL && (*batch = batch_new()) == NULL) return false;
    size_t at = (*batch)->live;
    if (at == EE_BATCH_MAX) break;
    struct ee_item *item = &(*batch)->items[at];
    item->batch = *batch;
    ee_log_message(fetch->tp, record, item, &client->messages[at]);
    (*batch)->live++;
    fetch->index++;
    fetch->position = record->offset + 1;
  }
  return true;
}

size_t ee_fetch_messages(struct ee_client *client) {
  struct ee_batch *batch = NULL;
  for (size_t i = 0; i < client->fetch_count; i++) {
    struct ee_fetch *fetch = &client->fetches[client->turn++ % client->fetch_count];
    if (!fetch->running || fetch->paused) continue;
    if (!take_share(client, fetch, &batch)) {
      ee_client_trouble(client, EE_RETRY, "no memory");
      break;
    }
    if (batch != NULL && batch->live == EE_BATCH_MAX) break;
  }
  return batch == NULL ? 0 : batch->live;
}
