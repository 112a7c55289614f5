// SPDX-License-Identifier: Apache-2.0
// Whether the files of a store may be trusted (private to store*.c). Decided before LMDB
// reads a byte of them, since it aborts the process on what it does not expect:
//
//   .opening   exists while a store is being opened; found at the start, the last opening
//              died inside LMDB
//   .session   "open BOOT" while in use; "closed SIZE CRC" after a synced close, with the
//              CRC-32C of all of data.mdb; "corrupt" when it was closed knowing so
//
// The caller holds the directory's lock. All of it may block on the disk.
#ifndef EE_STREAM_STORE_SESSION_H
#define EE_STREAM_STORE_SESSION_H

#include "base/err.h"

// Says why the files there must be emptied (*ret_distrust, NULL when not: they are sound
// or not there), or that every row must be read once before they are used (*ret_verify:
// the last process ended in the middle). Then makes .opening.
bool ee_session_begin(const char *directory, const char **ret_distrust, bool *ret_verify,
                      struct ee_err *err);
// Removes the data.
bool ee_session_empty(const char *directory, struct ee_err *err);
// The store is open: .session says so.
bool ee_session_opened(const char *directory, struct ee_err *err);
// Removes .opening: the opening has ended, well or with an error, but alive.
bool ee_session_end_opening(const char *directory, struct ee_err *err);
// The store is synced and closed.
bool ee_session_closed(const char *directory, struct ee_err *err);
// What is there is not to be used again.
bool ee_session_corrupt(const char *directory, struct ee_err *err);

#endif
