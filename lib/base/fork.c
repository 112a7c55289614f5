// SPDX-License-Identifier: Apache-2.0
// Memory that a child of fork finds zeroed.
#include "base/fork.h"

#include <sys/mman.h>

void *ee_wiped_on_fork(void) {
  void *memory =
      mmap(NULL, EE_WIPED_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  if (madvise(memory, EE_WIPED_SIZE, MADV_WIPEONFORK) == 0) return memory;
  munmap(memory, EE_WIPED_SIZE);
  return NULL;
}

void ee_wiped_free(void *memory) {
  if (memory != NULL) munmap(memory, EE_WIPED_SIZE);
}
