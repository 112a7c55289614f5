// SPDX-License-Identifier: Apache-2.0
// A registry's answers on disk, one file each, in a directory of that registry's own.
// Private to this folder. A file is three lines (the SHA-256 of all that follows, the
// registry's URLs, the key) and the answer's body, so that neither a damaged file nor one
// of another registry is believed.
#ifndef EE_WIRE_REGISTRY_CACHE_H
#define EE_WIRE_REGISTRY_CACHE_H

#include "base/buf.h"
#include "base/err.h"

#define EE_CACHE_HEAD_MAX 8192  // bytes of the three lines

struct ee_registry_cache {
  char *directory;  // owned; NULL: nothing is kept
  char *registry;   // owned; the URLs, on one line
};

// directory may be NULL. Makes a directory inside it.
bool ee_registry_cache_init(struct ee_registry_cache *cache, const char *directory,
                            const char *registry, struct ee_err *err);
void ee_registry_cache_release(struct ee_registry_cache *cache);

// key: the file's name, of [a-z0-9-] alone. False when there is nothing sound under it.
// *ret_body borrows from file (initialised, overwritten).
bool ee_registry_cache_get(const struct ee_registry_cache *cache, const char *key,
                           struct ee_buf *file, struct ee_bytes *ret_body);
// Both do their best: the registry is asked again for what is not kept.
void ee_registry_cache_put(const struct ee_registry_cache *cache, const char *key,
                           struct ee_bytes body);
void ee_registry_cache_remove(const struct ee_registry_cache *cache, const char *key);

// The pure part. Appends a file's content; ask out->failed.
void ee_cache_file_write(struct ee_str registry, struct ee_str key, struct ee_bytes body,
                         struct ee_buf *out);
// False unless content is what the above writes for this registry and key.
bool ee_cache_file_parse(struct ee_bytes content, struct ee_str registry, struct ee_str key,
                         struct ee_bytes *ret_body);

#endif
