// SPDX-License-Identifier: Apache-2.0
// Public numbers of fields: each leaf of the phases' records has just one, in just the phases that
// have it, and none changes.
#include "client/fields.h"

#include <ctype.h>
#include <stdio.h>

#include "support/test.h"
#include "tests/unit/client/pinned.h"

// "requested.gpu_count" for REQUESTED_GPU_COUNT.
static void assert_path_makes_name(const char *path, const char *name) {
  assert_non_null(path);
  assert_int_equal(strlen(path), strlen(name));
  for (size_t i = 0; name[i] != '\0'; i++) {
    char letter = path[i] == '.' ? '_' : (char)toupper((unsigned char)path[i]);
    if (letter != name[i]) fail_msg("%s is the path of %s", path, name);
  }
}

static void numbers_do_not_change(void **state) {
  (void)state;
  bool taken[EE_FIELDS_END] = {false};
  for (size_t i = 0; i < COUNT_OF(pinned); i++) {
    assert_int_equal(pinned[i].constant, pinned[i].number);
    assert_in_range(pinned[i].number, 1, EE_FIELDS_END - 1);
    assert_false(taken[pinned[i].number]);
    taken[pinned[i].number] = true;
    assert_path_makes_name(ee_field_path(pinned[i].number), pinned[i].name);
  }
  for (int number = -1; number <= EE_FIELDS_END; number++) {
    bool any = number >= 0 && number < EE_FIELDS_END && taken[number];
    if ((ee_field_path(number) != NULL) != any) fail_msg("%d is not pinned", number);
  }
}

// How many of the phase's numbers lead to that leaf.
static int numbers_of(enum ee_phase phase, const struct ee_field *container,
                      const struct ee_field *leaf, const char *path) {
  int count = 0;
  for (int number = 0; number < EE_FIELDS_END; number++) {
    const struct ee_field_place *place = ee_field_place(phase, number);
    if (place == NULL || place->leaf != leaf || place->container != container) continue;
    assert_string_equal(ee_field_path(number), path);
    count++;
  }
  return count;
}

// Returns how many leaves the record has; each has one number.
static int check_record(enum ee_phase phase, const struct ee_field *container,
                        const struct ee_record_type *type) {
  int leaves = 0;
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    char path[128];
    if (field->type.kind == EE_TYPE_RECORD) {
      assert_null(container);  // no deeper than one record in another
      leaves += check_record(phase, field, field->type.record);
      continue;
    }
    snprintf(path, sizeof path, "%s%s%s", container == NULL ? "" : container->name,
             container == NULL ? "" : ".", field->name);
    if (numbers_of(phase, container, field, path) != 1) {
      fail_msg("%s of %s: not one number", path, ee_phase_name(phase));
    }
    leaves++;
  }
  return leaves;
}

static void each_leaf_has_one_number(void **state) {
  (void)state;
  bool used[EE_FIELDS_END] = {false};
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    enum ee_phase phase = (enum ee_phase)i;
    int places = 0;
    for (int number = -1; number <= EE_FIELDS_END; number++) {
      if (ee_field_place(phase, number) == NULL) continue;
      used[number] = true;
      places++;
    }
    assert_int_equal(places, check_record(phase, NULL, ee_phase_record(phase)));
  }
  for (size_t i = 0; i < COUNT_OF(pinned); i++)
    assert_true(used[pinned[i].number]);
}

// Setters exist for these kinds and no others.
static void each_leaf_can_be_set(void **state) {
  (void)state;
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    for (int number = 0; number < EE_FIELDS_END; number++) {
      const struct ee_field_place *place = ee_field_place((enum ee_phase)phase, number);
      if (place == NULL) continue;
      const struct ee_type *type = &place->leaf->type;
      bool refs = number == ENVELOPE_FIELD_CALLER_AUTHORITY_REFS;
      switch (type->kind) {
        case EE_TYPE_BOOLEAN:
        case EE_TYPE_LONG:
        case EE_TYPE_STRING:
        case EE_TYPE_ENUM:
          break;
        case EE_TYPE_ARRAY:
          assert_int_equal(type->item->kind, refs ? EE_TYPE_RECORD : EE_TYPE_STRING);
          break;
        case EE_TYPE_MAP:
          assert_true(type->item->kind == EE_TYPE_STRING || type->item->kind == EE_TYPE_LONG);
          break;
        default:
          fail_msg("%s has no setter", ee_field_path(number));
      }
    }
  }
  assert_int_equal(ee_authority_ref_type.count, 3);  // kind, reference, digest
}

static bool begins(const char *path, const char *with) {
  return strncmp(path, with, strlen(with)) == 0;
}

static void a_failed_event_states_no_grant(void **state) {
  (void)state;
  int grants = 0;
  for (size_t i = 0; i < COUNT_OF(pinned); i++) {
    int number = pinned[i].number;
    if (!begins(ee_field_path(number), "granted.")) continue;
    grants++;
    assert_null(ee_field_place(EE_PHASE_FAILED, number));
    assert_non_null(ee_field_place(EE_PHASE_RESOLVED, number));
  }
  assert_true(grants > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_do_not_change),
      cmocka_unit_test(each_leaf_has_one_number),
      cmocka_unit_test(each_leaf_can_be_set),
      cmocka_unit_test(a_failed_event_states_no_grant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
