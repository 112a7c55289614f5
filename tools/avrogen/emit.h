// SPDX-License-Identifier: Apache-2.0
// The three generated files, as text. The model has passed model_check; each function
// appends to out, whose failure the caller asks for once.
#ifndef EE_AVROGEN_EMIT_H
#define EE_AVROGEN_EMIT_H

#include "tools/avrogen/model.h"

void emit_header(const struct model *model, struct ee_buf *out);
void emit_tables(const struct model *model, struct ee_buf *out);
// topics is the parsed topics.json; wrong entries are errors.
bool emit_topics(const struct model *model, const json_t *topics, struct ee_buf *out,
                 struct ee_err *err);

// The struct that holds an array or map: ee_str_array, ee_long_map, ee_resolved_array.
void emit_holder_name(const struct model *model, const struct model_shape *shape,
                      struct ee_buf *out);
// The C type of a value, without its name: "int64_t ", "const uint8_t *".
void emit_value_type(const struct model *model, const struct model_shape *shape,
                     struct ee_buf *out);
// A C string literal, or NULL for no text.
void emit_literal(const char *text, struct ee_buf *out);

#endif
