// SPDX-License-Identifier: MIT
// Sixteen rows side by side. On a CPU one work-item holds all sixteen in a vector; on a GPU each of sixteen work-items
// holds one. What is written with these types and loads serves both.
#if TILE_ROWS != 16
#error "rows of a tile are an OpenCL vector of sixteen"
#endif

#ifdef STYLE_VECTOR
typedef float16 lanes_f;
typedef uint16 lanes_u;
typedef int16 lanes_i;
#define AS_LANES_F as_float16
#define AS_LANES_U as_uint16
#define AS_LANES_I as_int16
#define TO_LANES_F convert_float16
#define TO_LANES_U convert_uint16
// Sixteen entries of a table in constant memory.
#define GATHER(table, i) \
  (uint16)(table[i.s0], table[i.s1], table[i.s2], table[i.s3], table[i.s4], table[i.s5], table[i.s6], table[i.s7], \
           table[i.s8], table[i.s9], table[i.sa], table[i.sb], table[i.sc], table[i.sd], table[i.se], table[i.sf])

// Vectors at addresses that are multiples of 16 bytes only: one load where vload16 becomes several narrow ones.
typedef uint16 __attribute__((aligned(4))) loose_uint16;
typedef ushort16 __attribute__((aligned(2))) loose_ushort16;
typedef uchar16 __attribute__((aligned(1))) loose_uchar16;
typedef float16 __attribute__((aligned(4))) loose_float16;

inline lanes_u load_words(const global uchar *plane) { return *(const global loose_uint16 *)plane; }
inline lanes_u load_shorts(const global uchar *plane) { return convert_uint16(*(const global loose_ushort16 *)plane); }
inline lanes_u load_bytes(const global uchar *plane) { return convert_uint16(*(const global loose_uchar16 *)plane); }
#ifdef ASSEMBLY_AVX512
inline lanes_f load_halves(const global uchar *plane) {
  float16 value;
  __asm__("vcvtph2ps %1, %0" : "=v"(value) : "m"(*(const global loose_ushort16 *)plane));
  return value;
}
#else
inline lanes_f load_halves(const global uchar *plane) { return vload_half16(0, (const global half *)plane); }
#endif

#ifdef PREFETCH
// A hint: the address need not exist. OpenCL's own prefetch() does nothing on CPUs. What it gains: docs/performance.md.
#define PREFETCH_BYTES 8192
inline void prefetch_line(const global uchar *address) { __builtin_prefetch((const void *)(size_t)address); }
#endif
#else
typedef float lanes_f;
typedef uint lanes_u;
typedef int lanes_i;
#define AS_LANES_F as_float
#define AS_LANES_U as_uint
#define AS_LANES_I as_int
#define TO_LANES_F convert_float
#define TO_LANES_U convert_uint
#define GATHER(table, i) table[i]
#define LANE ((uint)get_local_id(0) % TILE_ROWS)

inline lanes_u load_words(const global uchar *plane) { return ((const global uint *)plane)[LANE]; }
inline lanes_u load_shorts(const global uchar *plane) { return ((const global ushort *)plane)[LANE]; }
inline lanes_u load_bytes(const global uchar *plane) { return plane[LANE]; }
inline lanes_f load_halves(const global uchar *plane) { return vload_half(LANE, (const global half *)plane); }
#endif
