// SPDX-License-Identifier: MIT
// Sums of sixteen rows times TILE tokens for one type of weights; included once a type, behind its decode include.

// What a type without a curve has.
#ifndef CURVE
#define CURVE(code) (code)
#endif

// Adds one group of 32 columns for the first `used` tokens, a constant. `record` is the group's part of the activations
// (PreparedShape in matmul.hpp).
#if ACTIVATION_KIND == ACTIVATIONS_Q8
inline void group_sums(const global uchar* tile, uint groups, uint group, const ACTIVATIONS uchar* record,
                       uint used, lanes_f* sums) {
  lanes_u q[8];
  lanes_f scale[SUBGROUPS];
  lanes_f offset[SUBGROUPS];
  decode(tile, groups, group, q, scale, offset);
  const ACTIVATIONS int* x = (const ACTIVATIONS int*)record;
  const ACTIVATIONS float* x_scale = (const ACTIVATIONS float*)(record + GROUP_COLUMNS * TILE);
  const ACTIVATIONS float* x_sum = x_scale + TILE * SUBGROUPS;
#pragma unroll
  for (uint t = 0; t < TILE; ++t) {
    if (t >= used) continue;  // a constant where this is inlined; loops are unrolled before
#pragma unroll
    for (uint part = 0; part < SUBGROUPS; ++part) {
      lanes_i sum = 0;
#pragma unroll
      for (uint j = 0; j < 8 / SUBGROUPS; ++j) {
        const uint word = part * (8 / SUBGROUPS) + j;
        sum = dot4(sum, q[word], x + 8 * t + word);
      }
      sums[t] = fma(TO_LANES_F(sum), scale[part] * x_scale[t], sums[t]);
      sums[t] = fma(offset[part], (lanes_f)(x_sum[TILE * part + t]), sums[t]);
    }
  }
}
#else
inline void group_sums(const global uchar* tile, uint groups, uint group, const ACTIVATIONS uchar* record,
                       uint used, lanes_f* sums) {
  const ACTIVATIONS float* x = (const ACTIVATIONS float*)record;
#ifndef FLOAT_WEIGHTS
  lanes_u q[8];
  lanes_f scale[SUBGROUPS];
  lanes_f offset[SUBGROUPS];
  decode(tile, groups, group, q, scale, offset);
#endif
#if TILE == 1
  // Four chains of additions instead of a long one.
  lanes_f parts[4];
#pragma unroll
  for (uint i = 0; i < 4; ++i) parts[i] = 0;
#pragma unroll
#else
  // A column is TILE products, which is enough to hide the loop; whole, it takes some compilers minutes.
#pragma unroll 1
#endif
  for (uint word = 0; word < 8; ++word) {
#pragma unroll
    for (uint byte = 0; byte < 4; ++byte) {
      const uint c = 4 * word + byte;
#ifdef FLOAT_WEIGHTS
      const lanes_f weight = decode_float(tile, GROUP_COLUMNS * group + c);
#else
      const uint part = word * SUBGROUPS / 8;
      const lanes_f code = TO_LANES_F(AS_LANES_I((q[word] >> (8 * byte)) & 0xffu));
      const lanes_f weight = fma(scale[part], CURVE(code), offset[part]);
#endif
#if TILE == 1
      parts[byte] = fma(weight, (lanes_f)(x[c]), parts[byte]);
#else
#pragma unroll
      for (uint t = 0; t < TILE; ++t) sums[t] = t >= used ? sums[t] : fma(weight, (lanes_f)(x[TILE * c + t]), sums[t]);
#endif
    }
  }
#if TILE == 1
  sums[0] += (parts[0] + parts[1]) + (parts[2] + parts[3]);
#endif
}
#endif

// Adds the groups first, first + stride, ... of the first `used` tokens, a constant. Where these are few, weights are
// waited for and not products.
inline void tile_sums(const global uchar* tile, uint groups, uint first, uint stride,
                      const ACTIVATIONS uchar* activations, uint used, lanes_f* sums) {
  for (uint group = first; group < groups; group += stride) {
#if defined(PREFETCH) && defined(STYLE_VECTOR)
    if (TILE == 1 || used < TILE) {
      const uint bytes = TILE_ROWS * BLOCK_BYTES / BLOCK_GROUPS;
#pragma unroll
      for (uint line = 0; line < (bytes + 63) / 64; ++line) {
        prefetch_line(tile + group * bytes + PREFETCH_BYTES + 64 * line);
      }
    }
#endif
    group_sums(tile, groups, group, activations + (ulong)group * RECORD, used, sums);
  }
}
