// SPDX-License-Identifier: MIT
// How a block of 32 elements is quantised, as ggml's quantize_row_q4_0_ref and its siblings do: from its least and
// largest element to levels, a scale and a minimum.
//
// A vector, not a structure: inlining a function that returns a structure leaves llvm.experimental.noalias.scope.decl,
// which oclgrind does not know.
typedef float4 block_scale;
#define INVERSE s0  // level = element * inverse, and what rounds
#define SCALE s1
#define MINIMUM s2

// What the largest magnitude is divided by, with the sign that it gets: 4 bits reach down to -8 and up to 7 only.
static inline float block_steps(uint type) {
  // written as a choice (?:) oclgrind takes the wrong one
  if (type == CACHE_Q8_0) return 127.0f;
  if (type == CACHE_Q5_0) return -16.0f;
  if (type == CACHE_IQ4_NL) return -127.0f;
  return -8.0f;
}

static inline block_scale scale_of(float least, float largest, uint type) {
  const float magnitude = max(largest, -least);
  float range = type == CACHE_Q8_0 || largest > -least ? magnitude : least, steps = block_steps(type);
  if (HAS_MINIMUM(type)) {
    range = largest - least;
    steps = type == CACHE_Q5_1 ? 31.0f : 15.0f;
  }
  block_scale block = 0.0f;
  block.INVERSE = fabs(range) > 1e-36f ? steps / range : 0.0f;
  // what is not finite stays so
  block.SCALE = block.INVERSE == 0.0f ? range * 0.0f : range / steps;
  block.MINIMUM = least;
  return block;
}

// To nearest, ties to even.
static inline ushort to_bf16(float value) {
  const uint bits = as_uint(value);
  return isnan(value) ? (ushort)(bits >> 16 | 64u) : (ushort)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// What the levels of IQ4_NL stand for (kvalues_iq4nl of ggml).
#define NON_LINEAR_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
constant float NON_LINEAR[16] = {NON_LINEAR_VALUES};

// Where the next one of these is nearer.
constant float NON_LINEAR_BORDERS[15] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f, -28.5f, -16.0f, -4.5f,
                                         7.0f,    19.0f,  31.5f,  45.5f,  61.0f,  79.0f,  101.0f};
