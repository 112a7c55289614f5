// SPDX-License-Identifier: Apache-2.0
// One envelope's story for a person.
#include <stdlib.h>

#include "base/time.h"
#include "contract/event.h"
#include "tools/envelopectl/story.h"

#define TEXT_MAX 44  // columns of a free text

static struct ee_str symbol(const struct ee_enum_type *type, int value) {
  return value >= 0 && value < type->count ? type->symbols[value] : EE_STR("?");
}

// Prints foreign text: control characters as dots, cut at `most` bytes between characters.
static void put_text(struct ee_buf *out, struct ee_str text, size_t most) {
  size_t size = text.size;
  if (size > most) {
    size = most;
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
      size--;
  }
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)text.data[i];
    ee_buf_byte(out, byte < 0x20 || byte == 0x7f ? (uint8_t)'.' : byte);
  }
  if (size < text.size) ee_buf_text(out, "…");
}

static void put_time(struct ee_buf *out, int64_t micros) {
  char text[EE_RFC3339_SIZE];
  ee_time_print(micros, text);
  if (strlen(text) == 27) {  // 2026-05-08 12:00:00.000, which people read more easily
    text[10] = ' ';
    text[23] = '\0';
  }
  ee_buf_text(out, text);
}

// ---- Head.

static const char *outcome_words(int outcome) {
  static const char *const words[] = {
      "still open: nothing to compare with yet",
      "denied: it failed and nothing was ever granted",
      "unhealthy: it was granted and failed later",
      "incomplete: its deadline has passed and no end is known",
      "rebound: something else was granted than was asked for",
      "narrowed: less was granted than was asked for",
      "widened: more was granted than was asked for",
      "as requested: what was asked for was granted",
      "ended, and nothing stated on both sides to compare",
      "an outcome that this version does not know",
  };
  return words[outcome];
}

static void tell_head(const struct ee_lifecycle *record, struct ee_buf *out) {
  ee_buf_text(out, "Envelope ");
  put_text(out, record->envelope_id, 128);
  ee_buf_text(out, "\n  tenant    ");
  put_text(out, record->tenant, 80);
  const struct ee_admission *admission = record->admission;
  if (admission == NULL) {
    ee_buf_text(out, "\n  asked     not known: no admission has been seen");
  } else {
    struct ee_str kind = symbol(&ee_execution_kind_type, admission->execution.kind);
    ee_buf_printf(out, "\n  asked     %.*s: ", EE_STR_ARG(kind));
    put_text(out, admission->execution.service, TEXT_MAX);
    ee_buf_byte(out, '.');
    put_text(out, admission->execution.operation, TEXT_MAX);
    if (admission->execution.target.data != NULL) {
      ee_buf_text(out, " of ");
      put_text(out, admission->execution.target, TEXT_MAX);
    }
    ee_buf_text(out, "\n  by        ");
    put_text(out, admission->caller.requester_urn, 70);
    struct ee_str initiator = symbol(&ee_initiator_type, admission->caller.initiator);
    ee_buf_printf(out, " (%.*s)", EE_STR_ARG(initiator));
  }
  struct ee_str status = symbol(&ee_status_type, record->status);
  ee_buf_printf(out, "\n  status    %.*s\n  outcome   %s\n", EE_STR_ARG(status),
                outcome_words(record->outcome));
}

// ---- Timeline.

struct moment {
  int64_t at;
  int phase;
  bool foreign;
  struct ee_str event_id;
  struct ee_str said[3];
};

struct timeline {
  struct moment items[1024];
  size_t count;
};

static struct moment *add_moment(struct timeline *line, int phase, const void *event,
                                 bool foreign) {
  const struct ee_event_head *head = event;
  if (line->count == sizeof line->items / sizeof *line->items) return NULL;
  struct moment *moment = &line->items[line->count++];
  *moment = (struct moment){
      .at = head->occurred_at, .phase = phase, .foreign = foreign, .event_id = head->event_id};
  return moment;
}

static void add_list(struct timeline *line, const struct ee_resolved_array *resolved,
                     const struct ee_finalized_array *finalized,
                     const struct ee_failed_array *failed, const struct ee_released_array *released,
                     const struct ee_annotation_array *annotations, bool foreign) {
  struct moment *moment;
  for (size_t i = 0; i < resolved->count; i++) {
    moment = add_moment(line, EE_PHASE_RESOLVED, &resolved->items[i], foreign);
    if (moment == NULL) return;
    moment->said[0] = resolved->items[i].resolution.backend;
    moment->said[1] = resolved->items[i].resolution.target;
  }
  for (size_t i = 0; i < finalized->count; i++) {
    moment = add_moment(line, EE_PHASE_FINALIZED, &finalized->items[i], foreign);
    if (moment == NULL) return;
    moment->said[0] = finalized->items[i].runtime_id;
    moment->said[1] = finalized->items[i].public_path;
  }
  for (size_t i = 0; i < failed->count; i++) {
    moment = add_moment(line, EE_PHASE_FAILED, &failed->items[i], foreign);
    if (moment == NULL) return;
    moment->said[0] = failed->items[i].stage;
    moment->said[1] = failed->items[i].code;
    moment->said[2] = failed->items[i].reason;
  }
  for (size_t i = 0; i < released->count; i++) {
    moment = add_moment(line, EE_PHASE_RELEASED, &released->items[i], foreign);
    if (moment == NULL) return;
    moment->said[0] = released->items[i].reason;
  }
  for (size_t i = 0; i < annotations->count; i++) {
    const struct ee_annotation *annotation = &annotations->items[i];
    moment = add_moment(line, EE_PHASE_ANNOTATION, annotation, foreign);
    if (moment == NULL) return;
    for (size_t j = 0; j < annotation->annotations.count && j < 3; j++) {
      moment->said[j] = annotation->annotations.entries[j].key;
    }
  }
}

static int compare_moments(const void *a, const void *b) {
  const struct moment *left = a, *right = b;
  if (left->at != right->at) return left->at < right->at ? -1 : 1;
  if (left->phase != right->phase) return left->phase - right->phase;
  return ee_str_compare(left->event_id, right->event_id);
}

static void put_place(const struct ee_lifecycle *record, const struct moment *moment,
                      struct ee_buf *out) {
  for (size_t i = 0; i < record->evidence.count; i++) {
    const struct ee_evidence *place = &record->evidence.items[i];
    if (place->phase != moment->phase || !ee_str_equal(place->event_id, moment->event_id)) continue;
    ee_buf_text(out, "\n                             at ");
    put_text(out, place->topic, 60);
    ee_buf_printf(out, " partition %d offset %lld", (int)place->partition,
                  (long long)place->offset);
    return;
  }
}

static void tell_moment(const struct ee_lifecycle *record, const struct moment *moment,
                        const struct moment *before, struct ee_buf *out) {
  ee_buf_text(out, "\n  ");
  if (before == NULL) {
    put_time(out, moment->at);
  } else {
    char span[EE_RFC3339_SIZE + 1] = "+";
    ee_span_print(moment->at - before->at, span + 1);
    ee_buf_printf(out, "%23s", span);
  }
  struct ee_str phase = symbol(&ee_phase_type, moment->phase);
  ee_buf_printf(out, "  %.*s", EE_STR_ARG(phase));
  if (moment->foreign) ee_buf_text(out, "  (another tenant's; counts for nothing)");
  for (int i = 0; i < 3; i++) {
    if (moment->said[i].data == NULL) continue;
    ee_buf_text(out, i == 0 ? "  " : ", ");
    put_text(out, moment->said[i], TEXT_MAX);
  }
  put_place(record, moment, out);
}

static bool tell_timeline(const struct ee_lifecycle *record, struct ee_buf *out) {
  struct timeline *line = calloc(1, sizeof *line);
  if (line == NULL) return false;
  if (record->admission != NULL) add_moment(line, EE_PHASE_ADMISSION, record->admission, false);
  add_list(line, &record->grants, &record->finalized, &record->failed, &record->released,
           &record->annotations, false);
  add_list(line, &record->foreign.resolved, &record->foreign.finalized, &record->foreign.failed,
           &record->foreign.released, &record->foreign.annotations, true);
  qsort(line->items, line->count, sizeof *line->items, compare_moments);
  ee_buf_text(out, "\nTimeline");
  for (size_t i = 0; i < line->count; i++) {
    tell_moment(record, &line->items[i], i == 0 ? NULL : &line->items[i - 1], out);
  }
  ee_buf_byte(out, '\n');
  if (record->deadline.present) {
    ee_buf_text(out, "  deadline ");
    put_time(out, record->deadline.value);
    ee_buf_byte(out, '\n');
  }
  free(line);
  return true;
}

// ---- Requested against granted.

static void put_column(struct ee_buf *out, struct ee_str text, int width) {
  struct ee_str shown = text.data == NULL ? EE_STR("-") : text;
  size_t before = out->size;
  put_text(out, shown, (size_t)width - 1);
  for (size_t size = out->size - before; size < (size_t)width; size++)
    ee_buf_byte(out, ' ');
}

static void tell_drift(const struct ee_lifecycle *record, struct ee_buf *out) {
  if (record->drift.count == 0) return;
  ee_buf_text(out, "\nRequested against granted\n  dimension             requested       ");
  ee_buf_text(out, "granted\n");
  for (size_t i = 0; i < record->drift.count; i++) {
    const struct ee_drift_line *line = &record->drift.items[i];
    struct ee_str change = symbol(&ee_change_type, line->change);
    ee_buf_text(out, "  ");
    put_column(out, line->dimension, 22);
    put_column(out, line->requested, 16);
    put_column(out, line->granted, 16);
    bool drifted = line->change != EE_CHANGE_EQUAL && line->change != EE_CHANGE_UNSTATED;
    ee_buf_printf(out, "%s %.*s\n", drifted ? "<" : " ", EE_STR_ARG(change));
  }
}

// ---- Violations and obligations.

static void tell_violations(const struct story *story, struct ee_buf *out) {
  if (story->violation_count == 0) return;
  ee_buf_text(out, "\nViolations\n");
  for (size_t i = 0; i < story->violation_count; i++) {
    const struct ee_violation *violation = &story->violations[i];
    struct ee_str kind = symbol(&ee_violation_kind_type, violation->kind);
    ee_buf_printf(out, "  %.*s, on the evidence of", EE_STR_ARG(kind));
    for (size_t j = 0; j < violation->evidence.count; j++) {
      const struct ee_evidence *place = &violation->evidence.items[j];
      ee_buf_text(out, j == 0 ? " " : " and ");
      put_text(out, place->topic, 60);
      ee_buf_printf(out, " %d/%lld", (int)place->partition, (long long)place->offset);
    }
    ee_buf_byte(out, '\n');
  }
}

static void tell_obligations(const struct story *story, struct ee_buf *out) {
  if (story->obligation_count == 0) return;
  ee_buf_text(out, "\nObligations\n");
  for (size_t i = 0; i < story->obligation_count; i++) {
    const struct ee_obligation *obligation = &story->obligations[i];
    struct ee_str what = symbol(&ee_obligation_kind_type, obligation->obligation);
    struct ee_str state = symbol(&ee_obligation_state_type, obligation->state);
    ee_buf_printf(out, "  %.*s: %.*s%s", EE_STR_ARG(what), EE_STR_ARG(state),
                  obligation->overdue ? ", was overdue" : "");
    if (obligation->due.present) {
      ee_buf_text(out, ", due ");
      put_time(out, obligation->due.value);
    }
    ee_buf_text(out, "\n      rule ");
    put_text(out, obligation->rule, TEXT_MAX);
    ee_buf_printf(out, " of policy version %lld", (long long)obligation->policy_version);
    if (obligation->actor.data != NULL) {
      ee_buf_text(out, ", answered by ");
      put_text(out, obligation->actor, TEXT_MAX);
    }
    ee_buf_byte(out, '\n');
  }
}

// ---- Ledger.

// Per window and dimension: entries are differences and add up.
struct sum {
  int64_t window_start;
  struct ee_str dimension;
  struct ee_opt_decimal asked, granted, billed;
};

static void add_to(struct ee_opt_decimal *sum, const struct ee_opt_decimal *entry) {
  if (!entry->present) return;
  sum->present = true;
  sum->value += entry->value;
}

static struct sum *find_sum(struct sum *sums, size_t *count, const struct ee_usage *entry) {
  for (size_t i = 0; i < *count; i++) {
    if (sums[i].window_start == entry->window_start &&
        ee_str_equal(sums[i].dimension, entry->dimension)) {
      return &sums[i];
    }
  }
  sums[*count] = (struct sum){.window_start = entry->window_start, .dimension = entry->dimension};
  return &sums[(*count)++];
}

static int compare_sums(const void *a, const void *b) {
  const struct sum *left = a, *right = b;
  if (left->window_start != right->window_start) {
    return left->window_start < right->window_start ? -1 : 1;
  }
  return ee_str_compare(left->dimension, right->dimension);
}

// Hours of the unit that people think in; named amounts as they are.
static const char *unit_of(struct ee_str dimension, double *ret_scale) {
  const double hour = 3.6e9;
  if (ee_str_equal(dimension, EE_STR("cpu_millis"))) return *ret_scale = 1e3 * hour, "core h";
  if (ee_str_equal(dimension, EE_STR("gpu"))) return *ret_scale = 1e3 * hour, "GPU h";
  if (ee_str_equal(dimension, EE_STR("memory_bytes"))) {
    return *ret_scale = 1073741824.0 * hour, "GiB h";
  }
  if (ee_str_equal(dimension, EE_STR("concurrency"))) return *ret_scale = hour, "slot h";
  *ret_scale = 0;
  return "";
}

static void put_quantity(struct ee_buf *out, const struct ee_opt_decimal *quantity, double scale) {
  char exact[EE_INT128_TEXT];
  if (!quantity->present) {
    ee_buf_printf(out, "%16s", "-");
  } else if (scale > 0) {
    ee_buf_printf(out, "%16.4f", (double)quantity->value / scale);
  } else {
    ee_int128_print(quantity->value, exact);
    ee_buf_printf(out, "%16s", exact);
  }
}

static bool tell_ledger(const struct story *story, struct ee_buf *out) {
  if (story->entry_count == 0) return true;
  struct sum *sums = calloc(story->entry_count, sizeof *sums);
  size_t count = 0;
  if (sums == NULL) return false;
  for (size_t i = 0; i < story->entry_count; i++) {
    struct sum *sum = find_sum(sums, &count, &story->entries[i]);
    add_to(&sum->asked, &story->entries[i].asked);
    add_to(&sum->granted, &story->entries[i].granted);
    add_to(&sum->billed, &story->entries[i].billed);
  }
  qsort(sums, count, sizeof *sums, compare_sums);
  ee_buf_text(out, "\nLedger, by hour (UTC)\n  hour              dimension           ");
  ee_buf_text(out, "         asked         granted          billed\n");
  for (size_t i = 0; i < count; i++) {
    char hour[EE_RFC3339_SIZE];
    double scale;
    const char *unit = unit_of(sums[i].dimension, &scale);
    ee_time_print(sums[i].window_start, hour);
    ee_buf_printf(out, "  %.10s %.5s  ", hour, strlen(hour) == 27 ? hour + 11 : "");
    put_column(out, sums[i].dimension, 16);
    put_quantity(out, &sums[i].asked, scale);
    put_quantity(out, &sums[i].granted, scale);
    put_quantity(out, &sums[i].billed, scale);
    ee_buf_printf(out, "%s%s\n", unit[0] == '\0' ? "" : "  ", unit);
  }
  free(sums);
  return true;
}

bool story_tell(const struct story *story, struct ee_buf *out) {
  if (story->lifecycle == NULL) return false;
  tell_head(story->lifecycle, out);
  bool good = tell_timeline(story->lifecycle, out);
  tell_drift(story->lifecycle, out);
  tell_violations(story, out);
  tell_obligations(story, out);
  return tell_ledger(story, out) && good && !out->failed;
}
