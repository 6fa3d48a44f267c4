#pragma once
// cuBLASLt for products of matrices, where the user asks for it: BRUME_GEMM=cublaslt. It is opened
// on first use; without the setting, without the library, and for what it does not take, brume's
// own kernels multiply. It may sum in another order for another number of rows.

#include <cstdint>
#include <string>

#include <brume/core/dtype.h>
#include <brume/core/f32_mode.h>
#include <brume/cuda/runtime.h>

namespace brume::cuda {

/// c = (a b + bias + residual) * scale, `products` times. A line is what lies side by side: for a
/// factor along the depth (depth_fast) or across it, for c and the residual along n.
struct LibraryProduct {
  struct Matrix {
    const void* data;
    int64_t line, step;  // elements from one line, one product to the next
    bool depth_fast;
  };
  DType dtype;
  F32Mode mode;  // of f32
  int64_t m, n, k, products;
  Matrix a, b, residual;  // residual.data may be null
  void* c;
  int64_t c_line, c_step;
  const void* bias;  // [n], or null
  double scale;
};

/// Whether cuBLASLt has been asked for and is there; opens it.
/// @throws Error if BRUME_GEMM is neither own nor cublaslt
bool has_gemm_library();

/// Multiplies; false if cuBLASLt does not take this product.
/// @throws CudaError if it fails
bool multiply_by_library(const LibraryProduct& product, Stream stream);

/// What multiplies matrices, and why, in words for a user.
std::string gemm_library_state();

}  // namespace brume::cuda
