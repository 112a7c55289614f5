// SPDX-License-Identifier: Apache-2.0
// envelope-accounting: books what was asked, granted and used.
#include "accounting/accounting.h"
#include "stream/program.h"

struct settings {
  struct ee_processor_settings common;
  struct ee_properties deadlines;
  struct ee_accounting_settings accounting;
};

static const struct ee_option options[] = {
    {.name = "deadline",
     .argument = "KIND=DURATION",
     .type = EE_OPTION_PROPERTY,
     .offset = offsetof(struct settings, deadlines),
     .doc = "Time limit of an execution kind for requests that state none; may be given many "
            "times. The same for envelope-join."},
    {.name = NULL}};

static bool make(void *context, struct ee_processor *ret, struct ee_err *err) {
  struct settings *settings = context;
  if (!ee_deadlines_init(&settings->accounting.deadlines, &settings->deadlines, err)) return false;
  *ret = ee_accounting_processor(&settings->accounting);
  return true;
}

int main(int argc, char **argv) {
  static struct settings settings;
  static const struct ee_processor_program program = {
      .name = "envelope-accounting",
      .purpose =
          "Books what each envelope asked for, was granted and used, by the hour, and "
          "tenants' totals, exactly once.",
      .options = options,
      .make = make};
  return ee_processor_main(&program, &settings, argc, argv);
}
