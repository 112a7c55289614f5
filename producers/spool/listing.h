// SPDX-License-Identifier: Apache-2.0
// Files of a spool whose names are numbers.
#ifndef EE_SPOOL_LISTING_H
#define EE_SPOOL_LISTING_H

#include <stdint.h>

#include "base/err.h"

// What a name stands for. False: the file is none of those that are listed.
typedef bool ee_spool_number_of(const char *name, uint64_t *ret);

// Their numbers, ascending, whatever is in the files. *ret: NULL when there are none; else the
// caller frees it. May block on the disk.
bool ee_spool_list(int directory, ee_spool_number_of *number_of, uint64_t **ret, size_t *ret_count,
                   struct ee_err *err);

#endif
