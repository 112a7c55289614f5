// SPDX-License-Identifier: Apache-2.0
// Reads a registry's answers. Every member's type is checked before it is used; nothing
// borrowed from the JSON outlives it.
#include "wire/registry_answer.h"

#include <jansson.h>

#include "contract/record.h"

#define MESSAGES_SHOWN 8

// A new reference, or NULL with why: the answer of a request that may have gone well.
static json_t *parse_object(struct ee_bytes body, struct ee_err *why) {
  json_error_t error;
  json_t *json = NULL;
  if (body.size > EE_ANSWER_SIZE_MAX) {
    ee_err_set(why, "the answer has more than %zu bytes", EE_ANSWER_SIZE_MAX);
    return NULL;
  }
  json = json_loadb(body.size == 0 ? "" : (const char *)body.data, body.size,
                    JSON_REJECT_DUPLICATES, &error);
  if (json == NULL) {
    ee_err_set(why, "the answer is not JSON (line %d: %s)", error.line, error.text);
  } else if (!json_is_object(json)) {
    ee_err_set(why, "the answer is not a JSON object");
    json_decref(json);
    json = NULL;
  }
  return json;
}

enum about { ABOUT_SCHEMA, ABOUT_SUBJECT };

// 40403: no such schema; 40401 and 40402: no such subject or version.
static bool says_absent(enum about about, json_int_t code) {
  return code == 40403 || (about == ABOUT_SUBJECT && (code == 40401 || code == 40402));
}

// What an answer with another status than 200 means.
static enum ee_answer refusal(long status, struct ee_bytes body, enum about about,
                              struct ee_err *why) {
  struct ee_err ignored;
  json_t *json = parse_object(body, &ignored);
  const json_t *code = json_object_get(json, "error_code");
  const char *message = json_string_value(json_object_get(json, "message"));
  enum ee_answer answer = EE_ANSWER_TROUBLE;
  if (status == 404 && json_is_integer(code) && says_absent(about, json_integer_value(code))) {
    answer = EE_ANSWER_ABSENT;
  } else if (message != NULL) {
    ee_err_set(why, "HTTP %ld: %s", status, message);
  } else {
    ee_err_set(why, "HTTP %ld", status);
  }
  json_decref(json);
  return answer;
}

// Registries write members that do not apply as null or leave them out.
static const json_t *member(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

static enum ee_answer check_type(const json_t *type, struct ee_err *why) {
  if (type == NULL) return EE_ANSWER_FOUND;
  if (!json_is_string(type)) {
    ee_err_set(why, "the answer's schemaType is not a string");
    return EE_ANSWER_TROUBLE;
  }
  if (strcmp(json_string_value(type), "AVRO") == 0) return EE_ANSWER_FOUND;
  ee_err_set(why, "its type is %s, not AVRO", json_string_value(type));
  return EE_ANSWER_UNUSABLE;
}

static enum ee_answer check_references(const json_t *references, struct ee_err *why) {
  if (references == NULL) return EE_ANSWER_FOUND;
  if (!json_is_array(references)) {
    ee_err_set(why, "the answer's references are not an array");
    return EE_ANSWER_TROUBLE;
  }
  if (json_array_size(references) == 0) return EE_ANSWER_FOUND;
  const char *name = json_string_value(json_object_get(json_array_get(references, 0), "name"));
  if (name == NULL) {
    ee_err_set(why, "the answer's references have no names");
    return EE_ANSWER_TROUBLE;
  }
  ee_err_set(why, "it refers to another schema (%s), and references are not supported", name);
  return EE_ANSWER_UNUSABLE;
}

static enum ee_answer take_schema(const json_t *json, struct ee_buf *schema, struct ee_err *why) {
  const json_t *text = member(json, "schema");
  if (!json_is_string(text)) {
    ee_err_set(why, "the answer has no schema that is a string");
    return EE_ANSWER_TROUBLE;
  }
  enum ee_answer answer = check_type(member(json, "schemaType"), why);
  if (answer != EE_ANSWER_FOUND) return answer;
  answer = check_references(member(json, "references"), why);
  if (answer != EE_ANSWER_FOUND) return answer;
  size_t size = json_string_length(text);
  if (size > EE_SCHEMA_SIZE_MAX) {
    ee_err_set(why, "it has %zu bytes, more than %d", size, EE_SCHEMA_SIZE_MAX);
    return EE_ANSWER_OVERSIZED;
  }
  ee_buf_clear(schema);
  ee_buf_append(schema, json_string_value(text), size);
  if (!schema->failed) return EE_ANSWER_FOUND;
  ee_err_set(why, "memory is out");
  return EE_ANSWER_TROUBLE;
}

enum ee_answer ee_answer_schema(long status, struct ee_bytes body, struct ee_buf *schema,
                                struct ee_err *why) {
  if (status != 200) return refusal(status, body, ABOUT_SCHEMA, why);
  json_t *json = parse_object(body, why);
  enum ee_answer answer = json == NULL ? EE_ANSWER_TROUBLE : take_schema(json, schema, why);
  json_decref(json);
  return answer;
}

enum ee_answer ee_answer_id(long status, struct ee_bytes body, int32_t *ret_id,
                            struct ee_err *why) {
  if (status != 200) return refusal(status, body, ABOUT_SUBJECT, why);
  json_t *json = parse_object(body, why);
  if (json == NULL) return EE_ANSWER_TROUBLE;
  const json_t *id = json_object_get(json, "id");
  json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
  json_decref(json);
  if (value < 0 || value > INT32_MAX) {
    ee_err_set(why, "the answer has no id that is a number from 0 to 2147483647");
    return EE_ANSWER_TROUBLE;
  }
  *ret_id = (int32_t)value;
  return EE_ANSWER_FOUND;
}

// The first messages that say something, as far as there is room.
static void list_messages(const json_t *messages, struct ee_err *why_not) {
  size_t shown = 0;
  ee_err_set(why_not, "the registry gives no reason");
  for (size_t i = 0; i < json_array_size(messages) && shown < MESSAGES_SHOWN; i++) {
    const char *message = json_string_value(json_array_get(messages, i));
    if (message == NULL || message[0] == '\0') continue;
    ee_err_set(why_not, "%s%s%s", shown == 0 ? "" : why_not->text, shown == 0 ? "" : "; ", message);
    shown++;
  }
}

enum ee_answer ee_answer_compatible(long status, struct ee_bytes body, bool *ret_compatible,
                                    struct ee_err *why_not, struct ee_err *why) {
  if (status != 200) return refusal(status, body, ABOUT_SUBJECT, why);
  json_t *json = parse_object(body, why);
  if (json == NULL) return EE_ANSWER_TROUBLE;
  enum ee_answer answer = EE_ANSWER_TROUBLE;
  const json_t *compatible = json_object_get(json, "is_compatible");
  if (json_is_boolean(compatible)) {
    *ret_compatible = json_is_true(compatible);
    if (!*ret_compatible && why_not != NULL) {
      list_messages(json_object_get(json, "messages"), why_not);
    }
    answer = EE_ANSWER_FOUND;
  } else {
    ee_err_set(why, "the answer has no is_compatible that is true or false");
  }
  json_decref(json);
  return answer;
}

enum ee_answer ee_answer_done(long status, struct ee_bytes body, struct ee_err *why) {
  if (status == 200) return EE_ANSWER_FOUND;
  if (refusal(status, body, ABOUT_SUBJECT, why) == EE_ANSWER_ABSENT)
    ee_err_set(why, "HTTP %ld", status);
  return EE_ANSWER_TROUBLE;
}
