// SPDX-License-Identifier: Apache-2.0
// What came out of a local run, for a person or as JSON.
#include <stdlib.h>

#include "tools/envelope-local/latest.h"
#include "tools/envelope-local/local.h"

#define STATUSES 6
#define OUTCOMES 10
#define VIOLATIONS 9
#define OBLIGATION_STATES 5

struct report {
  uint64_t events[EE_PHASE_TOPICS];
  size_t envelopes;
  size_t outcomes[OUTCOMES];
  size_t statuses[STATUSES];
  size_t violations[VIOLATIONS];
  size_t obligations[OBLIGATION_STATES], overdue;
  size_t audit_entries, ledger_entries, totals;
  uint64_t dead_letters[EE_REASON_COUNT];  // of the join: each processor has its own copy
};

static bool decode(struct local *local, const struct ee_message *message, void *record) {
  const struct ee_plan *plan;
  struct ee_bytes avro;
  const struct ee_record_type *type = ee_topics[message->tp.topic].value;
  return ee_codec_open(local->codec, type, message->value, 0, &plan, &avro, NULL) ==
             EE_CODEC_READY &&
         ee_decode(plan, avro, &local->arena, record, NULL);
}

static bool count_lifecycles(struct local *local, struct report *report) {
  struct latest latest;
  if (!latest_of(local->cluster, EE_TOPIC_LIFECYCLE, &latest)) return false;
  bool good = true;
  report->envelopes = latest.count;
  for (size_t i = 0; good && i < latest.count; i++) {
    struct ee_lifecycle record;
    good = decode(local, &latest.items[i], &record);
    if (good) report->outcomes[record.outcome]++;
    if (good) report->statuses[record.status]++;
    ee_arena_clear(&local->arena);
  }
  latest_release(&latest);
  return good;
}

typedef bool visit_record(struct local *local, const struct ee_message *message,
                          struct report *report);

static bool each(struct local *local, enum ee_topic topic, visit_record *visit,
                 struct report *report) {
  for (int32_t p = 0; p < ee_cluster_partitions(local->cluster, topic); p++) {
    const struct ee_message *message;
    int64_t offset = 0;
    while ((message = ee_cluster_next(local->cluster, (struct ee_tp){topic, p}, &offset)) != NULL) {
      if (!visit(local, message, report)) return false;
      ee_arena_clear(&local->arena);
    }
  }
  return true;
}

static bool count_violation(struct local *local, const struct ee_message *message,
                            struct report *report) {
  struct ee_violation record;
  if (!decode(local, message, &record)) return false;
  report->violations[record.kind]++;
  return true;
}

// Every obligation is written once as due first; a change of state moves it.
static bool count_obligation(struct local *local, const struct ee_message *message,
                             struct report *report) {
  struct ee_obligation record;
  if (!decode(local, message, &record)) return false;
  report->obligations[record.state]++;
  report->overdue += record.overdue;
  return true;
}

static bool count_audit(struct local *local, const struct ee_message *message,
                        struct report *report) {
  (void)local;
  (void)message;
  report->audit_entries++;
  return true;
}

static bool count_usage(struct local *local, const struct ee_message *message,
                        struct report *report) {
  (void)local;
  (void)message;
  report->ledger_entries++;
  return true;
}

static bool collect(struct local *local, struct report *report) {
  const struct ee_metrics *join = &local->instances[0].metrics;
  struct latest totals;
  memcpy(report->events, join->events, sizeof report->events);
  memcpy(report->dead_letters, join->dead_letters, sizeof report->dead_letters);
  bool good = count_lifecycles(local, report) &&
              each(local, EE_TOPIC_VIOLATION, count_violation, report) &&
              each(local, EE_TOPIC_GOVERNANCE, count_obligation, report) &&
              each(local, EE_TOPIC_AUDIT, count_audit, report) &&
              each(local, EE_TOPIC_USAGE, count_usage, report) &&
              latest_of(local->cluster, EE_TOPIC_USAGE_TENANT, &totals);
  if (!good) return false;
  report->totals = totals.count;
  latest_release(&totals);
  return true;
}

static const char *outcome_words(int outcome) {
  static const char *const words[OUTCOMES] = {
      "nothing granted or ended yet", "refused: failed without a grant",
      "granted, then failed",         "deadline passed without an end",
      "granted something else",       "granted less than asked",
      "granted more than asked",      "granted what was asked",
      "ended without a comparison",   "other"};
  return words[outcome];
}

static void print_counts(FILE *out, const char *title, const struct ee_enum_type *type,
                         const size_t *counts, const char *(*words)(int)) {
  size_t sum = 0;
  fprintf(out, "\n%s\n", title);
  for (int i = 0; i < type->count; i++) {
    sum += counts[i];
    if (counts[i] == 0) continue;
    fprintf(out, "  %8zu  ", counts[i]);
    if (words == NULL) {
      fprintf(out, "%.*s\n", EE_STR_ARG(type->symbols[i]));
    } else {
      fprintf(out, "%-20.*s%s\n", EE_STR_ARG(type->symbols[i]), words(i));
    }
  }
  if (sum == 0) fprintf(out, "  %8s  none\n", "");
}

static void print_person(const struct report *report, FILE *out) {
  fprintf(out, "Events\n");
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    fprintf(out, "  %8llu  %s\n", (unsigned long long)report->events[phase],
            ee_phase_name((enum ee_phase)phase));
  }
  fprintf(out, "\nEnvelopes\n  %8zu  in all\n", report->envelopes);
  print_counts(out, "Outcome: what became of the ask", &ee_outcome_type, report->outcomes,
               outcome_words);
  print_counts(out, "Status: how far they have come", &ee_status_type, report->statuses, NULL);
  print_counts(out, "Violations: invariants that were breached", &ee_violation_kind_type,
               report->violations, NULL);
  print_counts(out, "Obligations: changes of state", &ee_obligation_state_type, report->obligations,
               NULL);
  fprintf(out, "  %8zu  found overdue\n", report->overdue);
  fprintf(out, "\nRecords\n  %8zu  audit entries\n  %8zu  ledger entries\n  %8zu  tenant totals\n",
          report->audit_entries, report->ledger_entries, report->totals);
  fprintf(out, "\nDead letters: input that could not be processed\n");
  bool any = false;
  for (int reason = 1; reason < EE_REASON_COUNT; reason++) {
    if (report->dead_letters[reason] == 0) continue;
    any = true;
    fprintf(out, "  %8llu  %s\n", (unsigned long long)report->dead_letters[reason],
            ee_reason_name((enum ee_reason)reason));
  }
  if (!any) fprintf(out, "  %8s  none\n", "");
}

static json_t *counts_json(const struct ee_enum_type *type, const size_t *counts) {
  json_t *object = json_object();
  for (int i = 0; i < type->count; i++) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", EE_STR_ARG(type->symbols[i]));
    if (counts[i] > 0) json_object_set_new(object, name, json_integer((json_int_t)counts[i]));
  }
  return object;
}

static bool print_json(const struct report *report, FILE *out) {
  json_t *events = json_object(), *letters = json_object();
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    json_object_set_new(events, ee_phase_name((enum ee_phase)phase),
                        json_integer((json_int_t)report->events[phase]));
  }
  for (int reason = 1; reason < EE_REASON_COUNT; reason++) {
    if (report->dead_letters[reason] == 0) continue;
    json_object_set_new(letters, ee_reason_name((enum ee_reason)reason),
                        json_integer((json_int_t)report->dead_letters[reason]));
  }
  json_t *all = json_pack(
      "{so sI so so so so sI sI sI sI so}", "events", events, "envelopes",
      (json_int_t)report->envelopes, "outcomes", counts_json(&ee_outcome_type, report->outcomes),
      "statuses", counts_json(&ee_status_type, report->statuses), "violations",
      counts_json(&ee_violation_kind_type, report->violations), "obligations",
      counts_json(&ee_obligation_state_type, report->obligations), "overdue",
      (json_int_t)report->overdue, "audit_entries", (json_int_t)report->audit_entries,
      "ledger_entries", (json_int_t)report->ledger_entries, "tenant_totals",
      (json_int_t)report->totals, "dead_letters", letters);
  bool good = all != NULL && json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
  json_decref(all);
  return good;
}

bool local_report(struct local *local, FILE *out, struct ee_err *err) {
  struct report report = {.envelopes = 0};
  if (!collect(local, &report)) return ee_err_set(err, "no memory for the report");
  if (!local->settings->json) {
    print_person(&report, out);
  } else if (!print_json(&report, out)) {
    return ee_err_set(err, "the report cannot be written");
  }
  return fflush(out) == 0 || ee_err_set(err, "the report cannot be written");
}
