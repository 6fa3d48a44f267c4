#pragma once
// Stands in for the toolkit's header of this name: the part of cuFFT that brume uses, answered by
// plain sums (cufft.cpp). Nothing here is linked by name: brume asks dlsym.

#include <cstddef>

#include <cuda_runtime.h>

#define CUFFT_VER_MAJOR 11

enum cufftResult {
  CUFFT_SUCCESS = 0,
  CUFFT_INVALID_PLAN = 1,
  CUFFT_INVALID_VALUE = 4,
  CUFFT_EXEC_FAILED = 6,
  CUFFT_UNALIGNED_DATA = 9,
  CUFFT_NO_WORKSPACE = 13
};
enum cufftType {
  CUFFT_C2C = 0x29,
  CUFFT_R2C = 0x2a,
  CUFFT_C2R = 0x2c,
  CUFFT_Z2Z = 0x69,
  CUFFT_D2Z = 0x6a,
  CUFFT_Z2D = 0x6c
};
enum { CUFFT_FORWARD = -1, CUFFT_INVERSE = 1 };
using cufftHandle = int;

extern "C" {
cufftResult cufftGetVersion(int* version);
cufftResult cufftCreate(cufftHandle* plan);
cufftResult cufftDestroy(cufftHandle plan);
cufftResult cufftSetAutoAllocation(cufftHandle plan, int on);
cufftResult cufftMakePlanMany64(cufftHandle plan, int rank, long long* n, long long* x_sizes,
                                long long x_step, long long x_distance, long long* y_sizes,
                                long long y_step, long long y_distance, cufftType type,
                                long long count, size_t* work_bytes);
cufftResult cufftSetStream(cufftHandle plan, cudaStream_t stream);
cufftResult cufftSetWorkArea(cufftHandle plan, void* work);
cufftResult cufftXtExec(cufftHandle plan, void* x, void* y, int direction);
}
