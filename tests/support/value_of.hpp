// SPDX-License-Identifier: MIT
#pragma once

#include <stdexcept>
#include <type_traits>
#include <utility>

#include "gguf_fuse/loader/error.hpp"
#include "support/namespace.hpp"

namespace gguf_fuse::test_support {

/// A result's value; throws std::runtime_error with the error's message.
template <typename T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace gguf_fuse::test_support
