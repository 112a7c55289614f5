// SPDX-License-Identifier: Apache-2.0
// Identifiers and keys, as the contract spells them.
#ifndef EE_CONTRACT_IDENT_H
#define EE_CONTRACT_IDENT_H

#include "base/buf.h"

#define EE_UUID_SIZE 37  // with its NUL
#define EE_SHA256_SIZE 32
#define EE_SHA256_HEX_SIZE 65  // with its NUL
// Bytes that a name may take as a JSON string without its quotes, so that the keys of state
// records fit the store: an identifier of control characters would take 768.
#define EE_NAME_JSON_MAX 384

// UUIDv7 (RFC 9562, section 5.7) of a time and ten random bytes; lower case. Version
// and variant overwrite six of the 80 random bits; the time is taken modulo 2^48.
void ee_uuid7_make(int64_t unix_ms, const uint8_t random[10], char out[EE_UUID_SIZE]);
// The last one given out. Start with {.last_ms = INT64_MIN}.
struct ee_uuid7_clock {
  int64_t last_ms;
  unsigned counter;  // in rand_a
};
// The next one in ascending order, also when now_ms stands still or goes back (RFC 9562,
// section 6.2, method 1: rand_a counts on from a random start; when it is used up the time
// runs ahead of now_ms).
void ee_uuid7_next(struct ee_uuid7_clock *clock, int64_t now_ms, const uint8_t random[10],
                   char out[EE_UUID_SIZE]);
// The edge: the next one of this thread, by the wall clock and random bytes of the thread's own
// (ChaCha20, seeded by the system, anew in a child of fork). Takes no lock; makes a system call
// only at a thread's first; waits for randomness only early at boot.
void ee_uuid7_now(char out[EE_UUID_SIZE]);

void ee_sha256(struct ee_bytes in, uint8_t out[EE_SHA256_SIZE]);
void ee_hex(struct ee_bytes in, char *out);  // 2 * in.size + 1 bytes, lower case

// Appends the compact JSON array of these strings; a count of 0 gives []. Ask out->failed.
void ee_json_array(struct ee_buf *out, const struct ee_str *parts, size_t count);

// ["e",envelope_id] and ["p",name]: keys of state records (design, section 2). Ask
// out->failed.
void ee_key_envelope(struct ee_buf *out, struct ee_str envelope_id);
void ee_key_partition(struct ee_buf *out, const char *name);
// Reads either back, in no other spelling than the two above write, with a name of 1 to
// 128 bytes. False when key is neither. *ret_name borrows from key, or from scratch (an
// initialised buffer, overwritten) when the name is written with escapes.
bool ee_key_parse(struct ee_bytes key, char *ret_letter, struct ee_str *ret_name,
                  struct ee_buf *scratch);

// What a producer's numbers of one epoch on one topic are kept under, in each partition.
struct ee_sequence_name {
  struct ee_str producer;  // 1 to 128 bytes
  int64_t epoch;           // not negative
  struct ee_str topic;     // as in the catalogue, without prefix
};
// ["s",producer,epoch,topic], the epoch as a number. Ask out->failed.
void ee_key_sequence(struct ee_buf *out, const struct ee_sequence_name *name);
// Reads it back, in no other spelling. False when it is none, or memory is out. *ret borrows
// from scratch (an initialised buffer, overwritten).
bool ee_key_sequence_parse(struct ee_bytes key, struct ee_sequence_name *ret,
                           struct ee_buf *scratch);

// Whether the name takes at most EE_NAME_JSON_MAX bytes; its UTF-8 is not looked at.
bool ee_name_fits(struct ee_str name);

// Lower-case hex SHA-256 of [kind, envelope_id, [sorted distinct event ids]] (for a
// producer_hole the producer and one text that names the hole); sorts
// event_ids in place by their bytes. Kinds without event ids pass count 0 and hash
// [kind, envelope_id, []]. False when a text is not UTF-8 or memory is out.
bool ee_violation_id(struct ee_str kind, struct ee_str envelope_id, struct ee_str *event_ids,
                     size_t count, char out[EE_SHA256_HEX_SIZE]);

#endif
