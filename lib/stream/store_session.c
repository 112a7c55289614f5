// SPDX-License-Identifier: Apache-2.0
// The marker files beside a store's data, and what they say at the next start.
#include "stream/store_session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

#define TEXT_MAX ((size_t)128)
#define BLOCK_SIZE ((size_t)65536)

static bool path_of(const char *directory, const char *name, char out[PATH_MAX],
                    struct ee_err *err) {
  int length = snprintf(out, PATH_MAX, "%s/%s", directory, name);
  if (length > 0 && length < PATH_MAX) return true;
  return ee_err_set(err, "%s: %s", directory, strerror(ENAMETOOLONG));
}

// A file that the disk does not let be seen is not one that is not there.
static bool exists(const char *path, bool *ret, struct ee_err *err) {
  *ret = access(path, F_OK) == 0;
  return *ret || errno == ENOENT || ee_err_set(err, "%s: %s", path, strerror(errno));
}

static bool remove_file(const char *path, struct ee_err *err) {
  if (unlink(path) == 0 || errno == ENOENT) return true;
  return ee_err_set(err, "%s: %s", path, strerror(errno));
}

// A small file's first line; empty when it cannot be read. Allocates nothing: a want of memory
// must not look like a damaged file, and a want of descriptors is an error.
static bool read_line(const char *path, char out[TEXT_MAX], struct ee_err *err) {
  out[0] = '\0';
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    bool wanting = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    return !wanting || ee_err_set(err, "%s: %s", path, strerror(errno));
  }
  ssize_t size = read(fd, out, TEXT_MAX - 1);
  close(fd);
  out[size < 0 ? 0 : size] = '\0';
  out[strcspn(out, "\n")] = '\0';
  return true;
}

// Empty when the system does not say; such a boot is never the same as another.
static bool read_boot(char out[TEXT_MAX], struct ee_err *err) {
  return read_line("/proc/sys/kernel/random/boot_id", out, err);
}

struct seal {
  int64_t size;
  uint32_t crc;  // CRC-32C of the whole file
};

// Takes less than a second a gigabyte when the file is in the page cache.
static bool seal_of(const char *path, struct seal *ret, struct ee_err *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
  posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  *ret = (struct seal){.size = 0};
  uint8_t block[BLOCK_SIZE];
  ssize_t count;
  while ((count = read(fd, block, sizeof block)) > 0 || (count < 0 && errno == EINTR)) {
    if (count < 0) continue;
    ret->crc = ee_crc32c(ret->crc, block, (size_t)count);
    ret->size += count;
  }
  if (count < 0) ee_err_set(err, "%s: %s", path, strerror(errno));
  close(fd);
  return count == 0;
}

static bool judge_open(const char *boot, const char **ret_distrust, bool *ret_verify,
                       struct ee_err *err) {
  char now[TEXT_MAX];
  if (!read_boot(now, err)) return false;
  *ret_verify = now[0] != '\0' && strcmp(boot, now) == 0;
  if (!*ret_verify) *ret_distrust = "the machine went down while it was in use";
  return true;
}

static bool judge_closed(const char *text, const char *data, const char **ret_distrust,
                         struct ee_err *err) {
  struct seal said, found;
  if (sscanf(text, "%" SCNd64 " %8" SCNx32, &said.size, &said.crc) != 2) {
    *ret_distrust = "its .session file cannot be read";
    return true;
  }
  if (!seal_of(data, &found, err)) return false;
  if (said.size != found.size || said.crc != found.crc) {
    *ret_distrust = "its file has changed since it was closed";
  }
  return true;
}

static bool judge(const char *directory, const char **ret_distrust, bool *ret_verify,
                  struct ee_err *err) {
  char data[PATH_MAX], opening[PATH_MAX], session[PATH_MAX];
  if (!path_of(directory, "data.mdb", data, err) || !path_of(directory, ".opening", opening, err) ||
      !path_of(directory, ".session", session, err)) {
    return false;
  }
  bool used, cut_short;
  if (!exists(data, &used, err) || !exists(opening, &cut_short, err)) return false;
  if (!used) return true;
  if (cut_short) {
    *ret_distrust = "the last attempt to open it did not end";
    return true;
  }
  char text[TEXT_MAX];
  if (!read_line(session, text, err)) return false;
  if (strncmp(text, "open ", 5) == 0) return judge_open(text + 5, ret_distrust, ret_verify, err);
  if (strncmp(text, "closed ", 7) == 0) return judge_closed(text + 7, data, ret_distrust, err);
  bool known = strcmp(text, "corrupt") == 0;
  *ret_distrust = known ? "it was found corrupt" : "its .session file cannot be read";
  return true;
}

bool ee_session_begin(const char *directory, const char **ret_distrust, bool *ret_verify,
                      struct ee_err *err) {
  char opening[PATH_MAX];
  *ret_distrust = NULL;
  *ret_verify = false;
  if (!judge(directory, ret_distrust, ret_verify, err) ||
      !path_of(directory, ".opening", opening, err)) {
    return false;
  }
  int fd = open(opening, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ee_err_set(err, "%s: %s", opening, strerror(errno));
  close(fd);
  return true;
}

bool ee_session_empty(const char *directory, struct ee_err *err) {
  char data[PATH_MAX];
  return path_of(directory, "data.mdb", data, err) && remove_file(data, err);
}

static bool write_session(const char *directory, const char *text, struct ee_err *err) {
  char path[PATH_MAX];
  return path_of(directory, ".session", path, err) &&
         ee_file_replace(path, ee_str_bytes(ee_str(text)), err);
}

bool ee_session_opened(const char *directory, struct ee_err *err) {
  char boot[TEXT_MAX], text[TEXT_MAX + 8];
  if (!read_boot(boot, err)) return false;
  snprintf(text, sizeof text, "open %s", boot);
  return write_session(directory, text, err);
}

bool ee_session_end_opening(const char *directory, struct ee_err *err) {
  char opening[PATH_MAX];
  return path_of(directory, ".opening", opening, err) && remove_file(opening, err);
}

bool ee_session_closed(const char *directory, struct ee_err *err) {
  char data[PATH_MAX], text[TEXT_MAX];
  struct seal seal;
  if (!path_of(directory, "data.mdb", data, err) || !seal_of(data, &seal, err)) return false;
  snprintf(text, sizeof text, "closed %" PRId64 " %08" PRIx32, seal.size, seal.crc);
  return write_session(directory, text, err);
}

bool ee_session_corrupt(const char *directory, struct ee_err *err) {
  return write_session(directory, "corrupt", err);
}
