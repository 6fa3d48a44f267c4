#pragma once

#include <cuda_runtime.h>

#include <brume/cuda/emu/control.h>

namespace brume::cuda::emu {

/// What a call of the runtime API returns: an error is also kept for cudaGetLastError.
cudaError_t answer(cudaError_t error);

/// The same for the error that a test has planned for a call of this name (control.h), if any.
inline cudaError_t planned(const char* call) {
  return answer(static_cast<cudaError_t>(planned_failure(call)));
}

}  // namespace brume::cuda::emu
