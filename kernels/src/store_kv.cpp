// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "attention_program.hpp"
#include "prepare_program.hpp"

namespace gguf_fuse::kernels {
namespace {

bool equal(const HeadShape& a, const HeadShape& b) {
  return a.heads == b.heads && a.kv_heads == b.kv_heads && a.size == b.size;
}

bool has_weights(const StoreShape& shape) { return shape.head_norm != Norm::None || shape.turned_weights; }

Result<void> check_norms(const StoreShape& shape) {
  if (!shape.turned_weights || (shape.turned_norm && shape.head_norm == Norm::None)) return {};
  return fail(Error{.code = ErrorCode::InvalidArgument,
                    .subject = "store_kv",
                    .expected = "weights of one norm, before or behind rotary embedding",
                    .actual = shape.turned_norm ? "both norms" : "no norm behind it"});
}

Result<void> check(const StoreShape& shape, const StoreBuffers& buffers, const Cache& cache, const Buffer& step) {
  GGUF_FUSE_CHECK(check_cache(cache, 1));
  GGUF_FUSE_CHECK(check_norms(shape));
  const std::uint64_t head = std::uint64_t{shape.heads.size} * sizeof(float);
  const bool rotates = shape.rope != Rope::None;
  if (!equal(shape.heads, cache.shape.heads) ||
      (rotates && (shape.rotated > shape.heads.size || shape.rotated % 2 != 0))) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = "store_kv",
                      .expected = "the heads of the cache, and an even number of rotated elements of them",
                      .actual = fmt::format("{} heads of {}, {} kv heads, {} rotated", shape.heads.heads,
                                            shape.heads.size, shape.heads.kv_heads, shape.rotated)});
  }
  const std::uint64_t columns = shape.heads.q_columns() + 2 * std::uint64_t{shape.heads.kv_columns()};
  GGUF_FUSE_CHECK(check_buffers("store_kv", {{"qkv", buffers.qkv, columns * sizeof(float)},
                                             {"q", buffers.q, std::uint64_t{shape.heads.q_columns()} * sizeof(float)},
                                             {"step", step, StepTable::most_bytes(1, 1)}}));
  if (rotates) {
    GGUF_FUSE_CHECK(check_buffers(
        "store_kv", {{"frequencies", buffers.frequencies, std::uint64_t{shape.rotated} / 2 * sizeof(float)}}));
  }
  if (!has_weights(shape)) return {};
  const bool per_head = shape.weights_per_head;
  return check_buffers("store_kv", {{"q_norm", buffers.q_norm, head * (per_head ? shape.heads.heads : 1)},
                                    {"k_norm", buffers.k_norm, head * (per_head ? shape.heads.kv_heads : 1)}});
}

}  // namespace

Result<Operation> store_kv(Device& device, const StoreShape& shape, const StoreBuffers& buffers, const Cache& cache,
                           const Buffer& step) {
  GGUF_FUSE_CHECK(check(shape, buffers, cache, step));
  GGUF_FUSE_ASSIGN(std::shared_ptr<Program> program, attention_program(device, cache.shape));
  GGUF_FUSE_ASSIGN(Launch launch, Launch::make(std::move(program), "store_kv"));
  // Buffers that this shape does not use are given qkv.
  const auto or_qkv = [&](const Buffer& buffer, bool used) { return used ? buffer : buffers.qkv; };
  launch.set("qkv", buffers.qkv).set("frequencies", or_qkv(buffers.frequencies, shape.rope != Rope::None));
  launch.set("q_norm", or_qkv(buffers.q_norm, has_weights(shape)));
  launch.set("k_norm", or_qkv(buffers.k_norm, has_weights(shape)));
  launch.set("q", buffers.q);
  set_cache(launch, cache, step);
  launch.set("rope", static_cast<std::uint32_t>(shape.rope)).set("rotated", shape.rotated);
  launch.set("magnitude", shape.magnitude).set("head_norm", static_cast<std::uint32_t>(shape.head_norm));
  launch.set("head_weights", shape.weights_per_head ? shape.heads.size : 0U);
  launch.set("turned_norm", std::uint32_t{shape.turned_norm}).set("value_norm", std::uint32_t{shape.value_norm});
  launch.set("turned_weights", std::uint32_t{shape.turned_weights});
  launch.set("scale_length", shape.query_scale.length).set("scale_offset", shape.query_scale.offset);
  launch.set("scale_factor", shape.query_scale.factor);
  launch.set("epsilon", shape.epsilon).set("q_factor", shape.q_factor);
  const DeviceProfile profile = device.profile();
  const std::size_t slots = shape.heads.heads + 2 * shape.heads.kv_heads;
  return one_stage("store_kv", std::move(launch), [profile, slots](const StepSize& size) {
    return profile.style == Style::Vector ? task_grid(profile, size.tokens) : task_grid(profile, slots, size.tokens);
  });
}

}  // namespace gguf_fuse::kernels
