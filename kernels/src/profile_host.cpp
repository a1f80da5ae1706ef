// SPDX-License-Identifier: MIT
#include "profile_host.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

#include <array>
#include <bit>
#endif

namespace gguf_fuse::kernels::detail {
namespace {

#if defined(__x86_64__) || defined(__i386__)

struct CpuidAnswer {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
};

CpuidAnswer cpuid(unsigned leaf, unsigned subleaf = 0) {
  CpuidAnswer answer;
  if (__get_cpuid_count(leaf, subleaf, &answer.a, &answer.b, &answer.c, &answer.d) == 0) return {};
  return answer;
}

bool has(unsigned word, unsigned bits) { return (word & bits) == bits; }

/// XCR0: which registers the system saves.
unsigned saved_registers() {
  if (!has(cpuid(1).c, bit_OSXSAVE)) return 0;
  unsigned low = 0;
  unsigned high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

HostCpu ask() {
  HostCpu cpu;
  // The brand string: 3 leaves of 16 bytes, a zero at its end.
  std::array<CpuidAnswer, 4> brand{};
  for (unsigned i = 0; i < 3; ++i) brand[i] = cpuid(0x80000002 + i);
  cpu.name = std::bit_cast<std::array<char, sizeof brand>>(brand).data();

  // Intel's Software Developer's Manual, volume 2, CPUID leaf 7: EBX 16 F, 17 DQ, 30 BW, 31 VL; ECX 11 AVX512_VNNI;
  // subleaf 1 EAX 4 AVX-VNNI. XCR0: 1 SSE, 2 AVX, 5 to 7 AVX-512.
  const CpuidAnswer leaf = cpuid(7);
  const unsigned saved = saved_registers();
  cpu.vnni_avx512 = has(leaf.b, 1U << 16 | 1U << 17 | 1U << 30 | 1U << 31) && has(leaf.c, 1U << 11) && has(saved, 0xE6);
  cpu.vnni_avx = has(cpuid(7, 1).a, 1U << 4) && has(saved, 0x6);
  return cpu;
}

#else

HostCpu ask() { return {}; }

#endif

}  // namespace

const HostCpu& host_cpu() {
  static const HostCpu kCpu = ask();
  return kCpu;
}

}  // namespace gguf_fuse::kernels::detail
