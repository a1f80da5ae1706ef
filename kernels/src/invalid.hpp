// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "gguf_fuse/loader/error.hpp"

namespace gguf_fuse::kernels::detail {

/// What a caller of an operation got wrong.
[[nodiscard]] inline tl::unexpected<Error> invalid(std::string subject, std::string expected, std::string actual) {
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = std::move(subject),
                    .expected = std::move(expected),
                    .actual = std::move(actual)});
}

}  // namespace gguf_fuse::kernels::detail
