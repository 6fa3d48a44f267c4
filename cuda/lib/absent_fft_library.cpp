// Where a build found no header of cuFFT.

#include <brume/core/error.h>
#include <brume/cuda/lib/fft_library.h>

namespace brume::cuda {

bool has_fft_library() { return false; }

std::string fft_library_state() {
  return "Fourier transforms: brume's own kernels, since cufftXt.h was not there when brume was "
         "built";
}

void transform_by_library(const LibraryTransform&, Stream stream) {
  throw CudaError(cat(stream.op, ": ", fft_library_state()));
}

}  // namespace brume::cuda
