// SPDX-License-Identifier: MIT
// What the matrix products of both styles share: which matrix a block of rows belongs to, and what happens to the sums.
// Of the host: MATRICES, KINDS (different types among them), KIND_1 and KIND_2 (the kinds of matrices 1 and 2), GATED.

#define FLAG_BIAS 1u
#define FLAG_ADD 2u
#define GATE_SILU 0u
#define GATE_GELU 1u

#define OF_MATRIX(matrix, name) ((matrix) == 0 ? name##_0 : (matrix) == 1 ? name##_1 : name##_2)

inline uint kind_of(uint matrix) { return matrix == 0 ? 0 : matrix == 1 ? KIND_1 : KIND_2; }

inline uint blocks_of(uint rows) { return (rows + 16 * ROW_TILES - 1) / (16 * ROW_TILES); }

// x * sigmoid(x), x * Phi(x) in its tanh form (0.5 + 0.5 * tanh(u) = sigmoid(2u)), max(x, 0) that keeps NaN.
inline lanes_f gate_activation(lanes_f x, uint activation) {
  if (activation > GATE_GELU) return x < 0.0f ? (lanes_f)(0.0f) : x;
  const lanes_f z = activation == GATE_GELU ? 1.5957691216f * fma(0.044715f * x, x * x, x) : x;
  return x / (1.0f + exp(-z));
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
