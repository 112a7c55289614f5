// SPDX-License-Identifier: Apache-2.0
// What is in a spool, counted.
#ifndef EE_TOOLS_ENVELOPECTL_SPOOL_FACTS_H
#define EE_TOOLS_ENVELOPECTL_SPOOL_FACTS_H

#include "base/buf.h"
#include "contract/catalogue.h"
#include "spool/look.h"

struct ee_spool_segment_facts {
  uint64_t number;
  enum ee_spool_file is;
  char *says;     // owned; unless SOUND
  uint64_t size;  // of the file, as far as it is looked at; SOUND and HEADLESS
  uint64_t records, bytes;
  uint64_t torn, torn_bytes;  // places, and bytes in them
};

struct ee_spool_facts {
  struct ee_spool_look look;
  struct ee_spool_segment_facts *segments;  // owned; one a file, ascending
  size_t count;
  // Not settled:
  uint64_t records, bytes, numbered;
  uint64_t topics[EE_TOPIC_COUNT + 1];  // records; the last of topics that are not known
  int64_t oldest_us;                    // when the first of them was accepted; with records
};

// Blocks on the disk. False: as ee_spool_look_open, or memory is out.
bool ee_spool_facts_read(const char *directory, struct ee_spool_facts *ret, struct ee_err *err);
void ee_spool_facts_release(struct ee_spool_facts *facts);

// For a person, several lines; for a program, one object and a newline. Ask out->failed.
void ee_spool_facts_tell(const struct ee_spool_facts *facts, const char *directory,
                         struct ee_buf *out);
void ee_spool_facts_json(const struct ee_spool_facts *facts, const char *directory,
                         struct ee_buf *out);

#endif
