#include <brume/cuda/lib/gemm_library.h>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <array>
#include <map>
#include <mutex>
#include <string_view>

#include <brume/core/error.h>
#include <brume/cuda/lib/shared_library.h>
#include <brume/cuda/memory.h>

namespace brume::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;

/// The library's functions, and one handle.
struct Library {
  decltype(&cublasLtGetVersion) get_version = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_product = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_product = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_layout = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) set_layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) choose = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;
  cublasLtHandle_t handle = nullptr;
  std::string state;  // for the user
  bool usable = false;
};

/// Why the library is not usable; empty if it is.
std::string open(const std::string& file, Library& l) {
  SharedLibrary opened(file);
  opened.find("cublasLtGetVersion", l.get_version);
  opened.find("cublasLtCreate", l.create);
  opened.find("cublasLtMatmulDescCreate", l.create_product);
  opened.find("cublasLtMatmulDescSetAttribute", l.set_product);
  opened.find("cublasLtMatrixLayoutCreate", l.create_layout);
  opened.find("cublasLtMatrixLayoutSetAttribute", l.set_layout);
  opened.find("cublasLtMatmulPreferenceCreate", l.create_preference);
  opened.find("cublasLtMatmulPreferenceSetAttribute", l.set_preference);
  opened.find("cublasLtMatmulPreferenceDestroy", l.destroy_preference);
  opened.find("cublasLtMatmulAlgoGetHeuristic", l.choose);
  opened.find("cublasLtMatmul", l.multiply);
  if (!opened.reason().empty()) return opened.reason();
  if (l.create(&l.handle) != CUBLAS_STATUS_SUCCESS) return "does not start";
  return {};
}

Library find_library() {
  Library l;
  if (!asks_for("BRUME_GEMM", "cublaslt")) {
    l.state = "products of matrices: brume's own kernels (BRUME_GEMM=cublaslt asks for cuBLASLt)";
    return l;
  }
  int runtime = 0;
  check_cuda(cudaRuntimeGetVersion(&runtime), "matmul");
  const std::string file = cat("libcublasLt.so.", runtime / 1000);
  const std::string reason = open(file, l);
  l.usable = reason.empty();
  l.state = l.usable ? cat("products of matrices: cuBLASLt ", l.get_version())
                     : cat("products of matrices: brume's own kernels, since ", file, " ", reason);
  return l;
}

const Library& library() {
  static const Library& found = *new Library(find_library());
  return found;
}

void check_lt(cublasStatus_t status, const char* call) {
  check<CudaError>(status == CUBLAS_STATUS_SUCCESS, "matmul: cuBLASLt's ", call, " says ",
                   static_cast<int>(status));
}

cudaDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDA_R_16BF : dtype == DType::f16 ? CUDA_R_16F : CUDA_R_32F;
}

/// The largest power of two up to 256 that an address is a multiple of.
uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<uintptr_t>(data) | 256;
  return static_cast<uint32_t>(address & (~address + 1));
}

/// A product as the library wants it told. Its matrices are column by column, and what lies row by
/// row is there the transpose: c^T = b^T a^T.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t left = nullptr, right = nullptr, residual = nullptr, result = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool taken = false;
};

cublasLtMatrixLayout_t layout(const Library& l, const LibraryProduct& p, int64_t rows,
                              int64_t columns, int64_t line, int64_t step) {
  cublasLtMatrixLayout_t made = nullptr;
  check_lt(l.create_layout(&made, type_of(p.dtype), static_cast<uint64_t>(rows),
                           static_cast<uint64_t>(columns), line),
           "MatrixLayoutCreate");
  const auto count = static_cast<int32_t>(p.products);
  check_lt(l.set_layout(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
           "MatrixLayoutSetAttribute");
  check_lt(l.set_layout(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step),
           "MatrixLayoutSetAttribute");
  return made;
}

template <class T>
void set_product(const Library& l, cublasLtMatmulDesc_t product,
                 cublasLtMatmulDescAttributes_t attribute, T value) {
  check_lt(l.set_product(product, attribute, &value, sizeof value), "MatmulDescSetAttribute");
}

Plan plan_of(const Library& l, const LibraryProduct& p) {
  Plan plan;
  const bool tf32 = p.dtype == DType::f32 && p.mode == F32Mode::tf32;
  check_lt(l.create_product(&plan.product, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                            CUDA_R_32F),
           "MatmulDescCreate");
  set_product(l, plan.product, CUBLASLT_MATMUL_DESC_TRANSA,
              int32_t{p.b.depth_fast ? CUBLAS_OP_T : CUBLAS_OP_N});
  set_product(l, plan.product, CUBLASLT_MATMUL_DESC_TRANSB,
              int32_t{p.a.depth_fast ? CUBLAS_OP_N : CUBLAS_OP_T});
  if (p.bias) {
    set_product(l, plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BIAS});
    set_product(l, plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  }
  plan.left =
      layout(l, p, p.b.depth_fast ? p.k : p.n, p.b.depth_fast ? p.n : p.k, p.b.line, p.b.step);
  plan.right =
      layout(l, p, p.a.depth_fast ? p.k : p.m, p.a.depth_fast ? p.m : p.k, p.a.line, p.a.step);
  plan.result = layout(l, p, p.n, p.m, p.c_line, p.c_step);
  plan.residual =
      p.residual.data ? layout(l, p, p.n, p.m, p.residual.line, p.residual.step) : plan.result;

  cublasLtMatmulPreference_t preference = nullptr;
  check_lt(l.create_preference(&preference), "MatmulPreferenceCreate");
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    check_lt(l.set_preference(preference, attribute, &value, sizeof value),
             "MatmulPreferenceSetAttribute");
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
  // Parts of a sum, if any, are joined in f32 and in order.
  prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.b.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.a.data));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
         alignment_of(p.residual.data ? p.residual.data : p.c));
  prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.c));
  cublasLtMatmulHeuristicResult_t chosen{};
  int count = 0;
  const cublasStatus_t status =
      l.choose(l.handle, plan.product, plan.left, plan.right, plan.residual, plan.result,
               preference, 1, &chosen, &count);
  l.destroy_preference(preference);
  plan.taken = status == CUBLAS_STATUS_SUCCESS && count == 1;
  plan.algorithm = chosen.algo;
  return plan;
}

/// What a plan depends on.
using Key = std::array<int64_t, 21>;

Key key_of(const LibraryProduct& p) {
  const auto aligned = [](const void* data) { return int64_t{alignment_of(data)}; };
  return {static_cast<int64_t>(p.dtype),
          static_cast<int64_t>(p.mode),
          p.m,
          p.n,
          p.k,
          p.products,
          p.a.line,
          p.a.step,
          p.a.depth_fast,
          aligned(p.a.data),
          p.b.line,
          p.b.step,
          p.b.depth_fast,
          aligned(p.b.data),
          p.residual.line,
          p.residual.step,
          p.residual.data ? aligned(p.residual.data) : 0,
          p.c_line,
          p.c_step,
          aligned(p.c),
          p.bias ? aligned(p.bias) : 0};
}

}  // namespace

bool has_gemm_library() { return library().usable; }

std::string gemm_library_state() { return library().state; }

bool multiply_by_library(const LibraryProduct& p, Stream stream) {
  static std::mutex& mutex = *new std::mutex;
  static std::map<Key, Plan>& plans = *new std::map<Key, Plan>;
  const Library& l = library();
  // The bias is added behind the scale.
  if (p.dtype == DType::f64 || p.k == 0 || p.products > 0x7fffffff || (p.bias && p.scale != 1))
    return false;
  if (p.dtype == DType::f32 && p.mode == F32Mode::bf16x3) return false;
  const std::scoped_lock lock(mutex);
  const Key key = key_of(p);
  auto found = plans.find(key);
  if (found == plans.end()) found = plans.emplace(key, plan_of(l, p)).first;
  const Plan& plan = found->second;
  if (!plan.taken) return false;
  if (p.bias) set_product(l, plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  // One stream, so one workspace serves all products in turn.
  static void* const workspace = memory.allocate(kWorkspaceBytes);
  const auto alpha = static_cast<float>(p.scale), beta = p.residual.data ? alpha : 0.0F;
  check_lt(l.multiply(l.handle, plan.product, &alpha, p.b.data, plan.left, p.a.data, plan.right,
                      &beta, p.residual.data ? p.residual.data : p.c, plan.residual, p.c,
                      plan.result, &plan.algorithm, workspace, kWorkspaceBytes, stream.handle),
           "Matmul");
  return true;
}

}  // namespace brume::cuda
