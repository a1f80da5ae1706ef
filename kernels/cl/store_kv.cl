// SPDX-License-Identifier: MIT
// From the projection's rows [Q heads | K heads | V heads] to the cache and to attention's q: RMS norm of heads, rotary
// embedding, conversion. One work-item a token (vector style), one work-group a token and head (group style).

// `head_weights`: how far the weights of a head's norm are from those of the one before.
#define STORE_ARGUMENTS                                                                                              \
  global const float *qkv, global const float *frequencies, global const float *q_norm, global const float *k_norm,  \
      global float *q, global uchar *k, global uchar *v, global const uint *pages, uint pages_row,                   \
      global const uint *step_info, uint heads, uint kv_heads, uint rope, uint rotated, float magnitude,             \
      uint head_norm, uint head_weights, uint turned_norm, uint turned_weights, uint value_norm, float epsilon,      \
      float q_factor, uint scale_length, uint scale_offset, float scale_factor

// What Q at a position is multiplied by (QueryScale in attention.hpp).
static inline float query_factor(uint position, float factor, uint length, uint offset, float scale) {
  if (length == 0) return factor;
  return factor * (1.0f + scale * log(1.0f + (float)((position + offset) / length)));
}

#ifdef STYLE_VECTOR
#include "store_kv_vector.cl"
#else
#include "store_kv_group.cl"
#endif
