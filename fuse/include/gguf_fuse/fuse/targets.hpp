// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gguf_fuse/fuse/rules.hpp"

namespace gguf_fuse::fuse {

/// For which engine a file is made.
enum class Target : std::uint8_t {
  LlamaCpp,    ///< mainline llama.cpp
  IkLlamaCpp,  ///< ik_llama.cpp
  GgufFuse,    ///< our own runtime: everything that is legal
  Both,        ///< only what both engines read
};

struct TargetRow {
  Target target;
  std::string_view name;  ///< the word of --target
  std::string_view description;
  std::uint8_t engines = 0;  ///< Engines that have to read the file; none for our own runtime
};
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const TargetRow> targets();
[[nodiscard]] GGUF_FUSE_EXPORT std::optional<Target> find_target(std::string_view name);
/// A number that is no Target gives "unknown", without engines.
[[nodiscard]] GGUF_FUSE_EXPORT const TargetRow& target_row(Target target);
[[nodiscard]] GGUF_FUSE_EXPORT std::string_view target_name(Target target);

/// What an engine does with a fused tensor of an architecture.
enum class Support : std::uint8_t {
  Unknown,   ///< the engine has no such architecture
  No,        ///< load error
  Yes,       ///< read as an alternative to the separate tensors
  Required,  ///< only the fused tensor is read
  Crashes,   ///< loads, then crashes or goes wrong
  None,      ///< the architecture has no such tensors
};

/// What sets an architecture's attention apart, as a bit set.
enum AttentionTraits : std::uint8_t {
  kPlainAttention = 0,
  kNoFusedBias = 1,     ///< attn_qkv.bias is not read beside attn_qkv.weight
  kGatedQueries = 2,    ///< Q may hold a gate beside each head: twice the rows
  kQkNormBreaks = 4,    ///< a layer with attn_q_norm or attn_k_norm must keep Q, K and V apart
  kOtherQkvLayout = 8,  ///< some layers store attn_qkv in an order of their own
};

/// A restriction in words, shown by --explain.
struct Trap {
  std::string_view text{};
  std::string_view engine{};  ///< the subject of `text`, which is a whole clause where it is empty
};

/// One architecture: what mainline llama.cpp and ik_llama.cpp read.
/// Source: docs/engines.md (llama.cpp 0.5.0-dev, ik_llama.cpp 8337e4cd).
struct ArchitectureRow {
  std::string_view name;  ///< general.architecture
  Support mainline_experts, mainline_dense, mainline_qkv;
  Support ik_experts, ik_dense, ik_qkv;
  std::uint8_t traits = kPlainAttention;  ///< AttentionTraits
  Trap trap{};                            ///< never empty where an engine crashes, or QK norms break
  Support mainline_shared = Support::No;  ///< gate+up of the shared expert
  Support mainline_stacks = stacks_of(mainline_experts), ik_stacks = stacks_of(ik_experts);

  /// Who knows experts at all reads them stacked, and few engines read anything else.
  [[nodiscard]] static constexpr Support stacks_of(Support experts) {
    return experts == Support::Unknown || experts == Support::None ? experts : Support::Required;
  }
};
[[nodiscard]] GGUF_FUSE_EXPORT std::span<const ArchitectureRow> architectures();
[[nodiscard]] GGUF_FUSE_EXPORT const ArchitectureRow* find_architecture(std::string_view name);

/// What `target` does with `rule`'s fused tensor in `architecture`.
[[nodiscard]] GGUF_FUSE_EXPORT Support support(Target target, std::string_view architecture, RuleId rule);

}  // namespace gguf_fuse::fuse
