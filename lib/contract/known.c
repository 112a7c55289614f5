// SPDX-License-Identifier: Apache-2.0
// Schemas by fingerprint, in one array sorted by it: our own from the generated tables, and
// the texts of a directory.
#include "contract/known.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/file.h"
#include "contract/canonical.h"
#include "contract/record.h"
#include "records.h"

struct entry {
  uint64_t fingerprint;
  struct ee_str text;  // borrows from the generated tables or from files
};

struct ee_known {
  struct entry *entries;  // owned, sorted by fingerprint
  size_t count;
  struct ee_buf *files;  // owned
  size_t file_count;
};

static int compare_entries(const void *a, const void *b) {
  uint64_t x = ((const struct entry *)a)->fingerprint;
  uint64_t y = ((const struct entry *)b)->fingerprint;
  return x < y ? -1 : x > y;
}

// Puts the entry in its place, unless its fingerprint is there already. There is room.
static void insert(struct ee_known *known, uint64_t fingerprint, struct ee_str text) {
  size_t at = 0;
  while (at < known->count && known->entries[at].fingerprint < fingerprint)
    at++;
  if (at < known->count && known->entries[at].fingerprint == fingerprint) return;
  memmove(known->entries + at + 1, known->entries + at,
          (known->count - at) * sizeof *known->entries);
  known->entries[at] = (struct entry){.fingerprint = fingerprint, .text = text};
  known->count++;
}

static bool read_file(struct ee_known *known, const char *directory, const char *name,
                      struct ee_err *err) {
  struct ee_buf path;
  ee_buf_init(&path, 8192);
  ee_buf_printf(&path, "%s/%s", directory, name);
  ee_buf_byte(&path, 0);
  struct ee_buf *file = &known->files[known->file_count++];
  ee_buf_init(file, EE_SCHEMA_SIZE_MAX);
  uint64_t fingerprint;
  bool ok = !path.failed;
  if (!ok) ee_err_set(err, "%s/%s: the path is too long or memory is out", directory, name);
  ok = ok && ee_file_read((const char *)path.data, file, err);
  if (ok && !ee_schema_text_fingerprint(ee_buf_view(file), &fingerprint, err)) {
    ok = ee_err_prefix(err, "%s/%s", directory, name);
  }
  if (ok) insert(known, fingerprint, ee_buf_view(file));
  ee_buf_release(&path);
  return ok;
}

static int is_schema_file(const struct dirent *entry) {
  static const char ending[] = ".avsc";
  size_t size = strlen(entry->d_name);
  return entry->d_name[0] != '.' && size > sizeof ending - 1 &&
         strcmp(entry->d_name + size - (sizeof ending - 1), ending) == 0;
}

static bool read_directory(struct ee_known *known, const char *directory,
                           struct dirent *const *names, size_t count, struct ee_err *err) {
  known->entries = calloc(ee_record_type_count + count, sizeof *known->entries);
  known->files = calloc(count + 1, sizeof *known->files);
  if (known->entries == NULL || known->files == NULL) return ee_err_set(err, "memory is out");
  for (size_t i = 0; i < ee_record_type_count; i++) {
    const struct ee_record_type *type = ee_record_types[i];
    insert(known, type->fingerprint, (struct ee_str){type->schema, type->schema_size});
  }
  for (size_t i = 0; i < count; i++) {
    if (!read_file(known, directory, names[i]->d_name, err)) return false;
  }
  return true;
}

bool ee_known_new(const char *directory, struct ee_known **ret, struct ee_err *err) {
  struct dirent **names = NULL;
  int found = directory == NULL ? 0 : scandir(directory, &names, is_schema_file, alphasort);
  if (found < 0) return ee_err_set(err, "%s: %s", directory, strerror(errno));
  bool ok = false;
  struct ee_known *known = NULL;
  if (found > EE_KNOWN_FILES_MAX) {
    ee_err_set(err, "%s: has %d schemas, more than %d", directory, found, EE_KNOWN_FILES_MAX);
    goto out;
  }
  known = calloc(1, sizeof *known);
  if (known == NULL) {
    ee_err_set(err, "memory is out");
    goto out;
  }
  ok = read_directory(known, directory, names, (size_t)found, err);
  if (!ok) goto out;
  *ret = known;
  known = NULL;
out:
  ee_known_free(known);
  for (int i = 0; i < found; i++)
    free(names[i]);
  free(names);
  return ok;
}

void ee_known_free(struct ee_known *known) {
  if (known == NULL) return;
  for (size_t i = 0; i < known->file_count; i++)
    ee_buf_release(&known->files[i]);
  free(known->files);
  free(known->entries);
  free(known);
}

struct ee_str ee_known_schema(const struct ee_known *known, uint64_t fingerprint) {
  struct entry wanted = {.fingerprint = fingerprint};
  const struct entry *entry =
      bsearch(&wanted, known->entries, known->count, sizeof *known->entries, compare_entries);
  return entry == NULL ? (struct ee_str){.data = NULL} : entry->text;
}
