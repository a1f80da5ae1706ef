// SPDX-License-Identifier: MIT
// GGUF_FUSE_SANITIZED: 1 where AddressSanitizer or ThreadSanitizer is compiled in, which take more of everything and
// bring their own allocator; else 0. GCC says so by macros, clang by features.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GGUF_FUSE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GGUF_FUSE_SANITIZED 1
#endif
#endif
#ifndef GGUF_FUSE_SANITIZED
#define GGUF_FUSE_SANITIZED 0
#endif
