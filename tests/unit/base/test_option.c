// SPDX-License-Identifier: Apache-2.0
// base/option: a table with every type through every source, bounds, units, suggestions,
// operands, failing allocations.
#include "base/option.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/version.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

struct settings {
  bool drain;
  const char *bootstrap;
  const char *state_dir;
  int64_t partitions;
  int64_t offset;
  int64_t interval;
  int64_t memory;
  int64_t plain;
  struct ee_properties properties;
};

static bool no_line(const char *text, struct ee_err *err) {
  return strchr(text, '_') == NULL || ee_err_set(err, "\"%s\" has a '_'", text);
}

static const struct ee_option kafka_options[] = {
    {.name = "Kafka", .type = EE_OPTION_GROUP},
    {.name = "bootstrap",
     .argument = "HOST:PORT",
     .type = EE_OPTION_TEXT,
     .offset = offsetof(struct settings, bootstrap),
     .fallback = "localhost:9092",
     .check = no_line,
     .doc = "Where the brokers are."},
    {.name = "X",
     .letter = 'X',
     .argument = "KEY=VALUE",
     .type = EE_OPTION_PROPERTY,
     .offset = offsetof(struct settings, properties),
     .check = no_line,
     .doc = "Handed to librdkafka."},
    {.name = NULL},
};

static const struct ee_option own_options[] = {
    {.name = "drain",
     .type = EE_OPTION_FLAG,
     .offset = offsetof(struct settings, drain),
     .doc = "Processes what is there now, commits, and exits with status 0, which is what "
            "tests and replays want."},
    {.name = "state-dir",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = offsetof(struct settings, state_dir),
     .doc = "Where state is kept | cached."},
    {.name = "partitions",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = offsetof(struct settings, partitions),
     .fallback = "12",
     .least = 1,
     .most = 1000,
     .doc = "How many."},
    {.name = "offset",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = offsetof(struct settings, offset),
     .least = -5,
     .most = INT64_MAX,
     .doc = "May be negative."},
    {.name = "commit-interval",
     .argument = "TIME",
     .type = EE_OPTION_DURATION,
     .offset = offsetof(struct settings, interval),
     .fallback = "20ms",
     .least = 1,
     .most = 86400000,
     .doc = "How often."},
    {.name = "memory",
     .argument = "SIZE",
     .type = EE_OPTION_SIZE,
     .offset = offsetof(struct settings, memory),
     .fallback = "256MiB",
     .least = 1048576,
     .most = INT64_C(68719476736),
     .doc = "The working set."},
    {.name = "plain",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = offsetof(struct settings, plain),
     .doc = "Without bounds."},
    {.name = NULL},
};

static const struct ee_option *const tables[] = {own_options, kafka_options, NULL};
static const struct ee_command command = {.program = "envelope-test",
                                          .purpose = "shows what options can do.",
                                          .usage = "[FILE]",
                                          .tables = tables};

struct outcome {
  struct settings settings;
  struct ee_err err;
  char *argv[128];
  int argc;
  int operands;
  enum ee_option_result result;
};

// Reads the words of a line, parted by blanks.
static void read_words(struct outcome *out, const struct ee_command *of, char *line) {
  *out = (struct outcome){.argc = 1, .operands = -1};
  char program[] = "program";
  out->argv[0] = program;
  for (char *word = line; *word != '\0';) {
    size_t size = strcspn(word, " ");
    bool last = word[size] == '\0';
    word[size] = '\0';
    out->argv[out->argc++] = word;
    word += size + !last;
  }
  out->result =
      ee_options_read(of, out->argc, out->argv, &out->settings, &out->operands, &out->err);
  out->argv[0] = NULL;
}

static void assert_wrong(const char *line, const char *expected) {
  struct outcome out;
  char words[2048];
  snprintf(words, sizeof words, "%s", line);
  read_words(&out, &command, words);
  assert_int_equal(out.result, EE_OPTIONS_WRONG);
  assert_string_equal(out.err.text, expected);
  assert_null(out.settings.bootstrap);
  assert_int_equal(out.settings.properties.count, 0);
}

// The line's words, its settings handed to the caller, who releases them.
static void assert_right(struct outcome *out, char *words) {
  read_words(out, &command, words);
  if (out->result != EE_OPTIONS_OK) fail_msg("%s", out->err.text);
}

static void test_defaults(void **state) {
  (void)state;
  struct outcome out;
  char words[] = "";
  assert_right(&out, words);
  assert_false(out.settings.drain);
  assert_string_equal(out.settings.bootstrap, "localhost:9092");
  assert_null(out.settings.state_dir);
  assert_int_equal(out.settings.partitions, 12);
  assert_int_equal(out.settings.interval, 20);
  assert_int_equal(out.settings.memory, 256 << 20);
  assert_int_equal(out.settings.plain, 0);
  assert_int_equal(out.settings.properties.count, 0);
  assert_int_equal(out.operands, 1);
  ee_options_release(&command, &out.settings);
  ee_options_release(&command, &out.settings);
}

static void test_command_line_forms(void **state) {
  (void)state;
  struct outcome out;
  char words[] =
      "--bootstrap=b:1 --drain --state-dir= --memory 2GiB -Xa=1 -X b=x=y --X c= -X a=2 "
      "--partitions 7 --partitions=8";
  assert_right(&out, words);
  assert_true(out.settings.drain);
  assert_string_equal(out.settings.bootstrap, "b:1");
  assert_string_equal(out.settings.state_dir, "");
  assert_true(out.settings.memory == INT64_C(2) << 30);
  assert_int_equal(out.settings.partitions, 8);
  static const struct ee_property expected[] = {{"a", "2"}, {"b", "x=y"}, {"c", ""}};
  assert_int_equal(out.settings.properties.count, COUNT_OF(expected));
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    assert_string_equal(out.settings.properties.items[i].name, expected[i].name);
    assert_string_equal(out.settings.properties.items[i].value, expected[i].value);
  }
  ee_options_release(&command, &out.settings);
}

static void test_operands_come_last_in_order(void **state) {
  (void)state;
  struct outcome out;
  char words[] = "one --drain two --memory 1MiB - -X a=1 -- --three -X --";
  assert_right(&out, words);
  static const char *const expected[] = {"one", "two", "-", "--three", "-X", "--"};
  assert_int_equal(out.argc - out.operands, COUNT_OF(expected));
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    assert_string_equal(out.argv[out.operands + (int)i], expected[i]);
  }
  assert_true(out.settings.drain);
  assert_int_equal(out.settings.memory, 1 << 20);
  assert_int_equal(out.settings.properties.count, 1);
  ee_options_release(&command, &out.settings);
}

static void test_operands_where_none_are_allowed(void **state) {
  (void)state;
  struct outcome out;
  struct ee_command none = command;
  char words[] = "--drain surplus";
  none.usage = "";
  read_words(&out, &none, words);
  assert_int_equal(out.result, EE_OPTIONS_WRONG);
  assert_string_equal(out.err.text, "unexpected argument surplus");
}

static void test_units(void **state) {
  (void)state;
  static const struct {
    const char *line;
    int64_t interval, memory;
  } units[] = {{"--commit-interval 7", 7, 268435456},
               {"--commit-interval 7ms", 7, 268435456},
               {"--commit-interval 5s", 5000, 268435456},
               {"--commit-interval 10min", 600000, 268435456},
               {"--commit-interval 2h", 7200000, 268435456},
               {"--commit-interval 1d", 86400000, 268435456},
               {"--memory 1048577", 20, 1048577},
               {"--memory 2048KiB", 20, 2097152},
               {"--memory 64MiB", 20, 67108864},
               {"--memory 2GiB", 20, INT64_C(2147483648)}};
  for (size_t i = 0; i < COUNT_OF(units); i++) {
    struct outcome out;
    char words[64];
    snprintf(words, sizeof words, "%s", units[i].line);
    assert_right(&out, words);
    assert_int_equal(out.settings.interval, units[i].interval);
    assert_int_equal(out.settings.memory, units[i].memory);
    ee_options_release(&command, &out.settings);
  }
}

static void assert_value(const struct ee_option *option, int64_t value,
                         enum ee_option_result expected) {
  struct outcome out;
  char words[64];
  snprintf(words, sizeof words, "--%s=%lld", option->name, (long long)value);
  read_words(&out, &command, words);
  assert_int_equal(out.result, expected);
  if (expected == EE_OPTIONS_WRONG) assert_non_null(strstr(out.err.text, "out of bounds"));
  ee_options_release(&command, &out.settings);
}

// Each bounded option of the table takes both its bounds and refuses what lies beyond.
static void test_bounds_at_both_ends(void **state) {
  (void)state;
  size_t bounded = 0;
  for (const struct ee_option *option = own_options; option->name != NULL; option++) {
    if (option->least == 0 && option->most == 0) continue;
    bounded++;
    assert_value(option, option->least, EE_OPTIONS_OK);
    assert_value(option, option->least - 1, EE_OPTIONS_WRONG);
    assert_value(option, option->most, EE_OPTIONS_OK);
    if (option->most < INT64_MAX) assert_value(option, option->most + 1, EE_OPTIONS_WRONG);
  }
  assert_int_equal(bounded, 4);
}

static void test_wrong_values(void **state) {
  (void)state;
  assert_wrong("--memory 12Q",
               "--memory: 12Q is not a size: give bytes, or a whole number with KiB, MiB or GiB, "
               "as in 64MiB");
  assert_wrong("--memory 1KiB", "--memory: 1KiB is out of bounds: 1MiB to 64GiB");
  assert_wrong("--memory 64gib",
               "--memory: 64gib is not a size: give bytes, or a whole number with KiB, MiB or "
               "GiB, as in 64MiB");
  assert_wrong("--commit-interval=5m",
               "--commit-interval: 5m is not a duration: give a whole number with ms, s, min, h "
               "or d, as in 20ms");
  assert_wrong("--commit-interval 2d", "--commit-interval: 2d is out of bounds: 1ms to 1d");
  assert_wrong("--partitions=", "--partitions: an empty value is not a number: give digits only");
  assert_wrong("--partitions 1.5", "--partitions: 1.5 is not a number: give digits only");
  assert_wrong("--partitions +5", "--partitions: +5 is not a number: give digits only");
  assert_wrong("--partitions 0x5", "--partitions: 0x5 is not a number: give digits only");
  assert_wrong("--plain -1", "--plain: -1 is below 0");
  assert_wrong("--plain 9223372036854775808",
               "--plain: 9223372036854775808 is not a number: give digits only");
  assert_wrong("--plain 99999999999999999999",
               "--plain: 99999999999999999999 is not a number: give digits only");
  assert_wrong("--memory 9007199254740993KiB",
               "--memory: 9007199254740993KiB is not a size: give bytes, or a whole number with "
               "KiB, MiB or GiB, as in 64MiB");
  assert_wrong("-X nothing", "-X: nothing is not a property: give key=value");
  assert_wrong("-X=v", "-X: =v is not a property: give key=value");
  assert_wrong("--bootstrap a_b", "--bootstrap: \"a_b\" has a '_'");
  assert_wrong("--bootstrap a_b --bootstrap ab", "--bootstrap: \"a_b\" has a '_'");
  assert_wrong("-X a=b -X c_d", "-X: \"c_d\" has a '_'");
  assert_wrong("--drain=true", "--drain takes no value");
  assert_wrong("--memory", "--memory: SIZE is missing");
  assert_wrong("--drain -X", "-X: KEY=VALUE is missing");
}

static void test_unknown_options(void **state) {
  (void)state;
  assert_wrong("--memori 1", "unknown option --memori; did you mean --memory?");
  assert_wrong("--bootstarp=b:1", "unknown option --bootstarp; did you mean --bootstrap?");
  assert_wrong("--hepl", "unknown option --hepl; did you mean --help?");
  assert_wrong("--nothing-like-it", "unknown option --nothing-like-it (--help lists them)");
  assert_wrong("-z", "unknown option -z (--help lists them)");
  assert_wrong("--=x", "unknown option -- (--help lists them)");
  assert_wrong("--Kafka x", "unknown option --Kafka (--help lists them)");
  assert_wrong("---", "unknown option --- (--help lists them)");
}

static void test_too_many_properties(void **state) {
  (void)state;
  struct outcome out;
  char words[1024];
  size_t size = 0;
  for (int i = 0; i < EE_PROPERTIES_MAX; i++) {
    size += (size_t)snprintf(words + size, sizeof words - size, "%s-Xk%d=v", i == 0 ? "" : " ", i);
  }
  char enough[1024];
  memcpy(enough, words, sizeof words);
  assert_right(&out, enough);
  assert_int_equal(out.settings.properties.count, EE_PROPERTIES_MAX);
  ee_options_release(&command, &out.settings);
  snprintf(words + size, sizeof words - size, " -Xone=more");
  assert_wrong(words, "-X: more than 64 properties");
}

// ---- The environment and the file.

static void test_environment(void **state) {
  (void)state;
  struct outcome out;
  char words[] = "--partitions 3";
  setenv("ENVELOPE_STATE_DIR", "/var/lib/x", 1);
  setenv("ENVELOPE_DRAIN", "true", 1);
  setenv("ENVELOPE_PARTITIONS", "5", 1);
  setenv("ENVELOPE_X", "a=1\n\nb=2, c=3\n", 1);
  assert_right(&out, words);
  assert_string_equal(out.settings.state_dir, "/var/lib/x");
  assert_true(out.settings.drain);
  assert_int_equal(out.settings.partitions, 3);
  assert_int_equal(out.settings.properties.count, 2);
  assert_string_equal(out.settings.properties.items[1].value, "2, c=3");
  ee_options_release(&command, &out.settings);
  setenv("ENVELOPE_DRAIN", "yes", 1);
  assert_wrong("", "ENVELOPE_DRAIN: yes is neither true nor false");
  unsetenv("ENVELOPE_DRAIN");
  setenv("ENVELOPE_X", "a=1\nb", 1);
  assert_wrong("", "ENVELOPE_X: b is not a property: give key=value");
  unsetenv("ENVELOPE_X");
  unsetenv("ENVELOPE_STATE_DIR");
  setenv("ENVELOPE_MEMORY", "12Q", 1);
  assert_wrong("",
               "ENVELOPE_MEMORY: 12Q is not a size: give bytes, or a whole number with KiB, MiB or "
               "GiB, as in 64MiB");
  unsetenv("ENVELOPE_MEMORY");
  unsetenv("ENVELOPE_PARTITIONS");
}

#define CONFIG "ee-test-option.conf"

static int enter(void **state) {
  (void)state;
  char directory[] = "/tmp/ee-test-option-XXXXXX";
  return mkdtemp(directory) != NULL ? chdir(directory) : -1;
}

static int leave(void **state) {
  (void)state;
  char directory[256];
  if (getcwd(directory, sizeof directory) == NULL) return -1;
  unlink(CONFIG);
  return chdir("/") == 0 ? rmdir(directory) : -1;
}

static void write_config(struct ee_str text) {
  struct ee_err err;
  assert_true(ee_file_replace(CONFIG, ee_str_bytes(text), &err));
}

static void test_config_file(void **state) {
  (void)state;
  struct outcome out;
  char words[] = "--config " CONFIG " --partitions 3";
  write_config(
      EE_STR("# comment\n\n  memory=2MiB \r\n\tstate-dir =  /a b # c \npartitions = 9\n"
             "drain = true\nX = a=1\nX = b = 2\ncommit-interval = 1s"));
  setenv("ENVELOPE_COMMIT_INTERVAL", "2s", 1);
  assert_right(&out, words);
  unsetenv("ENVELOPE_COMMIT_INTERVAL");
  assert_int_equal(out.settings.memory, 2 << 20);
  assert_string_equal(out.settings.state_dir, "/a b # c");
  assert_int_equal(out.settings.partitions, 3);
  assert_int_equal(out.settings.interval, 2000);
  assert_true(out.settings.drain);
  assert_int_equal(out.settings.properties.count, 2);
  assert_string_equal(out.settings.properties.items[0].value, "1");
  ee_options_release(&command, &out.settings);
}

static void test_config_named_by_the_environment(void **state) {
  (void)state;
  struct outcome out;
  char words[] = "";
  write_config(EE_STR("partitions = 9\n"));
  setenv("ENVELOPE_CONFIG", CONFIG, 1);
  assert_right(&out, words);
  unsetenv("ENVELOPE_CONFIG");
  assert_int_equal(out.settings.partitions, 9);
  ee_options_release(&command, &out.settings);
}

static void test_wrong_config(void **state) {
  (void)state;
  static const struct {
    struct ee_str text;
    const char *expected;
  } wrong[] = {
      {EE_STR_INIT("\n# c\nmemory 5\n"), CONFIG ":3: a line must be name = value"},
      {EE_STR_INIT("memori = 5"), CONFIG ":1: unknown option memori; did you mean memory?"},
      {EE_STR_INIT("drain = 1"), CONFIG ":1: drain: 1 is neither true nor false"},
      {EE_STR_INIT("\npartitions = 0"), CONFIG ":2: partitions: 0 is out of bounds: 1 to 1000"},
      {EE_STR_INIT("\nbootstrap = a_b"), CONFIG ":2: bootstrap: \"a_b\" has a '_'"},
      {EE_STR_INIT("= 5"), CONFIG ":1: unknown option  (--help lists them)"},
      {EE_STR_INIT("config = a"), CONFIG ":1: config cannot stand in a file"},
      {EE_STR_INIT("drain = true\0"), CONFIG ": not a text file"},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    write_config(wrong[i].text);
    assert_wrong("--config=" CONFIG, wrong[i].expected);
  }
  assert_wrong("--config /nonexistent", "/nonexistent: No such file or directory");
}

// ---- What is printed.

static size_t captured(const char *line, char *out, size_t room) {
  struct outcome outcome;
  char words[64];
  int ends[2];
  snprintf(words, sizeof words, "%s", line);
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  assert_int_equal(pipe(ends), 0);
  dup2(ends[1], STDOUT_FILENO);
  read_words(&outcome, &command, words);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  close(ends[1]);
  ssize_t size = read(ends[0], out, room - 1);
  close(ends[0]);
  assert_true(size >= 0);
  out[size] = '\0';
  assert_int_equal(outcome.result, EE_OPTIONS_PRINTED);
  assert_null(outcome.settings.bootstrap);
  return (size_t)size;
}

static void test_help(void **state) {
  (void)state;
  char out[8192];
  captured("--help", out, sizeof out);
  assert_string_equal(
      out,
      "envelope-test: shows what options can do.\n"
      "\n"
      "Usage: envelope-test [OPTION...] [FILE]\n"
      "\n"
      "Options:\n"
      "  --drain                   Processes what is there now, commits, and exits with\n"
      "                            status 0, which is what tests and replays want.\n"
      "  --state-dir DIR           Where state is kept | cached.\n"
      "  --partitions N            How many. From 1 to 1000. Default: 12\n"
      "  --offset N                May be negative. From -5 to 9223372036854775807.\n"
      "  --commit-interval TIME    How often. From 1ms to 1d. Default: 20ms\n"
      "  --memory SIZE             The working set. From 1MiB to 64GiB. Default: 256MiB\n"
      "  --plain N                 Without bounds.\n"
      "\n"
      "Kafka:\n"
      "  --bootstrap HOST:PORT     Where the brokers are. Default: localhost:9092\n"
      "  -X KEY=VALUE              Handed to librdkafka.\n"
      "\n"
      "General:\n"
      "  --config FILE             Reads options from FILE, one `name = value` a line;\n"
      "                            # begins a comment line.\n"
      "  --help                    Prints this and exits.\n"
      "  --reference               Prints the same as a page in Markdown and exits.\n"
      "  --version                 Prints the version and exits.\n"
      "\n"
      "Options are also read from the file of --config and from the environment, as\n"
      "ENVELOPE_NAME with _ for -. The command line wins over the environment, and the\n"
      "environment over the file.\n");
}

static void test_help_wins_over_bad_values(void **state) {
  (void)state;
  char out[8192];
  assert_true(captured("--memory 12Q --help", out, sizeof out) > 100);
}

static void test_version(void **state) {
  (void)state;
  char out[256];
  captured("--version", out, sizeof out);
  assert_string_equal(out, "envelope-test " EE_VERSION "\n");
}

static void test_reference(void **state) {
  (void)state;
  char out[8192];
  captured("--reference", out, sizeof out);
  assert_non_null(strstr(out, "## envelope-test\n\nshows what options can do.\n"));
  assert_non_null(strstr(out, "\n### Options\n"));
  assert_non_null(strstr(out, "\n### Kafka\n"));
  assert_non_null(strstr(
      out, "| `--memory SIZE` | The working set. | 256MiB | 1MiB to 64GiB | ENVELOPE_MEMORY |\n"));
  assert_non_null(strstr(
      out, "| `--state-dir DIR` | Where state is kept \\| cached. |  |  | ENVELOPE_STATE_DIR |\n"));
  assert_non_null(strstr(out, "| `--help` | Prints this and exits. |  |  |  |\n"));
}

static void test_failing_allocations(void **state) {
  (void)state;
  write_config(EE_STR("state-dir = /x\nX = a=1\n"));
  setenv("ENVELOPE_X", "b=2\nc=3", 1);
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    struct outcome out;
    char words[] = "--config " CONFIG " --bootstrap b:1 -X a=9 -Xd=4 FILE";
    ee_chaos_fail_after(n);
    read_words(&out, &command, words);
    failed = ee_chaos_stop();
    assert_int_equal(out.result, failed ? EE_OPTIONS_WRONG : EE_OPTIONS_OK);
    if (failed) assert_non_null(strstr(out.err.text, "no memory"));
    failures += failed;
    ee_options_release(&command, &out.settings);
  }
  unsetenv("ENVELOPE_X");
  assert_true(failures > 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_command_line_forms),
      cmocka_unit_test(test_operands_come_last_in_order),
      cmocka_unit_test(test_operands_where_none_are_allowed),
      cmocka_unit_test(test_units),
      cmocka_unit_test(test_bounds_at_both_ends),
      cmocka_unit_test(test_wrong_values),
      cmocka_unit_test(test_unknown_options),
      cmocka_unit_test(test_too_many_properties),
      cmocka_unit_test(test_environment),
      cmocka_unit_test_setup_teardown(test_config_file, enter, leave),
      cmocka_unit_test_setup_teardown(test_config_named_by_the_environment, enter, leave),
      cmocka_unit_test_setup_teardown(test_wrong_config, enter, leave),
      cmocka_unit_test(test_help),
      cmocka_unit_test(test_help_wins_over_bad_values),
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_reference),
      cmocka_unit_test_setup_teardown(test_failing_allocations, enter, leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
