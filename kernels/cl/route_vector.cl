// SPDX-License-Identifier: MIT
// One work-item a token, sixteen experts at a time.

// 16 values from i on; `otherwise` beyond the last of `count`.
static inline float16 load_some(global const float *from, uint i, uint count, float otherwise) {
  if (i + 16 <= count) return load_floats(from + i);
  float values[16];
  for (uint j = 0; j < 16; ++j) values[j] = i + j < count ? from[i + j] : otherwise;
  return load_private(values);
}

static inline int16 keys_of(float16 values) {
  const int16 bits = select(as_int16(values), (int16)(0), values == 0.0f);
  return select(bits ^ ((bits >> 31) & 0x7fffffff), (int16)(KEY_NAN), isnan(values));
}

// The largest key, of equal ones the first. It is none from then on.
static inline uint take_largest(int *keys, uint count) {
  int16 largest = KEY_NONE, at = 0;
  for (uint i = 0; i < count; i += 16) {
    const int16 some = *(const int16 *)(keys + i);
    const int16 above = some > largest;
    largest = select(largest, some, above);
    at = select(at, (int16)((int)i), above);
  }
  uint best = 0;
  int best_key = KEY_NONE;
  const int *lane_keys = (const int *)&largest, *lane_at = (const int *)&at;
  for (uint lane = 0; lane < 16; ++lane) {
    const uint index = (uint)lane_at[lane] + lane;
    const bool better = lane_keys[lane] > best_key || (lane_keys[lane] == best_key && index < best);
    best = better ? index : best;
    best_key = better ? lane_keys[lane] : best_key;
  }
  keys[best] = KEY_NONE;
  return best;
}

// exp(x - the largest), divided by the sum of that; NaN when one is NaN.
static inline void softmax(float *values, uint count) {
  float16 most = -INFINITY, sum = 0.0f;
  for (uint i = 0; i < count; i += 16) {
    const float16 some = load_private(values + i);
    most = select(most, some, some > most);
  }
  const float16 largest = largest16(most);
  for (uint i = 0; i < count; i += 16) {
    const float16 some = exp(load_private(values + i) - largest);
    store_private(some, values + i);
    sum += some;
  }
  const float16 all = sum16(sum);
  for (uint i = 0; i < count; i += 16) store_private(load_private(values + i) / all, values + i);
}

// Takes the experts of all but the best groups out of the choice.
static inline void choose_groups(int *keys, uint experts, uint groups, uint groups_used) {
  const uint size = experts / groups;
  int group_keys[MOST_EXPERTS] __attribute__((aligned(64)));
  for (uint group = 0; group < (groups + 15) / 16 * 16; ++group) group_keys[group] = KEY_NONE;
  for (uint group = 0; group < groups; ++group) group_keys[group] = group_key(keys + group * size, size);
  for (uint i = 0; i < groups_used; ++i) take_largest(group_keys, groups);
  for (uint expert = 0; expert < experts; ++expert) {
    if (group_keys[expert / size] != KEY_NONE) keys[expert] = KEY_NONE;
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void route_tokens(ROUTE_ARGUMENTS) {
  const uint token = get_global_id(0);
  if (token >= step_info[STEP_TOKENS]) return;
  global const float *row = logits + (ulong)token * experts;
  float values[MOST_EXPERTS] __attribute__((aligned(64)));
  int keys[MOST_EXPERTS] __attribute__((aligned(64)));
  for (uint i = 0; i < experts; i += 16) {
    float16 some = load_some(row, i, experts, -INFINITY);
    if (gating == GATING_SIGMOID) some = 1.0f / (1.0f + exp(-some));
    store_private(some, values + i);
  }
  if (gating == GATING_SOFTMAX) softmax(values, experts);
  for (uint i = 0; i < experts; i += 16) {
    float16 some = load_private(values + i);
    if (flags & ROUTE_SELECTION_BIAS) some += load_some(selection_bias, i, experts, 0.0f);
    *(int16 *)(keys + i) = keys_of(some);
  }
  for (uint i = experts; i < (experts + 15) / 16 * 16; ++i) keys[i] = KEY_NONE;
  if (expert_groups > 1) choose_groups(keys, experts, expert_groups, groups_used);
  uint taken[MOST_USED];
  float of_taken[MOST_USED] __attribute__((aligned(64)));
  for (uint i = 0; i < used; ++i) {
    taken[i] = take_largest(keys, experts);
    of_taken[i] = values[taken[i]];
  }
  for (uint i = used; i < (used + 15) / 16 * 16; ++i) of_taken[i] = -INFINITY;
  if (gating == GATING_SELECTED_SOFTMAX) softmax(of_taken, used);
  for (uint i = 0; gating == GATING_SELECTED_SIGMOID && i < used; ++i) of_taken[i] = 1.0f / (1.0f + exp(-of_taken[i]));
  float sum = 0.0f;
  for (uint i = 0; i < used; ++i) sum += of_taken[i];
  for (uint i = 0; i < used; ++i) {
    float weight = of_taken[i];
    if (flags & ROUTE_NORMALISE) weight /= at_least(sum, LEAST_SUM);
    weight *= scale;
    if (flags & ROUTE_EXPERT_FACTOR) weight *= expert_factor[taken[i]];
    chosen[(ulong)token * used + i] = taken[i];
    weights[(ulong)token * used + i] = weight;
    if (flags & ROUTE_ONE_TOKEN) take_slot(i, taken[i], slots, slot_tokens, tile_experts);
  }
  if (flags & ROUTE_ONE_TOKEN) store_step(routed_step, used);
}
