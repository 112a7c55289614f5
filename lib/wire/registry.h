// SPDX-License-Identifier: Apache-2.0
// Client of a Confluent-compatible schema registry, on libcurl's multi interface: look-ups
// are begun and continued, so that one thread goes on with other work meanwhile.
//
// Answers are foreign: bounded in size, checked in type. A registry that is away, failing
// or talking nonsense is tried again with backoff (100 ms doubling to 10 s, with jitter),
// for ever; only its plain word that a schema does not exist (404 with error_code 40403,
// or 40401/40402 for a subject) counts as absent. Redirects are not followed.
//
// What it has said is kept in memory: at most EE_REGISTRY_LOOKUPS_MAX look-ups and
// EE_REGISTRY_BYTES_MAX bytes, the one unused longest going first, and those that nobody
// has asked about for a minute while they had no answer. Where a directory is given, it is
// kept on disk too (one file a look-up, replaced atomically, under a hash of the URLs, with
// a checksum, read back with the same checks), and believed whenever the registry cannot
// be asked, so that a restart needs no registry. While it answers, its word counts: one
// made anew under the same URL is not mistaken for the old one.
//
// One thread.
#ifndef EE_WIRE_REGISTRY_H
#define EE_WIRE_REGISTRY_H

#include "base/err.h"
#include "base/slice.h"
#include "contract/reason.h"

#define EE_REGISTRY_URLS_MAX 8
#define EE_REGISTRY_LOOKUPS_MAX 1024
#define EE_REGISTRY_BYTES_MAX ((size_t)64 << 20)
#define EE_REGISTRY_ABSENT_MS 60000  // how long "does not exist" is believed
#define EE_REGISTRY_FORGET_MS 60000  // how long a look-up goes on that nobody asks about

struct ee_registry;

// Borrowed for the call of ee_registry_new.
struct ee_registry_settings {
  // http(s)://host:port[/path]; several, comma-separated, are asked in turn. Without user
  // or password, since URLs are logged.
  const char *url;
  const char *user;             // basic auth as user:password, or NULL
  const char *ca_file;          // PEM, or NULL for the system's
  const char *certificate;      // client certificate and key, PEM, or NULL; key may be NULL
  const char *key;              // where the certificate's file holds both
  const char *cache_directory;  // or NULL
  int64_t timeout_ms;           // of one request to one URL; at least 1
};

// Connects to nothing. Makes the cache directory.
bool ee_registry_new(const struct ee_registry_settings *settings, struct ee_registry **ret,
                     struct ee_err *err);
void ee_registry_free(struct ee_registry *registry);

enum ee_lookup {
  EE_LOOKUP_FOUND,
  EE_LOOKUP_ABSENT,    // the registry says that it does not exist
  EE_LOOKUP_UNUSABLE,  // it exists, but is nothing that we can read
  EE_LOOKUP_PENDING,
};

// The schema text under an id (not negative), borrowed until the next call on the registry.
// PENDING begins a look-up where none is under way or due; ask again after
// ee_registry_turn. Its fault (EE_ACCEPTED) has for detail what the last tries failed with, ""
// while none has. An ABSENT answer is remembered for EE_REGISTRY_ABSENT_MS. UNUSABLE fills
// the fault: wrong_schema (another schemaType than AVRO, or references to other schemas) or
// oversized (more than EE_SCHEMA_SIZE_MAX bytes).
enum ee_lookup ee_registry_schema(struct ee_registry *registry, int32_t id, int64_t now_ms,
                                  struct ee_str *ret_schema, struct ee_fault *fault);
// The id under which a subject has exactly this schema (POST /subjects/S); FOUND, ABSENT or
// PENDING. Registers nothing. subject and schema (at most EE_SCHEMA_SIZE_MAX bytes of
// UTF-8) are borrowed for the call.
enum ee_lookup ee_registry_id(struct ee_registry *registry, const char *subject,
                              struct ee_str schema, int64_t now_ms, int32_t *ret_id);
// Moves look-ups on without waiting for the network; what was found is written to the cache
// directory here (a file and its sync). now_ms is monotonic.
void ee_registry_turn(struct ee_registry *registry, int64_t now_ms);
// Blocks until a turn can move a look-up on, at most timeout_ms. For programs that have
// nothing else to do.
void ee_registry_wait(struct ee_registry *registry, int timeout_ms);
// What the last failed request said, and since when look-ups fail; NULL while none does.
// Borrowed until the next turn.
const char *ee_registry_trouble(const struct ee_registry *registry, int64_t *ret_since_ms);

// For tools. These block, for each URL up to the timeout, until one answers, and retry
// nothing.
bool ee_registry_register(struct ee_registry *registry, const char *subject, struct ee_str schema,
                          int32_t *ret_id, struct ee_err *err);
// Asks whether schema is compatible with all of the subject's versions (a subject without
// versions: true); why_not is filled when it is not.
bool ee_registry_check(struct ee_registry *registry, const char *subject, struct ee_str schema,
                       bool *ret_compatible, struct ee_err *why_not, struct ee_err *err);
bool ee_registry_set_compatibility(struct ee_registry *registry, const char *subject,
                                   const char *level, struct ee_err *err);

#endif
