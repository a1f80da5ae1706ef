// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace gguf_fuse::kernels::detail {

/// The processor that this process runs on. OpenCL does not tell what instructions a CPU device has.
struct HostCpu {
  std::string name{};        ///< brand string; empty on other architectures
  bool vnni_avx512 = false;  ///< AVX512-VNNI with F, BW, DQ and VL, and a system that saves the registers
  bool vnni_avx = false;     ///< AVX-VNNI
};

[[nodiscard]] const HostCpu& host_cpu();

}  // namespace gguf_fuse::kernels::detail
