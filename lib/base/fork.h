// SPDX-License-Identifier: Apache-2.0
// Memory that a child of fork finds zeroed: how a library notices that it is in a child, without
// a system call.
#ifndef EE_BASE_FORK_H
#define EE_BASE_FORK_H

#include <stddef.h>

#define EE_WIPED_SIZE ((size_t)4096)

// EE_WIPED_SIZE zeroed bytes. NULL: no memory, or a kernel before Linux 4.14.
void *ee_wiped_on_fork(void);
void ee_wiped_free(void *memory);  // NULL is allowed

#endif
