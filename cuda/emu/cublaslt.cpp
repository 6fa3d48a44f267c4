// The twins of cuBLASLt's functions, as its manual describes them: matrices column by column,
// d = alpha op(a) op(b) + beta c + bias, the bias along a column of d.

#include <cublasLt.h>

#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include <brume/core/dtype.h>
#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/library.h>
#include <brume/cuda/device/matrix_forms.cuh>

struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
};
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  int64_t rows, columns, line;
  int32_t count = 1;
  int64_t step = 0;
};
struct cublasLtMatmulPreferenceOpaque_t {};

namespace {

using brume::bf16, brume::f16;

template <class T>
cublasStatus_t assign(T& to, const void* value, size_t bytes) {
  if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

/// Element (i, j) of product p of what may stand transposed.
template <class T>
float element(const void* data, cublasLtMatrixLayout_t l, int32_t op, int64_t p, int64_t i,
              int64_t j) {
  if (op == CUBLAS_OP_T) std::swap(i, j);
  return static_cast<float>(static_cast<const T*>(data)[p * l->step + j * l->line + i]);
}

template <class T>
void multiply(const cublasLtMatmulDescOpaque_t& product, float alpha, const void* a,
              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
              float beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
              cublasLtMatrixLayout_t d_layout) {
  const bool flip = product.transpose_a == CUBLAS_OP_T;
  const int64_t depth = flip ? a_layout->rows : a_layout->columns;
  const auto factor = [&](float x) {
    if (product.compute != CUBLAS_COMPUTE_32F_FAST_TF32) return x;
    return std::bit_cast<float>(brume::cuda::to_tf32(std::bit_cast<uint32_t>(x)));
  };
  for (int64_t p = 0; p < d_layout->count; ++p)
    for (int64_t j = 0; j < d_layout->columns; ++j)
      for (int64_t i = 0; i < d_layout->rows; ++i) {
        float sum = 0;
        for (int64_t k = 0; k < depth; ++k)
          sum += factor(element<T>(a, a_layout, product.transpose_a, p, i, k)) *
                 factor(element<T>(b, b_layout, product.transpose_b, p, k, j));
        sum *= alpha;
        if (beta != 0.0F) sum += beta * element<T>(c, c_layout, CUBLAS_OP_N, p, i, j);
        if (product.epilogue == CUBLASLT_EPILOGUE_BIAS)
          sum += static_cast<float>(static_cast<const T*>(product.bias)[i]);
        static_cast<T*>(d)[p * d_layout->step + j * d_layout->line + i] = T(sum);
      }
}

bool fits(cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
          cublasLtMatrixLayout_t d) {
  const bool flip_a = product->transpose_a == CUBLAS_OP_T,
             flip_b = product->transpose_b == CUBLAS_OP_T;
  const auto is_whole = [](cublasLtMatrixLayout_t l) { return l->line >= l->rows; };
  return is_whole(a) && is_whole(b) && is_whole(d) && (flip_a ? a->columns : a->rows) == d->rows &&
         (flip_b ? b->rows : b->columns) == d->columns &&
         (flip_a ? a->rows : a->columns) == (flip_b ? b->columns : b->rows) &&
         a->count == d->count && b->count == d->count;
}

}  // namespace

size_t cublasLtGetVersion() { return 120200; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t) {
  *product = new cublasLtMatmulDescOpaque_t{.compute = compute};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(product->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(product->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(product->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(product->bias, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t line) {
  *layout = new cublasLtMatrixLayoutOpaque_t{.type = type,
                                             .rows = static_cast<int64_t>(rows),
                                             .columns = static_cast<int64_t>(columns),
                                             .line = line};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  return attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT ? assign(layout->count, value, bytes)
                                                         : assign(layout->step, value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void*, size_t bytes) {
  const bool wide = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
  return bytes == (wide ? sizeof(uint64_t) : sizeof(uint32_t)) ? CUBLAS_STATUS_SUCCESS
                                                               : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t*, int* found) {
  *found = fits(product, a, b, d) ? 1 : 0;
  return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void*,
                              size_t, cudaStream_t) {
  if (!fits(product, a_layout, b_layout, d_layout)) return CUBLAS_STATUS_INVALID_VALUE;
  const brume::cuda::emu::MemoryAccess access;
  const auto go = [&]<class T>(brume::Type<T>) {
    multiply<T>(*product, *static_cast<const float*>(alpha), a, a_layout, b, b_layout,
                *static_cast<const float*>(beta), c, c_layout, d, d_layout);
  };
  if (d_layout->type == CUDA_R_32F) go(brume::Type<float>{});
  if (d_layout->type == CUDA_R_16F) go(brume::Type<f16>{});
  if (d_layout->type == CUDA_R_16BF) go(brume::Type<bf16>{});
  return CUBLAS_STATUS_SUCCESS;
}

namespace brume::cuda::emu {

std::span<const Symbol> cublaslt_symbols() {
  static const Symbol symbols[] = {
      {"cublasLtGetVersion", address_of(cublasLtGetVersion)},
      {"cublasLtCreate", address_of(cublasLtCreate)},
      {"cublasLtMatmulDescCreate", address_of(cublasLtMatmulDescCreate)},
      {"cublasLtMatmulDescSetAttribute", address_of(cublasLtMatmulDescSetAttribute)},
      {"cublasLtMatrixLayoutCreate", address_of(cublasLtMatrixLayoutCreate)},
      {"cublasLtMatrixLayoutSetAttribute", address_of(cublasLtMatrixLayoutSetAttribute)},
      {"cublasLtMatmulPreferenceCreate", address_of(cublasLtMatmulPreferenceCreate)},
      {"cublasLtMatmulPreferenceSetAttribute", address_of(cublasLtMatmulPreferenceSetAttribute)},
      {"cublasLtMatmulPreferenceDestroy", address_of(cublasLtMatmulPreferenceDestroy)},
      {"cublasLtMatmulAlgoGetHeuristic", address_of(cublasLtMatmulAlgoGetHeuristic)},
      {"cublasLtMatmul", address_of(cublasLtMatmul)}};
  return symbols;
}

}  // namespace brume::cuda::emu
