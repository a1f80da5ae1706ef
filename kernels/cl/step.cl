// SPDX-License-Identifier: MIT
// Where the lists of a step lie in its buffer (StepTable in step.hpp).

static inline global const uint *step_token(global const uint *step_info, uint row) {
  return step_info + step_info[STEP_TOKENS_AT] + row * STEP_TOKEN_WORDS;
}

// Runs of one token each are behind the long ones.
static inline global const uint *short_run(global const uint *step_info, uint index) {
  return step_info + step_info[STEP_RUNS_AT] + (step_info[STEP_LONG_RUNS] + index) * STEP_RUN_WORDS;
}

// The row whose logits are the ones of this index.
static inline uint step_output(global const uint *step_info, uint index) {
  return step_info[step_info[STEP_OUTPUTS_AT] + index];
}

static inline global const uint *step_tile(global const uint *step_info, uint index) {
  return step_info + step_info[STEP_TILES_AT] + index * STEP_RUN_WORDS;
}
