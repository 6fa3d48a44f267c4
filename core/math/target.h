#pragma once
// Where a formula is compiled for. The headers of core/math and core/cpu/simd.h are compiled once
// per CPU instruction set and by CUDA compilers; each CPU variant lives in an inline namespace of
// its own, so that the linker never takes a function of one for another.

#ifndef BRUME_ISA
#define BRUME_ISA portable
#define BRUME_VECTOR_BYTES 16
#endif

// BRUME_HD before every function that runs on both sides; BRUME_HD_CALL keeps a long and rarely
// used one out of its callers.
#ifdef __CUDACC__
#define BRUME_HD __host__ __device__ __forceinline__
#define BRUME_HD_CALL __host__ __device__ inline
#else
#define BRUME_HD inline __attribute__((always_inline))
#define BRUME_HD_CALL inline __attribute__((noinline))
#endif

// Before a loop of a few rounds over lanes or derivatives, which must stay in registers: at -O2 GCC
// 12 otherwise keeps them in memory (twenty times slower).
#ifdef __CUDACC__
#define BRUME_UNROLL _Pragma("unroll")
#define BRUME_KEEP_LOOP _Pragma("unroll 1")  // the opposite
#else
#define BRUME_UNROLL _Pragma("GCC unroll 16")
#define BRUME_KEEP_LOOP _Pragma("GCC unroll 1")
#endif
