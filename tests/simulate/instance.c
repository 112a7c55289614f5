// SPDX-License-Identifier: Apache-2.0
// Processes without processes: what dies with one is freed, what outlives one is copied.
#include "tests/simulate/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tools/traffic/random.h"

#define MEMORY_BYTES (INT64_C(4) << 20)
#define FILE_MAX ((size_t)64 << 20)

// ---- Directories.

typedef bool on_file(const char *path, const char *name, void *context, struct ee_err *err);

static bool each_file(const char *directory, on_file *visit, void *context, struct ee_err *err) {
  DIR *dir = opendir(directory);
  bool good = true;
  if (dir == NULL) return errno == ENOENT || ee_err_set(err, "%s: %s", directory, strerror(errno));
  for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;) {
    char path[DIRECTORY_MAX * 2];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) continue;
    good = visit(path, entry->d_name, context, err);
  }
  closedir(dir);
  return good;
}

static bool remove_file(const char *path, const char *name, void *context, struct ee_err *err) {
  (void)name;
  (void)context;
  return unlink(path) == 0 || ee_err_set(err, "%s: %s", path, strerror(errno));
}

static bool copy_file(const char *path, const char *name, void *to, struct ee_err *err) {
  char target[DIRECTORY_MAX * 2];
  struct ee_buf content;
  ee_buf_init(&content, FILE_MAX);
  snprintf(target, sizeof target, "%s/%s", (const char *)to, name);
  bool good = ee_file_read(path, &content, err);
  int file = good ? open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
  if (good && (file < 0 || write(file, content.data, content.size) != (ssize_t)content.size)) {
    good = ee_err_set(err, "%s: %s", target, strerror(errno));
  }
  if (file >= 0) close(file);
  ee_buf_release(&content);
  return good;
}

// Makes `to` hold the files of `from`, and no others.
static bool replace(const char *from, const char *to, struct ee_err *err) {
  return ee_dir_make(to, err) && each_file(to, remove_file, NULL, err) &&
         each_file(from, copy_file, (void *)(uintptr_t)to, err);
}

bool instance_lose_store(struct instance *instance, struct ee_err *err) {
  return instance->directory[0] == '\0' || each_file(instance->directory, remove_file, NULL, err);
}

bool instance_save_store(const struct instance *instance, const char *directory,
                         struct ee_err *err) {
  return instance->directory[0] == '\0' || replace(instance->directory, directory, err);
}

bool instance_restore_store(struct instance *instance, const char *directory, struct ee_err *err) {
  return instance->directory[0] == '\0' || replace(directory, instance->directory, err);
}

bool instance_corrupt_store(struct instance *instance, uint64_t seed, int bytes,
                            struct ee_err *err) {
  struct random random = {.state = seed};
  char path[DIRECTORY_MAX * 2];
  struct stat status;
  snprintf(path, sizeof path, "%s/data.mdb", instance->directory);
  if (instance->directory[0] == '\0' || stat(path, &status) != 0 || status.st_size == 0) {
    return true;
  }
  int file = open(path, O_RDWR | O_CLOEXEC);
  bool good = file >= 0;
  for (int i = 0; good && i < bytes; i++) {
    off_t at = (off_t)random_below(&random, status.st_size);
    uint8_t byte;
    good = pread(file, &byte, 1, at) == 1;
    byte ^= (uint8_t)(1 + random_below(&random, 255));
    good = good && pwrite(file, &byte, 1, at) == 1;
  }
  if (file >= 0) close(file);
  return good || ee_err_set(err, "%s: %s", path, strerror(errno));
}

// ---- Life.

static bool start(struct instance *instance, struct ee_err *err) {
  const struct ee_processor_ops *ops = instance->processor->ops;
  const char *emptied;
  bool disk = instance->directory[0] != '\0';
  const struct ee_store_settings store = {
      .directory = disk ? instance->directory : NULL,
      .memory_bytes = MEMORY_BYTES,
      .format = ee_topics[ops->changelogs[0].topic].value->fingerprint,
      .changelog_count = ops->changelog_count};
  if ((disk && !ee_dir_make(instance->directory, err)) ||
      !ee_store_open(&store, &instance->store, &emptied, err)) {
    return false;
  }
  instance->metrics = (struct ee_metrics){.processor = NULL};
  instance->frozen_until = 0;
  instance->short_of_memory_until = 0;
  instance->short_of_disk_until = 0;
  instance->bad_disk = false;
  instance->starts_at = 0;
  instance->given_up_at = 0;
  if (!ee_embedded_broker_new(instance->cluster, ops->name, instance->name, &instance->broker,
                              err)) {
    return false;
  }
  faulty_broker_init(&instance->faulty, instance->broker);
  return ee_runtime_new(instance->processor, &instance->faulty.face, instance->store,
                        instance->codec, &instance->metrics, &instance->settings,
                        &instance->runtime, err);
}

bool instance_start(struct instance *instance, struct ee_err *err) {
  instance->store = NULL;
  instance->broker = NULL;
  instance->runtime = NULL;
  instance->up = start(instance, err);
  if (!instance->up) instance_close(instance);
  return instance->up;
}

void instance_close(struct instance *instance) {
  ee_runtime_free(instance->runtime);
  if (instance->broker != NULL) instance->broker->ops->close(instance->broker, 0);
  ee_store_close(instance->store);
  instance->up = false;
}

bool instance_kill(struct instance *instance, struct ee_err *err) {
  char as_left[DIRECTORY_MAX + 8];
  bool disk = instance->directory[0] != '\0';
  snprintf(as_left, sizeof as_left, "%s.left", instance->directory);
  bool good = !disk || replace(instance->directory, as_left, err);
  ee_runtime_free(instance->runtime);
  ee_embedded_broker_abandon(instance->broker);
  ee_store_close(instance->store);
  instance->up = false;
  return good && (!disk || replace(as_left, instance->directory, err));
}
