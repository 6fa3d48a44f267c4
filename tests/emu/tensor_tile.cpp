// Products on the matrix unit: whole numbers, whose sums are exact in any order, against a loop.

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include <brume/cuda/matrix_tiles.h>
#include <tests/emu/on_device.h>
#include <brume/cuda/device/vector.cuh>

using namespace brume;
using namespace brume::cuda;

namespace {

/// c = a b, [m][k] times [k][n]; a factor whose depth is not fast lies the other way round.
template <class T, bool kAFast, bool kBFast>
struct Whole {
  using Element = T;
  static constexpr bool kADepthFast = kAFast, kBDepthFast = kBFast;
  int64_t m, n, k;
  const T *a, *b;
  float* c;
  bool a_packs, b_packs;
};

template <class Problems>
struct WholeProduct {
  using T = typename Problems::Element;
  using Row = int64_t;  // -1 outside
  using Column = Row;
  using Depth = int64_t;
  const Problems& all;
  const T *a_data, *b_data;

  TileRange range() const { return {all.m, all.n, 0, all.k}; }
  Row row(int64_t i) const { return i < all.m ? i : -1; }
  Column column(int64_t j) const { return j < all.n ? j : -1; }
  Depth depth(int64_t at) const { return at; }
  const T* a(Row i, Depth at) const {
    if (i < 0 || at >= all.k) return nullptr;
    return a_data + (Problems::kADepthFast ? i * all.k + at : at * all.m + i);
  }
  const T* b(Column j, Depth at) const {
    if (j < 0 || at >= all.k) return nullptr;
    return b_data + (Problems::kBDepthFast ? j * all.k + at : at * all.n + j);
  }
  void store(int64_t i, int64_t j, float (&sums)[kRun], int count) const {
    store_run(all.c + i * all.n + j, sums, count);
  }
};

template <class T, bool kAFast, bool kBFast>
WholeProduct<Whole<T, kAFast, kBFast>> one_of(const Whole<T, kAFast, kBFast>& all, uint32_t) {
  return {all, all.a, all.b};
}

int whole(int64_t i) { return static_cast<int>(i * 7 % 23) - 11; }

struct Sizes {
  int64_t m, n, k;
};

template <class T>
std::vector<T> factor(int64_t outer, int64_t depth, bool depth_fast, int64_t first) {
  std::vector<T> values;
  for (int64_t i = 0; i < outer * depth; ++i) {
    const int64_t o = depth_fast ? i / depth : i % outer, d = depth_fast ? i % depth : i / outer;
    values.push_back(T(static_cast<float>(whole(first + o * depth + d))));
  }
  return values;
}

std::vector<float> product(const Sizes& s) {
  std::vector<float> c(static_cast<size_t>(s.m * s.n));
  for (int64_t i = 0; i < s.m; ++i)
    for (int64_t j = 0; j < s.n; ++j) {
      int sum = 0;
      for (int64_t k = 0; k < s.k; ++k) sum += whole(i * s.k + k) * whole(5 + j * s.k + k);
      c[static_cast<size_t>(i * s.n + j)] = static_cast<float>(sum);
    }
  return c;
}

template <class Form, int kTile, bool kAFast, bool kBFast>
void check_product(const Sizes& s, bool packs) {
  using T = typename Form::Element;
  const OnDevice<T> a(factor<T>(s.m, s.k, kAFast, 0)), b(factor<T>(s.n, s.k, kBFast, 5));
  const OnDevice<float> c(static_cast<size_t>(s.m * s.n));
  const Whole<T, kAFast, kBFast> p{s.m, s.n, s.k, a, b, c, packs, packs};
  const auto rows = static_cast<uint32_t>(ceil_div(s.m, kTile)),
             columns = static_cast<uint32_t>(ceil_div(s.n, kTile));
  launch(multiply_tensor_tiles<Form, kTile, Whole<T, kAFast, kBFast>>, rows * columns,
         kTensorThreads<kTile>, kTensorBytes<kTile>, stream("product"), p, rows, columns);
  CHECK(c.values() == product(s));
}

template <class Form, int kTile>
void check_layouts(const Sizes& s, bool packs) {
  check_product<Form, kTile, true, true>(s, packs);
  check_product<Form, kTile, true, false>(s, packs);
  check_product<Form, kTile, false, true>(s, packs);
  check_product<Form, kTile, false, false>(s, packs);
}

TEST_CASE("the matrix unit multiplies any sizes and layouts, in tiles of 64 and of 128") {
  for (const bool packs : {true, false}) {
    CAPTURE(packs);
    const Sizes s = packs ? Sizes{72, 136, 264} : Sizes{67, 131, 85};
    check_layouts<Halves<bf16>, 64>(s, packs);
    check_layouts<Halves<bf16>, 128>(s, packs);
    check_layouts<Halves<f16>, 64>(s, packs);
    check_layouts<Tf32, 64>(s, packs);
    check_layouts<Tf32, 128>(s, packs);
    check_layouts<Bf16x3, 64>(s, packs);
    check_layouts<Bf16x3, 128>(s, packs);
  }
  check_product<Halves<f16>, 128, true, false>({3, 5, 7}, false);
  check_product<Halves<bf16>, 64, false, true>({8, 8, 8}, true);
  check_product<Tf32, 64, false, true>({4, 4, 4}, true);
}

TEST_CASE("a product does not depend on when copies land nor on the order of threads") {
  for (const auto order : kOrders)
    for (const auto copies : {emu::Copies::late, emu::Copies::early}) {
      const InOrder in_order(order);
      const WithCopies with_copies(copies);
      check_product<Halves<bf16>, 64, true, false>({64, 72, 328}, true);
      check_product<Halves<bf16>, 128, false, true>({40, 16, 264}, true);
      check_product<Tf32, 64, true, false>({64, 72, 164}, true);
    }
}

}  // namespace
