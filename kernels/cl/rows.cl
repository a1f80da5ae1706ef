// SPDX-License-Identifier: MIT
// What is done to whole rows of floats, hidden states and logits, in one program: building one costs 0.6 s on PoCL,
// however small.
#include "lanes.cl"
#include "step.cl"
#include "vector_math.cl"
#include "prepare.cl"
#include "row_ops.cl"
#include "pointwise.cl"
#include "gates.cl"
#include "softcap.cl"
#include "statistics.cl"
#include "top_k.cl"
