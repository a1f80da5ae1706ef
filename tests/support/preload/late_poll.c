// SPDX-License-Identifier: MIT
// The part of the preloaded library that makes a program slow between a poll of one descriptor that found something and
// what it does then: GGUF_FUSE_LATE_POLL milliseconds, whatever signals come meanwhile.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((visibility("default"))) int poll(struct pollfd* descriptors, nfds_t count, int timeout) {
  void* found = dlsym(RTLD_NEXT, "poll");
  __typeof__(&poll) real;
  memcpy(&real, &found, sizeof(real));
  const int ready = real(descriptors, count, timeout);
  const char* late = getenv("GGUF_FUSE_LATE_POLL");
  if (late == NULL || ready <= 0 || count != 1) return ready;
  struct timespec left = {.tv_sec = 0, .tv_nsec = atol(late) * 1000000};
  while (nanosleep(&left, &left) < 0) {
  }
  return ready;
}
