#include <brume/cuda/kernels/pointwise_table.cuh>

template const brume::cuda::FunctionKernels& brume::cuda::kernels_of_part<1>(int element);
