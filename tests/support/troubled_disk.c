// SPDX-License-Identifier: Apache-2.0
// The C library's functions under their own names, each of which may fail and else is the
// system's call of that name.
#include "tests/support/troubled_disk.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static bool armed, failed;
static size_t remaining, failures;
static int code;

void troubled_disk_fail(size_t after, size_t times, int with) {
  armed = true;
  failed = false;
  remaining = after;
  failures = times;
  code = with;
}

bool troubled_disk_stop(void) {
  armed = false;
  return failed;
}

// A full disk is so for what makes a file longer.
static bool spared(int file, off_t end) {
  struct stat status;
  return code == ENOSPC && (fstat(file, &status) != 0 || end <= status.st_size);
}

static bool must_fail(int file, off_t end) {
  if (!armed || failures == 0 || file == STDERR_FILENO || spared(file, end)) return false;
  if (remaining > 0) {
    remaining--;
    return false;
  }
  failures--;
  failed = true;
  errno = code;
  return true;
}

static off_t after(int file, size_t size) {
  return lseek(file, 0, SEEK_CUR) + (off_t)size;
}

ssize_t write(int file, const void *data, size_t size) {
  if (must_fail(file, after(file, size))) return -1;
  return syscall(SYS_write, file, data, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; i++)
    size += parts[i].iov_len;
  return must_fail(file, after(file, size)) ? -1 : syscall(SYS_writev, file, parts, count);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
  if (must_fail(file, at + (off_t)size)) return -1;
  return syscall(SYS_pwrite64, file, data, size, at);
}
int fsync(int file) {
  return must_fail(file, 0) ? -1 : (int)syscall(SYS_fsync, file);
}
int fdatasync(int file) {
  return must_fail(file, 0) ? -1 : (int)syscall(SYS_fdatasync, file);
}
int ftruncate(int file, off_t size) {
  return must_fail(file, size) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}
