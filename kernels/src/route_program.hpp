// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "gguf_fuse/kernels/experts.hpp"
#include "prelude.hpp"

namespace gguf_fuse::kernels::detail {

/// The program of everything between the experts' products: route_tokens, group_slots, gather_tokens, combine_experts.
[[nodiscard]] Result<std::shared_ptr<Program>> routing_program(Device& device);

/// InvalidArgument unless its sizes are possible and its buffers are there and large enough.
[[nodiscard]] Result<void> check_routing(const Routing& routing);

/// What products of experts are told of it.
[[nodiscard]] inline std::uint32_t weigh_flag(const RoutingShape& shape) {
  return shape.weigh_input ? kFlagWeighInput : 0;
}

/// The most slots of a routing.
[[nodiscard]] inline std::uint32_t all_slots(const RoutingShape& shape) { return shape.slots(shape.max_tokens); }

}  // namespace gguf_fuse::kernels::detail
