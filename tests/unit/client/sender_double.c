// SPDX-License-Identifier: Apache-2.0
// An outlet that is no Kafka.
#include "tests/unit/client/sender_double.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/array.h"
#include "contract/record.h"
#include "tests/support/test.h"

static bool chance(struct outlet_double *outlet, int per_mille) {
  return (int)random_below(&outlet->random, 1000) < per_mille;
}

struct outlet_double *double_new(uint64_t seed, uint32_t first_epoch) {
  struct outlet_double *outlet = calloc(1, sizeof *outlet);
  assert_non_null(outlet);
  outlet->random.state = seed;
  outlet->first_epoch = first_epoch;
  outlet->most_batches = INT_MAX;
  outlet->partitions = PARTITIONS;
  for (int e = 0; e < EPOCHS; e++) {
    for (int t = 0; t < TOPICS; t++) {
      for (int p = 0; p < PARTITIONS; p++)
        outlet->sequences[e][t][p].highest = -1;
    }
  }
  return outlet;
}

static void land(struct outlet_double *outlet, size_t i) {
  free(outlet->flights[i].report);
  outlet->flight_count--;
  memmove(&outlet->flights[i], &outlet->flights[i + 1],
          (outlet->flight_count - i) * sizeof *outlet->flights);
}

void double_free(struct outlet_double *outlet) {
  while (outlet->flight_count > 0)
    land(outlet, outlet->flight_count - 1);
  free(outlet->flights);
  free(outlet);
}

// ---- What readers learn.

static struct sequence *sequence_of(struct outlet_double *outlet, int64_t epoch, int topic,
                                    int partition) {
  assert_in_range(epoch, outlet->first_epoch, outlet->first_epoch + EPOCHS - 1);
  return &outlet->sequences[epoch - outlet->first_epoch][topic][partition];
}

// Names are "name-" and the epoch.
static void parse_seq(const char *text, int64_t *epoch, int64_t *number) {
  int64_t name;
  assert_int_equal(sscanf(text, "name-%" SCNd64 ":%" SCNd64 ":%" SCNd64, &name, epoch, number), 3);
  assert_int_equal(name, *epoch);
  assert_in_range(*number, 0, NUMBERS - 1);
}

static void take_seq(struct outlet_double *outlet, const struct flight *flight) {
  int64_t epoch, number;
  parse_seq(flight->seq, &epoch, &number);
  struct sequence *sequence = sequence_of(outlet, epoch, (int)flight->topic, flight->partition);
  sequence->arrived[number] = true;
  if (sequence->highest < number) sequence->highest = number;
  if (flight->was[0] == '\0') return;
  parse_seq(flight->was, &epoch, &number);
  sequence = sequence_of(outlet, epoch, (int)flight->topic, flight->partition);
  sequence->arrived[number] = true;
}

static int topic_of(struct ee_str name) {
  for (int i = 0; i < TOPICS; i++) {
    struct ee_str known = ee_str(ee_topics[i].name);
    if (name.size == known.size + 2 && memcmp(name.data, "p.", 2) == 0 &&
        memcmp(name.data + 2, known.data, known.size) == 0) {
      return i;
    }
  }
  fail_msg("a report names %.*s", EE_STR_ARG(name));
  return -1;
}

static void take_hole(struct outlet_double *outlet, int64_t epoch,
                      const struct ee_producer_hole *hole) {
  struct sequence *sequence =
      sequence_of(outlet, epoch, topic_of(hole->topic), (int)hole->partition);
  bool again = ee_str_equal(hole->reason, EE_STR("sent_again"));
  assert_in_range(hole->last, hole->first, NUMBERS - 1);
  for (int64_t i = hole->first; i <= hole->last && again; i++)
    sequence->arrived[i] = true;
  if (again) return;
  for (int64_t i = hole->first; i <= hole->last; i++)
    sequence->declared[i] = true;
  if (sequence->highest < hole->last) sequence->highest = hole->last;
}

static void take_report(struct outlet_double *outlet, const struct flight *flight) {
  struct ee_arena arena;
  struct ee_producer_report report;
  struct ee_fault fault;
  ee_arena_init(&arena, (size_t)16 << 20);
  if (!ee_decode(ee_plan_own(&ee_producer_report_type),
                 ee_bytes(flight->report, flight->report_size), &arena, &report, &fault)) {
    fail_msg("%s", fault.detail);
  }
  char name[32];
  snprintf(name, sizeof name, "name-%" PRId64, report.epoch);
  assert_true(ee_str_equal(report.producer, ee_str(name)));
  assert_true(report.occurred_at > 0);
  for (size_t i = 0; i < report.sequences.count; i++) {
    const struct ee_producer_sequence *last = &report.sequences.items[i];
    assert_int_equal(last->partition, flight->partition);
    struct sequence *sequence =
        sequence_of(outlet, report.epoch, topic_of(last->topic), last->partition);
    if (sequence->highest < last->number) sequence->highest = last->number;
    if (report.closing) sequence->closed = true;
  }
  for (size_t i = 0; i < report.holes.count; i++) {
    assert_int_equal(report.holes.items[i].partition, flight->partition);
    take_hole(outlet, report.epoch, &report.holes.items[i]);
  }
  outlet->reports++;
  ee_arena_release(&arena);
}

static int64_t write_one(struct outlet_double *outlet, const struct flight *flight) {
  if (flight->event < 0) {
    take_report(outlet, flight);
  } else {
    outlet->delivered[flight->event]++;
    outlet->offset_of[flight->event] = outlet->offset;
    outlet->written++;
    take_seq(outlet, flight);
  }
  return outlet->offset++;
}

int64_t double_missing(const struct outlet_double *outlet, int topic, int partition) {
  int64_t missing = 0;
  for (int e = 0; e < EPOCHS; e++) {
    const struct sequence *sequence = &outlet->sequences[e][topic][partition];
    for (int64_t i = 0; i <= sequence->highest; i++)
      missing += !sequence->arrived[i];
  }
  return missing;
}

int64_t double_declared(const struct outlet_double *outlet, int topic, int partition) {
  int64_t declared = 0;
  for (int e = 0; e < EPOCHS; e++) {
    const struct sequence *sequence = &outlet->sequences[e][topic][partition];
    for (int64_t i = 0; i <= sequence->highest; i++)
      declared += sequence->declared[i];
  }
  return declared;
}

// ---- The outlet.

static int32_t partitions(void *self) {
  struct outlet_double *outlet = self;
  outlet->asked++;
  if (outlet->away || chance(outlet, outlet->unknown_partitions)) return 0;
  outlet->partitions_told = true;
  return outlet->partitions;
}

static enum ee_frame_state prefix(void *self, enum ee_topic topic, uint64_t schema,
                                  struct ee_bytes *ret, const char **ret_why) {
  const struct outlet_double *outlet = self;
  (void)topic, (void)schema;
  *ret_why = "no such schema";
  if (outlet->unknown_schema) return EE_FRAME_REFUSED;
  *ret = ee_bytes("frame", 5);
  return EE_FRAME_READY;
}

static void copy_header(const struct ee_parcel *parcel, const char *name, char out[128]) {
  out[0] = '\0';
  for (size_t i = 0; i < parcel->header_count; i++) {
    const struct ee_header *header = &parcel->headers[i];
    if (!ee_str_equal(header->name, ee_str(name))) continue;
    assert_in_range(header->value.size, 1, 127);
    memcpy(out, header->value.data, header->value.size);
    out[header->value.size] = '\0';
  }
}

// Keys are "e-" and the event's number.
static int64_t event_of(struct ee_bytes key) {
  char text[32];
  if (key.data == NULL) return -1;
  assert_in_range(key.size, 3, sizeof text - 1);
  memcpy(text, key.data, key.size);
  text[key.size] = '\0';
  return strtoll(text + 2, NULL, 10);
}

static enum ee_sent hand_over(void *self, const struct ee_parcel *parcel, const char **ret_why) {
  struct outlet_double *outlet = self;
  (void)ret_why;
  if (outlet->away || outlet->is_broken || chance(outlet, outlet->later)) return EE_SENT_LATER;
  struct flight flight = {.tag = parcel->tag,
                          .topic = parcel->topic,
                          .partition = parcel->partition,
                          .event = event_of(parcel->key)};
  copy_header(parcel, "seq", flight.seq);
  copy_header(parcel, "was", flight.was);
  assert_int_equal(flight.seq[0] != '\0', flight.event >= 0);
  if (flight.event >= 0) {  // whole, however short memory is
    assert_true(parcel->header_count > EE_CLOUDEVENT_HEADERS);
    assert_int_equal(parcel->constant_headers, EE_CLOUDEVENT_CONSTANT);
    assert_true(ee_str_equal(parcel->headers[0].name, EE_STR("ce_specversion")));
  }
  if (flight.event < 0) {
    assert_int_equal(parcel->topic, EE_TOPIC_PRODUCER);
    flight.report = malloc(parcel->payload.size);
    memcpy(flight.report, parcel->payload.data, parcel->payload.size);
    flight.report_size = parcel->payload.size;
  }
  outlet->flights = ee_array_room(outlet->flights, outlet->flight_count, &outlet->flight_room,
                                  sizeof *outlet->flights);
  outlet->flights[outlet->flight_count++] = flight;
  return EE_SENT;
}

static void answer(struct outlet_double *outlet, size_t i, enum ee_result_kind kind,
                   ee_take_result *take, void *context) {
  struct flight flight = outlet->flights[i];
  struct ee_result result = {
      .tag = flight.tag, .kind = kind, .offset = -1, .why = "as it was told"};
  if (kind == EE_RESULT_WRITTEN) result.offset = write_one(outlet, &flight);
  land(outlet, i);
  take(context, &result);
}

static bool acceptable(const struct outlet_double *outlet, const struct flight *flight) {
  return flight->event < 0 ||
         (!outlet->poison[flight->event] && !outlet->unauthorised[flight->topic]);
}

// All that is under way on that partition; before some point it was written nevertheless.
static void lose_partition(struct outlet_double *outlet, enum ee_topic topic, int32_t partition,
                           ee_take_result *take, void *context) {
  bool written = chance(outlet, 500);
  for (size_t i = 0; i < outlet->flight_count;) {
    const struct flight *flight = &outlet->flights[i];
    if (flight->topic != topic || flight->partition != partition) {
      i++;
      continue;
    }
    if (!acceptable(outlet, flight)) written = false;
    if (written) write_one(outlet, flight);
    if (chance(outlet, 300)) written = false;
    if (take == NULL) {
      land(outlet, i);
    } else {
      answer(outlet, i, EE_RESULT_AGAIN, take, context);
    }
  }
}

static bool poisoned(const struct outlet_double *outlet, const struct flight *flight) {
  return flight->event >= 0 && outlet->poison[flight->event];
}

// The first few of a partition are a batch: one bad record, and all of it is refused.
static void answer_batch(struct outlet_double *outlet, ee_take_result *take, void *context) {
  enum ee_topic topic = outlet->flights[0].topic;
  int32_t partition = outlet->flights[0].partition;
  size_t size = 1 + random_below(&outlet->random, 8);
  bool bad = false, authorised = topic >= TOPICS || !outlet->unauthorised[topic];
  size_t seen = 0;
  for (size_t i = 0; i < outlet->flight_count && seen < size; i++) {
    const struct flight *flight = &outlet->flights[i];
    if (flight->topic != topic || flight->partition != partition) continue;
    bad = bad || poisoned(outlet, flight);
    seen++;
  }
  enum ee_result_kind kind = !authorised ? EE_RESULT_REFUSED
                             : bad       ? EE_RESULT_ALONE
                                         : EE_RESULT_WRITTEN;
  for (size_t i = 0; i < outlet->flight_count && seen > 0;) {
    const struct flight *flight = &outlet->flights[i];
    bool mine = flight->topic == topic && flight->partition == partition;
    if (!mine) {
      i++;
      continue;
    }
    seen--;
    answer(outlet, i, kind, take, context);
  }
}

static void serve(void *self, int timeout_ms, ee_take_result *take, void *context) {
  struct outlet_double *outlet = self;
  (void)timeout_ms;
  if (outlet->away || outlet->is_broken) return;
  if (chance(outlet, outlet->broken)) outlet->is_broken = true;
  int batches = (int)random_below(&outlet->random, 12);
  if (outlet->most_batches < batches) batches = outlet->most_batches;
  for (int i = 0; i < batches && outlet->flight_count > 0; i++) {
    if (chance(outlet, outlet->again)) {
      lose_partition(outlet, outlet->flights[0].topic, outlet->flights[0].partition, take, context);
    } else {
      answer_batch(outlet, take, context);
    }
  }
}

static bool broken(void *self) {
  return ((struct outlet_double *)self)->is_broken;
}

static bool renew(void *self, ee_take_result *take, void *context) {
  struct outlet_double *outlet = self;
  while (outlet->flight_count > 0)
    lose_partition(outlet, outlet->flights[0].topic, outlet->flights[0].partition, take, context);
  outlet->is_broken = chance(outlet, 300);
  return !outlet->is_broken;
}

static const char *trouble(void *self, bool *ret_operator) {
  (void)self;
  *ret_operator = false;
  return "the double";
}

void double_crash(struct outlet_double *outlet) {
  while (outlet->flight_count > 0)
    lose_partition(outlet, outlet->flights[0].topic, outlet->flights[0].partition, NULL, NULL);
  outlet->is_broken = false;
}

static const struct ee_outlet_ops ops = {.partitions = partitions,
                                         .prefix = prefix,
                                         .send = hand_over,
                                         .serve = serve,
                                         .broken = broken,
                                         .renew = renew,
                                         .trouble = trouble};

struct ee_outlet double_outlet(struct outlet_double *outlet) {
  return (struct ee_outlet){.ops = &ops, .self = outlet};
}
