// SPDX-License-Identifier: Apache-2.0
// Files, gaps between them, torn places, and records that do not decode.
#include "tools/envelopectl/spool_check.h"

#include <inttypes.h>

#define ARENA_MAX ((size_t)16 << 20)

struct check {
  const struct ee_spool_look *look;
  const struct ee_spool_visitor *visitor;
  struct ee_codec *codec;
  struct ee_arena arena;  // of one record
  struct ee_buf framed;   // likewise
  uint64_t next;          // segment that should be there, unless none follows
  struct ee_err *err;
};

const char *ee_spool_fate_text(enum ee_spool_fate fate) {
  switch (fate) {
    case EE_SPOOL_DELIVERED:
      return "will be delivered";
    case EE_SPOOL_LOST:
      return "what was there is lost";
    case EE_SPOOL_NO_RECORD:
      return "not a record";
    case EE_SPOOL_SETTLED:
      return "settled before, nothing is lost";
    case EE_SPOOL_LEFT_OUT:
      return "will be removed without delivery, unless `envelopectl spool repair` comes first";
    case EE_SPOOL_WAITS:
      return "nothing is delivered while that is so";
  }
  return "";
}

static bool tell(struct check *check, enum ee_spool_finding_kind kind, enum ee_spool_fate fate,
                 const char *file, uint64_t offset, const char *what) {
  struct ee_spool_finding finding = {.kind = kind, .fate = fate, .offset = offset};
  snprintf(finding.file, sizeof finding.file, "%s", file);
  snprintf(finding.what, sizeof finding.what, "%s", what);
  return check->visitor->finding(check->visitor->context, &finding, check->err);
}

static bool tell_in(struct check *check, enum ee_spool_finding_kind kind, enum ee_spool_fate fate,
                    const struct ee_spool_view *view, uint64_t offset, const char *what) {
  char name[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(view->number, name);
  return tell(check, kind, fate, name, offset, what);
}

// ---- The control file.

static bool check_control(struct check *check) {
  const char *what = check->look->says.text;
  enum ee_spool_fate fate = EE_SPOOL_WAITS;
  switch (check->look->control) {
    case EE_SPOOL_CONTROL_OPEN:
      return true;
    case EE_SPOOL_CONTROL_MISSING:
      what = "it is not there, so nothing counts as settled and all that is there";
      fate = EE_SPOOL_DELIVERED;
      break;
    case EE_SPOOL_CONTROL_DAMAGED:
      what = "it is damaged, so nothing counts as settled and all that is there";
      fate = EE_SPOOL_DELIVERED;
      break;
    case EE_SPOOL_CONTROL_NEWER:
    case EE_SPOOL_CONTROL_FAILED:
      break;
  }
  return tell(check, EE_SPOOL_BAD_CONTROL, fate, "control", 0, what);
}

// ---- Files.

static enum ee_spool_fate fate_of_file(const struct ee_spool_look *look,
                                       const struct ee_spool_view *view) {
  switch (view->is) {
    case EE_SPOOL_FILE_NEWER:
    case EE_SPOOL_FILE_UNREADABLE:
      return EE_SPOOL_WAITS;
    case EE_SPOOL_FILE_MISPLACED:
    case EE_SPOOL_FILE_FOREIGN:
      return EE_SPOOL_LEFT_OUT;  // whatever its name says is settled
    case EE_SPOOL_FILE_HEADLESS:
      return view->number < look->progress.segment ? EE_SPOOL_SETTLED : EE_SPOOL_LEFT_OUT;
    case EE_SPOOL_FILE_USELESS:
    case EE_SPOOL_FILE_SOUND:
    case EE_SPOOL_FILE_GONE:
      break;
  }
  return view->number < look->progress.segment ? EE_SPOOL_SETTLED : EE_SPOOL_LOST;
}

static bool has_records(const struct ee_spool_view *view) {
  return view->bytes != NULL;
}

// A file under another spool's or no number says nothing of what is lacking before it.
static bool check_gap(struct check *check, const struct ee_spool_view *view) {
  uint64_t expected = check->next;
  if (view->number == expected || (view->number > expected && has_records(view))) {
    check->next = view->number + 1;
  }
  if (view->number <= expected || !has_records(view)) return true;
  char first[EE_SPOOL_NAME_SIZE];
  struct ee_err what;
  ee_spool_segment_name(expected, first);
  ee_err_set(&what, "%" PRIu64 " segments, from this one on, are not there",
             view->number - expected);
  return tell(check, EE_SPOOL_GAP, EE_SPOOL_LOST, first, 0, what.text);
}

static bool check_file(struct check *check, const struct ee_spool_view *view) {
  if (view->is == EE_SPOOL_FILE_SOUND) return true;
  bool readable = view->is == EE_SPOOL_FILE_HEADLESS;
  return tell_in(check, readable ? EE_SPOOL_BAD_HEAD : EE_SPOOL_BAD_FILE,
                 fate_of_file(check->look, view), view, 0, view->says.text);
}

// ---- Places.

static bool check_torn(struct check *check, const struct ee_spool_view *view,
                       const struct ee_spool_sight *sight) {
  struct ee_err what;
  enum ee_spool_fate fate = sight->marked ? EE_SPOOL_LOST : EE_SPOOL_NO_RECORD;
  ee_err_set(&what, "%" PRIu64 " bytes %s", sight->place.size,
             sight->marked ? "are damaged"
                           : "were never published: a call was cut short, or is under way");
  if (sight->settled) fate = EE_SPOOL_SETTLED;
  return tell_in(check, sight->marked ? EE_SPOOL_TORN_RECORD : EE_SPOOL_UNPUBLISHED, fate, view,
                 sight->place.offset, what.text);
}

static bool no_memory(struct ee_fault *fault) {
  return ee_fault_set(fault, EE_NO_MEMORY, 0, "memory is out");
}

// Sets line->record, in the arena. False: fault says why not.
static bool decode(struct check *check, const struct ee_spool_item *item,
                   struct ee_event_line *line, struct ee_fault *fault) {
  uint8_t prefix[EE_FRAME_MAX];
  const struct ee_plan *plan;
  struct ee_bytes avro;
  ee_buf_clear(&check->framed);
  ee_buf_append(&check->framed, prefix, ee_frame_single_object(item->schema, prefix));
  ee_buf_append(&check->framed, item->payload.data, item->payload.size);
  line->record = ee_arena_zero(&check->arena, 1, line->type->size);
  if (line->record == NULL || check->framed.failed) return no_memory(fault);
  switch (ee_codec_open(check->codec, line->type, ee_buf_bytes(&check->framed), 0, &plan, &avro,
                        fault)) {
    case EE_CODEC_READY:
      break;
    case EE_CODEC_WAIT:
      return no_memory(fault);
    case EE_CODEC_REFUSED:
      return false;
  }
  if (ee_decode(plan, avro, &check->arena, line->record, fault)) return true;
  if (check->arena.starved) no_memory(fault);
  return false;
}

static bool topic_of(const struct ee_spool_item *item, struct ee_event_line *line,
                     struct ee_fault *fault) {
  if (item->topic < EE_TOPIC_COUNT) line->type = ee_topics[item->topic].value;
  line->topic = (enum ee_topic)item->topic;
  return line->type != NULL ||
         ee_fault_set(fault, EE_REASON_wrong_schema, 0, "no events have topic %u", item->topic);
}

static bool check_payload(struct check *check, const struct ee_spool_view *view,
                          const struct ee_spool_sight *sight) {
  const struct ee_spool_item *item = &sight->place.item;
  struct ee_fault fault;
  struct ee_err what;
  struct ee_event_line line = {.record = NULL};
  bool decoded = topic_of(item, &line, &fault) && decode(check, item, &line, &fault);
  if (decoded) {
    return check->visitor->event == NULL ||
           check->visitor->event(check->visitor->context, view, sight, &line, check->err);
  }
  if (fault.reason == EE_NO_MEMORY) return ee_err_set(check->err, "memory is out");
  bool unknown = fault.reason == EE_REASON_unknown_fingerprint;
  ee_err_set(&what, "%s: %s", ee_reason_name(fault.reason), fault.detail);
  return tell_in(check, unknown ? EE_SPOOL_UNKNOWN_SCHEMA : EE_SPOOL_NO_EVENT,
                 sight->settled ? EE_SPOOL_SETTLED : EE_SPOOL_DELIVERED, view, sight->place.offset,
                 what.text);
}

static bool check_record(struct check *check, const struct ee_spool_view *view,
                         const struct ee_spool_sight *sight) {
  if (sight->misnumbered &&
      !tell_in(check, EE_SPOOL_BAD_NUMBER, sight->settled ? EE_SPOOL_SETTLED : EE_SPOOL_DELIVERED,
               view, sight->place.offset,
               "what it was numbered is damaged: it gets a new number")) {
    return false;
  }
  bool ok = check_payload(check, view, sight);
  ee_arena_clear(&check->arena);
  return ok;
}

static bool check_places(struct check *check, const struct ee_spool_view *view) {
  struct ee_spool_walk walk;
  struct ee_spool_sight sight;
  ee_spool_walk_init(&walk, check->look, view);
  while (ee_spool_walk_next(&walk, &sight)) {
    bool ok = sight.record ? check_record(check, view, &sight) : check_torn(check, view, &sight);
    if (!ok) return false;
  }
  return true;
}

static bool check_number(struct check *check, uint64_t number) {
  struct ee_spool_view view;
  ee_spool_view_open(check->look, number, &view);
  bool ok = view.is == EE_SPOOL_FILE_GONE || (check_gap(check, &view) && check_file(check, &view) &&
                                              (!has_records(&view) || check_places(check, &view)));
  ee_spool_view_close(&view);
  return ok;
}

bool ee_spool_check(const struct ee_spool_look *look, const struct ee_known *known,
                    const struct ee_spool_visitor *visitor, struct ee_err *err) {
  struct check check = {
      .look = look, .visitor = visitor, .next = look->progress.segment, .err = err};
  if (!ee_codec_new(known, NULL, NULL, &check.codec, err)) return false;
  ee_arena_init(&check.arena, ARENA_MAX);
  ee_buf_init(&check.framed, EE_FRAME_MAX + EE_SPOOL_PAYLOAD_MAX);
  bool ok = check_control(&check);
  for (size_t i = 0; ok && i < look->count; i++)
    ok = check_number(&check, look->numbers[i]);
  ee_buf_release(&check.framed);
  ee_arena_release(&check.arena);
  ee_codec_free(check.codec);
  return ok;
}
