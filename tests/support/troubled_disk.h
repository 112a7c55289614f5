// SPDX-License-Identifier: Apache-2.0
// Makes calls fail that write to a disk: those of the project's own objects and of the shared
// libraries they use (LMDB), since a program's symbols come before the C library's. Standard
// error is left alone. Not for several threads at a time.
#ifndef EE_TESTS_SUPPORT_TROUBLED_DISK_H
#define EE_TESTS_SUPPORT_TROUBLED_DISK_H

#include <stdbool.h>
#include <stddef.h>

// The next `after` calls succeed, so many after them fail with the code, then all succeed.
// ENOSPC: only calls count that would make a file longer.
void troubled_disk_fail(size_t after, size_t times, int code);
// Ends it. True if a call has failed since.
bool troubled_disk_stop(void);

#endif
