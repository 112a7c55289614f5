// SPDX-License-Identifier: Apache-2.0
// The C library's functions under their own names, each of which may fail and else is the
// system's call of that name.
#include "tests/support/troubled_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/support/countdown.h"

// What LMDB and older programs know fstat and stat by.
int __xstat(int version, const char *path, struct stat *ret);
int __fxstat(int version, int file, struct stat *ret);

static struct countdown disk;     // the test's own
static struct countdown program;  // of the whole program
static int code;                  // the test's own; the program's is EIO

void troubled_disk_fail(size_t after, size_t times, int with) {
  disk = countdown_of(after, times);
  code = with;
}

size_t troubled_disk_seen(void) {
  return disk.seen;
}

bool troubled_disk_stop(void) {
  disk.armed = false;
  return disk.failed;
}

__attribute__((constructor)) static void begin(void) {
  program = countdown_from_environment("EE_DISK");
}

__attribute__((destructor)) static void end(void) {
  countdown_report(&program, "EE_DISK");
}

// Thread sanitizer has functions of the same names, which it needs.
#ifndef __SANITIZE_THREAD__

// usual: what the call says when it is not for want of room.
static bool must_fail(bool grows, int usual) {
  bool fails = countdown_strikes(&program);
  if (fails) errno = usual;
  if ((code == ENOSPC && !grows) || !countdown_strikes(&disk)) return fails;
  errno = code == ENOSPC ? ENOSPC : usual;
  return true;
}

// ---- Of a file that is open.

static bool is_spared(int file) {
  return file == STDOUT_FILENO || file == STDERR_FILENO;
}

static bool file_fails(int file) {
  return !is_spared(file) && must_fail(false, EIO);
}

// A full disk is so for what makes a file longer.
static bool write_fails(int file, off_t end) {
  struct stat status;
  if (is_spared(file)) return false;
  bool grows = syscall(SYS_fstat, file, &status) == 0 && end > status.st_size;
  return must_fail(grows, EIO);
}

static off_t after(int file, size_t size) {
  return lseek(file, 0, SEEK_CUR) + (off_t)size;
}

ssize_t read(int file, void *data, size_t size) {
  return file_fails(file) ? -1 : syscall(SYS_read, file, data, size);
}
ssize_t pread(int file, void *data, size_t size, off_t at) {
  return file_fails(file) ? -1 : syscall(SYS_pread64, file, data, size, at);
}
ssize_t write(int file, const void *data, size_t size) {
  if (write_fails(file, after(file, size))) return -1;
  return syscall(SYS_write, file, data, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  size_t size = 0;
  for (int i = 0; i < count; i++)
    size += parts[i].iov_len;
  return write_fails(file, after(file, size)) ? -1 : syscall(SYS_writev, file, parts, count);
}
ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
  if (write_fails(file, at + (off_t)size)) return -1;
  return syscall(SYS_pwrite64, file, data, size, at);
}
int fsync(int file) {
  return file_fails(file) ? -1 : (int)syscall(SYS_fsync, file);
}
int fdatasync(int file) {
  return file_fails(file) ? -1 : (int)syscall(SYS_fdatasync, file);
}
int ftruncate(int file, off_t size) {
  return write_fails(file, size) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}
int fstat(int file, struct stat *ret) {
  return file_fails(file) ? -1 : (int)syscall(SYS_fstat, file, ret);
}
int __fxstat(int version, int file, struct stat *ret) {
  (void)version;
  return fstat(file, ret);
}
int posix_fallocate(int file, off_t at, off_t size) {
  if (write_fails(file, at + size)) return errno;
  return syscall(SYS_fallocate, file, 0, at, size) == 0 ? 0 : errno;
}
int msync(void *place, size_t size, int flags) {
  return must_fail(false, EIO) ? -1 : (int)syscall(SYS_msync, place, size, flags);
}
int flock(int file, int operation) {
  return must_fail(false, ENOLCK) ? -1 : (int)syscall(SYS_flock, file, operation);
}
// It is closed whatever it says.
int close(int file) {
  bool fails = file_fails(file);
  int error = errno;
  int result = (int)syscall(SYS_close, file);
  if (!fails) return result;
  errno = error;
  return -1;
}
void *mmap(void *place, size_t size, int protection, int flags, int file, off_t at) {
  if (file >= 0 && must_fail(false, ENOMEM)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, place, size, protection, flags, file, at);
}

// ---- Of a path.

static int open_in(int directory, const char *path, int flags, mode_t mode) {
  bool grows = (flags & O_CREAT) != 0 && syscall(SYS_faccessat, directory, path, F_OK) != 0;
  return must_fail(grows, EMFILE) ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_in(AT_FDCWD, path, flags, mode);
}
int openat(int directory, const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return open_in(directory, path, flags, mode);
}
int mkostemp(char *template, int flags) {
  if (must_fail(true, EMFILE)) return -1;
  return mkostemps(template, 0, flags);
}
int access(const char *path, int mode) {
  return must_fail(false, EIO) ? -1 : (int)syscall(SYS_faccessat, AT_FDCWD, path, mode);
}
int stat(const char *path, struct stat *ret) {
  return must_fail(false, EIO) ? -1 : (int)syscall(SYS_newfstatat, AT_FDCWD, path, ret, 0);
}
int __xstat(int version, const char *path, struct stat *ret) {
  (void)version;
  return stat(path, ret);
}
int mkdir(const char *path, mode_t mode) {
  return must_fail(true, EIO) ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
int unlink(const char *path) {
  return must_fail(false, EIO) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int rename(const char *from, const char *to) {
  if (must_fail(true, EIO)) return -1;
  return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int unlinkat(int directory, const char *path, int flags) {
  return must_fail(false, EIO) ? -1 : (int)syscall(SYS_unlinkat, directory, path, flags);
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  if (must_fail(false, EIO)) return -1;
  return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 0);
}

#endif
