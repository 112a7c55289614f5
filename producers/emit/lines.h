// SPDX-License-Identifier: Apache-2.0
// Cuts a stream of bytes into lines, each of a bounded size. Pure; one thread.
#ifndef EE_PRODUCERS_EMIT_LINES_H
#define EE_PRODUCERS_EMIT_LINES_H

#include "base/buf.h"

struct ee_lines {
  struct ee_buf buf;  // what was fed and not given yet
  size_t start;       // of the line that comes next
  size_t searched;    // up to here there is no newline
  size_t most;        // bytes of a line
  uint64_t number;    // of the line given last, from 1
  bool skipping;      // the rest of a line that is too long
  bool ended;
};

// chunk: the most bytes that are fed at once, after which next is called until it says
// MORE.
void ee_lines_init(struct ee_lines *lines, size_t most, size_t chunk);
void ee_lines_release(struct ee_lines *lines);

// False when memory is out.
bool ee_lines_feed(struct ee_lines *lines, const void *data, size_t size);
// Nothing more comes: what is left is a line, too.
void ee_lines_end(struct ee_lines *lines);

enum ee_lines_state {
  EE_LINES_MORE,      // there is no whole line: feed, or after the end: done
  EE_LINES_LINE,      // *ret is the line without its newline, borrowed until the next feed
  EE_LINES_TOO_LONG,  // a line of more than `most` bytes is passed over; said once
};
enum ee_lines_state ee_lines_next(struct ee_lines *lines, struct ee_str *ret);

// Nothing but blanks, tabs and a carriage return: passed over without a word.
bool ee_line_is_blank(struct ee_str line);

#endif
