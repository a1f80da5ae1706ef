// SPDX-License-Identifier: MIT
// The numbers between which types without equal steps choose (ggml-common.h of ggml and of ik_llama.cpp), made positive.
#ifndef TABLES
#define TABLES

// 0 1 2 3 4 6 8 12 and the same negative (twice the values of the 4-bit floats), each plus 12: MXFP4, NVFP4.
#define E2M1_TABLE (uint4)(0x0f0e0d0cu, 0x18141210u, 0x090a0b0cu, 0x00040608u)
// -31 -13 1 17, each plus 31: IQ2_K, IQ2_KS.
#define IQ2_TABLE (uint4)(0x30201200u, 0u, 0u, 0u)
// -63 -40 -23 -10 1 13 28 47, each plus 63: IQ3_K, IQ3_KS.
#define IQ3_TABLE (uint4)(0x35281700u, 0x6e5b4c40u, 0u, 0u)
// -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, each plus 127: all IQ4.
#define IQ4_TABLE (uint4)(0x3e2c1700u, 0x75695c4eu, 0xa5988c80u, 0xf0d8c4b4u)
// -126 -114 -103 -92 -83 -74 -65 -57 -50 -43 -36 -30 -24 -18 -12 -6 -1 5 11 17 23 29 36 43 51 59 68 77 87 97 109 121,
// each plus 127: IQ5_K, IQ5_KS.
#define IQ5_TABLE (uint4)(0x23180d01u, 0x463e352cu, 0x615b544du, 0x79736d67u), \
  (uint4)(0x908a847eu, 0xaaa39c96u, 0xccc3bab2u, 0xf8ece0d6u)
// What the curve of IQ6_K is rounded to, plus 127 (iq6nl_values).
#define IQ6_TABLE                                                   \
  (uint4)(0x120c0600u, 0x27221d17u, 0x3935302bu, 0x4945413du),      \
      (uint4)(0x5753504cu, 0x63605d5au, 0x6f6c6966u, 0x7a777472u),  \
      (uint4)(0x85827f7du, 0x908d8b88u, 0x9d9a9693u, 0xaba7a3a0u),  \
      (uint4)(0xbab6b2aeu, 0xccc7c3beu, 0xe1dbd6d1u, 0xf8f2ece6u)

// ik_llama.cpp has a second table of each, which is the first moved up, and a bit that says which: a matter of the
// offset.
#define MOVED_OFFSET(scale, bits, bit, by, bias) ((scale) * (TO_SCALE(((bits) >> (bit)) & 1u) * (by) - (bias)))
#endif
