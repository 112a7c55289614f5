// SPDX-License-Identifier: Apache-2.0
// The schemas as the generator sees them: every named type once, dependencies first, and
// what each field becomes in C. Anything the product's interpreter has no shape for is
// refused here, with file and path.
#ifndef EE_AVROGEN_MODEL_H
#define EE_AVROGEN_MODEL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "contract/type.h"

#define MODEL_TYPES_MAX 512
#define MODEL_FILES_MAX 128
#define MODEL_PATH_MAX 512
#define MODEL_NAME_MAX 128

// One schema file.
struct model_file {
  char base[MODEL_NAME_MAX];  // admission, from schemas/admission.avsc
  struct ee_buf text;         // owned; the file as it is
  uint64_t fingerprint;
  size_t root;  // index in types
};

// One named type. `definition` (owned) has nested named types replaced by their full
// names and `name` set to its own full name, so that copies compare as JSON values.
struct model_type {
  json_t *definition;
  const char *full_name;            // borrows from definition
  const char *name;                 // the part after the last dot
  char c_name[MODEL_NAME_MAX];      // usage_total
  char c_constant[MODEL_NAME_MAX];  // USAGE_TOTAL
  size_t first_file;
  bool root;  // a file is named for it
};

struct model {
  struct model_file files[MODEL_FILES_MAX];
  size_t file_count;
  struct model_type types[MODEL_TYPES_MAX];
  size_t type_count;
};

// What a type becomes.
struct model_shape {
  enum ee_type_kind kind;
  bool nullable;
  bool null_second;
  bool timestamp;
  int64_t size;                   // FIXED
  const struct model_type *type;  // RECORD and ENUM
  const json_t *item;             // ARRAY and MAP; borrowed
};

// Reads one schema file. The error names file and path.
bool model_add_file(struct model *model, const char *path, struct ee_err *err);
// Checks that every field of every record can be generated.
bool model_check(const struct model *model, struct ee_err *err);
void model_release(struct model *model);

// Borrowed results. model_shape_of sets err without file and path.
bool model_shape_of(const struct model *model, const json_t *type, struct model_shape *ret,
                    struct ee_err *err);
const struct model_type *model_find(const struct model *model, const char *full_name);
const struct model_file *model_file_named(const struct model *model, const char *base);
bool model_is_record(const struct model_type *type);
bool model_is_enum(const struct model_type *type);
const char *model_text(const json_t *object, const char *member);

// UsageTotal becomes usage_total, audit.checkpoint AUDIT_CHECKPOINT. False when too long.
bool model_snake_case(const char *name, bool upper, char out[MODEL_NAME_MAX]);

#endif
