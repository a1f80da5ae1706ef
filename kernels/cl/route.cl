// SPDX-License-Identifier: MIT
// Which experts a token goes to, who computes what (Routing in experts.hpp), and the way back. In one program, as each
// costs time to build.
#include "lanes.cl"
#include "vector_math.cl"
#define LEAST_SUM 6.103515625e-5f  // 2^-14

#define ROUTE_ARGUMENTS                                                                                      \
  global const float *logits, global const float *selection_bias, global const float *expert_factor,         \
      global uint *chosen, global float *weights, global uint *slots, global uint *slot_tokens,              \
      global uint *tile_experts, global uint *routed_step, global const uint *step_info, uint experts,       \
      uint used, uint gating, uint expert_groups, uint groups_used, float scale, uint flags

// Keys are integers in the order of floats. -0 is 0, NaN comes after all numbers, and behind it what is not to be
// chosen: so as long as enough is left, no index is chosen twice, whatever the logits are.
#define KEY_NONE ((int)0x80000000)
#define KEY_NAN (KEY_NONE + 1)
static inline int key_of(float value) {
  const int bits = value == 0.0f ? 0 : as_int(value);
  return isnan(value) ? KEY_NAN : bits ^ ((bits >> 31) & 0x7fffffff);
}
static inline float value_of(int key) { return key == KEY_NAN ? NAN : as_float(key ^ ((key >> 31) & 0x7fffffff)); }

#ifdef STYLE_VECTOR
#define LANES 1
#define SHARED
#else
#define LANES GROUP_LANES
#define SHARED local
#endif

// The key of the sum of the two largest of a group of experts.
static inline int group_key(SHARED const int *keys, uint count) {
  int largest = KEY_NONE, second = KEY_NONE;
  for (uint i = 0; i < count; ++i) {
    second = max(second, min(largest, keys[i]));
    largest = max(largest, keys[i]);
  }
  return key_of(value_of(largest) + (second == KEY_NONE ? 0.0f : value_of(second)));
}

// What weights are divided by.
static inline float at_least(float sum, float least) { return sum < least ? least : sum; }

static inline void take_slot(uint choice, uint expert, global uint *slots, global uint *slot_tokens,
                             global uint *tile_experts) {
  slots[choice] = choice;
  slot_tokens[choice] = 0;
  tile_experts[choice] = expert;
}

static inline void store_step(global uint *routed_step, uint slots) {
  for (uint i = 0; i < STEP_WORDS; ++i) routed_step[i] = i == STEP_TOKENS ? slots : 0;
}

#ifdef STYLE_VECTOR
#include "route_vector.cl"
#else
#include "route_group.cl"
#endif
#include "gather.cl"
