// SPDX-License-Identifier: MIT
// Activations, and what they are multiplied by: dot4() is sum + the products of four unsigned bytes of each row with
// four signed bytes of an activation.

// Batches on GPUs pass their activations through local memory.
#if defined(STYLE_GROUP) && TILE > 1
#define ACTIVATIONS local
#else
#define ACTIVATIONS global
#endif

// Bytes of a group of columns of TILE tokens (PreparedShape in matmul.hpp).
#if ACTIVATION_KIND == ACTIVATIONS_Q8
#define RECORD (Q8_GROUP_BYTES * TILE)
#else
#define RECORD (F32_GROUP_BYTES * TILE)
#endif

#if defined(DOT_VNNI_AVX512)
inline lanes_i dot4(lanes_i sum, lanes_u weights, const ACTIVATIONS int* x) {
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(weights), "m"(*x));
  return sum;
}
#elif defined(DOT_VNNI_AVX)
inline lanes_i dot4(lanes_i sum, lanes_u weights, const ACTIVATIONS int* x) {
  int8 low = sum.lo;
  int8 high = sum.hi;
  const int8 all = *x;
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(low) : "x"(weights.lo), "x"(all));
  __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(high) : "x"(weights.hi), "x"(all));
  return (int16)(low, high);
}
#elif defined(DOT_KHR_INTEGER)
inline lanes_i dot4(lanes_i sum, lanes_u weights, const ACTIVATIONS int* x) {
  return sum + dot_4x8packed_us_int(weights, as_uint(*x));
}
#elif defined(DOT_DP4A)
inline lanes_i dot4(lanes_i sum, lanes_u weights, const ACTIVATIONS int* x) {
  int result;
  __asm__("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(weights), "r"(*x), "r"(sum));
  return result;
}
#else
inline lanes_i dot4(lanes_i sum, lanes_u weights, const ACTIVATIONS int* x) {
  const char4 values = as_char4(*x);
  sum += AS_LANES_I(weights & 0xffu) * (int)values.s0;
  sum += AS_LANES_I((weights >> 8) & 0xffu) * (int)values.s1;
  sum += AS_LANES_I((weights >> 16) & 0xffu) * (int)values.s2;
  sum += AS_LANES_I(weights >> 24) * (int)values.s3;
  return sum;
}
#endif
