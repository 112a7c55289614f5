// SPDX-License-Identifier: Apache-2.0
// Stories and what they are drawn from: all kinds and outcomes, delays in their order and of their
// size, tenants by a power law, and the same from the same seed.
#include "tools/traffic/story.h"

#include <math.h>

#include "base/time.h"
#include "contract/record.h"
#include "tests/support/test.h"

#define STORIES 20000
#define AT INT64_C(1780000000000000)

// ---- Randomness.

static void chance_has_its_mean(void **state) {
  (void)state;
  struct random random = random_of(1, 1);
  int count = ee_tries(100000);
  double sum = 0, least = 1, most = 0;
  for (int i = 0; i < count; i++) {
    sum += random_exponential(&random);
    double unit = random_unit(&random);
    least = fmin(least, unit);
    most = fmax(most, unit);
  }
  assert_true(fabs(sum / count - 1) < 5 / sqrt(count));
  assert_true(least > 0 && least < 0.001 && most > 0.999 && most <= 1);
}

// Half lie below the median, two thirds within a standard deviation, none beyond three.
static void log_normal_lies_around_its_median(void **state) {
  (void)state;
  struct random random = random_of(2, 1);
  int count = ee_tries(100000), below = 0, near = 0;
  for (int i = 0; i < count; i++) {
    double value = random_log_normal(&random, 1000, 0.5);
    double sigmas = log(value / 1000) / 0.5;
    assert_true(fabs(sigmas) < 3.0001);
    below += sigmas < 0;
    near += fabs(sigmas) < 1;
  }
  assert_true(fabs((double)below / count - 0.5) < 2.5 / sqrt(count));
  assert_true(fabs((double)near / count - 0.6827) < 2.5 / sqrt(count));
}

static void seeds_and_numbers_are_told_apart(void **state) {
  (void)state;
  struct random one = random_of(1, 1), same = random_of(1, 1);
  struct random number = random_of(1, 2), seed = random_of(2, 1);
  uint64_t first = random_next(&one);
  assert_true(first == random_next(&same));
  assert_true(first != random_next(&number) && first != random_next(&seed));
}

// ---- Tenants.

static void tenants_have_their_shares(void **state) {
  (void)state;
  static const double exponents[] = {0, 1, 2};
  for (size_t e = 0; e < COUNT_OF(exponents); e++) {
    struct tenants tenants;
    struct ee_err err;
    struct random random = random_of(3, e);
    int count = ee_tries(100000), picked[100] = {0};
    double all = 0;
    assert_true(tenants_init(&tenants, 100, exponents[e], &err));
    for (int i = 0; i < count; i++)
      picked[tenants_pick(&tenants, &random)]++;
    for (int i = 0; i < 100; i++)
      all += pow(i + 1, -exponents[e]);
    for (int i = 0; i < 100; i++) {
      double share = pow(i + 1, -exponents[e]) / all;
      double sigma = sqrt(share * (1 - share) / count);
      assert_true(fabs((double)picked[i] / count - share) < 5 * sigma + 1e-9);
    }
    tenants_release(&tenants);
  }
}

// ---- Stories.

struct seen {
  int64_t first[EE_PHASE_TOPICS];  // when the first of a phase is sent; INT64_MIN: none
  int told, intruders, kind;
  bool narrowed, widened, rebound;
  int64_t cpu_millis, memory_bytes;
  struct ee_str place;
  uint64_t digest;
};

static void look_at_grant(struct seen *seen, const struct ee_resources *granted) {
  seen->narrowed = granted->cpu_millis.value < seen->cpu_millis;
  seen->widened = granted->memory_bytes.value > seen->memory_bytes;
  seen->rebound = !ee_str_equal(granted->placement.entries[0].value, seen->place);
}

static void see(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  struct seen *seen = context;
  const struct ee_event_head *head = record;
  struct ee_fault fault;
  assert_true(ee_check_record(ee_phase_record(phase), record, &fault));
  seen->told++;
  for (size_t i = 0; i < head->event_id.size; i++)
    seen->digest = seen->digest * 31 + (uint8_t)head->event_id.data[i];
  seen->digest = seen->digest * 31 + (uint64_t)sent_at;
  seen->intruders += ee_str_equal(head->tenant, EE_STR("intruder"));
  if (seen->first[phase] != INT64_MIN || ee_str_equal(head->tenant, EE_STR("intruder"))) return;
  seen->first[phase] = sent_at;
  if (phase == EE_PHASE_ADMISSION) {
    const struct ee_admission *admission = record;
    seen->kind = admission->execution.kind;
    seen->cpu_millis = admission->requested.cpu_millis.value;
    seen->memory_bytes = admission->requested.memory_bytes.value;
    seen->place = admission->requested.placement.entries[0].value;
  }
  if (phase == EE_PHASE_RESOLVED)
    look_at_grant(seen, &((const struct ee_resolved *)record)->granted);
}

static struct tenants tenants;

static struct seen tell(uint64_t seed, int64_t number, double time_scale) {
  struct seen seen = {.kind = -1};
  struct story_model model = {.tenants = &tenants, .time_scale = time_scale};
  struct random random = random_of(seed, (uint64_t)number);
  for (int i = 0; i < EE_PHASE_TOPICS; i++)
    seen.first[i] = INT64_MIN;
  traffic_tell(&model, &random, number, AT, &(struct story_sink){.take = see, .context = &seen});
  assert_in_range(seen.told, 1, STORY_EVENTS_MAX);
  return seen;
}

static bool has(const struct seen *seen, enum ee_phase phase) {
  return seen->first[phase] != INT64_MIN;
}

static void all_kinds_and_outcomes_come(void **state) {
  (void)state;
  int stories = ee_tries(STORIES), kinds[9] = {0}, denied = 0, unhealthy = 0, abandoned = 0;
  int narrowed = 0, widened = 0, rebound = 0, released = 0, annotated = 0, orphans = 0,
      intruders = 0;
  for (int i = 0; i < stories; i++) {
    struct seen seen = tell(1, i, 1);
    bool failed = has(&seen, EE_PHASE_FAILED), granted = has(&seen, EE_PHASE_RESOLVED);
    if (seen.kind >= 0) kinds[seen.kind]++;
    orphans += seen.kind < 0;
    denied += failed && !granted;
    unhealthy += failed && granted;
    abandoned += granted && !failed && !has(&seen, EE_PHASE_FINALIZED);
    narrowed += seen.narrowed;
    widened += seen.widened;
    rebound += seen.rebound;
    released += has(&seen, EE_PHASE_RELEASED);
    annotated += has(&seen, EE_PHASE_ANNOTATION);
    intruders += seen.intruders;
  }
  for (size_t i = 0; i < COUNT_OF(kinds); i++)
    assert_in_range(kinds[i], stories / 10, stories / 8);
  const int counts[] = {denied,  unhealthy, abandoned, narrowed, widened,
                        rebound, released,  annotated, orphans,  intruders};
  for (size_t i = 0; i < COUNT_OF(counts); i++)
    assert_in_range(counts[i], 1, stories / 2);
}

static void delays_are_in_order(void **state) {
  (void)state;
  for (int i = 0; i < ee_tries(STORIES); i++) {
    struct seen seen = tell(2, i, 1);
    const int64_t *first = seen.first;
    if (seen.kind < 0) continue;
    assert_true(first[EE_PHASE_ADMISSION] == AT);
    for (int phase = 0; phase < EE_PHASE_TOPICS; phase++)
      assert_true(first[phase] == INT64_MIN || first[phase] >= AT);
    // A grant that is sent late may come after the end.
    bool late = first[EE_PHASE_RESOLVED] >= AT + 300 * EE_MICROS_PER_S;
    if (!late && has(&seen, EE_PHASE_FINALIZED))
      assert_true(first[EE_PHASE_FINALIZED] >= first[EE_PHASE_RESOLVED]);
    if (!late && has(&seen, EE_PHASE_RESOLVED) && has(&seen, EE_PHASE_FAILED))
      assert_true(first[EE_PHASE_FAILED] >= first[EE_PHASE_RESOLVED]);
    if (has(&seen, EE_PHASE_RELEASED))
      assert_true(first[EE_PHASE_RELEASED] > first[EE_PHASE_FINALIZED]);
  }
}

static int compare(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

// From the admission to the end of the run; it takes at least as long as the run.
static int64_t median_to_finalized(enum ee_execution_kind kind, double time_scale) {
  static int64_t found[STORIES];
  size_t count = 0;
  for (int i = 0; i < ee_tries(STORIES); i++) {
    struct seen seen = tell(3, i, time_scale);
    if (seen.kind == (int)kind && has(&seen, EE_PHASE_FINALIZED))
      found[count++] = seen.first[EE_PHASE_FINALIZED] - AT;
  }
  qsort(found, count, sizeof *found, compare);
  return found[count / 2];
}

static void runs_take_as_long_as_their_kind(void **state) {
  (void)state;
  const int64_t second = EE_MICROS_PER_S;
  assert_in_range(median_to_finalized(EE_EXECUTION_KIND_TOOL_CALL, 1), second / 2, 2 * second);
  assert_in_range(median_to_finalized(EE_EXECUTION_KIND_INFERENCE, 1), 2 * second, 4 * second);
  assert_in_range(median_to_finalized(EE_EXECUTION_KIND_PIPELINE_STEP, 1), 45 * second,
                  80 * second);
  assert_in_range(median_to_finalized(EE_EXECUTION_KIND_EVALUATION, 1), 220 * second, 380 * second);
}

static void scale_shrinks_all_delays(void **state) {
  (void)state;
  int64_t whole = median_to_finalized(EE_EXECUTION_KIND_AGENT_RUN, 1);
  int64_t small = median_to_finalized(EE_EXECUTION_KIND_AGENT_RUN, 0.001);
  assert_true(llabs(small - whole / 1000) < 10);
  struct seen seen = tell(3, 0, 0);
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++)
    assert_true(seen.first[phase] == INT64_MIN || seen.first[phase] == AT);
}

static void a_story_told_again_is_the_same(void **state) {
  (void)state;
  int other = 0;
  for (int i = 0; i < 200; i++) {
    struct seen one = tell(4, i, 1), again = tell(4, i, 1);
    assert_true(one.digest == again.digest && one.told == again.told);
    other += tell(5, i, 1).digest != one.digest;
  }
  assert_int_equal(other, 200);
}

static int set_up(void **state) {
  struct ee_err err;
  (void)state;
  return tenants_init(&tenants, TENANTS, TENANT_EXPONENT, &err) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  tenants_release(&tenants);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chance_has_its_mean),
      cmocka_unit_test(log_normal_lies_around_its_median),
      cmocka_unit_test(seeds_and_numbers_are_told_apart),
      cmocka_unit_test(tenants_have_their_shares),
      cmocka_unit_test(all_kinds_and_outcomes_come),
      cmocka_unit_test(delays_are_in_order),
      cmocka_unit_test(runs_take_as_long_as_their_kind),
      cmocka_unit_test(scale_shrinks_all_delays),
      cmocka_unit_test(a_story_told_again_is_the_same),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
