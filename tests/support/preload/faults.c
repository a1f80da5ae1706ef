// SPDX-License-Identifier: MIT
// LD_PRELOAD library that makes system calls of an unmodified program fail.
//
// GGUF_FUSE_FAULT="CALL:N:WHAT[,...]": the N-th CALL (from 1; "N+": that one and all later ones) fails with the errno
// WHAT (a name or a number), does half of its work ("short": read, pread, write, pwrite, copy_file_range) or nothing
// ("zero": the same ones, which then return 0), calls a file empty ("zero": fstat), or kills the process before it
// happens ("kill"). GGUF_FUSE_FAULT_LOG=FILE: at exit "CALL COUNT" is appended for every call that
// happened, and "fired COUNT", so that a test can go through N = 1 .. COUNT.
//
// Counted are threads that are started, and calls on regular files, folders and pipes other than standard output and
// error. What the C library and the loader need for themselves (/proc, /etc, /lib, *.so and the like) is left alone.
// 64-bit variants count under the plain name. With names of their own: opening and reading past the page cache
// (direct_open, direct_pread), opening a file without a name (tmpfile_open) and fsync of a folder (folder_fsync).
// madvise counts always.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

// clang-format off
#define CALLS(X) \
  X(open) X(openat) X(read) X(pread) X(write) X(pwrite) X(fsync) X(fdatasync) X(close) X(rename) \
  X(renameat) X(renameat2) X(linkat) X(unlink) X(unlinkat) X(ftruncate) X(fallocate) \
  X(posix_fallocate) X(copy_file_range) X(sync_file_range) X(stat) X(lstat) X(fstat) X(fstatat) \
  X(fstatvfs) X(statvfs) X(fchmod) X(flock) X(lseek) X(mmap) \
  X(direct_open) X(direct_pread) X(tmpfile_open) X(folder_fsync) X(madvise) X(posix_fadvise) \
  X(fstatfs) X(mincore) X(fchown) X(faccessat) X(pthread_create)
// clang-format on

enum Call {
#define X(name) CALL_##name,
  CALLS(X)
#undef X
      CALL_COUNT
};

static const char* const kNames[CALL_COUNT] = {
#define X(name) #name,
    CALLS(X)
#undef X
};

static const struct {
  const char* name;
  int number;
} kErrors[] = {
#define E(name) {#name, name},
    E(EACCES) E(EAGAIN) E(EBADF) E(EBUSY) E(EDQUOT) E(EEXIST) E(EFAULT) E(EFBIG) E(EINTR) E(EINVAL) E(EIO) E(EISDIR)
        E(ELOOP) E(EMFILE) E(ENODEV) E(ENOENT) E(ENOLCK) E(ENOMEM) E(ENOSPC) E(ENOSYS) E(ENOTDIR) E(ENOTTY)
            E(EOPNOTSUPP) E(EOVERFLOW) E(EPERM) E(EPIPE) E(EROFS) E(ESTALE) E(ETXTBSY) E(EXDEV)
#undef E
};

enum { SHORT = -1, KILL = -2, ZERO = -3, NO_FAULT = 0, MAX_FAULTS = 8, MAX_IGNORED = 4096 };

static struct {
  enum Call call;
  unsigned long first;
  bool repeated;
  int what;
} faults[MAX_FAULTS];
static int fault_count;
static bool ready;
static atomic_ulong counts[CALL_COUNT];
static atomic_ulong fired;
static atomic_bool ignored[MAX_IGNORED];
static atomic_bool direct[MAX_IGNORED];

static void* next_function(const char* name) {
  void* function = dlsym(RTLD_NEXT, name);
  if (function == NULL) _exit(99);
  return function;
}

// The next definition of the function this is used in, as `real`.
#define REAL(name)                                   \
  static _Atomic(void*) found_##name;                \
  void* address_##name = atomic_load(&found_##name); \
  if (address_##name == NULL) {                      \
    address_##name = next_function(#name);           \
    atomic_store(&found_##name, address_##name);     \
  }                                                  \
  __typeof__(&name) real;                            \
  memcpy(&real, &address_##name, sizeof(real))

static bool counts_path(const char* path) {
  static const char* const kSystem[] = {"/proc", "/etc", "/lib", "/usr/", "/sys", "/dev"};
  if (!ready || path == NULL || strstr(path, ".so") != NULL) return false;
  for (size_t i = 0; i < sizeof(kSystem) / sizeof(kSystem[0]); ++i) {
    if (strncmp(path, kSystem[i], strlen(kSystem[i])) == 0) return false;
  }
  return true;
}

static bool counts_descriptor(int descriptor) {
  if (!ready || descriptor < 0 || descriptor == STDOUT_FILENO || descriptor == STDERR_FILENO) return false;
  if (descriptor < MAX_IGNORED && atomic_load(&ignored[descriptor])) return false;
  REAL(fstat);
  const int saved = errno;
  struct stat status;
  const bool known = real(descriptor, &status) == 0;
  errno = saved;
  return known && (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISDIR(status.st_mode));
}

// Counts a call; what is to happen to it.
static int next_fault(enum Call call) {
  const unsigned long number = atomic_fetch_add(&counts[call], 1) + 1;
  for (int i = 0; i < fault_count; ++i) {
    if (faults[i].call != call || (number != faults[i].first && !(faults[i].repeated && number > faults[i].first)))
      continue;
    atomic_fetch_add(&fired, 1);
    if (faults[i].what == KILL) kill(getpid(), SIGKILL);
    return faults[i].what;
  }
  return NO_FAULT;
}

static int path_fault(enum Call call, const char* path) { return counts_path(path) ? next_fault(call) : NO_FAULT; }
static int descriptor_fault(enum Call call, int descriptor) {
  return counts_descriptor(descriptor) ? next_fault(call) : NO_FAULT;
}

static size_t half(size_t count) { return count > 1 ? count / 2 : count; }

static void refuse(const char* text) {
  fprintf(stderr, "faults: cannot understand GGUF_FUSE_FAULT at \"%s\"\n", text);
  _exit(99);
}

static int parse_what(const char* text) {
  if (strcmp(text, "short") == 0) return SHORT;
  if (strcmp(text, "kill") == 0) return KILL;
  if (strcmp(text, "zero") == 0) return ZERO;
  for (size_t i = 0; i < sizeof(kErrors) / sizeof(kErrors[0]); ++i) {
    if (strcmp(text, kErrors[i].name) == 0) return kErrors[i].number;
  }
  const int number = atoi(text);
  if (number <= 0) refuse(text);
  return number;
}

static void parse_fault(char* text) {
  char* rest = NULL;
  const char* name = strtok_r(text, ":", &rest);
  const char* first = strtok_r(NULL, ":", &rest);
  const char* what = strtok_r(NULL, ":", &rest);
  if (name == NULL || first == NULL || what == NULL || fault_count == MAX_FAULTS) refuse(text);
  int call = 0;
  while (call < CALL_COUNT && strcmp(name, kNames[call]) != 0) ++call;
  char* end = NULL;
  const unsigned long number = strtoul(first, &end, 10);
  if (call == CALL_COUNT || number == 0) refuse(name);
  faults[fault_count].call = (enum Call)call;
  faults[fault_count].first = number;
  faults[fault_count].repeated = *end == '+';
  faults[fault_count].what = parse_what(what);
  ++fault_count;
}

__attribute__((constructor)) static void start(void) {
  const char* text = getenv("GGUF_FUSE_FAULT");
  if (text != NULL && *text != '\0') {
    static char copy[1024];
    snprintf(copy, sizeof(copy), "%s", text);
    char* rest = NULL;
    for (char* part = strtok_r(copy, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) parse_fault(part);
  }
  ready = true;
}

__attribute__((destructor)) static void finish(void) {
  ready = false;
  const char* path = getenv("GGUF_FUSE_FAULT_LOG");
  FILE* log = path != NULL && *path != '\0' ? fopen(path, "a") : NULL;
  if (log == NULL) return;
  for (int call = 0; call < CALL_COUNT; ++call) {
    const unsigned long count = atomic_load(&counts[call]);
    if (count > 0) fprintf(log, "%s %lu\n", kNames[call], count);
  }
  fprintf(log, "fired %lu\n", atomic_load(&fired));
  fclose(log);
}

static bool is_direct(int descriptor) {
  return descriptor >= 0 && descriptor < MAX_IGNORED && atomic_load(&direct[descriptor]);
}

static bool is_folder(int descriptor) {
  REAL(fstat);
  const int saved = errno;
  struct stat status;
  const bool folder = real(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  errno = saved;
  return folder;
}

static int open_fault(enum Call call, const char* path, int flags) {
  if ((flags & O_TMPFILE) == O_TMPFILE) return path_fault(CALL_tmpfile_open, path);
  // A descriptor is opened once more by its name in /proc.
  if ((flags & O_DIRECT) != 0) return ready ? next_fault(CALL_direct_open) : NO_FAULT;
  return path_fault(call, path);
}

static int opened(int descriptor, const char* path, int flags) {
  if (descriptor < 0 || descriptor >= MAX_IGNORED) return descriptor;
  const bool past_cache = (flags & O_DIRECT) != 0;
  atomic_store(&ignored[descriptor], !past_cache && !counts_path(path));
  atomic_store(&direct[descriptor], past_cache);
  return descriptor;
}

#define EXPORT __attribute__((visibility("default")))
#define FAIL(fault, failure)   \
  do {                         \
    const int what_ = (fault); \
    if (what_ > 0) {           \
      errno = what_;           \
      return failure;          \
    }                          \
  } while (0)

// The mode is there only with the flags that create something.
#define MODE_ARGUMENT(flags)                                        \
  mode_t mode = 0;                                                  \
  if (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE) { \
    va_list arguments;                                              \
    va_start(arguments, flags);                                     \
    mode = va_arg(arguments, mode_t);                               \
    va_end(arguments);                                              \
  }

#define WRAP_OPEN(name)                                  \
  EXPORT int name(const char* path, int flags, ...) {    \
    MODE_ARGUMENT(flags)                                 \
    REAL(name);                                          \
    FAIL(open_fault(CALL_open, path, flags), -1);        \
    return opened(real(path, flags, mode), path, flags); \
  }
WRAP_OPEN(open)
WRAP_OPEN(open64)

#define WRAP_OPENAT(name)                                         \
  EXPORT int name(int folder, const char* path, int flags, ...) { \
    MODE_ARGUMENT(flags)                                          \
    REAL(name);                                                   \
    FAIL(open_fault(CALL_openat, path, flags), -1);               \
    return opened(real(folder, path, flags, mode), path, flags);  \
  }
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

// A call that moves `count` bytes and may move fewer.
#define WRAP_TRANSFER(name, call, descriptor, parameters, ...) \
  EXPORT ssize_t name parameters {                             \
    REAL(name);                                                \
    const int fault = descriptor_fault(call, descriptor);      \
    FAIL(fault, -1);                                           \
    if (fault == ZERO) return 0;                               \
    if (fault == SHORT) count = half(count);                   \
    return real(__VA_ARGS__);                                  \
  }
WRAP_TRANSFER(read, CALL_read, fd, (int fd, void* to, size_t count), fd, to, count)
WRAP_TRANSFER(pread, is_direct(fd) ? CALL_direct_pread : CALL_pread, fd, (int fd, void* to, size_t count, off_t offset),
              fd, to, count, offset)
WRAP_TRANSFER(pread64, is_direct(fd) ? CALL_direct_pread : CALL_pread, fd,
              (int fd, void* to, size_t count, off64_t offset), fd, to, count, offset)
WRAP_TRANSFER(write, CALL_write, fd, (int fd, const void* from, size_t count), fd, from, count)
WRAP_TRANSFER(pwrite, CALL_pwrite, fd, (int fd, const void* from, size_t count, off_t offset), fd, from, count, offset)
WRAP_TRANSFER(pwrite64, CALL_pwrite, fd, (int fd, const void* from, size_t count, off64_t offset), fd, from, count,
              offset)
WRAP_TRANSFER(copy_file_range, CALL_copy_file_range, to,
              (int from, off64_t* from_offset, int to, off64_t* to_offset, size_t count, unsigned flags), from,
              from_offset, to, to_offset, count, flags)

// A call on a descriptor or a path that works or fails.
#define WRAP(result, name, call, fault, subject, failure, parameters, ...) \
  EXPORT result name parameters {                                          \
    REAL(name);                                                            \
    FAIL(fault(CALL_##call, subject), failure);                            \
    return real(__VA_ARGS__);                                              \
  }
#define WRAP_FD(name, call, parameters, ...) WRAP(int, name, call, descriptor_fault, fd, -1, parameters, __VA_ARGS__)
#define WRAP_PATH(name, call, parameters, ...) WRAP(int, name, call, path_fault, path, -1, parameters, __VA_ARGS__)

WRAP_FD(fdatasync, fdatasync, (int fd), fd)
WRAP_FD(ftruncate, ftruncate, (int fd, off_t size), fd, size)
WRAP_FD(ftruncate64, ftruncate, (int fd, off64_t size), fd, size)
WRAP_FD(fallocate, fallocate, (int fd, int mode, off_t offset, off_t bytes), fd, mode, offset, bytes)
WRAP_FD(fallocate64, fallocate, (int fd, int mode, off64_t offset, off64_t bytes), fd, mode, offset, bytes)
WRAP_FD(sync_file_range, sync_file_range, (int fd, off64_t offset, off64_t bytes, unsigned flags), fd, offset, bytes,
        flags)
WRAP_FD(fchown, fchown, (int fd, uid_t user, gid_t group), fd, user, group)
WRAP_FD(fstatfs, fstatfs, (int fd, struct statfs* status), fd, status)
WRAP_FD(fstatfs64, fstatfs, (int fd, struct statfs64* status), fd, status)
WRAP_FD(fstatvfs, fstatvfs, (int fd, struct statvfs* status), fd, status)
WRAP_FD(fstatvfs64, fstatvfs, (int fd, struct statvfs64* status), fd, status)
WRAP_FD(fchmod, fchmod, (int fd, mode_t mode), fd, mode)
WRAP_FD(flock, flock, (int fd, int operation), fd, operation)
WRAP_PATH(stat, stat, (const char* restrict path, struct stat* restrict status), path, status)
WRAP_PATH(stat64, stat, (const char* restrict path, struct stat64* restrict status), path, status)
WRAP_PATH(lstat, lstat, (const char* restrict path, struct stat* restrict status), path, status)
WRAP_PATH(lstat64, lstat, (const char* restrict path, struct stat64* restrict status), path, status)
WRAP_PATH(fstatat, fstatat, (int fd, const char* restrict path, struct stat* restrict status, int flags), fd, path,
          status, flags)
WRAP_PATH(fstatat64, fstatat, (int fd, const char* restrict path, struct stat64* restrict status, int flags), fd, path,
          status, flags)
WRAP_PATH(statvfs, statvfs, (const char* restrict path, struct statvfs* restrict status), path, status)
WRAP_PATH(statvfs64, statvfs, (const char* restrict path, struct statvfs64* restrict status), path, status)
WRAP_PATH(rename, rename, (const char* path, const char* to), path, to)
WRAP_PATH(renameat, renameat, (int from, const char* path, int folder, const char* to), from, path, folder, to)
WRAP_PATH(renameat2, renameat2, (int from, const char* path, int folder, const char* to, unsigned flags), from, path,
          folder, to, flags)
WRAP_PATH(linkat, linkat, (int from, const char* path, int folder, const char* to, int flags), from, path, folder, to,
          flags)
WRAP_PATH(unlink, unlink, (const char* path), path)
WRAP_PATH(unlinkat, unlinkat, (int folder, const char* path, int flags), folder, path, flags)
WRAP_PATH(faccessat, faccessat, (int folder, const char* path, int mode, int flags), folder, path, mode, flags)
WRAP(off_t, lseek, lseek, descriptor_fault, fd, -1, (int fd, off_t offset, int whence), fd, offset, whence)
WRAP(off64_t, lseek64, lseek, descriptor_fault, fd, -1, (int fd, off64_t offset, int whence), fd, offset, whence)
WRAP(void*, mmap, mmap, descriptor_fault, fd, MAP_FAILED,
     (void* address, size_t bytes, int protection, int flags, int fd, off_t offset), address, bytes, protection, flags,
     fd, offset)
WRAP(void*, mmap64, mmap, descriptor_fault, fd, MAP_FAILED,
     (void* address, size_t bytes, int protection, int flags, int fd, off64_t offset), address, bytes, protection,
     flags, fd, offset)

EXPORT int fsync(int fd) {
  REAL(fsync);
  FAIL(descriptor_fault(is_folder(fd) ? CALL_folder_fsync : CALL_fsync, fd), -1);
  return real(fd);
}

#define WRAP_FSTAT(name, type)                             \
  EXPORT int name(int fd, struct type* status) {           \
    REAL(name);                                            \
    const int fault = descriptor_fault(CALL_fstat, fd);    \
    FAIL(fault, -1);                                       \
    const int result = real(fd, status);                   \
    if (result == 0 && fault == ZERO) status->st_size = 0; \
    return result;                                         \
  }
WRAP_FSTAT(fstat, stat)
WRAP_FSTAT(fstat64, stat64)

// Of mappings, not of files.
#define WRAP_MEMORY(name, parameters, ...)                \
  EXPORT int name parameters {                            \
    REAL(name);                                           \
    FAIL(ready ? next_fault(CALL_##name) : NO_FAULT, -1); \
    return real(__VA_ARGS__);                             \
  }
WRAP_MEMORY(madvise, (void* address, size_t bytes, int advice), address, bytes, advice)
WRAP_MEMORY(mincore, (void* address, size_t bytes, unsigned char* present), address, bytes, present)

// These return the error instead of setting errno.
#define WRAP_RETURNED(name, call, parameters, ...)       \
  EXPORT int name parameters {                           \
    REAL(name);                                          \
    const int fault = descriptor_fault(CALL_##call, fd); \
    return fault > 0 ? fault : real(__VA_ARGS__);        \
  }
WRAP_RETURNED(posix_fallocate, posix_fallocate, (int fd, off_t offset, off_t bytes), fd, offset, bytes)
WRAP_RETURNED(posix_fallocate64, posix_fallocate, (int fd, off64_t offset, off64_t bytes), fd, offset, bytes)
WRAP_RETURNED(posix_fadvise, posix_fadvise, (int fd, off_t offset, off_t bytes, int advice), fd, offset, bytes, advice)
WRAP_RETURNED(posix_fadvise64, posix_fadvise, (int fd, off64_t offset, off64_t bytes, int advice), fd, offset, bytes,
              advice)

EXPORT int pthread_create(pthread_t* restrict thread, const pthread_attr_t* restrict attributes, void* (*start)(void*),
                          void* restrict argument) {
  REAL(pthread_create);
  const int fault = ready ? next_fault(CALL_pthread_create) : NO_FAULT;
  return fault > 0 ? fault : real(thread, attributes, start, argument);
}

// Whatever it returns, Linux has closed the descriptor.
EXPORT int close(int fd) {
  REAL(close);
  const int fault = descriptor_fault(CALL_close, fd);
  if (fd >= 0 && fd < MAX_IGNORED) atomic_store(&ignored[fd], false);
  const int result = real(fd);
  FAIL(fault, -1);
  return result;
}
