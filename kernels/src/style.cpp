// SPDX-License-Identifier: MIT
#include "style.hpp"

#include <algorithm>
#include <iterator>

namespace gguf_fuse::kernels::detail {
namespace {

struct DotRow {
  DotProduct dot;
  const char* define;
  bool assembly_avx512;  ///< inline assembly of 512-bit instructions works here, whatever it computes
  const char* option;    ///< of the compiler; none when empty
};

constexpr DotRow kDots[] = {
    {DotProduct::None, "DOT_NONE", false, ""},
    {DotProduct::VnniAvx512, "DOT_VNNI_AVX512", true, ""},
    {DotProduct::VnniAvx, "DOT_VNNI_AVX", false, ""},
    {DotProduct::KhrInteger, "DOT_KHR_INTEGER", false, "-cl-std=CL3.0"},
    {DotProduct::Dp4a, "DOT_DP4A", false, ""},
};

const DotRow& dot_row(DotProduct dot) {
  return *std::find_if(std::begin(kDots), std::end(kDots), [&](const DotRow& row) { return row.dot == dot; });
}

Defines with_style(const DeviceProfile& profile, const DotRow& row, const Defines& own) {
  Defines defines{{profile.style == Style::Vector ? "STYLE_VECTOR" : "STYLE_GROUP", ""}, {row.define, ""}};
  if (profile.prefetch) defines.emplace_back("PREFETCH", "");
  if (row.assembly_avx512) defines.emplace_back("ASSEMBLY_AVX512", "");
  defines.insert(defines.end(), own.begin(), own.end());
  return defines;
}

}  // namespace

const char* dot_define(DotProduct dot) { return dot_row(dot).define; }

ProgramSpec in_style(ProgramSpec spec, const DeviceProfile& profile) {
  const DotRow& row = dot_row(profile.dot);
  if (profile.dot != DotProduct::None) {
    spec.fallbacks.push_back(with_style(profile, dot_row(DotProduct::None), spec.defines));
  }
  spec.defines = with_style(profile, row, spec.defines);
  if (*row.option != '\0') spec.options.emplace_back(row.option);
  return spec;
}

}  // namespace gguf_fuse::kernels::detail
