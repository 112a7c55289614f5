// SPDX-License-Identifier: Apache-2.0
// One envelope's story: what belongs to it among derived records, and its JSON form.
#include "tools/envelopectl/story.h"

#include "contract/json.h"
#include "contract/record.h"

#define STORY_MEMORY_MAX ((size_t)256 << 20)

void story_init(struct story *story, struct ee_str envelope_id) {
  *story = (struct story){.lifecycle = NULL};
  ee_arena_init(&story->arena, STORY_MEMORY_MAX);
  story->envelope_id = ee_arena_str(&story->arena, envelope_id);
}

void story_release(struct story *story) {
  ee_arena_release(&story->arena);
}

// The place of one more item, or NULL.
static void *more(struct story *story, void **items, size_t *count, size_t *capacity, size_t size) {
  if (*count >= STORY_ITEMS_MAX) return NULL;
  if (*count == *capacity) {
    size_t grown = *capacity == 0 ? 16 : *capacity * 2;
    void *room = ee_arena_zero(&story->arena, grown, size);
    if (room == NULL) return NULL;
    if (*count > 0) memcpy(room, *items, *count * size);
    *items = room;
    *capacity = grown;
  }
  return (char *)*items + (*count)++ * size;
}

// The later record of the same obligation stands.
static bool take_obligation(struct story *story, const struct ee_obligation *record) {
  struct ee_obligation *place = NULL;
  for (size_t i = 0; i < story->obligation_count; i++) {
    if (ee_str_equal(story->obligations[i].obligation_id, record->obligation_id)) {
      place = &story->obligations[i];
    }
  }
  if (place == NULL) {
    void *items = story->obligations;
    place =
        more(story, &items, &story->obligation_count, &story->obligation_capacity, sizeof *place);
    story->obligations = items;
  }
  return place != NULL && ee_copy(&ee_obligation_type, record, place, &story->arena);
}

static bool take_violation(struct story *story, const struct ee_violation *record) {
  for (size_t i = 0; i < story->violation_count; i++) {
    if (ee_str_equal(story->violations[i].violation_id, record->violation_id)) return true;
  }
  void *items = story->violations;
  struct ee_violation *place =
      more(story, &items, &story->violation_count, &story->violation_capacity, sizeof *place);
  story->violations = items;
  return place != NULL && ee_copy(&ee_violation_type, record, place, &story->arena);
}

static bool take_entry(struct story *story, const struct ee_usage *record) {
  void *items = story->entries;
  struct ee_usage *place =
      more(story, &items, &story->entry_count, &story->entry_capacity, sizeof *place);
  story->entries = items;
  return place != NULL && ee_copy(&ee_usage_type, record, place, &story->arena);
}

static bool take_lifecycle(struct story *story, const struct ee_lifecycle *record) {
  struct ee_lifecycle *place = ee_arena_alloc(&story->arena, sizeof *place);
  if (place == NULL || !ee_copy(&ee_lifecycle_type, record, place, &story->arena)) return false;
  story->lifecycle = place;
  return true;
}

bool story_take(struct story *story, enum ee_topic topic, const void *record) {
  switch (topic) {
    case EE_TOPIC_LIFECYCLE: {
      const struct ee_lifecycle *lifecycle = record;
      return !ee_str_equal(lifecycle->envelope_id, story->envelope_id) ||
             take_lifecycle(story, lifecycle);
    }
    case EE_TOPIC_GOVERNANCE: {
      const struct ee_obligation *obligation = record;
      return !ee_str_equal(obligation->envelope_id, story->envelope_id) ||
             take_obligation(story, obligation);
    }
    case EE_TOPIC_VIOLATION: {
      const struct ee_violation *violation = record;
      return !ee_str_equal(violation->envelope_id, story->envelope_id) ||
             take_violation(story, violation);
    }
    case EE_TOPIC_USAGE: {
      const struct ee_usage *entry = record;
      return !ee_str_equal(entry->envelope_id, story->envelope_id) || take_entry(story, entry);
    }
    default:
      return true;
  }
}

static void write_list(struct ee_buf *out, const char *name, const struct ee_record_type *type,
                       const void *items, size_t count) {
  ee_buf_printf(out, ",\"%s\":[", name);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) ee_buf_byte(out, ',');
    ee_json_write(type, (const char *)items + i * type->size, NULL, out);
  }
  ee_buf_byte(out, ']');
}

void story_json(const struct story *story, struct ee_buf *out) {
  ee_buf_text(out, "{\"lifecycle\":");
  if (story->lifecycle == NULL) {
    ee_buf_text(out, "null");
  } else {
    ee_json_write(&ee_lifecycle_type, story->lifecycle, NULL, out);
  }
  write_list(out, "obligations", &ee_obligation_type, story->obligations, story->obligation_count);
  write_list(out, "violations", &ee_violation_type, story->violations, story->violation_count);
  write_list(out, "usage", &ee_usage_type, story->entries, story->entry_count);
  ee_buf_text(out, "}\n");
}
