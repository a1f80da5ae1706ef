// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "gguf_fuse/fuse/reason.hpp"

namespace gguf_fuse::fuse::detail {

struct ReasonRow {
  Outcome outcome;
  std::string_view clause;

  [[nodiscard]] constexpr std::size_t argument_count() const {
    std::size_t count = 0;
    for (std::size_t at = clause.find("{}"); at != std::string_view::npos; at = clause.find("{}", at + 2)) ++count;
    return count;
  }
};

inline constexpr std::array kReasons = {
#define GGUF_FUSE_REASON(code, outcome, clause) ReasonRow{Outcome::outcome, clause},
#include "gguf_fuse/fuse/reason_list.inc"
#undef GGUF_FUSE_REASON
};

/// How the library comes to a reason: with as many arguments as its clause has places.
template <ReasonCode Code, typename... Arguments>
[[nodiscard]] Reason because(const Arguments&... arguments) {
  static_assert(kReasons[static_cast<std::size_t>(Code)].argument_count() == sizeof...(Arguments));
  return {.code = Code, .arguments = {fmt::format("{}", arguments)...}};
}

}  // namespace gguf_fuse::fuse::detail
