// SPDX-License-Identifier: Apache-2.0
// Small files: read whole, replaced atomically; directories made and locked.
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READ_SIZE ((size_t)65536)

static ssize_t read_some(int fd, void *data, size_t size) {
  ssize_t count;
  do {
    count = read(fd, data, size);
  } while (count < 0 && errno == EINTR);
  return count;
}

// Once the buffer is full, a single byte more says that the file is too large.
static bool read_all(int fd, const char *path, struct ee_buf *buf, struct ee_err *err) {
  for (;;) {
    size_t room = buf->limit - buf->size;
    size_t size = room < READ_SIZE ? room : READ_SIZE;
    uint8_t beyond;
    uint8_t *place = size == 0 ? &beyond : ee_buf_reserve(buf, size);
    if (place == NULL) return ee_err_set(err, "%s: no memory", path);
    ssize_t count = read_some(fd, place, size == 0 ? 1 : size);
    if (count < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
    if (count == 0) return true;
    if (size == 0) return ee_err_set(err, "%s: larger than %zu bytes", path, buf->limit);
    buf->size += (size_t)count;
  }
}

bool ee_file_read(const char *path, struct ee_buf *buf, struct ee_err *err) {
  if (strcmp(path, "-") == 0) return read_all(STDIN_FILENO, "standard input", buf, err);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
  bool ok = read_all(fd, path, buf, err);
  close(fd);
  return ok;
}

static bool write_all(int fd, struct ee_bytes content) {
  while (content.size > 0) {
    ssize_t count = write(fd, content.data, content.size);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) {
      content.data += count;
      content.size -= (size_t)count;
    }
  }
  return true;
}

// A rename is only durable once its directory is.
static bool sync_directory_of(const char *path) {
  char directory[PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t size = slash == NULL ? 0 : (size_t)(slash - path) + 1;
  int length = snprintf(directory, sizeof directory, "%.*s", (int)size, path);
  if (length < 0 || (size_t)length >= sizeof directory) return false;
  int fd = open(size == 0 ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0;
  int error = errno;
  close(fd);
  errno = error;
  return ok;
}

static bool write_and_close(int fd, struct ee_bytes content) {
  bool ok = write_all(fd, content) && fsync(fd) == 0;
  int error = errno;
  ok = close(fd) == 0 && ok;
  if (!ok && error != 0) errno = error;
  return ok;
}

bool ee_file_replace(const char *path, struct ee_bytes content, struct ee_err *err) {
  char fresh[PATH_MAX];
  int length = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
  if (length < 0 || (size_t)length >= sizeof fresh) {
    return ee_err_set(err, "%s: %s", path, strerror(ENAMETOOLONG));
  }
  int fd = mkostemp(fresh, O_CLOEXEC);
  if (fd < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
  if (!write_and_close(fd, content) || rename(fresh, path) != 0) {
    ee_err_set(err, "%s: %s", path, strerror(errno));
    unlink(fresh);
    return false;
  }
  if (!sync_directory_of(path)) return ee_err_set(err, "%s: %s", path, strerror(errno));
  return true;
}

static bool make_one(const char *path, struct ee_err *err) {
  if (mkdir(path, 0700) == 0) return true;
  int error = errno;
  struct stat found;
  if (error == EEXIST && stat(path, &found) == 0) {
    if (S_ISDIR(found.st_mode)) return true;
    error = ENOTDIR;
  }
  return ee_err_set(err, "%s: %s", path, strerror(error));
}

bool ee_dir_make(const char *path, struct ee_err *err) {
  char part[PATH_MAX];
  size_t size = strlen(path);
  if (size == 0) return ee_err_set(err, "a directory without a name");
  if (size >= sizeof part) return ee_err_set(err, "%s: %s", path, strerror(ENAMETOOLONG));
  memcpy(part, path, size + 1);
  for (size_t i = 1; i < size; i++) {
    if (part[i] != '/' || part[i - 1] == '/') continue;
    part[i] = '\0';
    if (!make_one(part, err)) return false;
    part[i] = '/';
  }
  return make_one(part, err);
}

// The holder writes its process id into the file. A file that says something else, or
// nothing yet, names nobody.
static bool held_by_other(int fd, const char *path, struct ee_err *err) {
  char text[16] = "";
  ssize_t size = pread(fd, text, sizeof text - 1, 0);
  ssize_t digits = 0;
  while (digits < size && isdigit((unsigned char)text[digits]))
    digits++;
  if (digits == 0 || digits != size) {
    return ee_err_set(err, "%s: another process holds the lock", path);
  }
  return ee_err_set(err, "%s: process %s holds the lock", path, text);
}

static bool lock_path(const char *directory, char out[PATH_MAX]) {
  int length = snprintf(out, PATH_MAX, "%s/lock", directory);
  return length > 0 && length < PATH_MAX;
}

bool ee_dir_lock(const char *directory, int *ret_fd, struct ee_err *err) {
  char path[PATH_MAX];
  if (!lock_path(directory, path)) {
    return ee_err_set(err, "%s: %s", directory, strerror(ENAMETOOLONG));
  }
  int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    bool held = errno == EWOULDBLOCK;
    if (held)
      held_by_other(fd, path, err);
    else
      ee_err_set(err, "%s: %s", path, strerror(errno));
    close(fd);
    return false;
  }
  char pid[16];
  int length = snprintf(pid, sizeof pid, "%ld", (long)getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)length, 0) != length) {
    ee_err_set(err, "%s: %s", path, strerror(errno));
    close(fd);
    return false;
  }
  *ret_fd = fd;
  return true;
}

// A line of a lock that is held: "1: FLOCK  ADVISORY  WRITE 4711 fe:00:9979926 0 EOF".
static long holder_of(const char *line, const struct stat *file) {
  long pid;
  unsigned int high, low;
  unsigned long inode;
  if (sscanf(line, "%*d: FLOCK %*s WRITE %ld %x:%x:%lu", &pid, &high, &low, &inode) != 4) return 0;
  bool same = inode == file->st_ino && makedev(high, low) == file->st_dev;
  return same ? pid : 0;
}

long ee_dir_lock_holder(const char *directory) {
  char path[PATH_MAX], line[256];
  struct stat file;
  long pid = 0;
  if (!lock_path(directory, path) || lstat(path, &file) != 0) return 0;
  FILE *locks = fopen("/proc/locks", "re");
  while (locks != NULL && pid == 0 && fgets(line, sizeof line, locks) != NULL)
    pid = holder_of(line, &file);
  if (locks != NULL) fclose(locks);
  return pid;
}
