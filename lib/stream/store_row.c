// SPDX-License-Identifier: Apache-2.0
// Rows: checksums over key and value, so that neither can change unseen.
#include "stream/store_row.h"

#include "base/hash.h"

void ee_store32(uint8_t out[4], uint32_t value) {
  for (int i = 0; i < 4; i++) {
    out[i] = (uint8_t)(value >> 8 * i);
  }
}

void ee_store64(uint8_t out[8], uint64_t value) {
  ee_store32(out, (uint32_t)value);
  ee_store32(out + 4, (uint32_t)(value >> 32));
}

uint32_t ee_load32(const uint8_t in[4]) {
  return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

uint64_t ee_load64(const uint8_t in[8]) {
  return ee_load32(in) | (uint64_t)ee_load32(in + 4) << 32;
}

uint32_t ee_row_key_crc(MDB_val key) {
  return ee_crc32c(0, key.mv_data, key.mv_size);
}

// Continues the key's, over the wake time and the value.
static uint32_t body_crc(uint32_t key_crc, const uint8_t wake_at[8], struct ee_bytes value) {
  return ee_crc32c(ee_crc32c(key_crc, wake_at, 8), value.data, value.size);
}

void ee_row_make(uint8_t *out, MDB_val key, int64_t wake_at, struct ee_bytes value) {
  uint32_t key_crc = ee_row_key_crc(key);
  ee_store32(out, key_crc);
  ee_store64(out + 8, (uint64_t)wake_at);
  ee_store32(out + 4, body_crc(key_crc, out + 8, value));
  if (value.size > 0) memcpy(out + EE_ROW_HEAD, value.data, value.size);
}

bool ee_row_key_sound(MDB_val key, MDB_val row) {
  return row.mv_size >= EE_ROW_KEY_CRC && ee_load32(row.mv_data) == ee_row_key_crc(key);
}

bool ee_row_parse(MDB_val key, MDB_val row, int64_t *ret_wake_at, struct ee_bytes *ret_value) {
  const uint8_t *data = row.mv_data;
  if (row.mv_size < EE_ROW_HEAD || !ee_row_key_sound(key, row)) return false;
  struct ee_bytes value = ee_bytes(data + EE_ROW_HEAD, row.mv_size - EE_ROW_HEAD);
  if (ee_load32(data + 4) != body_crc(ee_load32(data), data + 8, value)) return false;
  *ret_wake_at = (int64_t)ee_load64(data + 8);
  *ret_value = value;
  return true;
}

void ee_checkpoint_key(uint8_t out[EE_CHECKPOINT_KEY_SIZE], int32_t partition) {
  out[0] = 'c';
  out[1] = (uint8_t)(partition >> 8);
  out[2] = (uint8_t)partition;
}
