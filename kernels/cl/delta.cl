// SPDX-License-Identifier: MIT
// The gated delta rule (delta.hpp).
//
// Sixteen tokens t of a tile together, with P[t] the product of the decays up to t's own, M[t][s] that of those behind
// s up to t's own, S the state before:
//   T = (1 + A)^-1 diag(b),  A[t][s] = b[t] M[t][s] (k[t] . k[s]) for s < t
//   D = T (V - P K S),       the columns that are added to the state, one a token
//   out = P Q S + B D,       B[t][s] = M[t][s] (q[t] . k[s]) for s <= t
//   S' = P[last] S + K^T (M[last] D)
// M is made by multiplying decays, never by dividing, so nothing overflows and no difference of large numbers is taken.
// The first launch makes T, B, P and M[last] of each tile and value head, and keys and queries of each tile and key
// head, transposed; the second goes through the tiles of a run, with sixteen columns of the state.
#include "lanes.cl"
#include "vector_math.cl"
#include "runs.cl"

#define TILE BATCH_TILE
#if BATCH_TILE != 16
#error "a tile's tokens are an OpenCL vector of sixteen"
#endif

#define DELTA_INPUTS                                                                                           \
  global const float *qkv, global const float *beta, global const float *alpha, global const float *a,         \
      global const float *dt, global const uint *step_info, uint key_heads, uint value_heads, uint tiled,       \
      float epsilon, uint beta_row, uint beta_offset, uint beta_stride, uint beta_columns, uint alpha_row,      \
      uint alpha_offset, uint alpha_stride, uint alpha_columns
#define CHUNK_ARGUMENTS                                                                                    \
  global const float *qkv, global const float *scratch, global float *state, global float *out,            \
      global const uint *step_info, uint key_heads, uint value_heads, uint tiled
#define BLOCKS (VALUE_SIZE / 16)
#define BLOCK_FLOATS (KEY_SIZE * 16)

// Of a tile in the scratch buffer: for every key head keys[element][token] and queries[element][token]; for every value
// head T[t][s], B[t][s], P[t], M[last][t].
#define KEY_FLOATS (2 * KEY_SIZE * TILE)
static inline ulong tile_floats(uint key_heads, uint value_heads) {
  return (ulong)key_heads * KEY_FLOATS + (ulong)value_heads * DELTA_HEAD_FLOATS;
}
#define B_AT (TILE * TILE)
#define P_AT (2 * TILE * TILE)
#define LAST_AT (P_AT + TILE)

static inline uint channels_of(uint key_heads, uint value_heads) {
  return 2 * key_heads * KEY_SIZE + value_heads * VALUE_SIZE;
}

static inline uint key_head_of(uint head, uint key_heads, uint value_heads, uint tiled) {
  return tiled ? head % key_heads : head / (value_heads / key_heads);
}

// Where a value head's number is in a row of them (Columns in row_ops.hpp).
static inline uint gate_column(uint head, uint offset, uint stride, uint columns) {
  return offset + head / columns * stride + head % columns;
}
#define BETA(token, head) \
  beta[(ulong)(token) * beta_row + gate_column(head, beta_offset, beta_stride, beta_columns)]
#define ALPHA(token, head) \
  alpha[(ulong)(token) * alpha_row + gate_column(head, alpha_offset, alpha_stride, alpha_columns)]

static inline real sigmoid(real x) { return 1.0f / (1.0f + exp(-x)); }

// exp(a * softplus(x)). log(1 + y) is 2 atanh(y / (2 + y)), whose series converges fast for y <= 1, up to z^15 here:
// log() of a rounded 1 + y would lose what small decays are made of.
static inline real decay_of(real x, real factor) {
  const real y = exp(-fabs(x));
  const real z = y / (2.0f + y), square = z * z;
  real series = fma(square, (real)(1.0f / 15), (real)(1.0f / 13));
  series = fma(series, square, (real)(1.0f / 11));
  series = fma(series, square, (real)(1.0f / 9));
  series = fma(series, square, (real)(1.0f / 7));
  series = fma(series, square, (real)(1.0f / 5));
  series = fma(series, square, (real)(1.0f / 3));
  const real logarithm = 2.0f * fma(series * square, z, z);
  return exp(factor * (max(x, (real)(0.0f)) + logarithm));
}

// The number of a long run's first tile.
static inline uint first_tile(global const uint *step_info, uint run) {
  uint tile = 0;
  for (uint i = 0; i < run; ++i) tile += (run_at(step_info, i)[RUN_TOKENS] + TILE - 1) / TILE;
  return tile;
}

#ifdef STYLE_VECTOR
#include "delta_vector.cl"
#else
#include "delta_group.cl"
#endif
