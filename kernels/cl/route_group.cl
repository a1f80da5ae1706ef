// SPDX-License-Identifier: MIT
// One work-group a token; lanes share experts. Every lane adds up the whole row itself, and counts what comes before
// its experts instead of looking for the best again and again: few experts make that cheap, and it takes no loop with
// barriers.
static inline float largest_of(local const float *values, uint count) {
  float largest = -INFINITY;
  for (uint i = 0; i < count; ++i) largest = values[i] > largest ? values[i] : largest;
  return largest;
}

static inline float sum_of(local const float *values, uint count) {
  float sum = 0.0f;
  for (uint i = 0; i < count; ++i) sum += values[i];
  return sum;
}

// How many keys are larger, or equal and before it.
static inline uint rank_of(local const int *keys, uint count, uint index) {
  uint rank = 0;
  for (uint i = 0; i < count; ++i) rank += keys[i] > keys[index] || (keys[i] == keys[index] && i < index) ? 1 : 0;
  return rank;
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void route_tokens(ROUTE_ARGUMENTS) {
  local float values[MOST_EXPERTS];
  local int keys[MOST_EXPERTS], group_keys[MOST_EXPERTS];
  local uint taken[MOST_USED];
  local float of_taken[MOST_USED], chosen_weights[MOST_USED];
  const uint lane = get_local_id(0), token = get_group_id(0);
  const bool exists = token < step_info[STEP_TOKENS];
  // A token that does not exist reads the first one, and stores nothing.
  global const float *row = logits + (exists ? (ulong)token * experts : 0);
  for (uint i = lane; i < experts; i += LANES) values[i] = row[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  const float most = largest_of(values, experts);
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = lane; i < experts; i += LANES) {
    if (gating == GATING_SOFTMAX) values[i] = exp(values[i] - most);
    if (gating == GATING_SIGMOID) values[i] = 1.0f / (1.0f + exp(-values[i]));
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const float sum = gating == GATING_SOFTMAX ? sum_of(values, experts) : 1.0f;
  for (uint i = lane; i < experts; i += LANES) {
    keys[i] = key_of(values[i] / sum + (flags & ROUTE_SELECTION_BIAS ? selection_bias[i] : 0.0f));
  }
  const uint size = experts / expert_groups;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint group = lane; group < expert_groups; group += LANES) {
    group_keys[group] = group_key(keys + group * size, size);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint group = lane; group < expert_groups; group += LANES) {
    if (rank_of(group_keys, expert_groups, group) < groups_used) continue;
    for (uint i = 0; i < size; ++i) keys[group * size + i] = KEY_NONE;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = lane; i < experts; i += LANES) {
    const uint rank = rank_of(keys, experts, i);
    if (rank >= used) continue;
    taken[rank] = i;
    of_taken[rank] = values[i] / sum;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  // There are as many lanes as experts can be chosen.
  const float largest = largest_of(of_taken, used);
  if (lane < used) {
    float weight = of_taken[lane];
    if (gating == GATING_SELECTED_SOFTMAX) weight = exp(weight - largest);
    if (gating == GATING_SELECTED_SIGMOID) weight = 1.0f / (1.0f + exp(-weight));
    chosen_weights[lane] = weight;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (!exists || lane >= used) return;
  const float chosen_sum = sum_of(chosen_weights, used);
  float weight = chosen_weights[lane];
  if (gating == GATING_SELECTED_SOFTMAX) weight /= chosen_sum;
  if (flags & ROUTE_NORMALISE) weight /= at_least(gating == GATING_SELECTED_SOFTMAX ? 1.0f : chosen_sum, LEAST_SUM);
  weight *= scale;
  if (flags & ROUTE_EXPERT_FACTOR) weight *= expert_factor[taken[lane]];
  chosen[(ulong)token * used + lane] = taken[lane];
  weights[(ulong)token * used + lane] = weight;
  if (flags & ROUTE_ONE_TOKEN) {
    take_slot(lane, taken[lane], slots, slot_tokens, tile_experts);
    if (lane == 0) store_step(routed_step, used);
  }
}
