// SPDX-License-Identifier: MIT
// What the matrix products of both styles share: which matrix a block of rows belongs to, and what happens to the sums.
// Of the host: KINDS (different types among the matrices), KIND_1 and KIND_2 (the kinds of matrices 1 and 2), GATED and
// ACTIVATED (0 or 1).

#define OF_MATRIX(matrix, name) ((matrix) == 0 ? name##_0 : (matrix) == 1 ? name##_1 : name##_2)

// The tile of rows at `row` of the expert at `index` of a part of an expert matrix.
#define EXPERT_TILE(matrix, index, row) \
  (weights_##matrix + offset_##matrix + (index) * stride_##matrix + (row) / TILE_ROWS * (ulong)tile_bytes_##matrix)

inline uint kind_of(uint matrix) { return matrix == 0 ? 0 : matrix == 1 ? KIND_1 : KIND_2; }

inline uint blocks_of(uint rows) { return (rows + TILE_ROWS * ROW_TILES - 1) / (TILE_ROWS * ROW_TILES); }

// Activations of g (Activation in matmul.hpp): g * sigmoid(z), where z is g, that of gpt-oss, or that of the tanh form of
// g * Phi(g), as 0.5 + 0.5 * tanh(z / 2) = sigmoid(z); or what of g is positive. All keep NaN.
inline lanes_f activated(lanes_f g, uint activation) {
  if (activation == ACTIVATION_RELU || activation == ACTIVATION_RELU_SQUARED) {
    const lanes_f positive = g < 0.0f ? (lanes_f)(0.0f) : g;
    if (activation == ACTIVATION_RELU) return positive;
    return positive * positive;
  }
  lanes_f z = g;
  if (activation == ACTIVATION_GELU) z = 1.5957691216f * fma(0.044715f * g, g * g, g);
  if (activation == ACTIVATION_SILU_OAI) z = 1.702f * g;
  return g / (1.0f + exp(-z));
}

// Gate g, activated, times up u; gpt-oss has limits for both, and its u is one more.
inline lanes_f gated(lanes_f g, lanes_f u, uint activation) {
  if (activation == ACTIVATION_SILU_OAI) {
    g = g > 7.0f ? (lanes_f)(7.0f) : g;
    u = u > 7.0f ? (lanes_f)(7.0f) : u;
    u = (u < -7.0f ? (lanes_f)(-7.0f) : u) + 1.0f;
  }
  return activated(g, activation) * u;
}

#if KINDS > 2
#define CALL_KIND(kind, function, ...) \
  if ((kind) == 0)                     \
    function##_0(__VA_ARGS__);         \
  else if ((kind) == 1)                \
    function##_1(__VA_ARGS__);         \
  else                                 \
    function##_2(__VA_ARGS__)
#elif KINDS > 1
#define CALL_KIND(kind, function, ...) \
  if ((kind) == 0)                     \
    function##_0(__VA_ARGS__);         \
  else                                 \
    function##_1(__VA_ARGS__)
#else
#define CALL_KIND(kind, function, ...) function##_0(__VA_ARGS__)
#endif

#ifdef STYLE_VECTOR
// Only `count` rows exist.
inline lanes_f load_rows(const global float* from, uint count) {
  if (count >= 16) return *(const global loose_float16*)from;
  float rows[16];
  for (uint i = 0; i < 16; ++i) rows[i] = i < count ? from[i] : 0.0f;
  return vload16(0, rows);
}

inline void store_rows(lanes_f value, uint count, global float* out) {
  if (count >= 16) {
    *(global loose_float16*)out = value;
    return;
  }
  float rows[16];
  vstore16(value, 0, rows);
  for (uint i = 0; i < count; ++i) out[i] = rows[i];
}
#endif
