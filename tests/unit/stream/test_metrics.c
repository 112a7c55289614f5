// SPDX-License-Identifier: Apache-2.0
// The Prometheus text: its form, line by line, and the values that mean "none".
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream/metrics.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static char *render(const struct ee_metrics *metrics) {
  struct ee_buf buf;
  ee_buf_init(&buf, 1 << 20);
  ee_metrics_render(metrics, &buf);
  ee_buf_byte(&buf, '\0');
  assert_false(buf.failed);
  return (char *)buf.data;
}

static struct ee_metrics *metrics_new(void) {
  struct ee_metrics *metrics = calloc(1, sizeof *metrics);
  assert_non_null(metrics);
  metrics->processor = "join";
  return metrics;
}

static void expect_line(const char *text, const char *line) {
  char *wanted;
  assert_true(asprintf(&wanted, "\n%s\n", line) > 0);
  if (strstr(text, wanted) == NULL) fail_msg("no line %s in:\n%s", line, text);
  free(wanted);
}

static size_t count_of(const char *text, const char *part) {
  size_t count = 0;
  for (; (text = strstr(text, part)) != NULL; text += strlen(part))
    count++;
  return count;
}

// Exposition format 0.0.4: HELP and TYPE once before a family's series, no series twice,
// every line whole.
static void the_form_is_prometheus(void **state) {
  (void)state;
  struct ee_metrics *metrics = metrics_new();
  metrics->partition_count = 3;
  metrics->partitions[1].assigned = metrics->partitions[2].assigned = true;
  char *text = render(metrics);
  char family[128] = "", *rest = text;
  regex_t sample;
  const char *pattern =
      "^(envelope_[a-z_]+)\\{processor=\"join\"(,[a-z]+=\"[a-z0-9._]+\")?\\} "
      "-?[0-9]+(\\.[0-9]{6})?$";
  assert_int_equal(regcomp(&sample, pattern, REG_EXTENDED), 0);
  for (char *line; *rest != '\0';) {
    line = strsep(&rest, "\n");
    assert_non_null(rest);  // the last line ends too
    regmatch_t match[2];
    if (strncmp(line, "# HELP ", 7) == 0) {
      assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
      assert_non_null(strchr(line + 8 + strlen(family), '.'));
      continue;
    }
    if (strncmp(line, "# TYPE ", 7) == 0) {
      char name[128], type[16];
      assert_int_equal(sscanf(line, "# TYPE %127s %15s", name, type), 2);
      assert_string_equal(name, family);
      bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
      assert_string_equal(type, total ? "counter" : "gauge");
      continue;
    }
    if (regexec(&sample, line, 2, match, 0) != 0) fail_msg("not a sample: %s", line);
    assert_int_equal(match[1].rm_eo, strlen(family));
    assert_memory_equal(line, family, strlen(family));
  }
  regfree(&sample);
  free(text);
  text = render(metrics);
  assert_int_equal(count_of(text, "# TYPE envelope_events_total "), 1);
  assert_int_equal(count_of(text, "\nenvelope_events_total{"), EE_TOPIC_COUNT);
  assert_int_equal(count_of(text, "\nenvelope_dead_letters_total{"), EE_REASON_COUNT - 1);
  free(text);
  free(metrics);
}

static void values_are_where_they_belong(void **state) {
  (void)state;
  struct ee_metrics *metrics = metrics_new();
  metrics->events[EE_TOPIC_TICK] = 7;
  metrics->outputs[EE_TOPIC_LIFECYCLE] = UINT64_MAX;
  metrics->dead_letters[EE_REASON_truncated] = 3;
  metrics->transactions_committed = 4;
  metrics->transactions_aborted = 5;
  metrics->rebalances = 11;
  metrics->ticks_applied = 12;
  metrics->checkpoints = 13;
  metrics->restored_records = 14;
  metrics->waits_registry = 15;
  metrics->waits_policy = 16;
  metrics->state_keys = 17;
  metrics->state_memory_bytes = 18;
  metrics->state_disk_bytes = 19;
  char *text = render(metrics);
  expect_line(text, "envelope_events_total{processor=\"join\",topic=\"envelope.tick.v1\"} 7");
  expect_line(text,
              "envelope_outputs_total{processor=\"join\",topic=\"envelope.lifecycle.v1\"} "
              "18446744073709551615");
  expect_line(text, "envelope_dead_letters_total{processor=\"join\",reason=\"truncated\"} 3");
  expect_line(text, "envelope_dead_letters_total{processor=\"join\",reason=\"oversized\"} 0");
  expect_line(text, "envelope_transactions_total{processor=\"join\",result=\"committed\"} 4");
  expect_line(text, "envelope_transactions_total{processor=\"join\",result=\"aborted\"} 5");
  expect_line(text, "envelope_rebalances_total{processor=\"join\"} 11");
  expect_line(text, "envelope_ticks_applied_total{processor=\"join\"} 12");
  expect_line(text, "envelope_checkpoints_total{processor=\"join\"} 13");
  expect_line(text, "envelope_restored_records_total{processor=\"join\"} 14");
  expect_line(text, "envelope_waits_total{processor=\"join\",for=\"registry\"} 15");
  expect_line(text, "envelope_waits_total{processor=\"join\",for=\"policy\"} 16");
  expect_line(text, "envelope_state_keys{processor=\"join\"} 17");
  expect_line(text, "envelope_state_memory_bytes{processor=\"join\"} 18");
  expect_line(text, "envelope_state_disk_bytes{processor=\"join\"} 19");
  const char *memory = strstr(text, "envelope_process_memory_bytes{processor=\"join\",kind=\"anon");
  long long bytes = 0;
  assert_non_null(memory);
  assert_int_equal(sscanf(strchr(memory, ' '), "%lld", &bytes), 1);
  assert_true(bytes > 10000 && bytes % 1024 == 0);
  free(text);
  free(metrics);
}

static void partitions_without_a_value_have_none(void **state) {
  (void)state;
  struct ee_metrics *metrics = metrics_new();
  metrics->partition_count = 4;
  metrics->newest_append_micros = 10500000;
  metrics->partitions[0] = (struct ee_partition_metrics){.lag = 9, .clock_micros = 1};
  metrics->partitions[1] = (struct ee_partition_metrics){
      .assigned = true, .running = true, .lag = 9, .clock_micros = 8000001};
  metrics->partitions[2] =
      (struct ee_partition_metrics){.assigned = true, .lag = -1, .clock_micros = INT64_MIN};
  metrics->partitions[3] =
      (struct ee_partition_metrics){.assigned = true, .lag = 0, .clock_micros = -1500000};
  char *text = render(metrics);
  assert_null(strstr(text, "partition=\"0\""));
  expect_line(text, "envelope_partition_running{processor=\"join\",partition=\"1\"} 1");
  expect_line(text, "envelope_partition_running{processor=\"join\",partition=\"2\"} 0");
  expect_line(text, "envelope_consumer_lag_records{processor=\"join\",partition=\"1\"} 9");
  expect_line(text, "envelope_clock_seconds{processor=\"join\",partition=\"1\"} 8.000001");
  expect_line(text, "envelope_clock_seconds{processor=\"join\",partition=\"3\"} -1.500000");
  expect_line(text, "envelope_tick_lag_seconds{processor=\"join\",partition=\"1\"} 2.499999");
  expect_line(text, "envelope_tick_lag_seconds{processor=\"join\",partition=\"3\"} 12.000000");
  assert_int_equal(count_of(text, "partition=\"2\"}"), 1);
  free(text);
  // Ahead of what was read, and as far apart as can be.
  metrics->newest_append_micros = 0;
  metrics->partitions[3].clock_micros = INT64_MIN + 1;
  text = render(metrics);
  expect_line(text, "envelope_tick_lag_seconds{processor=\"join\",partition=\"1\"} 0.000000");
  metrics->newest_append_micros = 10;
  free(text);
  text = render(metrics);
  assert_null(strstr(text, "envelope_tick_lag_seconds{processor=\"join\",partition=\"3\"}"));
  metrics->partition_count = INT64_MAX;  // no more than there is room for
  free(text);
  free(render(metrics));
  free(metrics);
}

static void a_full_buffer_is_marked(void **state) {
  (void)state;
  struct ee_metrics *metrics = metrics_new();
  metrics->partition_count = 1;
  metrics->partitions[0] = (struct ee_partition_metrics){.assigned = true, .lag = -1};
  char *whole = render(metrics);
  size_t size = strlen(whole);
  free(whole);
  for (size_t limit = 0; limit + 100 < size; limit += 37) {
    struct ee_buf buf;
    ee_buf_init(&buf, limit);
    ee_metrics_render(metrics, &buf);
    assert_true(buf.failed && buf.size <= limit);
    ee_buf_release(&buf);
  }
  struct ee_buf buf;
  ee_buf_init(&buf, 1 << 20);
  ee_chaos_fail_after(1);
  ee_metrics_render(metrics, &buf);
  assert_true(ee_chaos_stop() && buf.failed);
  ee_buf_release(&buf);
  free(metrics);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_form_is_prometheus),
      cmocka_unit_test(values_are_where_they_belong),
      cmocka_unit_test(partitions_without_a_value_have_none),
      cmocka_unit_test(a_full_buffer_is_marked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
