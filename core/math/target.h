#pragma once
// Where a formula is compiled for. The headers of core/math and core/cpu/simd.h are compiled once
// per CPU instruction set and by CUDA compilers; each CPU variant lives in an inline namespace of
// its own, so that the linker never takes a function of one for another.

#ifndef BRUME_ISA
#define BRUME_ISA portable
#define BRUME_VECTOR_BYTES 16
#endif

#ifdef __CUDACC__
#define BRUME_HD __host__ __device__ __forceinline__
#else
#define BRUME_HD inline __attribute__((always_inline))
#endif
