// SPDX-License-Identifier: MIT
#include "packing_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "gguf_fuse/kernels/packing.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

std::string decode_file(const TensorType& type) {
  std::string name(type.name);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return "decode/" + name + ".cl";
}

}  // namespace

const Packing* find_packing(const TensorType& type) {
  for (const std::span<const Packing> family : {basic_packings(), k_packings(), iq_packings(), ik_packings()}) {
    for (const Packing& packing : family) {
      if (packing.type == type.name) return &packing;
    }
  }
  return nullptr;
}

PackedBlock packed_block(const TensorType& type) {
  const std::uint32_t count = holds_floats(type) ? kGroupElements : 1;
  return {.elements = count * type.block_elements, .bytes = count * type.block_bytes};
}

std::string include_decode(const TensorType& type) {
  const PackedBlock block = packed_block(type);
  std::string text =
      fmt::format("#define BLOCK_GROUPS {}\n#define BLOCK_BYTES {}\n", block.elements / kGroupElements, block.bytes);
  std::uint32_t first = 0;
  for (const Region& region : find_packing(type)->regions) {
    if (region.bytes == 0) break;
    text += fmt::format("#define FIRST_OF_{0} {1}\n#define BYTES_OF_{0} {2}\n", region.name, first, region.bytes);
    first += region.bytes;
  }
  return text + fmt::format("#include \"{}\"\n", decode_file(type));
}

std::string forget_decode(const TensorType& type) {
  std::string text = "#undef SUBGROUPS\n#undef FLOAT_WEIGHTS\n#undef CURVE\n#undef BLOCK_GROUPS\n#undef BLOCK_BYTES\n";
  for (const Region& region : find_packing(type)->regions) {
    if (region.bytes == 0) break;
    text += fmt::format("#undef FIRST_OF_{0}\n#undef BYTES_OF_{0}\n", region.name);
  }
  return text;
}

}  // namespace gguf_fuse::kernels::detail
