// Family gemm: products of matrices with f32 sums (f64 for f64).

#include <brume/core/kernels/gemm.h>

#include <algorithm>

#include <brume/cuda/kernels/cuda_kernels.h>
#include <brume/cuda/lib/gemm_library.h>
#include <brume/cuda/matrix_tiles.h>
#include <brume/cuda/device/vector.cuh>

namespace brume::cuda {
namespace {

template <class T, bool kAFast, bool kBFast>
struct Products {
  using Element = T;
  static constexpr bool kADepthFast = kAFast, kBDepthFast = kBFast;

  Steps<4> leading;  // a, b, c, residual
  int64_t m, n, k;
  int64_t a_row, a_depth, b_depth, b_column, c_row, residual_row;
  const T* bias;
  Wide<T> scale;
  bool a_packs, b_packs;
};

template <class T, bool kAFast, bool kBFast>
struct Product {
  using A = Wide<T>;
  using Row = const T*;  // null outside
  using Column = Row;
  using Depth = int64_t;

  const Products<T, kAFast, kBFast>& all;
  const T *a_data, *b_data, *residual;
  T* c;

  __device__ Product(const Products<T, kAFast, kBFast>& all_, uint32_t number) : all(all_) {
    int64_t offset[4];
    all.leading.template locate<1>(number, offset);
    a_data = static_cast<const T*>(all.leading.data[0]) + offset[0];
    b_data = static_cast<const T*>(all.leading.data[1]) + offset[1];
    c = static_cast<T*>(all.leading.data[2]) + offset[2];
    residual = static_cast<const T*>(all.leading.data[3]);
    if (residual) residual += offset[3];
  }
  __device__ TileRange range() const { return {all.m, all.n, 0, all.k}; }
  __device__ Row row(int64_t i) const { return i < all.m ? a_data + i * all.a_row : nullptr; }
  __device__ Column column(int64_t j) const {
    return j < all.n ? b_data + j * all.b_column : nullptr;
  }
  __device__ Depth depth(int64_t at) const { return at; }
  __device__ const T* a(Row r, Depth at) const {
    return r && at < all.k ? r + at * all.a_depth : nullptr;
  }
  __device__ const T* b(Column r, Depth at) const {
    return r && at < all.k ? r + at * all.b_depth : nullptr;
  }
  template <int kCount>
  __device__ void store(int64_t i, int64_t j, A (&sums)[kCount], int count) const {
    if (all.bias) add_run(sums, all.bias + j, count);
    if (residual) add_run(sums, residual + i * all.residual_row + j, count);
#pragma unroll
    for (int n = 0; n < kCount; ++n) sums[n] *= all.scale;
    store_run(c + i * all.c_row + j, sums, count);
  }
};

template <class T, bool kAFast, bool kBFast>
__device__ inline Product<T, kAFast, kBFast> one_of(const Products<T, kAFast, kBFast>& all,
                                                    uint32_t number) {
  return {all, number};
}

/// The same for the library; false if there is none, or if it does not take them. `steps`: from one
/// product to the next, of a, b, c and the residual.
template <class T, bool kAFast, bool kBFast>
bool multiply_by_library(const char* op, const Products<T, kAFast, kBFast>& p, int64_t products,
                         const int64_t (&steps)[4]) {
  if (!has_gemm_library() || p.leading.rank > 1) return false;
  if ((kAFast ? p.a_depth : p.a_row) != 1 || (kBFast ? p.b_depth : p.b_column) != 1) return false;
  const auto& data = p.leading.data;
  return multiply_by_library({.dtype = dtype_of<T>,
                              .mode = f32_mode(),
                              .m = p.m,
                              .n = p.n,
                              .k = p.k,
                              .products = products,
                              .a = {data[0], kAFast ? p.a_row : p.a_depth, steps[0], kAFast},
                              .b = {data[1], kBFast ? p.b_column : p.b_depth, steps[1], kBFast},
                              .residual = {data[3], p.residual_row, steps[3], false},
                              .c = data[2],
                              .c_line = p.c_row,
                              .c_step = steps[2],
                              .bias = p.bias,
                              .scale = static_cast<double>(p.scale)},
                             stream(op));
}

template <class T, bool kAFast, bool kBFast>
void multiply(const View& a, const View& b, const GemmEpilogue& e, const View& c) {
  constexpr const char* kOp = "matmul";
  Products<T, kAFast, kBFast> p{};
  p.m = c.size(-2);
  p.n = c.size(-1);
  p.k = a.size(-1);
  p.a_row = a.stride(-2);
  p.a_depth = a.stride(-1);
  p.b_depth = b.stride(-2);
  p.b_column = b.stride(-1);
  p.c_row = c.stride(-2);
  p.residual_row = e.residual ? e.residual.stride(-2) : 0;
  p.bias = e.bias.as<T>();
  p.scale = static_cast<Wide<T>>(e.scale);
  const View* views[] = {&a, &b, &c, &e.residual};
  for (int v = 0; v < 4; ++v) p.leading.data[v] = views[v]->data;
  int64_t products = 1, steps[4] = {};
  p.a_packs = in_packs(a.as<T>(), kAFast ? p.k : p.m, {kAFast ? p.a_row : p.a_depth}) &&
              (kAFast ? p.a_depth : p.a_row) == 1;
  p.b_packs = in_packs(b.as<T>(), kBFast ? p.k : p.n, {kBFast ? p.b_column : p.b_depth}) &&
              (kBFast ? p.b_depth : p.b_column) == 1;
  for (int i = c.rank() - 3; i >= 0; --i) {
    const int64_t size = c.size(i), residual = e.residual ? e.residual.stride(i) : 0;
    if (size == 1) continue;
    // One b for all: more rows instead of more products.
    if (products == 1 && b.stride(i) == 0 && a.stride(i) == p.a_row * p.m &&
        c.stride(i) == p.c_row * p.m && residual == p.residual_row * p.m) {
      p.m *= size;
      continue;
    }
    products *= size;
    const int64_t strides[4] = {a.stride(i), b.stride(i), c.stride(i), residual};
    std::copy_n(strides, 4, steps);
    p.a_packs &= a.stride(i) % kChunkCount<T> == 0;
    p.b_packs &= b.stride(i) % kChunkCount<T> == 0;
    add_axis(p.leading, size, strides);
  }
  if (!multiply_by_library(kOp, p, products, steps)) launch_tiles(kOp, p, products, p.m, p.n);
}

void matmul(const View& a, const View& b, const GemmEpilogue& e, const View& c) {
  if (numel(c.shape) == 0) return;
  const bool a_fast = a.stride(-1) == 1 || a.stride(-2) != 1;
  const bool b_fast = b.stride(-1) != 1 && b.stride(-2) == 1;
  dispatch<float, double, bf16, f16>(c.dtype, "matmul", [&]<class T>(Type<T>) {
    if (a_fast)
      b_fast ? multiply<T, true, true>(a, b, e, c) : multiply<T, true, false>(a, b, e, c);
    else
      b_fast ? multiply<T, false, true>(a, b, e, c) : multiply<T, false, false>(a, b, e, c);
  });
}

}  // namespace
}  // namespace brume::cuda

namespace brume {

const GemmKernels cuda_gemm{.matmul = cuda::matmul};

}  // namespace brume
