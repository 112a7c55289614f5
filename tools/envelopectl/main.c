// SPDX-License-Identifier: Apache-2.0
// envelopectl: finds the command, reads its options and runs it.
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/version.h"
#include "tools/envelopectl/ctl.h"

static const struct ee_ctl_command *const commands[] = {
    &ee_ctl_topics_apply, &ee_ctl_topics_list,  &ee_ctl_schemas_check, &ee_ctl_schemas_register,
    &ee_ctl_schemas_show, &ee_ctl_schemas_json, &ee_ctl_policy_apply,  &ee_ctl_policy_show,
    &ee_ctl_tick,         &ee_ctl_cat,          &ee_ctl_show,          &ee_ctl_spool_inspect,
    &ee_ctl_spool_verify, &ee_ctl_spool_export, &ee_ctl_spool_repair,
};
#define COMMANDS (sizeof commands / sizeof *commands)

static const struct ee_option common[] = {
    {.name = "Waiting", .type = EE_OPTION_GROUP},
    {.name = "timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = offsetof(struct ee_ctl_settings, timeout_ms),
     .fallback = "30s",
     .least = 100,
     .most = 3600000,
     .doc = "Longest wait for an answer of Kafka or of the schema registry."},
    {.name = NULL}};

static const struct ee_option none[] = {{.name = NULL}};

// ---- Help.

static void print_help(FILE *out) {
  fprintf(out, EE_CTL_NAME
          ": sets up and looks into the topics of the pipeline, and spools.\n\n"
          "Usage: " EE_CTL_NAME " COMMAND [OPTION...] [OPERAND...]\n\nCommands:\n");
  for (size_t i = 0; i < COMMANDS; i++)
    fprintf(out, "  %-18s %s\n", commands[i]->name, commands[i]->purpose);
  fprintf(out, "\nEach command has --help. " EE_CTL_NAME " --version prints the version.\n");
}

// One section: the options of all commands once, then each one's own.
static void print_reference(void) {
  const struct ee_option *tables[COMMANDS + 3] = {ee_client_options, common};
  size_t count = 2;
  for (size_t i = 0; i < COMMANDS; i++) {
    if (commands[i]->options != NULL) tables[count++] = commands[i]->options;
  }
  struct ee_command all = {
      .program = EE_CTL_NAME " COMMAND",
      .purpose = "Sets up and looks into the topics of the pipeline, and spools.",
      .usage = "[OPERAND...]",
      .tables = tables};
  ee_options_reference(&all, stdout);
  printf("\n### Commands\n\n| command | meaning |\n| --- | --- |\n");
  for (size_t i = 0; i < COMMANDS; i++) {
    const char *usage = commands[i]->usage;
    printf("| `%s%s%s` | %s |\n", commands[i]->name, usage[0] == '\0' ? "" : " ", usage,
           commands[i]->purpose);
  }
}

// True if it was one of the words that need no command; *ret is the exit status.
static bool answer_alone(const char *word, int *ret) {
  *ret = 0;
  if (word == NULL) {
    print_help(stderr);
    *ret = 2;
  } else if (strcmp(word, "--help") == 0) {
    print_help(stdout);
  } else if (strcmp(word, "--version") == 0) {
    printf(EE_CTL_NAME " %s\n", EE_VERSION);
  } else if (strcmp(word, "--reference") == 0) {
    print_reference();
  } else {
    return false;
  }
  return true;
}

// ---- Commands.

// How many words of argv the command's name takes; 0 if they are not its name.
static int match(const char *name, char **argv) {
  int words = 0;
  for (; *name != '\0'; words++) {
    size_t size = strcspn(name, " ");
    if (argv[words] == NULL || strlen(argv[words]) != size ||
        memcmp(argv[words], name, size) != 0) {
      return 0;
    }
    name += size + (name[size] == ' ');
  }
  return words;
}

static const struct ee_ctl_command *find(char **argv, int *ret_words) {
  for (size_t i = 0; i < COMMANDS; i++) {
    *ret_words = match(commands[i]->name, argv);
    if (*ret_words != 0) return commands[i];
  }
  return NULL;
}

static int wrong(const char *program, const char *text) {
  fprintf(stderr, "%s: %s\n", program, text);
  return 2;
}

static int unknown(const char *word) {
  struct ee_err err;
  ee_err_set(&err, word[0] == '-' ? "the command comes first, then its options (--help lists them)"
                                  : "no such command (--help lists them)");
  ee_err_prefix(&err, "%s", word);
  return wrong(EE_CTL_NAME, err.text);
}

static bool count_fits(const struct ee_ctl_command *command, int count, struct ee_err *err) {
  if (count >= command->operands_least && count <= command->operands_most) return true;
  return ee_err_set(err, "%s (usage: " EE_CTL_NAME " %s [OPTION...] %s)",
                    count < command->operands_least ? "an operand is missing" : "too many operands",
                    command->name, command->usage);
}

static bool run(const struct ee_ctl_command *command, const struct ee_ctl_settings *settings,
                char *const *operands) {
  struct ee_err err = {.text = ""};
  ee_client_log(EE_CTL_NAME, NULL, &settings->client);
  bool ok = command->run(settings, operands, &err);
  if (fflush(stdout) != 0 && ok) ok = ee_err_set(&err, "standard output: %s", strerror(errno));
  if (!ok) ee_log(EE_ERROR, err.text, NULL);
  return ok;
}

// argv[0] is the last word of the command's name.
static int read_and_run(const struct ee_ctl_command *command, int argc, char **argv) {
  char program[64];
  snprintf(program, sizeof program, EE_CTL_NAME " %s", command->name);
  const struct ee_option *tables[] = {ee_client_options, common,
                                      command->options != NULL ? command->options : none, NULL};
  struct ee_command face = {
      .program = program, .purpose = command->purpose, .usage = command->usage, .tables = tables};
  struct ee_err err;
  int operands;
  struct ee_ctl_settings *settings = calloc(1, command->settings_size);
  if (settings == NULL) return wrong(program, "memory is out");
  int status = 0;
  enum ee_option_result result = ee_options_read(&face, argc, argv, settings, &operands, &err);
  if (result == EE_OPTIONS_OK && !count_fits(command, argc - operands, &err)) {
    result = EE_OPTIONS_WRONG;
  }
  if (result == EE_OPTIONS_WRONG) status = wrong(program, err.text);
  if (result == EE_OPTIONS_OK) status = run(command, settings, argv + operands) ? 0 : 1;
  ee_options_release(&face, settings);
  free(settings);
  return status;
}

int main(int argc, char **argv) {
  int status;
  int words;
  signal(SIGPIPE, SIG_IGN);
  char **rest = argv + (argc > 0);
  if (answer_alone(rest[0], &status)) return status;
  const struct ee_ctl_command *command = find(rest, &words);
  if (command == NULL) return unknown(rest[0]);
  return read_and_run(command, argc - words, argv + words);
}
