// SPDX-License-Identifier: Apache-2.0
// Counts a spool's records and says what was counted.
#include "tools/envelopectl/spool_facts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"

// ---- Counting.

static void count_record(struct ee_spool_facts *facts, const struct ee_spool_sight *sight) {
  const struct ee_spool_item *item = &sight->place.item;
  facts->topics[item->topic < EE_TOPIC_COUNT ? item->topic : EE_TOPIC_COUNT]++;
  if (facts->records == 0 || item->accepted_us < facts->oldest_us) {
    facts->oldest_us = item->accepted_us;
  }
  facts->records++;
  facts->bytes += sight->place.size;
  facts->numbered += sight->numbered;
}

static void count_places(struct ee_spool_facts *facts, const struct ee_spool_view *view,
                         struct ee_spool_segment_facts *segment) {
  struct ee_spool_walk walk;
  struct ee_spool_sight sight;
  ee_spool_walk_init(&walk, &facts->look, view);
  while (ee_spool_walk_next(&walk, &sight)) {
    if (sight.record) {
      segment->records++;
      segment->bytes += sight.place.size;
      if (!sight.settled) count_record(facts, &sight);
    } else {
      segment->torn++;
      segment->torn_bytes += sight.place.size;
    }
  }
}

static bool count_segment(struct ee_spool_facts *facts, uint64_t number) {
  struct ee_spool_view view;
  ee_spool_view_open(&facts->look, number, &view);
  bool ok = true;
  if (view.is != EE_SPOOL_FILE_GONE) {
    struct ee_spool_segment_facts *segment = &facts->segments[facts->count++];
    *segment = (struct ee_spool_segment_facts){.number = number, .is = view.is, .size = view.size};
    if (view.bytes != NULL) count_places(facts, &view, segment);
    if (view.is != EE_SPOOL_FILE_SOUND) {
      segment->says = strdup(view.says.text);
      ok = segment->says != NULL;
    }
  }
  ee_spool_view_close(&view);
  return ok;
}

bool ee_spool_facts_read(const char *directory, struct ee_spool_facts *ret, struct ee_err *err) {
  struct ee_spool_facts facts = {.segments = NULL};
  if (!ee_spool_look_open(directory, &facts.look, err)) return false;
  facts.segments = calloc(facts.look.count + 1, sizeof *facts.segments);
  bool ok = facts.segments != NULL;
  for (size_t i = 0; ok && i < facts.look.count; i++)
    ok = count_segment(&facts, facts.look.numbers[i]);
  if (!ok) {
    ee_spool_facts_release(&facts);
    return ee_err_set(err, "memory is out");
  }
  *ret = facts;
  return true;
}

void ee_spool_facts_release(struct ee_spool_facts *facts) {
  for (size_t i = 0; i < facts->count; i++)
    free(facts->segments[i].says);
  free(facts->segments);
  facts->segments = NULL;
  facts->count = 0;
  ee_spool_look_close(&facts->look);
}

// ---- Words.

static const char *const control_names[] = {[EE_SPOOL_CONTROL_OPEN] = "sound",
                                            [EE_SPOOL_CONTROL_MISSING] = "missing",
                                            [EE_SPOOL_CONTROL_DAMAGED] = "damaged",
                                            [EE_SPOOL_CONTROL_NEWER] = "newer",
                                            [EE_SPOOL_CONTROL_FAILED] = "unreadable"};

static const char *const file_names[] = {
    [EE_SPOOL_FILE_SOUND] = "sound",          [EE_SPOOL_FILE_HEADLESS] = "headless",
    [EE_SPOOL_FILE_MISPLACED] = "misplaced",  [EE_SPOOL_FILE_FOREIGN] = "foreign",
    [EE_SPOOL_FILE_USELESS] = "useless",      [EE_SPOOL_FILE_NEWER] = "newer",
    [EE_SPOOL_FILE_UNREADABLE] = "unreadable"};

static const char *topic_name(size_t topic) {
  return topic < EE_TOPIC_COUNT ? ee_topics[topic].name : "unknown";
}

static void id_text(const struct ee_spool_look *look, struct ee_buf *out) {
  for (size_t i = 0; i < sizeof look->id; i++)
    ee_buf_printf(out, "%02x", look->id[i]);
}

// ---- For a person.

static void tell_whole(const struct ee_spool_look *look, struct ee_buf *out) {
  char file[EE_SPOOL_NAME_SIZE];
  ee_buf_text(out, "  id           ");
  if (look->known) id_text(look, out);
  ee_buf_text(out, look->known ? "\n" : "not known\n");
  ee_buf_printf(out, "  control      %s\n",
                look->control == EE_SPOOL_CONTROL_OPEN ? "sound" : look->says.text);
  ee_buf_text(out, "  in use       ");
  if (look->holder != 0) ee_buf_printf(out, "by process %ld\n", look->holder);
  if (look->holder == 0) ee_buf_text(out, "no process is seen to have it open\n");
  ee_spool_segment_name(look->progress.segment, file);
  if (look->control == EE_SPOOL_CONTROL_OPEN) {
    ee_buf_printf(out, "  epoch        %" PRIu32 "\n", look->progress.epoch);
    ee_buf_printf(out, "  settled      all before %s at %" PRIu64 "\n", file,
                  look->progress.offset);
  } else {
    ee_buf_text(out, "  settled      not known: all that is there counts as not settled\n");
  }
}

static void tell_unsettled(const struct ee_spool_facts *facts, struct ee_buf *out) {
  char oldest[EE_RFC3339_SIZE];
  ee_buf_printf(out, "  not settled  %" PRIu64 " records", facts->records);
  if (facts->records > 0) {
    ee_time_print(facts->oldest_us, oldest);
    ee_buf_printf(out, " (%" PRIu64 " numbered), %" PRIu64 " bytes, the oldest accepted %s",
                  facts->numbered, facts->bytes, oldest);
  }
  ee_buf_text(out, "\n");
  for (size_t i = 0; i <= EE_TOPIC_COUNT; i++) {
    if (facts->topics[i] == 0) continue;
    ee_buf_printf(out, "    %-28s %" PRIu64 "\n", topic_name(i), facts->topics[i]);
  }
}

static void tell_segment(const struct ee_spool_segment_facts *segment, struct ee_buf *out) {
  char file[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(segment->number, file);
  ee_buf_printf(out, "    %s", file);
  if (segment->size > 0) {
    ee_buf_printf(out, "  %" PRIu64 " bytes, %" PRIu64 " records of %" PRIu64, segment->size,
                  segment->records, segment->bytes);
    if (segment->torn > 0) {
      ee_buf_printf(out, ", %" PRIu64 " torn places of %" PRIu64, segment->torn,
                    segment->torn_bytes);
    }
  }
  ee_buf_text(out, "\n");
  if (segment->says != NULL) ee_buf_printf(out, "      %s\n", segment->says);
}

void ee_spool_facts_tell(const struct ee_spool_facts *facts, const char *directory,
                         struct ee_buf *out) {
  ee_buf_printf(out, "spool %s\n", directory);
  tell_whole(&facts->look, out);
  tell_unsettled(facts, out);
  ee_buf_printf(out, "  segments     %zu\n", facts->count);
  for (size_t i = 0; i < facts->count; i++)
    tell_segment(&facts->segments[i], out);
}

// ---- For a program.

static void json_whole(const struct ee_spool_look *look, struct ee_buf *out) {
  ee_buf_printf(out, ",\"control\":\"%s\"", control_names[look->control]);
  if (look->known) {
    ee_buf_text(out, ",\"id\":\"");
    id_text(look, out);
    ee_buf_byte(out, '"');
  }
  if (look->holder != 0) ee_buf_printf(out, ",\"process\":%ld", look->holder);
  if (look->control == EE_SPOOL_CONTROL_OPEN) {
    ee_buf_printf(
        out, ",\"epoch\":%" PRIu32 ",\"settled\":{\"segment\":%" PRIu64 ",\"offset\":%" PRIu64 "}",
        look->progress.epoch, look->progress.segment, look->progress.offset);
  }
}

static void json_unsettled(const struct ee_spool_facts *facts, struct ee_buf *out) {
  ee_buf_printf(
      out, ",\"unsettled\":{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"numbered\":%" PRIu64,
      facts->records, facts->bytes, facts->numbered);
  if (facts->records > 0) {
    char oldest[EE_RFC3339_SIZE];
    ee_time_print(facts->oldest_us, oldest);
    ee_buf_printf(out, ",\"oldest\":\"%s\"", oldest);
  }
  ee_buf_text(out, ",\"topics\":{");
  const char *between = "";
  for (size_t i = 0; i <= EE_TOPIC_COUNT; i++) {
    if (facts->topics[i] == 0) continue;
    ee_buf_printf(out, "%s\"%s\":%" PRIu64, between, topic_name(i), facts->topics[i]);
    between = ",";
  }
  ee_buf_text(out, "}}");
}

static void json_segment(const struct ee_spool_segment_facts *segment, struct ee_buf *out) {
  char file[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(segment->number, file);
  ee_buf_printf(out, "{\"number\":%" PRIu64 ",\"file\":\"%s\",\"is\":\"%s\"", segment->number, file,
                file_names[segment->is]);
  if (segment->size > 0) {
    ee_buf_printf(out,
                  ",\"size\":%" PRIu64 ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64
                  ",\"torn\":%" PRIu64 ",\"torn_bytes\":%" PRIu64,
                  segment->size, segment->records, segment->bytes, segment->torn,
                  segment->torn_bytes);
  }
  ee_buf_byte(out, '}');
}

void ee_spool_facts_json(const struct ee_spool_facts *facts, const char *directory,
                         struct ee_buf *out) {
  ee_buf_text(out, "{\"directory\":");
  ee_buf_json_string(out, ee_str(directory));
  json_whole(&facts->look, out);
  json_unsettled(facts, out);
  ee_buf_text(out, ",\"segments\":[");
  for (size_t i = 0; i < facts->count; i++) {
    if (i > 0) ee_buf_byte(out, ',');
    json_segment(&facts->segments[i], out);
  }
  ee_buf_text(out, "]}\n");
}
