// SPDX-License-Identifier: MIT
// Rows of floats become activations (PreparedShape in matmul.hpp): branch, scale, norm, quantising or transposing.

#define PREPARE_ARGUMENTS                                                                                      \
  global float *x, global const float *weight, global const float *bias, global const float *branch,           \
      global const float *post_weight, global const float *scale, global uchar *out,                           \
      global const uint *step_info, uint columns, float epsilon, float branch_factor, uint norm, uint flags,   \
      uint kind, uint tile

// take_rows copies the rows whose logits are wanted.
#define TAKE_ROWS_ARGUMENTS global const float *x, global float *out, global const uint *step_info, uint columns

// The factor of a RMS norm from the sum of squares. Squares of values above 1e19 overflow, so callers whose sum is not
// finite give that of x * 2^-64 and factor_of_scaled.
#define SCALED_DOWN 5.42101086e-20f  // 2^-64
static inline float norm_factor(float squares, uint columns, float epsilon) {
  return 1.0f / sqrt(squares / columns + epsilon);
}
static inline float scaled_norm_factor(float squares, uint columns) {
  return SCALED_DOWN / sqrt(squares / columns);
}

// Bytes of one tile of tokens and, in it, of this token's values and scales of a group (Q8).
static inline uint tile_bytes(uint kind, uint tile, uint groups) {
  return groups * tile * (kind == ACTIVATIONS_Q8 ? Q8_GROUP_BYTES : F32_GROUP_BYTES);
}

// Scale of a group: 0 when all values are (nearly) 0, NaN when one is not finite. max() does not see a NaN, but the sum
// of the rounded values is one then, as it is for infinities, whose inverse is 0. It is looked at as bits: compilers that
// take floats to be finite make x * 0 a 0.
static inline float q8_inverse(float most) { return most > 1e-36f ? 127.0f / most : 0.0f; }
static inline float q8_scale(float most, float inverse, float sum) {
  if ((as_uint(sum) & 0x7f800000u) == 0x7f800000u) return NAN;
  return inverse == 0.0f ? 0.0f : most / 127.0f;
}

static inline void store_sums(global float *sums, uint tile, float scale, float first_half, float second_half) {
  sums[0] = scale;
  sums[tile] = scale * (first_half + second_half);
  sums[tile * 2] = scale * first_half;
  sums[tile * 3] = scale * second_half;
}

#ifdef STYLE_VECTOR
#include "prepare_vector.cl"
#else
#include "prepare_group.cl"
#endif
