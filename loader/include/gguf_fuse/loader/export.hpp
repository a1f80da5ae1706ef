// SPDX-License-Identifier: MIT
#pragma once

/// Marks what the shared libraries export; everything else stays hidden.
#define GGUF_FUSE_EXPORT __attribute__((visibility("default")))
