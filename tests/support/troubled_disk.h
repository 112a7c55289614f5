// SPDX-License-Identifier: Apache-2.0
// Makes the calls fail by which a store is opened, locked, read, mapped, written and synced: those
// of the project's own objects and of the shared libraries they use (LMDB), since a program's
// symbols come before the C library's. Standard output and error are left alone. Not for several
// threads at a time.
//
// EE_DISK=N in the environment: the program's call after N others fails; N+: and all after it,
// whatever else a test asks for (tests/support/countdown.h).
#ifndef EE_TESTS_SUPPORT_TROUBLED_DISK_H
#define EE_TESTS_SUPPORT_TROUBLED_DISK_H

#include <stdbool.h>
#include <stddef.h>

// The next `after` calls succeed, so many after them fail, then all succeed. ENOSPC: only calls
// count that would make a file or a directory longer, and that is what they say. EIO: all count;
// open says EMFILE, mmap ENOMEM, flock ENOLCK, the others EIO.
void troubled_disk_fail(size_t after, size_t times, int code);
// How many calls counted since then.
size_t troubled_disk_seen(void);
// Ends it. True if a call has failed since.
bool troubled_disk_stop(void);

#endif
