// SPDX-License-Identifier: Apache-2.0
// Reading a directory of earlier schemas, and the comparison with ours.
#include "tools/envelopectl/history.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "contract/compatible.h"
#include "records.h"

#define PATH_SIZE 4096

static bool is_schema(const char *name) {
  static const char ending[] = ".avsc";
  size_t size = strlen(name);
  return size >= sizeof ending && strcmp(name + size - (sizeof ending - 1), ending) == 0;
}

static bool is_directory(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_one_of(const char *const *aliases, const char *name) {
  for (; aliases != NULL && *aliases != NULL; aliases++) {
    if (strcmp(*aliases, name) == 0) return true;
  }
  return false;
}

// Which of our records the schema is an earlier version of.
static bool find_type(struct ee_history_file *file, struct ee_err *err) {
  char name[EE_SCHEMA_NAME_SIZE];
  if (!ee_schema_full_name(ee_buf_view(&file->text), name, err)) return false;
  for (size_t i = 0; i < ee_record_type_count; i++) {
    const struct ee_record_type *type = ee_record_types[i];
    if (strcmp(type->full_name, name) == 0 || is_one_of(type->aliases, name)) file->type = type;
  }
  return file->type != NULL || ee_err_set(err, "%s is none of this program's records", name);
}

static bool add_file(struct ee_history *history, const char *path, struct ee_err *err) {
  if (history->count == EE_HISTORY_FILES_MAX) {
    return ee_err_set(err, "more than %d schemas", EE_HISTORY_FILES_MAX);
  }
  struct ee_history_file *files =
      realloc(history->files, (history->count + 1) * sizeof *history->files);
  if (files == NULL) return ee_err_set(err, "memory is out");
  history->files = files;
  struct ee_history_file *file = &files[history->count++];
  *file = (struct ee_history_file){.path = strdup(path)};
  ee_buf_init(&file->text, EE_SCHEMA_SIZE_MAX);
  if (file->path == NULL) return ee_err_set(err, "memory is out");
  if (!ee_file_read(path, &file->text, err)) return false;  // the error names the path
  return find_type(file, err) || ee_err_prefix(err, "%s", path);
}

static int not_hidden(const struct dirent *entry) {
  return entry->d_name[0] != '.';
}

static bool read_directory(struct ee_history *history, const char *directory, int depth,
                           struct ee_err *err) {
  struct dirent **entries;
  int count = scandir(directory, &entries, not_hidden, alphasort);
  if (count < 0) return ee_err_set(err, "%s: %s", directory, strerror(errno));
  bool ok = true;
  for (int i = 0; i < count; i++) {
    char path[PATH_SIZE];
    const char *name = entries[i]->d_name;
    int size = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (ok && (size < 0 || (size_t)size >= sizeof path)) {
      ok = ee_err_set(err, "%s/%s: the path is too long", directory, name);
    } else if (ok && is_schema(name)) {
      ok = add_file(history, path, err);
    } else if (ok && depth == 0 && is_directory(path)) {
      ok = read_directory(history, path, depth + 1, err);
    }
    free(entries[i]);
  }
  free(entries);
  return ok;
}

bool ee_history_read(const char *directory, struct ee_history *history, struct ee_err *err) {
  return directory == NULL || read_directory(history, directory, 0, err);
}

void ee_history_release(struct ee_history *history) {
  for (size_t i = 0; i < history->count; i++) {
    free(history->files[i].path);
    ee_buf_release(&history->files[i].text);
  }
  free(history->files);
  *history = (struct ee_history){.files = NULL};
}

bool ee_history_compatible(const struct ee_history_file *file, struct ee_err *why) {
  struct ee_str ours = {file->type->schema, file->type->schema_size};
  struct ee_str theirs = ee_buf_view(&file->text);
  if (!ee_schema_can_read(ours, theirs, why)) {
    return ee_err_prefix(why, "ours cannot read what it wrote");
  }
  if (!ee_schema_can_read(theirs, ours, why)) {
    return ee_err_prefix(why, "it cannot read what ours writes");
  }
  // And as the programs will really read it.
  struct ee_plan *plan;
  struct ee_fault fault;
  if (!ee_plan_new(file->type, theirs, &plan, &fault)) {
    return ee_err_set(why, "ours cannot read what it wrote: %s", fault.detail);
  }
  ee_plan_free(plan);
  return true;
}
