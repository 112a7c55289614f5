// SPDX-License-Identifier: Apache-2.0
// envelopectl schemas json: the events' JSON Schema, for those who meet them as JSON.
#include <stdlib.h>

#include "contract/event.h"
#include "contract/json.h"
#include "tools/envelopectl/ctl.h"

#define SCHEMA_MAX ((size_t)4 << 20)

static bool run(const void *settings, char *const *operands, struct ee_err *err) {
  const struct ee_record_type *types[EE_PHASE_TOPICS + 1];
  struct ee_buf compact, out;
  (void)settings;
  (void)operands;
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    types[phase] = ee_phase_record((enum ee_phase)phase);
  }
  types[EE_PHASE_TOPICS] = &ee_receipt_type;
  ee_buf_init(&compact, SCHEMA_MAX);
  ee_buf_init(&out, SCHEMA_MAX);
  ee_json_schema(types, EE_PHASE_TOPICS + 1, "urn:envelope:events:v1",
                 "Execution envelope events and receipts as JSON", &compact);
  json_t *json = json_loadb((const char *)compact.data, compact.size, 0, NULL);
  char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
  bool good = text != NULL || ee_err_set(err, "no memory for the schema");
  if (good) {
    ee_buf_text(&out, text);
    ee_buf_byte(&out, '\n');
    good = ee_ctl_print(&out, err);
  }
  free(text);
  json_decref(json);
  ee_buf_release(&compact);
  ee_buf_release(&out);
  return good;
}

const struct ee_ctl_command ee_ctl_schemas_json = {
    .name = "schemas json",
    .purpose = "Prints the JSON Schema of events and receipts as they are met in JSON.",
    .usage = "",
    .settings_size = sizeof(struct ee_ctl_settings),
    .run = run};
