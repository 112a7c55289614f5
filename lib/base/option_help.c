// SPDX-License-Identifier: Apache-2.0
// What a table of options says for people: --help, and the reference page.
#include "base/option.h"
#include "base/option_table.h"
#include "base/option_value.h"

#define WIDTH 80
#define DOC_COLUMN 28
#define HEAD_MAX 128

// "-X, --property KEY=VALUE"; an option whose name is its letter has just the one form.
static void print_head(const struct ee_option *option, char out[HEAD_MAX]) {
  bool named = strlen(option->name) > 1;
  char letter[8] = "";
  if (option->letter != 0) {
    snprintf(letter, sizeof letter, "-%c%s", option->letter, named ? ", " : "");
  }
  snprintf(out, HEAD_MAX, "%s%s%s%s%s", letter, named ? "--" : "", named ? option->name : "",
           option->argument == NULL ? "" : " ", option->argument == NULL ? "" : option->argument);
}

static void indent(FILE *out, size_t *column, size_t to) {
  for (; *column < to; ++*column) {
    fputc(' ', out);
  }
}

// Continues at *column, breaking lines before WIDTH and going on at DOC_COLUMN.
static void wrap(FILE *out, const char *text, size_t *column, size_t left) {
  for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
    size_t size = strcspn(text, " ");
    if (*column > left && *column + 1 + size > WIDTH) {
      fputc('\n', out);
      *column = 0;
    } else if (*column > left) {
      fputc(' ', out);
      ++*column;
    }
    indent(out, column, left);
    fwrite(text, 1, size, out);
    *column += size;
    text += size;
  }
}

// A table that does not begin with a heading gets one.
static const char *heading_before(const struct ee_option *option,
                                  const struct ee_option_cursor *after) {
  if (option->type == EE_OPTION_GROUP) return option->name;
  return after->entry == 1 ? "Options" : NULL;
}

static void help_option(const struct ee_option *option, FILE *out) {
  char head[HEAD_MAX];
  char bounds[EE_OPTION_TEXT_MAX];
  char note[EE_OPTION_TEXT_MAX + 256];
  print_head(option, head);
  ee_option_print_bounds(option, bounds);
  size_t column = (size_t)fprintf(out, "  %s", head);
  if (column > DOC_COLUMN - 2) {
    fputc('\n', out);
    column = 0;
  }
  indent(out, &column, DOC_COLUMN);
  wrap(out, option->doc, &column, DOC_COLUMN);
  if (bounds[0] != '\0') {
    snprintf(note, sizeof note, "From %s.", bounds);
    wrap(out, note, &column, DOC_COLUMN);
  }
  if (option->fallback != NULL) {
    snprintf(note, sizeof note, "Default: %s", option->fallback);
    wrap(out, note, &column, DOC_COLUMN);
  }
  fputc('\n', out);
}

void ee_options_help(const struct ee_command *command, FILE *out) {
  size_t column = (size_t)fprintf(out, "%s:", command->program);
  wrap(out, command->purpose, &column, 0);
  fprintf(out, "\n\nUsage: %s [OPTION...]%s%s\n", command->program,
          command->usage[0] == '\0' ? "" : " ", command->usage);
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL) {
    const char *heading = heading_before(option, &cursor);
    if (heading != NULL) fprintf(out, "\n%s:\n", heading);
    if (option->type != EE_OPTION_GROUP) help_option(option, out);
  }
  fputc('\n', out);
  column = 0;
  wrap(out,
       "Options are also read from the file of --config and from the environment, as "
       "ENVELOPE_NAME with _ for -. The command line wins over the environment, and the "
       "environment over the file.",
       &column, 0);
  fputc('\n', out);
}

// A cell of a Markdown table, where a bar would end it.
static void print_cell(const char *text, FILE *out) {
  for (; *text != '\0'; text++) {
    if (*text == '|') fputc('\\', out);
    fputc(*text, out);
  }
}

static void reference_option(const struct ee_option *option, FILE *out) {
  char head[HEAD_MAX];
  char bounds[EE_OPTION_TEXT_MAX];
  char environment[EE_OPTION_ENV_MAX] = "";
  print_head(option, head);
  ee_option_print_bounds(option, bounds);
  bool in_environment = !ee_option_is_common(option) || option->type == EE_OPTION_TEXT;
  if (in_environment) ee_option_environment(option, environment);
  fputs("| `", out);
  print_cell(head, out);
  fputs("` | ", out);
  print_cell(option->doc, out);
  fprintf(out, " | %s | %s | %s |\n", option->fallback == NULL ? "" : option->fallback, bounds,
          environment);
}

void ee_options_reference(const struct ee_command *command, FILE *out) {
  fprintf(out, "## %s\n\n%s\n\n    %s [OPTION...]%s%s\n", command->program, command->purpose,
          command->program, command->usage[0] == '\0' ? "" : " ", command->usage);
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL) {
    const char *heading = heading_before(option, &cursor);
    if (heading != NULL) {
      fprintf(out, "\n### %s\n\n| option | meaning | default | bounds | environment |\n", heading);
      fputs("| --- | --- | --- | --- | --- |\n", out);
    }
    if (option->type != EE_OPTION_GROUP) reference_option(option, out);
  }
}
