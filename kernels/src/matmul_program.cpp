// SPDX-License-Identifier: MIT
#include "matmul_program.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "style.hpp"

namespace gguf_fuse::kernels::detail {
namespace {

/// Different types of the matrices, in order of appearance.
std::vector<const TensorType*> kinds_of(const std::vector<const TensorType*>& types) {
  std::vector<const TensorType*> kinds;
  for (const TensorType* type : types) {
    if (std::find(kinds.begin(), kinds.end(), type) == kinds.end()) kinds.push_back(type);
  }
  return kinds;
}

Defines::value_type activations(Activations kind) {
  return {"ACTIVATION_KIND", std::to_string(static_cast<unsigned>(kind))};
}

/// The text of one type: every name of its own, then the include, then the names given back.
std::string instance(const TensorType& type, std::size_t kind) {
  constexpr const char* kNames[] = {"decode", "decode_float", "group_sums", "tile_sums"};
  std::string text;
  for (const char* name : kNames) text += fmt::format("#define {0} {0}_{1}\n", name, kind);
  text += include_decode(type) + "#include \"matmul_sums.cl\"\n";
  for (const char* name : kNames) text += fmt::format("#undef {}\n", name);
  return text + forget_decode(type);
}

}  // namespace

ProgramSpec product_program(const DeviceProfile& profile, const ProductSpec& product) {
  const std::vector<const TensorType*> kinds = kinds_of(product.types);
  const auto kind = [&](std::size_t matrix) {
    if (matrix >= product.types.size()) return std::string("0");
    return std::to_string(std::find(kinds.begin(), kinds.end(), product.types[matrix]) - kinds.begin());
  };
  ProgramSpec spec;
  spec.source = "#include \"lanes.cl\"\n#include \"dot.cl\"\n#include \"decode/parts.cl\"\n";
  spec.file = fmt::format("{} of", product.name);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    spec.source += instance(*kinds[i], i);
    spec.file += fmt::format(" {}", kinds[i]->name);
  }
  spec.source += fmt::format("#include \"{}_{}.cl\"\n", product.file, style_name(profile.style));
  spec.defines.emplace_back("TILE", std::to_string(product.tile));
  spec.defines.push_back(activations(product.kind));
  spec.defines.emplace_back("GATED", product.gated ? "1" : "0");
  spec.defines.emplace_back("ACTIVATED", product.activated ? "1" : "0");
  spec.defines.emplace_back("KINDS", std::to_string(kinds.size()));
  spec.defines.emplace_back("KIND_1", kind(1));
  spec.defines.emplace_back("KIND_2", kind(2));
  return in_style(std::move(spec), profile);
}

ProgramSpec matmul_program(const DeviceProfile& profile, const MatmulShape& shape) {
  std::vector<const TensorType*> types;
  for (const Matrix& matrix : shape.matrices) types.push_back(matrix.shape.type);
  return product_program(profile, {.name = "matmul",
                                   .file = "matmul",
                                   .types = std::move(types),
                                   .kind = shape.kind,
                                   .tile = shape.tile,
                                   .gated = shape.epilogue == Epilogue::Gated,
                                   .activated = shape.epilogue == Epilogue::Activated});
}

ProgramSpec embed_program(const DeviceProfile& profile, const TensorType& type) {
  ProgramSpec spec;
  spec.file = fmt::format("embed of {}", type.name);
  spec.source =
      "#include \"lanes.cl\"\n#include \"decode/parts.cl\"\n" + include_decode(type) + "#include \"embed.cl\"\n";
  // A curve is one of floats here, too.
  spec.defines.push_back(activations(Activations::F32));
  return in_style(std::move(spec), profile);
}

Result<void> check_matrix(const Matrix& matrix) {
  const TensorType* type = matrix.shape.type;
  if (type == nullptr || !can_compute(*type)) {
    return fail(
        Error{.code = ErrorCode::UnsupportedType, .subject = type == nullptr ? "no type" : std::string(type->name)});
  }
  const auto invalid = [&](std::string expected, std::string actual) {
    return fail(Error{.code = ErrorCode::InvalidArgument,
                      .subject = fmt::format("matrix of {}", type->name),
                      .expected = std::move(expected),
                      .actual = std::move(actual)});
  };
  if (matrix.shape.rows == 0 || matrix.shape.columns == 0 || matrix.shape.columns % type->block_elements != 0) {
    return invalid(fmt::format("rows of whole blocks of {}", type->block_elements),
                   fmt::format("{} x {}", matrix.shape.rows, matrix.shape.columns));
  }
  if (matrix.offset % 64 != 0) return invalid("an offset that is a multiple of 64", std::to_string(matrix.offset));
  if (!matrix.buffer || matrix.offset > matrix.buffer.bytes() ||
      matrix.shape.bytes() > matrix.buffer.bytes() - matrix.offset) {
    return invalid(fmt::format("{} bytes from {} in its buffer", matrix.shape.bytes(), matrix.offset),
                   matrix.buffer ? std::to_string(matrix.buffer.bytes()) : "no buffer");
  }
  return {};
}

}  // namespace gguf_fuse::kernels::detail
