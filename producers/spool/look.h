// SPDX-License-Identifier: Apache-2.0
// A spool's directory looked at from outside: no lock is taken and nothing is changed, so it may
// be in use, damaged, another spool's in part, or of a later version. One thread; calls may block
// on the disk.
#ifndef EE_SPOOL_LOOK_H
#define EE_SPOOL_LOOK_H

#include "spool/control.h"
#include "spool/scan.h"
#include "spool/segment.h"

struct ee_spool_look {
  int directory;                         // owned
  long holder;                           // process that has it open, 0: none is seen to
  enum ee_spool_control_result control;  // of the control file
  struct ee_err says;                    // unless OPEN: what is wrong with it
  bool known;                            // whose spool it is
  uint8_t id[EE_SPOOL_ID_SIZE];          // by its control file, or else by most of its segments
  struct ee_spool_progress progress;     // unless OPEN: of the whole, epoch 0
  uint64_t *numbers;                     // owned; of the segment files, ascending
  size_t count;
};

// False: the system refuses, or the directory has neither a control file nor segments.
bool ee_spool_look_open(const char *directory, struct ee_spool_look *ret, struct ee_err *err);
void ee_spool_look_close(struct ee_spool_look *look);

enum ee_spool_file {
  EE_SPOOL_FILE_SOUND,
  EE_SPOOL_FILE_HEADLESS,    // records of this spool behind a head that is damaged
  EE_SPOOL_FILE_MISPLACED,   // a segment of this spool under another one's name
  EE_SPOOL_FILE_FOREIGN,     // another spool's
  EE_SPOOL_FILE_USELESS,     // neither a head nor a record of this spool, or no file
  EE_SPOOL_FILE_NEWER,       // of a later version
  EE_SPOOL_FILE_UNREADABLE,  // the system refuses
  EE_SPOOL_FILE_GONE,        // since the directory was listed: it was settled
};

// A file with a segment's name.
struct ee_spool_view {
  enum ee_spool_file is;
  uint64_t number;       // its name's
  uint64_t head_number;  // MISPLACED: its head's
  struct ee_err says;    // unless SOUND: what is wrong
  uint8_t *bytes;        // owned; SOUND and HEADLESS, else NULL: a copy of the whole
  size_t size;           // of the copy
  uint32_t salt;
};

// Takes as much memory as the segment has that is not zero, EE_SPOOL_SEGMENT_MOST at most. Memory
// that is short makes it UNREADABLE.
void ee_spool_view_open(const struct ee_spool_look *look, uint64_t number,
                        struct ee_spool_view *ret);
void ee_spool_view_close(struct ee_spool_view *view);

// What lies in a view with bytes, in order: what is settled first, then what the next opening
// would read, as it would.
struct ee_spool_walk {
  const struct ee_spool_view *view;  // borrowed
  struct ee_spool_scan scan;
  uint64_t settled;  // offset below which all is settled
  bool behind;       // the scan has passed it
};

struct ee_spool_sight {
  bool settled;
  bool record;  // or else torn
  bool marked;  // it was published: what is torn was a record
  struct ee_spool_place place;
  bool numbered;
  bool misnumbered;  // its numbering is damaged, or just being written
  struct ee_spool_numbering numbering;
};

void ee_spool_walk_init(struct ee_spool_walk *walk, const struct ee_spool_look *look,
                        const struct ee_spool_view *view);
// False: there is nothing more.
bool ee_spool_walk_next(struct ee_spool_walk *walk, struct ee_spool_sight *ret);

#endif
