// SPDX-License-Identifier: Apache-2.0
// Walking a command's tables, and the options that every program has.
#include "base/option_table.h"

#include <ctype.h>

#include "base/option_value.h"

// Further apart than this, two names are not each other's misspelling.
#define DISTANCE_MOST 2

const struct ee_option ee_option_common[] = {
    {.name = "General", .type = EE_OPTION_GROUP},
    {.name = "config",
     .argument = "FILE",
     .type = EE_OPTION_TEXT,
     .doc = "Reads options from FILE, one `name = value` a line; # begins a comment line."},
    {.name = "help", .type = EE_OPTION_FLAG, .doc = "Prints this and exits."},
    {.name = "reference",
     .type = EE_OPTION_FLAG,
     .doc = "Prints the same as a page in Markdown and exits."},
    {.name = "version", .type = EE_OPTION_FLAG, .doc = "Prints the version and exits."},
    {.name = NULL},
};

const struct ee_option *ee_option_next(struct ee_option_cursor *cursor) {
  for (;;) {
    const struct ee_option *table = cursor->command->tables[cursor->table];
    bool last = table == NULL;
    const struct ee_option *option = (last ? ee_option_common : table) + cursor->entry;
    if (option->name != NULL) {
      cursor->entry++;
      return option;
    }
    if (last) return NULL;
    cursor->table++;
    cursor->entry = 0;
  }
}

bool ee_option_is_common(const struct ee_option *option) {
  size_t count = sizeof ee_option_common / sizeof *ee_option_common;
  return option >= ee_option_common && option < ee_option_common + count;
}

const struct ee_option *ee_option_find(const struct ee_command *command, struct ee_str name) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  while ((option = ee_option_next(&cursor)) != NULL) {
    if (option->type == EE_OPTION_GROUP) continue;
    if (ee_str_equal(name, ee_str(option->name))) return option;
    if (option->letter != 0 && name.size == 1 && name.data[0] == option->letter) return option;
  }
  return NULL;
}

const char *ee_option_suggest(const struct ee_command *command, struct ee_str name) {
  struct ee_option_cursor cursor = {.command = command};
  const struct ee_option *option;
  const char *best = NULL;
  size_t best_distance = DISTANCE_MOST + 1;
  while ((option = ee_option_next(&cursor)) != NULL) {
    if (option->type == EE_OPTION_GROUP || name.size <= DISTANCE_MOST) continue;
    size_t distance = ee_option_distance(name, ee_str(option->name));
    if (distance >= best_distance) continue;
    best = option->name;
    best_distance = distance;
  }
  return best;
}

void ee_option_environment(const struct ee_option *option, char out[EE_OPTION_ENV_MAX]) {
  int length = snprintf(out, EE_OPTION_ENV_MAX, "ENVELOPE_%s", option->name);
  for (int i = 0; i < length && i < EE_OPTION_ENV_MAX - 1; i++) {
    out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
  }
}
