// SPDX-License-Identifier: MIT
// One step of every risky dot product, and of the plain one, which has to work wherever there is memory to compile it, as
// the large kernels use it: sums[i] = start + sum over k of a[4 i + k] * b[k], for 16 rows i, a unsigned and b signed.

#if defined(DOT_NONE)
int16 dot_step(int16 sums, uint16 a, global const int *b) {
  const char4 all = *(global const char4 *)b;
  sums += convert_int16(a & 255) * all.x + convert_int16(a >> 8 & 255) * all.y;
  return sums + convert_int16(a >> 16 & 255) * all.z + convert_int16(a >> 24) * all.w;
}
#elif defined(DOT_VNNI_AVX512)
// The memory operand is broadcast to all lanes; {1to16} is AT&T syntax, its braces escaped for the compiler.
int16 dot_step(int16 sums, uint16 a, global const int *b) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sums) : "v"(a), "m"(*b));
  return sums;
}
#elif defined(DOT_VNNI_AVX)
int8 dot_half(int8 sums, uint8 a, int8 b) {
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(a), "x"(b));
  return sums;
}
int16 dot_step(int16 sums, uint16 a, global const int *b) {
  const int8 all = (int8)(*b);
  return (int16)(dot_half(sums.lo, a.lo, all), dot_half(sums.hi, a.hi, all));
}
#elif defined(DOT_DP4A)
int dot_lane(int sum, uint a, int b) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}
int16 dot_step(int16 sums, uint16 a, global const int *b) {
  union {
    int16 vector;
    int lane[16];
  } out;
  union {
    uint16 vector;
    uint lane[16];
  } in;
  out.vector = sums;
  in.vector = a;
  for (int i = 0; i < 16; ++i) out.lane[i] = dot_lane(out.lane[i], in.lane[i], *b);
  return out.vector;
}
#endif

__attribute__((reqd_work_group_size(1, 1, 1))) kernel void probe_dot(global const uint16 *a, global const int *b,
                                                                     global int16 *sums, uint steps) {
  int16 sum = sums[0];
  for (uint i = 0; i < steps; ++i) sum = dot_step(sum, a[i], b + i);
  sums[0] = sum;
}
