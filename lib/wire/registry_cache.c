// SPDX-License-Identifier: Apache-2.0
// The disk cache of registry answers.
#include "wire/registry_cache.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "contract/ident.h"
#include "wire/registry_answer.h"

#define HASH_SIZE (EE_SHA256_HEX_SIZE - 1)  // in hex, without NUL
#define NAME_HASH_SIZE 16                   // of it in the directory's name
#define PATH_SIZE_MAX 4096

static void hash_of(struct ee_bytes in, char out[EE_SHA256_HEX_SIZE]) {
  uint8_t digest[EE_SHA256_SIZE];
  ee_sha256(in, digest);
  ee_hex(ee_bytes(digest, sizeof digest), out);
}

void ee_cache_file_write(struct ee_str registry, struct ee_str key, struct ee_bytes body,
                         struct ee_buf *out) {
  size_t start = out->size;
  uint8_t *place = ee_buf_reserve(out, HASH_SIZE);
  if (place == NULL) return;
  memset(place, '0', HASH_SIZE);
  out->size += HASH_SIZE;
  ee_buf_byte(out, '\n');
  ee_buf_str(out, registry);
  ee_buf_byte(out, '\n');
  ee_buf_str(out, key);
  ee_buf_byte(out, '\n');
  ee_buf_append(out, body.data, body.size);
  if (out->failed) return;
  char hash[EE_SHA256_HEX_SIZE];
  size_t covered = start + HASH_SIZE + 1;
  hash_of(ee_bytes(out->data + covered, out->size - covered), hash);
  memcpy(out->data + start, hash, HASH_SIZE);
}

// Takes expected and a newline off the front of *rest.
static bool skip_line(struct ee_bytes *rest, struct ee_str expected) {
  if (rest->size <= expected.size) return false;
  if (memcmp(rest->data, expected.data, expected.size) != 0) return false;
  if (rest->data[expected.size] != '\n') return false;
  *rest = ee_bytes(rest->data + expected.size + 1, rest->size - expected.size - 1);
  return true;
}

bool ee_cache_file_parse(struct ee_bytes content, struct ee_str registry, struct ee_str key,
                         struct ee_bytes *ret_body) {
  char hash[EE_SHA256_HEX_SIZE];
  if (content.size <= HASH_SIZE) return false;
  hash_of(ee_bytes(content.data + HASH_SIZE + 1, content.size - HASH_SIZE - 1), hash);
  struct ee_bytes rest = content;
  if (!skip_line(&rest, ee_str(hash)) || !skip_line(&rest, registry) || !skip_line(&rest, key)) {
    return false;
  }
  *ret_body = rest;
  return true;
}

bool ee_registry_cache_init(struct ee_registry_cache *cache, const char *directory,
                            const char *registry, struct ee_err *err) {
  *cache = (struct ee_registry_cache){.directory = NULL};
  if (directory == NULL) return true;
  char hash[EE_SHA256_HEX_SIZE];
  hash_of(ee_str_bytes(ee_str(registry)), hash);
  struct ee_buf path;
  ee_buf_init(&path, PATH_SIZE_MAX);
  ee_buf_printf(&path, "%s/%.*s", directory, NAME_HASH_SIZE, hash);
  ee_buf_byte(&path, 0);
  cache->registry = strdup(registry);
  if (path.failed || cache->registry == NULL) {
    ee_buf_release(&path);
    ee_registry_cache_release(cache);
    return ee_err_set(err, "%s: the path is too long or memory is out", directory);
  }
  cache->directory = (char *)path.data;  // taken
  if (ee_dir_make(cache->directory, err)) return true;
  ee_registry_cache_release(cache);
  return false;
}

void ee_registry_cache_release(struct ee_registry_cache *cache) {
  free(cache->directory);
  free(cache->registry);
  *cache = (struct ee_registry_cache){.directory = NULL};
}

// The file's path in *path (initialised here); NULL when nothing is kept or there is no room.
static const char *path_of(const struct ee_registry_cache *cache, const char *key,
                           struct ee_buf *path) {
  ee_buf_init(path, PATH_SIZE_MAX);
  if (cache->directory == NULL) return NULL;
  ee_buf_printf(path, "%s/%s", cache->directory, key);
  ee_buf_byte(path, 0);
  return path->failed ? NULL : (const char *)path->data;
}

bool ee_registry_cache_get(const struct ee_registry_cache *cache, const char *key,
                           struct ee_buf *file, struct ee_bytes *ret_body) {
  struct ee_buf place;
  const char *path = path_of(cache, key, &place);
  struct ee_err ignored;
  ee_buf_clear(file);
  bool sound =
      path != NULL && ee_file_read(path, file, &ignored) &&
      ee_cache_file_parse(ee_buf_bytes(file), ee_str(cache->registry), ee_str(key), ret_body);
  ee_buf_release(&place);
  return sound;
}

void ee_registry_cache_put(const struct ee_registry_cache *cache, const char *key,
                           struct ee_bytes body) {
  struct ee_buf place, file;
  const char *path = path_of(cache, key, &place);
  ee_buf_init(&file, EE_ANSWER_SIZE_MAX + EE_CACHE_HEAD_MAX);
  if (path != NULL) {
    ee_cache_file_write(ee_str(cache->registry), ee_str(key), body, &file);
    struct ee_err ignored;
    if (!file.failed) ee_file_replace(path, ee_buf_bytes(&file), &ignored);
  }
  ee_buf_release(&file);
  ee_buf_release(&place);
}

void ee_registry_cache_remove(const struct ee_registry_cache *cache, const char *key) {
  struct ee_buf place;
  const char *path = path_of(cache, key, &place);
  if (path != NULL) unlink(path);
  ee_buf_release(&place);
}
