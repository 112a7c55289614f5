// SPDX-License-Identifier: Apache-2.0
// One table of options feeds the parser, --help, the reference in docs/, the bounds and
// their units. A program's table is its own entries and the shared groups it includes.
//
// Where a value comes from, the later one wins: the default, --config FILE (lines
// `name = value`, # comments), the environment (ENVELOPE_STATE_DIR for --state-dir), the
// command line. --config, --help, --reference and --version belong to every program and
// stand in no table.
#ifndef EE_BASE_OPTION_H
#define EE_BASE_OPTION_H

#include "base/err.h"
#include "base/slice.h"

enum ee_option_type {
  EE_OPTION_FLAG,      // bool; takes no value on the command line, true/false elsewhere
  EE_OPTION_TEXT,      // const char *
  EE_OPTION_COUNT,     // int64_t, a plain number
  EE_OPTION_DURATION,  // int64_t milliseconds; 20ms, 5s, 10min, 2h, 30d; a plain number is ms
  EE_OPTION_SIZE,      // int64_t bytes; 512, 64KiB, 256MiB, 2GiB
  EE_OPTION_PROPERTY,  // struct ee_properties; key=value, may be given many times (in the
                       // environment one a line); the last value of a key counts
  EE_OPTION_GROUP,     // no option: name is the heading of those that follow in --help
};

struct ee_property {
  const char *name;
  const char *value;
};

#define EE_PROPERTIES_MAX 64

struct ee_properties {
  struct ee_property items[EE_PROPERTIES_MAX];
  size_t count;
};

struct ee_option {
  const char *name;      // long name without dashes; NULL ends a table
  char letter;           // one-letter form (only X has one), or 0
  const char *argument;  // HOST:PORT and the like, for --help; NULL for a flag
  enum ee_option_type type;
  size_t offset;         // of the value in the program's settings struct
  const char *fallback;  // default as text, in the form a user would write; NULL: none
  int64_t least, most;   // bounds for COUNT, DURATION (ms) and SIZE (bytes); both 0: from 0 up
  // For TEXT and PROPERTY, NULL: all are allowed. False: err says what is wrong with the text
  // and what is allowed; where it comes from is put before that.
  bool (*check)(const char *text, struct ee_err *err);
  const char *doc;  // one or two sentences for --help and the reference
};

struct ee_command {
  const char *program;                    // envelope-join
  const char *purpose;                    // one sentence
  const char *usage;                      // the operands, for example "[FILE]"; "" allows none
  const struct ee_option *const *tables;  // NULL-terminated list of tables
};

enum ee_option_result {
  EE_OPTIONS_OK,       // go on; operands are argv[*ret_operands ...]
  EE_OPTIONS_PRINTED,  // --help and the like was printed on standard output; exit 0
  EE_OPTIONS_WRONG,    // err says which option, from where, and what is allowed; exit 2
};

// Fills settings (a struct the tables' offsets point into, zeroed by the caller). The
// operands may stand among the options; they are moved behind them, their order kept.
// argv[0] is skipped. `--` ends the options.
// Every text in settings is owned by it, wherever it came from: give all back with
// ee_options_release, after EE_OPTIONS_OK (else there is nothing, and it does no harm).
// Reads files and the environment.
enum ee_option_result ee_options_read(const struct ee_command *command, int argc, char **argv,
                                      void *settings, int *ret_operands, struct ee_err *err);
void ee_options_release(const struct ee_command *command, void *settings);

// For settings that are filled in by a program and not by its user: all defaults; one value by
// the option's name; a copy of all, which *to owns. What defaults and copies go to is zeroed
// before, and after a failure there is nothing in it to release.
bool ee_options_defaults(const struct ee_command *command, void *settings, struct ee_err *err);
bool ee_options_set(const struct ee_command *command, void *settings, const char *name,
                    const char *text, struct ee_err *err);
bool ee_options_copy(const struct ee_command *command, const void *from, void *to,
                     struct ee_err *err);

// What --help prints.
void ee_options_help(const struct ee_command *command, FILE *out);
// What --reference prints: a section of docs/options.md, in Markdown.
void ee_options_reference(const struct ee_command *command, FILE *out);

#endif
