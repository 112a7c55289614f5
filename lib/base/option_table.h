// SPDX-License-Identifier: Apache-2.0
// Walking a command's tables, and the options that every program has. For base/option*.c.
#ifndef EE_BASE_OPTION_TABLE_H
#define EE_BASE_OPTION_TABLE_H

#include "base/option.h"

#define EE_OPTION_ENV_MAX 80

// --config, --help, --reference and --version, after a heading. They have no place in settings.
extern const struct ee_option ee_option_common[];

// Begins with the command alone set.
struct ee_option_cursor {
  const struct ee_command *command;  // borrowed
  size_t table;
  size_t entry;
};
// The next entry of the command's tables and then of the common one, headings included;
// NULL at the end.
const struct ee_option *ee_option_next(struct ee_option_cursor *cursor);
bool ee_option_is_common(const struct ee_option *option);

// By long name, or by letter where name is just that; NULL if there is none.
const struct ee_option *ee_option_find(const struct ee_command *command, struct ee_str name);
// The known name nearest to one that is not known; NULL if none is near.
const char *ee_option_suggest(const struct ee_command *command, struct ee_str name);
// ENVELOPE_STATE_DIR for state-dir; a name that is too long is cut.
void ee_option_environment(const struct ee_option *option, char out[EE_OPTION_ENV_MAX]);

#endif
