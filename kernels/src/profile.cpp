// SPDX-License-Identifier: MIT
#include "gguf_fuse/kernels/profile.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "profile_rules.hpp"

namespace gguf_fuse::kernels {
namespace {

struct StyleRow {
  Style style;
  std::string_view name;
  bool (*applies)(const DeviceInfo&);
  std::string_view reason;
};

bool mesa_on_cpu(const DeviceInfo& info) { return info.type == DeviceType::Cpu && info.platform == "rusticl"; }

constexpr StyleRow kStyles[] = {
    {Style::Group, "group", mesa_on_cpu, "Mesa runs work-items side by side, in the lanes of a vector"},
    {Style::Vector, "vector", [](const DeviceInfo& info) { return info.type == DeviceType::Cpu; },
     "CPU compilers do not vectorise across work-items that hold loops"},
    {Style::Group, "group", [](const DeviceInfo&) { return true; }, "lanes run side by side and share loads"},
};

struct DotRow {
  DotProduct dot;
  std::string_view name;
  bool (*applies)(const DeviceInfo&, const HostCpu&);
  bool risky;  ///< inline assembly: a compiler that cannot handle it may end the process
  std::string_view reason;
};

bool intel_on_cpu(const DeviceInfo& info) {
  return info.type == DeviceType::Cpu && info.platform.find("Intel(R) OpenCL") != std::string::npos;
}
bool pocl_on_cpu(const DeviceInfo& info) { return info.type == DeviceType::Cpu && is_pocl(info); }

// The first row that applies wins. Intel's CPU runtime refuses inline assembly and does not vectorise its packed dot
// product, so that no row is for it.
constexpr DotRow kDots[] = {
    {DotProduct::VnniAvx512, "vnni-avx512",
     [](const DeviceInfo& info, const HostCpu& cpu) { return pocl_on_cpu(info) && cpu.vnni_avx512; }, true,
     "PoCL takes inline assembly and the CPU has AVX512-VNNI"},
    {DotProduct::VnniAvx, "vnni-avx",
     [](const DeviceInfo& info, const HostCpu& cpu) { return pocl_on_cpu(info) && cpu.vnni_avx; }, true,
     "PoCL takes inline assembly and the CPU has AVX-VNNI"},
    {DotProduct::Dp4a, "dp4a",
     [](const DeviceInfo& info, const HostCpu&) {
       return info.type == DeviceType::Gpu && !is_pocl(info) && info.vendor.find("NVIDIA") != std::string::npos;
     },
     true, "NVIDIA's compiler takes inline PTX"},
    {DotProduct::KhrInteger, "khr-integer",
     [](const DeviceInfo& info, const HostCpu&) { return info.type == DeviceType::Gpu && info.packed_dot_product; },
     false, "the driver has cl_khr_integer_dot_product with packed operands"},
    {DotProduct::None, "none", [](const DeviceInfo&, const HostCpu&) { return true; }, false,
     "no 8-bit dot product is known for this device"},
};

struct EightBitRow {
  bool eight_bit;
  bool (*applies)(const DeviceInfo&, DotProduct);
  std::string_view reason;
};

constexpr EightBitRow kEightBits[] = {
    {true, [](const DeviceInfo&, DotProduct dot) { return dot != DotProduct::None; },
     "the device has products for them"},
    {true, [](const DeviceInfo& info, DotProduct) { return is_pocl(info); },
     "PoCL makes good vector code of the plain ones"},
    {false, [](const DeviceInfo&, DotProduct) { return true; }, "plain integer products are slower than floats"},
};

template <typename Value, typename Table, typename Member>
std::optional<Value> by_name(const Table& table, Member member, std::string_view name) {
  for (const auto& row : table) {
    if (row.name == name) return row.*member;
  }
  return std::nullopt;
}

struct Decision {
  DotProduct dot;
  std::string reason;
};

Decision decide_dot(const DeviceInfo& info, const HostCpu& cpu, const DeviceOptions& options,
                    const ProbeVerdict& probe) {
  std::string refused;
  for (const DotRow& row : kDots) {
    if (!row.applies(info, cpu)) continue;
    const std::string why_not = row.risky ? probe(row.dot) : std::string();
    if (why_not.empty()) return {row.dot, refused + std::string(row.reason)};
    refused += fmt::format("{} is not used: {}; ", row.name, why_not);
    if (options.log)
      options.log(LogLevel::Warning, fmt::format("{}: {} is not used: {}", info.name, row.name, why_not));
  }
  return {DotProduct::None, refused};
}

}  // namespace

bool detail::is_pocl(const DeviceInfo& info) {
  return info.platform.find("Portable Computing Language") != std::string::npos;
}

DeviceProfile detail::decide_profile(const DeviceInfo& info, const HostCpu& cpu, const DeviceOptions& options,
                                     const ProbeVerdict& probe) {
  DeviceProfile profile{.half_arithmetic = info.half_arithmetic,
                        .prefetch = pocl_on_cpu(info) || intel_on_cpu(info),
                        .host_memory = info.type == DeviceType::Cpu,
                        .compute_units = std::max(info.compute_units, 1U),
                        .max_work_group = std::max<std::size_t>(info.max_work_group, 1)};
  const auto style =
      std::find_if(std::begin(kStyles), std::end(kStyles), [&](const StyleRow& row) { return row.applies(info); });
  profile.style = options.style.value_or(style->style);
  Decision decision = options.dot ? Decision{*options.dot, "asked for"} : decide_dot(info, cpu, options, probe);
  const bool of_vectors = decision.dot == DotProduct::VnniAvx512 || decision.dot == DotProduct::VnniAvx;
  if (profile.style == Style::Group && of_vectors) decision = {DotProduct::None, "vpdpbusd takes vectors of rows"};
  profile.dot = decision.dot;
  const auto eight_bit = std::find_if(std::begin(kEightBits), std::end(kEightBits),
                                      [&](const EightBitRow& row) { return row.applies(info, profile.dot); });
  profile.eight_bit = eight_bit->eight_bit;
  profile.reason = fmt::format("{}: {}\n{}: {}\n{} activations: {}", style_name(profile.style),
                               options.style ? "asked for" : style->reason, dot_product_name(profile.dot),
                               decision.reason, profile.eight_bit ? "8-bit" : "float", eight_bit->reason);
  return profile;
}

std::string_view style_name(Style style) {
  return std::find_if(std::begin(kStyles), std::end(kStyles), [&](const StyleRow& row) { return row.style == style; })
      ->name;
}

std::optional<Style> style_by_name(std::string_view name) { return by_name<Style>(kStyles, &StyleRow::style, name); }

std::string_view dot_product_name(DotProduct dot) {
  return std::find_if(std::begin(kDots), std::end(kDots), [&](const DotRow& row) { return row.dot == dot; })->name;
}

std::optional<DotProduct> dot_product_by_name(std::string_view name) {
  return by_name<DotProduct>(kDots, &DotRow::dot, name);
}

}  // namespace gguf_fuse::kernels
