// SPDX-License-Identifier: Apache-2.0
// The sender's reports: each second, of this epoch's numbers where they moved; and once of the end
// of each earlier epoch.
#include "client/sender_impl.h"
#include "contract/record.h"

#define REPORT_MS 1000
#define EPOCH_SHIFT 20  // of a tag: the partition is below
_Static_assert(EE_NUMBERS_PARTITIONS_MAX < 1 << EPOCH_SHIFT, "partitions fit into a tag");

static struct ee_reporter *reporter_of(struct ee_sender *sender, uint32_t epoch) {
  if (epoch == sender->epoch) return &sender->reporter;
  for (size_t i = 0; i < sender->past.count; i++) {
    struct ee_past_epoch *past = &sender->past.epochs[i];
    if (past->numbers.epoch == epoch) return &past->reporter;
  }
  return NULL;
}

static bool frame(struct ee_sender *sender, const struct ee_producer_report *report,
                  struct ee_parcel *parcel) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  const char *why;
  ee_buf_clear(&sender->value);
  ee_encode(&ee_producer_report_type, report, &sender->value);
  parcel->payload = ee_buf_bytes(&sender->value);
  return !sender->value.failed &&
         outlet->ops->prefix(outlet->self, EE_TOPIC_PRODUCER, ee_producer_report_type.fingerprint,
                             &parcel->prefix, &why) == EE_FRAME_READY;
}

// False: it cannot go now.
static bool send_report(struct ee_sender *sender, struct ee_reporter *reporter, int32_t partition) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  struct ee_str topics[EE_NUMBERS_TOPICS];
  struct ee_producer_report report;
  const char *why;
  for (size_t i = 0; i < EE_NUMBERS_TOPICS; i++)
    topics[i] = ee_str(sender->topics[i]);
  bool sent = ee_reporter_make(reporter, partition, topics, &sender->arena, &report);
  if (sent) {
    struct ee_parcel parcel = {
        .topic = EE_TOPIC_PRODUCER,
        .partition = partition,
        .tag = REPORT_TAG | (uint64_t)report.epoch << EPOCH_SHIFT | (uint32_t)partition};
    report.producer = ee_str(reporter->numbers->producer);
    report.occurred_at = sender->now_us;
    sent = frame(sender, &report, &parcel) &&
           outlet->ops->send(outlet->self, &parcel, &why) == EE_SENT;
    if (!sent) ee_reporter_result(reporter, partition, false);
  }
  ee_arena_clear(&sender->arena);
  return sent;
}

static bool report_all(struct ee_sender *sender, struct ee_reporter *reporter) {
  for (int32_t partition = 0; partition < reporter->numbers->partitions; partition++) {
    if (ee_reporter_due(reporter, partition) && !send_report(sender, reporter, partition)) {
      return false;
    }
  }
  return true;
}

// What earlier epochs left is settled when the place settled is where this opening began.
static void end_past(struct ee_sender *sender) {
  struct ee_spool_at first = ee_spool_first(sender->settings.spool);
  if (sender->past.ended || !ee_sender_reached(sender, first)) return;
  sender_store_numbers(sender);
  uint64_t before = sender->past.lost;
  if (!ee_past_end(&sender->past)) return;
  atomic_store(&sender->counts.lost, sender->past.lost);
  if (sender->past.lost > before) {
    ee_notice(&sender->settings.notices, ENVELOPE_ERROR,
              "%llu records that had been numbered are not in the spool any more",
              (unsigned long long)sender->past.lost);
  }
}

static bool report_past(struct ee_sender *sender) {
  end_past(sender);
  if (!sender->past.ended) return true;
  ee_past_forget_told(&sender->past);
  for (size_t i = 0; i < sender->past.count; i++) {
    if (!report_all(sender, &sender->past.epochs[i].reporter)) return false;
  }
  return true;
}

void sender_report(struct ee_sender *sender) {
  if (sender->now_ms < sender->report_at_ms) return;
  sender->report_at_ms = sender->now_ms + (sender->ending ? 10 : REPORT_MS);
  if (!report_past(sender) || sender->numbers.bytes == NULL) return;
  // Not while records of earlier epochs may come: their numbers are below all others.
  if (sender->past.ended) ee_numbers_declare_dropped(&sender->numbers);
  ee_numbers_pass_holes(&sender->numbers);
  report_all(sender, &sender->reporter);
}

void sender_report_result(struct ee_sender *sender, const struct ee_result *result) {
  uint32_t epoch = (uint32_t)(result->tag >> EPOCH_SHIFT);
  int32_t partition = (int32_t)(result->tag & ((1 << EPOCH_SHIFT) - 1));
  struct ee_reporter *reporter = reporter_of(sender, epoch);
  if (reporter == NULL || reporter->numbers == NULL) return;
  ee_reporter_result(reporter, partition, result->kind == EE_RESULT_WRITTEN);
}

bool sender_all_told(const struct ee_sender *sender) {
  if (!sender->past.ended || sender->past.count > 0) return false;
  return sender->numbers.bytes == NULL || ee_reporter_all_told(&sender->reporter);
}
