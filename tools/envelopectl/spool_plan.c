// SPDX-License-Identifier: Apache-2.0
// Files first, the control file last: as long as that is not made, whatever was done is found
// again from the segments.
#include "tools/envelopectl/spool_plan.h"

struct plan {
  const struct ee_spool_look *look;
  struct ee_spool_plan_file *files;
  size_t count;
  struct ee_spool_step *steps;
  size_t step_count;
};

static void add(struct plan *plan, enum ee_spool_act act, uint64_t number, uint64_t to) {
  plan->steps[plan->step_count++] = (struct ee_spool_step){act, number, to};
}

static bool there(const struct ee_spool_plan_file *file) {
  return file->is != EE_SPOOL_FILE_GONE;
}

static struct ee_spool_plan_file *find(const struct plan *plan, uint64_t number) {
  for (size_t i = 0; i < plan->count; i++) {
    if (there(&plan->files[i]) && plan->files[i].number == number) return &plan->files[i];
  }
  return NULL;
}

static void put_aside(struct plan *plan, struct ee_spool_plan_file *file) {
  add(plan, EE_SPOOL_FILE_ASIDE, file->number, 0);
  file->is = EE_SPOOL_FILE_GONE;
}

static void put_aside_what_is_not_ours(struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    enum ee_spool_file is = plan->files[i].is;
    if (is == EE_SPOOL_FILE_FOREIGN || is == EE_SPOOL_FILE_USELESS) {
      put_aside(plan, &plan->files[i]);
    }
  }
}

// To its own place, if what has that place now does not belong there.
static void put_in_place(struct plan *plan, struct ee_spool_plan_file *file) {
  struct ee_spool_plan_file *other = find(plan, file->head_number);
  if (other != NULL && other->is != EE_SPOOL_FILE_MISPLACED) {
    put_aside(plan, file);
    return;
  }
  add(plan, other == NULL ? EE_SPOOL_FILE_RENAME : EE_SPOOL_FILE_EXCHANGE, file->number,
      file->head_number);
  if (other != NULL) {
    other->number = file->number;
    if (other->number == other->head_number) other->is = EE_SPOOL_FILE_SOUND;
  }
  file->number = file->head_number;
  file->is = EE_SPOOL_FILE_SOUND;
}

// What is settled will be removed, with its head or without.
static void make_heads(struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    struct ee_spool_plan_file *file = &plan->files[i];
    if (file->is != EE_SPOOL_FILE_HEADLESS || file->number < plan->look->progress.segment) continue;
    add(plan, EE_SPOOL_HEAD_MAKE, file->number, 0);
    file->is = EE_SPOOL_FILE_SOUND;
  }
}

static void make_control(struct plan *plan) {
  if (plan->look->control == EE_SPOOL_CONTROL_OPEN) return;
  if (plan->look->control == EE_SPOOL_CONTROL_DAMAGED) add(plan, EE_SPOOL_CONTROL_ASIDE, 0, 0);
  uint64_t first = UINT64_MAX;
  for (size_t i = 0; i < plan->count; i++) {
    if (there(&plan->files[i]) && plan->files[i].number < first) first = plan->files[i].number;
  }
  // Without an id there is no record either: the opening makes a spool that is new.
  if (plan->look->known) add(plan, EE_SPOOL_CONTROL_MAKE, 0, first == UINT64_MAX ? 1 : first);
}

size_t ee_spool_plan(const struct ee_spool_look *look, struct ee_spool_plan_file *files,
                     size_t count, struct ee_spool_step *steps) {
  struct plan plan = {.look = look, .files = files, .count = count, .steps = steps};
  put_aside_what_is_not_ours(&plan);
  for (size_t i = 0; i < count; i++) {
    if (files[i].is == EE_SPOOL_FILE_MISPLACED) put_in_place(&plan, &files[i]);
  }
  make_heads(&plan);
  make_control(&plan);
  return plan.step_count;
}
