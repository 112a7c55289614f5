// SPDX-License-Identifier: Apache-2.0
// Keys of state records: whatever is accepted is what we would write ourselves.
#include <stdlib.h>

#include "contract/ident.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check_sequence(struct ee_bytes key, struct ee_buf *scratch, struct ee_buf *again) {
  struct ee_sequence_name name;
  if (!ee_key_sequence_parse(key, &name, scratch)) return;
  require(name.producer.size >= 1 && name.producer.size <= 128 && name.epoch >= 0);
  ee_buf_clear(again);
  ee_key_sequence(again, &name);
  require(ee_bytes_equal(ee_buf_bytes(again), key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_buf scratch, again;
  struct ee_str name;
  char letter;
  ee_buf_init(&scratch, 2000);
  ee_buf_init(&again, 2000);
  if (ee_key_parse(ee_bytes(data, size), &letter, &name, &scratch)) {
    require(name.size >= 1 && name.size <= 128);
    ee_json_array(&again, (struct ee_str[]){{.data = &letter, .size = 1}, name}, 2);
    require(ee_bytes_equal(ee_buf_bytes(&again), ee_bytes(data, size)));
  }
  check_sequence(ee_bytes(data, size), &scratch, &again);
  ee_buf_release(&again);
  ee_buf_release(&scratch);
  return 0;
}
