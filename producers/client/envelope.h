// SPDX-License-Identifier: Apache-2.0
// libenvelope: events of execution envelopes, from a service to Kafka, at no cost to what the
// service is doing.
//
//   struct envelope_error error;
//   envelope_settings *settings = envelope_settings_new();
//   envelope_settings_set(settings, "spool", "/var/lib/my-service/spool", &error);
//   envelope_settings_set(settings, "bootstrap", "kafka-1:9092,kafka-2:9092", &error);
//   envelope_settings_set(settings, "source", "https://my-service.example", &error);
//   envelope_producer *producer;
//   if (envelope_producer_open(settings, &producer, &error) < 0) ...
//
//   envelope_event *event = envelope_event_new(ENVELOPE_ADMISSION);
//   envelope_event_set_text(event, ENVELOPE_FIELD_TENANT, "acme", ENVELOPE_TEXT, &error);
//   ...
//   if (envelope_emit(producer, event, &error) < 0)
//     fprintf(stderr, "%s: %s\n", error.field, error.text);
//
// An emitted event lies in the spool, a directory of memory-mapped files, when the call returns:
// it survives the death of the process. A thread of the library's own moves it to Kafka, for as
// long as that takes; what a process leaves behind is sent by the next one that opens the spool.
// Nothing expires.
//
// WHAT A CALL COSTS. envelope_emit and envelope_emit_json validate, encode and copy. They wait for
// nothing: no lock, no system call but page faults, no network, whatever Kafka or the schema
// registry do. A thread of the library's own sees to it that pages are there before they are
// written to; only while other programs keep the disk so busy that it comes too late may a page
// fault wait for it. The one exception is the setting "sync" = "call". Calls that may block say so.
//
// THREADS. A producer may be used from any number of threads. Settings and an event belong to
// one thread at a time.
//
// FORK. A child of fork may not use what the parent opened: such calls return ENVELOPE_FORKED and
// do nothing. It opens a producer of its own, on a spool of its own, or on the parent's once
// that is gone. Settings and events may be used, and freed.
//
// ERRORS. A negative result is a mistake of the caller's, with the field and the reason in
// *error, and nothing was done. ENVELOPE_OK and what is positive is not. error may be NULL.
//
// MEMORY. An event holds at most 1 MiB. A producer holds three segments of its spool in mapped
// files, up to six while callers are fast; of these the pages that callers fill in the next second
// (8 to 64 MiB); and at most about 100 MiB of what is on its way to Kafka.
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(ENVELOPE_BUILD)
#define ENVELOPE_API __attribute__((visibility("default")))
#else
#define ENVELOPE_API
#endif

// ---- Version.

// The version of this header; envelope_version() is the library's. Minor versions add.
#define ENVELOPE_VERSION "0.1.0"
ENVELOPE_API const char *envelope_version(void);

// ---- Results.

typedef enum envelope_result {
  ENVELOPE_OK = 0,
  // No mistakes:
  ENVELOPE_DROPPED = 1,    // there was no room: the event is counted and declared as lost
  ENVELOPE_FULL = 2,       // there is no room now, nothing was done ("when-full" = "refuse")
  ENVELOPE_TIMED_OUT = 3,  // not all was acknowledged in time
  ENVELOPE_NO_MEMORY = 4,
  ENVELOPE_UNAVAILABLE = 5,  // the system refuses, or somebody else has the spool
  // Mistakes of the caller's:
  ENVELOPE_MISSING_FIELD = -1,
  ENVELOPE_TENANT_MISSING = -2,
  ENVELOPE_OVERSIZED = -3,
  ENVELOPE_INVALID_UTF8 = -4,
  ENVELOPE_EXTENSION_NOT_NAMESPACED = -5,
  ENVELOPE_BAD_ENUM = -6,
  ENVELOPE_DUPLICATE_KEY = -7,
  ENVELOPE_TOO_DEEP = -8,
  ENVELOPE_WRONG_SCHEMA = -9,  // JSON that is not an event
  ENVELOPE_WRONG_FIELD = -10,  // the phase has no such field, or it is of another type
  ENVELOPE_BAD_SETTING = -11,
  ENVELOPE_FORKED = -12,
} envelope_result;

// "missing_field"; "unknown" for what is none. Never NULL.
ENVELOPE_API const char *envelope_result_name(int result);

struct envelope_error {
  int result;
  int column;       // of JSON text that cannot be read, from 1; 0: unknown
  char field[128];  // "requested.placement[zone]"; empty where it is about no field
  char text[256];   // for people
};

// ---- Settings.

typedef struct envelope_settings envelope_settings;

// NULL when memory is out.
ENVELOPE_API envelope_settings *envelope_settings_new(void);
ENVELOPE_API void envelope_settings_free(envelope_settings *settings);  // NULL is allowed

// By name, as text, as in docs/options.md: the settings of all programs (bootstrap, topic-prefix,
// schema-registry and so on; librdkafka's own as "property" with KEY=VALUE, any number of times)
// and those of the spool (spool, producer, source, spool-bytes, segment-bytes, when-full, sync).
// "spool" has no default. Copies.
ENVELOPE_API int envelope_settings_set(envelope_settings *settings, const char *name,
                                       const char *value, struct envelope_error *error);

// What the library has to say: damage that it found, events that were dropped or refused, what it
// waits for. Called from the library's threads, one line at a time; must not block for long, nor
// call the library. Without one, nobody is told.
typedef enum envelope_level { ENVELOPE_INFO, ENVELOPE_WARNING, ENVELOPE_ERROR } envelope_level;
typedef void envelope_notice(void *context, envelope_level level, const char *text);
ENVELOPE_API void envelope_settings_on_notice(envelope_settings *settings, envelope_notice *notice,
                                              void *context);

// What became of one event. Texts are borrowed for the call.
struct envelope_delivery {
  size_t size;              // of this struct in the library's version
  const char *envelope_id;  // "" where the spool held what is no event
  const char *event_id;     // "" where there is none
  const char *topic;
  int32_t partition;
  int64_t offset;
  int earlier;          // emitted before the spool was opened this time
  const char *refused;  // NULL: acknowledged; else why Kafka will never take it
};
// Called from the library's thread, in the order in which events were appended; the same is asked
// of it as of envelope_notice. An event that was acknowledged shortly before the process died
// is sent, and told, again by the next opening.
typedef void envelope_delivered(void *context, const struct envelope_delivery *delivery);
ENVELOPE_API void envelope_settings_on_delivery(envelope_settings *settings,
                                                envelope_delivered *delivered, void *context);

// ---- Producers.

typedef struct envelope_producer envelope_producer;

// Opens the spool and starts the library's threads. May block on the disk; contacts nobody. Borrows
// the settings for the call. ENVELOPE_OK, ENVELOPE_BAD_SETTING, ENVELOPE_NO_MEMORY, or
// ENVELOPE_UNAVAILABLE: the text says what and where.
ENVELOPE_API int envelope_producer_open(const envelope_settings *settings, envelope_producer **ret,
                                        struct envelope_error *error);
// Blocks until all that was emitted before the call is acknowledged or refused for good, at most
// so many milliseconds: ENVELOPE_OK or ENVELOPE_TIMED_OUT.
ENVELOPE_API int envelope_producer_flush(envelope_producer *producer, int64_t timeout_ms);
// The same, then ends the library's threads and frees the producer, whatever the result. What was
// not acknowledged stays in the spool. Nobody else may be using it. NULL is allowed. Never blocks
// for much longer than timeout_ms.
ENVELOPE_API int envelope_producer_close(envelope_producer *producer, int64_t timeout_ms);

struct envelope_counts {
  uint64_t accepted;      // events, by this opening
  uint64_t dropped;       // events for which there was no room, by this opening
  uint64_t acknowledged;  // records, of earlier openings too
  uint64_t refused;       // records that Kafka refused for good, likewise
  uint64_t torn;          // damaged places found in the spool
  uint64_t lost;  // records that were numbered, never acknowledged, and are not there any more
};
// Fills the first `size` bytes of *ret: sizeof *ret.
ENVELOPE_API void envelope_producer_counts(const envelope_producer *producer,
                                           struct envelope_counts *ret, size_t size);
// What it waits for, as text for people, cut to size with its NUL: "" and ENVELOPE_OK when for
// nothing; ENVELOPE_UNAVAILABLE: it may come by itself; ENVELOPE_BAD_SETTING: not before somebody
// has made topics or registered schemas.
ENVELOPE_API int envelope_producer_trouble(const envelope_producer *producer, char *text,
                                           size_t size);
// The name that its records are numbered under.
ENVELOPE_API const char *envelope_producer_name(const envelope_producer *producer);

// ---- Events.

typedef enum envelope_phase {
  ENVELOPE_ADMISSION,
  ENVELOPE_RESOLVED,
  ENVELOPE_FINALIZED,
  ENVELOPE_FAILED,
  ENVELOPE_RELEASED,
  ENVELOPE_ANNOTATION,
} envelope_phase;

// The fields of all phases. A phase has some of them (schemas/*.avsc say which, and what they
// mean); one that it does not have is refused: so a failed event cannot state a grant. Numbers
// never change.
typedef enum envelope_field {
  ENVELOPE_FIELD_ENVELOPE_ID = 1,  // text; an admission gets a UUIDv7 if it has none
  ENVELOPE_FIELD_EVENT_ID = 2,     // text; a UUIDv7 if there is none
  ENVELOPE_FIELD_TENANT = 3,       // text
  ENVELOPE_FIELD_OCCURRED_AT = 4,  // long, microseconds since 1970 UTC; now if it is not set
  ENVELOPE_FIELD_SOURCE = 5,       // text; the setting "source" if there is none
  ENVELOPE_FIELD_SENSITIVITY = 6,  // text: public, internal, confidential, restricted
  ENVELOPE_FIELD_EXTENSIONS = 7,   // entries: namespaced keys, JSON text
  // admission
  ENVELOPE_FIELD_CALLER_REQUESTER_URN = 20,   // text
  ENVELOPE_FIELD_CALLER_REQUEST_ID = 21,      // text
  ENVELOPE_FIELD_CALLER_INITIATOR = 22,       // text: human, app, service, agent, other
  ENVELOPE_FIELD_CALLER_ON_BEHALF_OF = 23,    // items, text
  ENVELOPE_FIELD_CALLER_AUTHORITY_REFS = 24,  // by envelope_event_add_authority_ref
  ENVELOPE_FIELD_EXECUTION_KIND = 30,         // text: deployment, inference, ...
  ENVELOPE_FIELD_EXECUTION_SERVICE = 31,      // text
  ENVELOPE_FIELD_EXECUTION_OPERATION = 32,    // text
  ENVELOPE_FIELD_EXECUTION_TARGET = 33,       // text
  ENVELOPE_FIELD_SCOPE_WORKSPACE = 40,        // text, and so on
  ENVELOPE_FIELD_SCOPE_APP = 41,
  ENVELOPE_FIELD_SCOPE_JOB = 42,
  ENVELOPE_FIELD_SCOPE_SESSION = 43,
  ENVELOPE_FIELD_SCOPE_THREAD = 44,
  ENVELOPE_FIELD_SCOPE_TEMPLATE = 45,
  ENVELOPE_FIELD_SCOPE_DEPLOYMENT_GROUP = 46,
  ENVELOPE_FIELD_GOVERNANCE_AUDIT_LEVEL = 50,  // text: minimal, standard, full
  ENVELOPE_FIELD_GOVERNANCE_SENSITIVITY = 51,  // text
  ENVELOPE_FIELD_GOVERNANCE_PROVENANCE = 52,   // text
  ENVELOPE_FIELD_GOVERNANCE_RETENTION = 53,    // text, an ISO 8601 duration
  ENVELOPE_FIELD_GOVERNANCE_POLICY_REFS = 54,  // items, text
  ENVELOPE_FIELD_GOVERNANCE_HINTS = 55,        // entries, text
  ENVELOPE_FIELD_REQUESTED_CPU_MILLIS = 60,    // long, and so on
  ENVELOPE_FIELD_REQUESTED_MEMORY_BYTES = 61,
  ENVELOPE_FIELD_REQUESTED_GPU_COUNT = 62,
  ENVELOPE_FIELD_REQUESTED_GPU_SHARE_MILLI = 63,
  ENVELOPE_FIELD_REQUESTED_GPU_CLASS = 64,  // text
  ENVELOPE_FIELD_REQUESTED_ENGINE = 65,     // text
  ENVELOPE_FIELD_REQUESTED_CONCURRENCY = 66,
  ENVELOPE_FIELD_REQUESTED_TIMEOUT_MS = 67,
  ENVELOPE_FIELD_REQUESTED_PRIORITY = 68,
  ENVELOPE_FIELD_REQUESTED_PLACEMENT = 69,  // entries, text
  ENVELOPE_FIELD_REQUESTED_AMOUNTS = 70,    // entries, long
  // resolved
  ENVELOPE_FIELD_GRANTED_CPU_MILLIS = 80,
  ENVELOPE_FIELD_GRANTED_MEMORY_BYTES = 81,
  ENVELOPE_FIELD_GRANTED_GPU_COUNT = 82,
  ENVELOPE_FIELD_GRANTED_GPU_SHARE_MILLI = 83,
  ENVELOPE_FIELD_GRANTED_GPU_CLASS = 84,
  ENVELOPE_FIELD_GRANTED_ENGINE = 85,
  ENVELOPE_FIELD_GRANTED_CONCURRENCY = 86,
  ENVELOPE_FIELD_GRANTED_TIMEOUT_MS = 87,
  ENVELOPE_FIELD_GRANTED_PRIORITY = 88,
  ENVELOPE_FIELD_GRANTED_PLACEMENT = 89,
  ENVELOPE_FIELD_GRANTED_AMOUNTS = 90,
  ENVELOPE_FIELD_RESOLUTION_BACKEND = 100,
  ENVELOPE_FIELD_RESOLUTION_ACTOR = 101,
  ENVELOPE_FIELD_RESOLUTION_ROUTING = 102,
  ENVELOPE_FIELD_RESOLUTION_TARGET = 103,
  ENVELOPE_FIELD_RESOLUTION_SUBSTRATE = 104,
  ENVELOPE_FIELD_RESOLUTION_ATTRIBUTES = 105,  // entries, text
  // finalized; measured of released, too
  ENVELOPE_FIELD_RUNTIME_ID = 110,
  ENVELOPE_FIELD_SERVE_PATH = 111,
  ENVELOPE_FIELD_PUBLIC_PATH = 112,
  ENVELOPE_FIELD_BACKEND_KIND = 113,
  ENVELOPE_FIELD_MEASURED = 114,  // entries, long
  // failed; reason of released, too
  ENVELOPE_FIELD_STAGE = 120,
  ENVELOPE_FIELD_CODE = 121,
  ENVELOPE_FIELD_REASON = 122,
  ENVELOPE_FIELD_RETRYABLE = 123,  // boolean
  // annotation
  ENVELOPE_FIELD_ANNOTATIONS = 130,  // entries: namespaced keys, JSON text
} envelope_field;

#define ENVELOPE_TEXT ((size_t)-1)  // as a size: the text ends with a NUL

typedef struct envelope_event envelope_event;

// An empty event. NULL when memory is out or there is no such phase.
ENVELOPE_API envelope_event *envelope_event_new(envelope_phase phase);
ENVELOPE_API void envelope_event_free(envelope_event *event);  // NULL is allowed
// Empties it and keeps its memory: cheaper than another one.
ENVELOPE_API int envelope_event_begin(envelope_event *event, envelope_phase phase);
// The same, under the identity of another event: its envelope_id, tenant, source and trace
// context. of may be the event itself.
ENVELOPE_API int envelope_event_follow(envelope_event *event, envelope_phase phase,
                                       const envelope_event *of);

// All of these copy. What is set again replaces what was set before; an added item does not. The
// content is checked as a whole when it is emitted. ENVELOPE_OK, ENVELOPE_WRONG_FIELD,
// ENVELOPE_BAD_ENUM, ENVELOPE_OVERSIZED or ENVELOPE_NO_MEMORY.
ENVELOPE_API int envelope_event_set_text(envelope_event *event, envelope_field field,
                                         const char *text, size_t size,
                                         struct envelope_error *error);
ENVELOPE_API int envelope_event_set_long(envelope_event *event, envelope_field field, int64_t value,
                                         struct envelope_error *error);
ENVELOPE_API int envelope_event_set_boolean(envelope_event *event, envelope_field field, int value,
                                            struct envelope_error *error);
ENVELOPE_API int envelope_event_put_text(envelope_event *event, envelope_field field,
                                         const char *key, size_t key_size, const char *text,
                                         size_t size, struct envelope_error *error);
ENVELOPE_API int envelope_event_put_long(envelope_event *event, envelope_field field,
                                         const char *key, size_t key_size, int64_t value,
                                         struct envelope_error *error);
ENVELOPE_API int envelope_event_add_text(envelope_event *event, envelope_field field,
                                         const char *text, size_t size,
                                         struct envelope_error *error);
// digest may be NULL. All end with a NUL.
ENVELOPE_API int envelope_event_add_authority_ref(envelope_event *event, const char *kind,
                                                  const char *reference, const char *digest,
                                                  struct envelope_error *error);
// W3C Trace Context, as it came with the request: goes along as headers. tracestate may be NULL.
// One that is not valid is not passed on, as the specification asks, and is no mistake.
ENVELOPE_API int envelope_event_set_trace(envelope_event *event, const char *traceparent,
                                          const char *tracestate);

// "" where it has none yet. Borrowed until the event is changed. An admission has its
// envelope_id from the beginning.
ENVELOPE_API const char *envelope_event_envelope_id(const envelope_event *event);
ENVELOPE_API const char *envelope_event_event_id(const envelope_event *event);

// ---- Emitting.

// Fills in what is left out (event_id, occurred_at, source), which then stays: emitted again, it is
// the same event. ENVELOPE_OK: it is in the spool. ENVELOPE_DROPPED or ENVELOPE_FULL, by the
// setting "when-full": there is no room. Else the mistake, and nothing was appended.
ENVELOPE_API int envelope_emit(envelope_producer *producer, envelope_event *event,
                               struct envelope_error *error);
// The same for an event as JSON: {"phase": "admission", ...}, as envelope-emit reads it, a receipt
// included ("phase": "receipt"). traceparent and tracestate (either may be NULL) are for a line
// that has none; one of its own that is not valid is a mistake. Parses, and allocates up to 16 MiB
// meanwhile.
ENVELOPE_API int envelope_emit_json(envelope_producer *producer, const char *json, size_t size,
                                    const char *traceparent, const char *tracestate,
                                    struct envelope_error *error);

#ifdef __cplusplus
}
#endif

#endif
