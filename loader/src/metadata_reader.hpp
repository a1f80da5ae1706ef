// SPDX-License-Identifier: MIT
#pragma once

#include "header_reader.hpp"

namespace gguf_fuse::loader::detail {

/// Validates `count` key/value records and returns where each begins and, last, where the section ends.
/// Errors: BadKey, BadValueType, BadBool, StringTooLong, ArrayTooLong, ArrayTooDeep, and the reader's.
[[nodiscard]] Result<std::vector<std::uint64_t>> read_metadata_records(HeaderReader& reader, std::uint64_t count);

}  // namespace gguf_fuse::loader::detail
