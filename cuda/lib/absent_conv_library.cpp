// Where a build found no header of cuDNN.

#include <brume/cuda/lib/conv_library.h>

namespace brume::cuda {

bool has_conv_library() { return false; }

std::string conv_library_state() {
  return "convolutions: brume's own kernels, since cudnn.h was not there when brume was built";
}

bool convolve_by_library(const LibraryConv&, Stream) { return false; }

}  // namespace brume::cuda
