// SPDX-License-Identifier: Apache-2.0
// Inside of the registry client, shared by its look-ups and its tools. Private to this
// folder.
#ifndef EE_WIRE_REGISTRY_IMPL_H
#define EE_WIRE_REGISTRY_IMPL_H

#include "contract/ident.h"
#include "wire/registry_answer.h"
#include "wire/registry_cache.h"
#include "wire/rest.h"

#define EE_LOOKUP_KEY_SIZE (sizeof "schema-" + EE_SHA256_HEX_SIZE)

enum ee_question { EE_QUESTION_SCHEMA, EE_QUESTION_ID };

// One question to the registry and what became of it.
struct ee_registry_lookup {
  enum ee_question question;
  char key[EE_LOOKUP_KEY_SIZE];  // which question; also its file in the cache
  struct ee_buf path, body;      // the request; body of ID alone
  bool answered;
  enum ee_answer answer;
  struct ee_buf text;  // FOUND: the schema (SCHEMA); UNUSABLE, OVERSIZED: why
  int32_t id;          // FOUND (ID)
  int64_t answered_ms;
  int64_t used_ms;               // last asked about
  struct ee_exchange *exchange;  // under way, or NULL
  size_t url;                    // the one to ask, or being asked
  size_t urls_failed;            // in this round
  unsigned rounds_failed;
  int64_t failing_since_ms;  // when rounds_failed is not 0
  int64_t due_ms;            // when to ask, while not answered and not under way
};

struct ee_registry {
  struct ee_rest rest;
  struct ee_registry_cache cache;
  struct ee_registry_lookup *lookups[EE_REGISTRY_LOOKUPS_MAX];  // owned
  size_t count;
  size_t url;    // the one that answered last
  bool unbegun;  // a question has come since the last turn
  struct ee_err trouble;
};

// The pause after so many failed rounds (1 and up): 100 ms doubling to 10 s, of which
// `random` takes off up to a half, so that many clients do not come back at once.
int64_t ee_registry_backoff_ms(unsigned rounds_failed, uint64_t random);
// Appends text with all but unreserved characters as %XX (RFC 3986).
void ee_url_escape(struct ee_buf *out, const char *text);
// Appends {"schema":TEXT}; a schema that is not UTF-8 is a failure.
void ee_schema_request(struct ee_buf *out, struct ee_str schema);

#define EE_REGISTRY_BODY_MAX ((size_t)EE_SCHEMA_SIZE_MAX * 6 + 64)  // each byte as \u00XX

#endif
