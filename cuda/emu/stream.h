#pragma once
// Streams of the emulated device. Work is done when it is given, apart from two kinds: what a
// capture records, and copies from the host, which (with Copies::late) land when somebody waits for
// them, so that whoever does not wait finds their target closed.

#include <cstddef>
#include <functional>

#include <brume/cuda/emu/control.h>

enum cudaError_t : int;
struct CUstream_st;

namespace brume::cuda::emu {

using Work = std::function<cudaError_t()>;

/// Does `work` after all that was given to the stream before, or records it.
cudaError_t give(CUstream_st* stream, Work work);
/// A copy from the host into device memory at `to`.
cudaError_t give_copy(CUstream_st* stream, void* to, Work work);

/// If this thread captures a stream, records `work` there.
bool record_in_capture(const Work& work);

}  // namespace brume::cuda::emu
