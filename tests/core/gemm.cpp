#include <brume/core/kernels/gemm.h>

#include <cmath>
#include <vector>

#include <doctest/doctest.h>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/parallel.h>

#include "tests/core/numbers.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

template <class T>
View view(std::vector<T>& data, const Shape& shape, const Strides& strides) {
  return {data.data(), dtype_of<T>, shape, strides};
}
template <class T>
View view(std::vector<T>& data, const Shape& shape) {
  return view(data, shape, dense_strides(shape));
}

template <class T>
double at(const View& v, int64_t z, int64_t i, int64_t j) {
  return static_cast<double>(v.as<T>()[z * v.stride(0) + i * v.stride(1) + j * v.stride(2)]);
}

// Largest difference from a double loop, relative to the size that sums of K products have.
template <class T>
double error_of(const View& a, const View& b, const GemmEpilogue& e, const View& c) {
  const int64_t k = a.size(2);
  double worst = 0;
  for (int64_t z = 0; z < c.size(0); ++z)
    for (int64_t i = 0; i < c.size(1); ++i)
      for (int64_t j = 0; j < c.size(2); ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += at<T>(a, z, i, p) * at<T>(b, z, p, j);
        if (e.bias) sum += static_cast<double>(e.bias.as<T>()[j]);
        if (e.residual) sum += at<T>(e.residual, z, i, j);
        worst = std::max(worst, std::abs(sum * e.scale - at<T>(c, z, i, j)));
      }
  return worst / std::sqrt(static_cast<double>(k) + 1);
}

struct Case {
  int64_t batch, m, n, k;
};

// Every stride order of both operands, against a double loop.
template <class T>
void check_layouts(const Case& s, double bound) {
  for (int layout = 0; layout < 4; ++layout) {
    CAPTURE(s.m);
    CAPTURE(s.n);
    CAPTURE(s.k);
    CAPTURE(layout);
    auto a = numbers<T>(s.batch * s.m * s.k, 1), b = numbers<T>(s.batch * s.k * s.n, 2);
    std::vector<T> c(static_cast<size_t>(s.batch * s.m * s.n), T(7));
    const Strides a_strides =
        (layout & 1) != 0 ? Strides{s.m * s.k, 1, s.m} : Strides{s.m * s.k, s.k, 1};
    const Strides b_strides =
        (layout & 2) != 0 ? Strides{s.k * s.n, 1, s.k} : Strides{s.k * s.n, s.n, 1};
    const View av = view(a, {s.batch, s.m, s.k}, a_strides);
    const View bv = view(b, {s.batch, s.k, s.n}, b_strides);
    const View cv = view(c, {s.batch, s.m, s.n});
    cpu_gemm.matmul(av, bv, {}, cv);
    CHECK(error_of<T>(av, bv, {}, cv) <= bound);
  }
}

}  // namespace

TEST_CASE("a matrix product agrees with a double loop for any shape and layout") {
  const Case cases[] = {{1, 1, 1, 1},       {1, 3, 5, 7},      {2, 14, 32, 16},  {1, 15, 33, 17},
                        {1, 64, 64, 64},    {3, 29, 70, 40},   {1, 1, 200, 300}, {1, 2, 130, 50},
                        {1, 200, 1, 60},    {1, 90, 100, 900}, {1, 5, 7, 5000},  {9, 4, 4, 4},
                        {1, 300, 260, 130}, {2, 5, 90, 700},   {1, 17, 100, 64}};
  for (const Case& s : cases) check_layouts<float>(s, 1e-6);
  for (const Case& s : {Case{1, 3, 5, 7}, Case{2, 29, 33, 40}, Case{1, 30, 40, 900}})
    check_layouts<double>(s, 2e-15);
}

TEST_CASE("a product takes operands with gaps between their elements") {
  const int64_t m = 17, n = 19, k = 23;
  auto a = numbers<float>(m * k * 6, 1), b = numbers<float>(n * k * 6, 2);
  std::vector<float> c(static_cast<size_t>(m * n));
  const View av = view(a, {1, m, k}, {0, 6 * k, 2}), bv = view(b, {1, k, n}, {0, 3, 3 * k});
  const View cv = view(c, {1, m, n});
  cpu_gemm.matmul(av, bv, {}, cv);
  CHECK(error_of<float>(av, bv, {}, cv) <= 1e-6);
}

TEST_CASE("bias, residual and scale join a product in its store") {
  for (const Case& s : {Case{2, 15, 33, 20}, Case{1, 40, 24, 0}, Case{1, 20, 30, 4000}}) {
    CAPTURE(s.k);
    auto a = numbers<float>(s.batch * s.m * s.k, 1), b = numbers<float>(s.batch * s.k * s.n, 2);
    auto bias = numbers<float>(s.n, 3), residual = numbers<float>(s.batch * s.m * s.n, 4);
    std::vector<float> c(residual.size());
    const View av = view(a, {s.batch, s.m, s.k}), bv = view(b, {s.batch, s.k, s.n});
    const View cv = view(c, {s.batch, s.m, s.n});
    const GemmEpilogue e{
        .bias = view(bias, {s.n}), .residual = view(residual, {s.batch, s.m, s.n}), .scale = 0.75};
    cpu_gemm.matmul(av, bv, e, cv);
    CHECK(error_of<float>(av, bv, e, cv) <= 1e-6);
  }
}

TEST_CASE("products over leading axes repeat what has stride 0") {
  const int64_t m = 6, n = 8, k = 10;
  auto a = numbers<float>(2 * 3 * m * k, 1), b = numbers<float>(2 * k * n, 2);
  std::vector<float> c(static_cast<size_t>(2 * 3 * m * n));
  const View av = view(a, {2, 3, m, k});
  const View bv = view(b, {2, 3, k, n}, {k * n, 0, n, 1});
  const View cv = view(c, {2, 3, m, n});
  cpu_gemm.matmul(av, bv, {}, cv);
  for (int64_t z = 0; z < 2; ++z) {
    const View az{a.data() + z * 3 * m * k, DType::f32, {3, m, k}, {m * k, k, 1}};
    const View bz{b.data() + z * k * n, DType::f32, {3, k, n}, {0, n, 1}};
    const View cz{c.data() + z * 3 * m * n, DType::f32, {3, m, n}, {m * n, n, 1}};
    CHECK(error_of<float>(az, bz, {}, cz) <= 1e-6);
  }
}

TEST_CASE("a product has the same bits for any number of threads") {
  for (const Case& s : {Case{1, 200, 300, 700}, Case{1, 40, 50, 20000}, Case{5, 70, 90, 100}}) {
    std::vector<float> first;
    for (int threads : {1, 2, 3}) {
      const Threads guard(threads);
      auto a = numbers<float>(s.batch * s.m * s.k, 1), b = numbers<float>(s.batch * s.k * s.n, 2);
      std::vector<float> c(static_cast<size_t>(s.batch * s.m * s.n));
      cpu_gemm.matmul(view(a, {s.batch, s.m, s.k}), view(b, {s.batch, s.k, s.n}), {},
                      view(c, {s.batch, s.m, s.n}));
      if (first.empty()) first = c;
      CHECK(c == first);
    }
  }
}

TEST_CASE("an element of a product has the same bits whatever stands beside it") {
  // K alone decides the order of summation: one row, a few rows, a split long sum.
  for (int64_t k : {64, 1000, 20000}) {
    const int64_t m = 150, n = 40;
    auto a = numbers<float>(m * k, 1), b = numbers<float>(k * n, 2);
    std::vector<float> all(static_cast<size_t>(m * n));
    cpu_gemm.matmul(view(a, {m, k}), view(b, {k, n}), {}, view(all, {m, n}));
    std::vector<float> turned(b.size());  // b with its columns contiguous
    for (int64_t i = 0; i < k * n; ++i)
      turned[static_cast<size_t>(i % n * k + i / n)] = b[static_cast<size_t>(i)];
    for (int64_t rows : {1, 3, 6, 17, 100})
      for (const View& bv : {view(b, {k, n}), view(turned, {k, n}, {1, k})}) {
        std::vector<float> some(static_cast<size_t>(rows * n));
        cpu_gemm.matmul(view(a, {rows, k}), bv, {}, view(some, {rows, n}));
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
      }
    std::vector<float> columns(static_cast<size_t>(m * 7));
    cpu_gemm.matmul(view(a, {m, k}), view(b, {k, 7}, {n, 1}), {}, view(columns, {m, 7}));
    for (int64_t i = 0; i < m; ++i)
      CHECK(std::equal(columns.begin() + i * 7, columns.begin() + i * 7 + 7, all.begin() + i * n));
  }
}
