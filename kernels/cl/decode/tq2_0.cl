// SPDX-License-Identifier: MIT
// TQ2_0: blocks of 256, weight = d * (q - 1), as in Q2_0's smaller ones.
#include "decode/q2_0.cl"
