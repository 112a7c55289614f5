// SPDX-License-Identifier: Apache-2.0
// Reading options: default, file, environment, command line, in this order over one
// settings struct.
#include "base/option.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/option_table.h"
#include "base/option_value.h"
#include "base/version.h"

#define CONFIG_SIZE_MAX ((size_t)1 << 20)
#define SOURCE_MAX 512

static bool no_memory(struct ee_err *err) {
  return ee_err_set(err, "no memory");
}

static void *place_of(const struct ee_option *option, void *settings) {
  return (char *)settings + option->offset;
}

// ---- Setting one value.

static bool set_flag(bool *flag, const char *text, struct ee_err *err) {
  *flag = strcmp(text, "true") == 0;
  if (*flag || strcmp(text, "false") == 0) return true;
  return ee_err_set(err, "%s is neither true nor false", text);
}

// Frees what was there.
static bool set_text(const char **place, struct ee_str text, struct ee_err *err) {
  char *copy = strndup(text.data, text.size);
  if (copy == NULL) return no_memory(err);
  free((void *)*place);
  *place = copy;
  return true;
}

static bool set_property(struct ee_properties *properties, const char *text, struct ee_err *err) {
  struct ee_str name, value;
  if (!ee_option_parse_property(text, &name, &value, err)) return false;
  for (size_t i = 0; i < properties->count; i++) {
    struct ee_property *known = &properties->items[i];
    if (ee_str_equal(name, ee_str(known->name))) return set_text(&known->value, value, err);
  }
  if (properties->count == EE_PROPERTIES_MAX) {
    return ee_err_set(err, "more than %d properties", EE_PROPERTIES_MAX);
  }
  struct ee_property fresh = {.name = NULL, .value = NULL};
  if (!set_text(&fresh.name, name, err) || !set_text(&fresh.value, value, err)) {
    free((void *)fresh.name);
    return false;
  }
  properties->items[properties->count++] = fresh;
  return true;
}

static bool set_value(const struct ee_option *option, void *settings, const char *text,
                      struct ee_err *err) {
  void *place = place_of(option, settings);
  if (option->check != NULL && !option->check(text, err)) return false;
  if (ee_option_is_number(option->type)) return ee_option_parse_number(option, text, place, err);
  if (option->type == EE_OPTION_FLAG) return set_flag(place, text, err);
  if (option->type == EE_OPTION_TEXT) return set_text(place, ee_str(text), err);
  return set_property(place, text, err);
}

static bool set_from(const char *source, const struct ee_option *option, void *settings,
                     const char *text, struct ee_err *err) {
  return set_value(option, settings, text, err) || ee_err_prefix(err, "%s", source);
}

static bool set_defaults(const struct ee_command *command, void *settings, struct ee_err *err) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL) {
    if (option->fallback == NULL) continue;
    if (set_value(option, settings, option->fallback, err)) continue;
    return ee_err_prefix(err, "default of --%s", option->name);
  }
  return true;
}

// ---- The environment.

// A property's variable holds one a line.
static bool set_lines(const char *source, const struct ee_option *option, void *settings,
                      const char *lines, struct ee_err *err) {
  bool ok = true;
  while (ok && *lines != '\0') {
    size_t size = strcspn(lines, "\n");
    char *line = strndup(lines, size);
    if (line == NULL) return no_memory(err);
    if (size != 0) ok = set_from(source, option, settings, line, err);
    free(line);
    lines += size + (lines[size] == '\n');
  }
  return ok;
}

static bool read_environment(const struct ee_command *command, void *settings, struct ee_err *err) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL) {
    char name[EE_OPTION_ENV_MAX];
    if (option->type == EE_OPTION_GROUP || ee_option_is_common(option)) continue;
    ee_option_environment(option, name);
    const char *text = getenv(name);
    if (text == NULL) continue;
    bool ok = option->type == EE_OPTION_PROPERTY ? set_lines(name, option, settings, text, err)
                                                 : set_from(name, option, settings, text, err);
    if (!ok) return false;
  }
  return true;
}

// ---- The file.

static bool unknown(const struct ee_command *command, const char *dashes, struct ee_str name,
                    struct ee_err *err) {
  const char *near = ee_option_suggest(command, name);
  if (near == NULL) {
    return ee_err_set(err, "unknown option %s%.*s (--help lists them)", dashes, EE_STR_ARG(name));
  }
  return ee_err_set(err, "unknown option %s%.*s; did you mean %s%s?", dashes, EE_STR_ARG(name),
                    dashes, near);
}

static char *trimmed(char *text) {
  static const char blanks[] = " \t\r";
  text += strspn(text, blanks);
  size_t size = strlen(text);
  while (size > 0 && strchr(blanks, text[size - 1]) != NULL)
    size--;
  text[size] = '\0';
  return text;
}

static bool read_line(const struct ee_command *command, const char *source, char *line,
                      void *settings, struct ee_err *err) {
  line = trimmed(line);
  if (*line == '\0' || *line == '#') return true;
  char *equals = strchr(line, '=');
  if (equals == NULL) return ee_err_set(err, "%s: a line must be name = value", source);
  *equals = '\0';
  const char *name = trimmed(line);
  const struct ee_option *option = ee_option_find(command, ee_str(name));
  if (option == NULL) {
    unknown(command, "", ee_str(name), err);
    return ee_err_prefix(err, "%s", source);
  }
  if (ee_option_is_common(option)) {
    return ee_err_set(err, "%s: %s cannot stand in a file", source, name);
  }
  return set_value(option, settings, trimmed(equals + 1), err) ||
         ee_err_prefix(err, "%s: %s", source, name);
}

static bool read_lines(const struct ee_command *command, const char *path, char *text,
                       void *settings, struct ee_err *err) {
  for (int number = 1; *text != '\0'; number++) {
    char source[SOURCE_MAX];
    size_t size = strcspn(text, "\n");
    bool last = text[size] == '\0';
    text[size] = '\0';
    snprintf(source, sizeof source, "%s:%d", path, number);
    if (!read_line(command, source, text, settings, err)) return false;
    text += size + !last;
  }
  return true;
}

static bool read_file(const struct ee_command *command, const char *path, void *settings,
                      struct ee_err *err) {
  struct ee_buf text;
  ee_buf_init(&text, CONFIG_SIZE_MAX);
  bool ok = ee_file_read(path, &text, err);
  if (ok && memchr(ee_buf_view(&text).data, '\0', text.size) != NULL) {
    ok = ee_err_set(err, "%s: not a text file", path);
  }
  ee_buf_byte(&text, '\0');
  if (ok && text.failed) ok = no_memory(err);
  ok = ok && read_lines(command, path, (char *)text.data, settings, err);
  ee_buf_release(&text);
  return ok;
}

// ---- The command line.

struct word {
  const struct ee_option *option;
  char name[SOURCE_MAX];  // as given, with its dashes, for errors
  const char *value;
  int size;  // entries of argv
};

// Reads the option that argv[0] begins. -Xvalue and -X value, --name=value, --name value.
static bool read_word(const struct ee_command *command, char **argv, struct word *ret,
                      struct ee_err *err) {
  bool is_long = argv[0][1] == '-';
  const char *text = argv[0] + (is_long ? 2 : 1);
  const char *equals = is_long ? strchr(text, '=') : NULL;
  struct ee_str name = ee_str(text);
  if (equals != NULL) name.size = (size_t)(equals - text);
  if (!is_long) name.size = 1;
  const struct ee_option *option = ee_option_find(command, name);
  if (option == NULL) return unknown(command, is_long ? "--" : "-", name, err);
  *ret = (struct word){.option = option, .size = 1};
  snprintf(ret->name, sizeof ret->name, "%s%.*s", is_long ? "--" : "-", EE_STR_ARG(name));
  if (equals != NULL) ret->value = equals + 1;
  if (!is_long && text[1] != '\0') ret->value = text + 1;
  if (option->type == EE_OPTION_FLAG) {
    if (ret->value != NULL) return ee_err_set(err, "%s takes no value", ret->name);
    ret->value = "true";
  } else if (ret->value == NULL) {
    if (argv[1] == NULL) return ee_err_set(err, "%s: %s is missing", ret->name, option->argument);
    ret->value = argv[1];
    ret->size = 2;
  }
  return true;
}

static bool is_operand(const char *argument) {
  return argument[0] != '-' || argument[1] == '\0';
}

// Moves argv[from] down to argv[to]; what lay between moves up by one.
static void move_down(char **argv, int to, int from) {
  char *moved = argv[from];
  memmove(argv + to + 1, argv + to, (size_t)(from - to) * sizeof *argv);
  argv[to] = moved;
}

struct scan {
  const char *config;
  const char *print;  // the last of help, reference and version
  int operands;       // argv from here on
};

static void note_common(struct scan *scan, const struct word *word) {
  if (!ee_option_is_common(word->option)) return;
  if (word->option->type == EE_OPTION_FLAG)
    scan->print = word->option->name;
  else
    scan->config = word->value;
}

// First pass: checks the names, puts the operands last, finds the common options.
static bool scan_arguments(const struct ee_command *command, int argc, char **argv,
                           struct scan *scan, struct ee_err *err) {
  scan->operands = argc > 0 ? 1 : 0;
  for (int at = scan->operands; at < argc;) {
    struct word word = {.size = 1};
    bool end = strcmp(argv[at], "--") == 0;
    if (!end && is_operand(argv[at])) {
      at++;
      continue;
    }
    if (!end && !read_word(command, argv + at, &word, err)) return false;
    if (!end) note_common(scan, &word);
    for (; word.size > 0; word.size--) {
      move_down(argv, scan->operands++, at++);
    }
    if (end) return true;
  }
  return true;
}

// Second pass, over the options alone.
static bool read_arguments(const struct ee_command *command, const struct scan *scan, char **argv,
                           void *settings, struct ee_err *err) {
  for (int at = 1; at < scan->operands;) {
    struct word word;
    if (strcmp(argv[at], "--") == 0) return true;
    if (!read_word(command, argv + at, &word, err)) return false;
    at += word.size;
    if (ee_option_is_common(word.option)) continue;
    if (!set_from(word.name, word.option, settings, word.value, err)) return false;
  }
  return true;
}

static bool read_all(const struct ee_command *command, const struct scan *scan, char **argv,
                     void *settings, struct ee_err *err) {
  const char *config = scan->config != NULL ? scan->config : getenv("ENVELOPE_CONFIG");
  if (!set_defaults(command, settings, err)) return false;
  if (config != NULL && !read_file(command, config, settings, err)) return false;
  return read_environment(command, settings, err) &&
         read_arguments(command, scan, argv, settings, err);
}

static void print(const struct ee_command *command, const char *what) {
  if (strcmp(what, "help") == 0) ee_options_help(command, stdout);
  if (strcmp(what, "reference") == 0) ee_options_reference(command, stdout);
  if (strcmp(what, "version") == 0) printf("%s %s\n", command->program, EE_VERSION);
}

enum ee_option_result ee_options_read(const struct ee_command *command, int argc, char **argv,
                                      void *settings, int *ret_operands, struct ee_err *err) {
  struct scan scan = {.config = NULL};
  if (!scan_arguments(command, argc, argv, &scan, err)) return EE_OPTIONS_WRONG;
  if (scan.print != NULL) {
    print(command, scan.print);
    return EE_OPTIONS_PRINTED;
  }
  if (scan.operands < argc && command->usage[0] == '\0') {
    ee_err_set(err, "unexpected argument %s", argv[scan.operands]);
    return EE_OPTIONS_WRONG;
  }
  if (!read_all(command, &scan, argv, settings, err)) {
    ee_options_release(command, settings);
    return EE_OPTIONS_WRONG;
  }
  *ret_operands = scan.operands;
  return EE_OPTIONS_OK;
}

static void release_text(const char **place) {
  free((void *)*place);
  *place = NULL;
}

static void release_properties(struct ee_properties *properties) {
  for (size_t i = 0; i < properties->count; i++) {
    release_text(&properties->items[i].name);
    release_text(&properties->items[i].value);
  }
  properties->count = 0;
}

void ee_options_release(const struct ee_command *command, void *settings) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL && !ee_option_is_common(option)) {
    if (option->type == EE_OPTION_TEXT) release_text(place_of(option, settings));
    if (option->type == EE_OPTION_PROPERTY) release_properties(place_of(option, settings));
  }
}

// ---- By programs.

bool ee_options_defaults(const struct ee_command *command, void *settings, struct ee_err *err) {
  if (set_defaults(command, settings, err)) return true;
  ee_options_release(command, settings);
  return false;
}

bool ee_options_set(const struct ee_command *command, void *settings, const char *name,
                    const char *text, struct ee_err *err) {
  const struct ee_option *option = ee_option_find(command, ee_str(name));
  if (option == NULL) return unknown(command, "", ee_str(name), err);
  if (ee_option_is_common(option)) return ee_err_set(err, "%s is for the command line", name);
  return set_from(name, option, settings, text, err);
}

static size_t number_size(enum ee_option_type type) {
  return type == EE_OPTION_FLAG ? sizeof(bool) : sizeof(int64_t);
}

static bool copy_properties(const struct ee_properties *from, struct ee_properties *to,
                            struct ee_err *err) {
  for (size_t i = 0; i < from->count; i++) {
    struct ee_property *copy = &to->items[to->count++];
    *copy = (struct ee_property){.name = NULL, .value = NULL};
    if (!set_text(&copy->name, ee_str(from->items[i].name), err) ||
        !set_text(&copy->value, ee_str(from->items[i].value), err)) {
      return false;
    }
  }
  return true;
}

static bool copy_value(const struct ee_option *option, const void *from, void *to,
                       struct ee_err *err) {
  const void *source = (const char *)from + option->offset;
  void *place = place_of(option, to);
  if (option->type == EE_OPTION_PROPERTY) return copy_properties(source, place, err);
  if (option->type == EE_OPTION_TEXT) {
    const char *text = *(const char *const *)source;
    return text == NULL || set_text(place, ee_str(text), err);
  }
  if (option->type != EE_OPTION_GROUP) memcpy(place, source, number_size(option->type));
  return true;
}

bool ee_options_copy(const struct ee_command *command, const void *from, void *to,
                     struct ee_err *err) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL && !ee_option_is_common(option)) {
    if (copy_value(option, from, to, err)) continue;
    ee_options_release(command, to);
    return false;
  }
  return true;
}
