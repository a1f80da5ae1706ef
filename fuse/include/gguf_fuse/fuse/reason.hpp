// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "gguf_fuse/fuse/namespace.hpp"
#include "gguf_fuse/loader/export.hpp"

namespace gguf_fuse::fuse {

/// What became of a rule in a layer, or that a reason is about no rule.
enum class Outcome : std::uint8_t {
  Fused,
  TakenApart,   ///< in plans of unfuse
  StoredFused,  ///< it came so, and stays so
  LeftOut,      ///< as the options ask
  Refused,      ///< it must not, or cannot, be done
  Noted,        ///< about a plan, a record or a conversion
};

/// Why a layer's tensors are fused, taken apart or left alone, why an engine does not load a file, and what else there
/// is to say about a plan (reason_list.inc holds one row each).
enum class ReasonCode : std::uint8_t {
#define GGUF_FUSE_REASON(code, outcome, clause) code,
#include "gguf_fuse/fuse/reason_list.inc"
#undef GGUF_FUSE_REASON
};

struct Reason {
  ReasonCode code{};
  std::vector<std::string> arguments{};  ///< names and numbers, safe for a terminal; a list is one, with commas
  std::string engine{};                  ///< of the codes that are about one

  friend bool operator==(const Reason&, const Reason&) = default;
  friend bool operator<(const Reason& a, const Reason& b) {
    return std::tie(a.code, a.arguments, a.engine) < std::tie(b.code, b.arguments, b.engine);
  }

  [[nodiscard]] GGUF_FUSE_EXPORT Outcome outcome() const;
  /// What the engine does, for sentences of which it is the subject; where it is not, the same as text().
  [[nodiscard]] GGUF_FUSE_EXPORT std::string clause() const;
  /// The reason in words, one clause. Here, and not in the programs, because errors and descriptions of models say it,
  /// too.
  [[nodiscard]] GGUF_FUSE_EXPORT std::string text() const;
};

/// Their texts, with ", and " between them.
[[nodiscard]] GGUF_FUSE_EXPORT std::string texts_of(const std::vector<Reason>& reasons);

}  // namespace gguf_fuse::fuse
