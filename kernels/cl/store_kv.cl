// SPDX-License-Identifier: MIT
// From the projection's rows [Q heads | K heads | V heads] to the cache and to attention's q: RMS norm of heads, rotary
// embedding, conversion. One work-item a token (vector style), one work-group a token and head (group style).

#define STORE_ARGUMENTS                                                                                             \
  global const float *qkv, global const float *frequencies, global const float *q_norm, global const float *k_norm, \
      global float *q, global uchar *k, global uchar *v, global const uint *step_info, uint heads, uint kv_heads,   \
      uint cache_tiles, uint rope, uint rotated, float magnitude, uint head_norm, uint value_norm, float epsilon,     \
      float q_factor

#ifdef STYLE_VECTOR
#include "store_kv_vector.cl"
#else
#include "store_kv_group.cl"
#endif
