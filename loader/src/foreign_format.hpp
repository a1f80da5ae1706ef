// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "gguf_fuse/loader/source.hpp"

namespace gguf_fuse::loader::detail {

/// What a file is that people give by mistake, and what they may do instead (empty: nothing better than the usual).
struct ForeignFormat {
  std::string name;
  std::string hint;
};

/// Told by the first bytes of a file that is not GGUF; an unknown one is named by its first four.
[[nodiscard]] ForeignFormat recognise_foreign(std::string_view head);

/// The same for a source of which `read` was read.
[[nodiscard]] ForeignFormat recognise_foreign(Source& source, std::string_view read);

}  // namespace gguf_fuse::loader::detail
