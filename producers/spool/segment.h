// SPDX-License-Identifier: Apache-2.0
// Segments as files of a spool's directory: made, mapped, listed, removed. Calls may block on
// the disk; errors name the path.
#ifndef EE_SPOOL_SEGMENT_H
#define EE_SPOOL_SEGMENT_H

#include "base/err.h"
#include "spool/format.h"

#define EE_SPOOL_NAME_SIZE 32  // of a segment's file, with its NUL

// Whether an errno says that the disk, or a quota on it, has no room.
bool ee_spool_no_room(int error);

void ee_spool_segment_name(uint64_t number, char out[EE_SPOOL_NAME_SIZE]);

// A segment's bytes in memory, shared with its file. Whoever has it unmaps it.
struct ee_spool_map {
  uint8_t *bytes;
  size_t size;
  uint64_t number;
  uint32_t salt;
};

// Makes a segment of zeros, with room on disk for all of it. It survives the machine once it and
// the directory are synced. *ret_full: the disk, or a quota on it, has no room; nothing is left
// behind.
bool ee_spool_segment_create(int directory, const struct ee_spool_segment *segment,
                             struct ee_spool_map *ret, bool *ret_full, struct ee_err *err);

enum ee_spool_map_result {
  EE_SPOOL_MAPPED,
  EE_SPOOL_MAP_MISSING,  // there is no such file
  EE_SPOOL_MAP_USELESS,  // its head is torn, or it is another spool's: err says which
  EE_SPOOL_MAP_NEWER,    // a later version wrote it
  EE_SPOOL_MAP_FAILED,   // the system refuses: it may succeed later
};

// Maps one that is there, of the spool `id`, for reading and numbering. A file that was cut short
// is mapped as far as it goes.
enum ee_spool_map_result ee_spool_segment_map(int directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                                              uint64_t number, struct ee_spool_map *ret,
                                              struct ee_err *err);
// Whose it says it is, and which; false: its head says nothing.
bool ee_spool_segment_head(int directory, uint64_t number, struct ee_spool_segment *ret);
void ee_spool_segment_unmap(struct ee_spool_map *map);  // unmapped already: nothing happens
// What was stored in it survives the machine. True also when it was removed.
bool ee_spool_segment_sync(int directory, uint64_t number, struct ee_err *err);
bool ee_spool_segment_remove(int directory, uint64_t number, struct ee_err *err);

// Numbers of the segment files in a directory, ascending, whatever is in them. *ret: NULL when
// there are none; else the caller frees it. What a creation cut short left behind is removed.
bool ee_spool_segment_list(int directory, uint64_t **ret, size_t *ret_count, struct ee_err *err);
// The same, and nothing is removed.
bool ee_spool_segment_numbers(int directory, uint64_t **ret, size_t *ret_count, struct ee_err *err);

#endif
