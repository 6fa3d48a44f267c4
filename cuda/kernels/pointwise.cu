#include <brume/cuda/kernels/cuda_kernels.h>
namespace brume {
const PointwiseKernels cuda_pointwise{};
}
