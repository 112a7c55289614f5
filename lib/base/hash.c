// SPDX-License-Identifier: Apache-2.0
// SipHash by libsodium.
#include "base/hash.h"

#include <pthread.h>
#include <sodium.h>

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash is one word");

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static unsigned char key[crypto_shorthash_KEYBYTES];

static void draw_key(void) {
  if (sodium_init() >= 0) randombytes_buf(key, sizeof key);
}

uint64_t ee_hash(const void *data, size_t size) {
  pthread_once(&key_once, draw_key);
  uint64_t hash;
  crypto_shorthash((unsigned char *)&hash, data, size, key);
  return hash;
}
