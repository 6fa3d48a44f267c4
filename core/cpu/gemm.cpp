#include <algorithm>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>

namespace brume::cpu {

// Blocks of up to 384: a panel of b then fits the first-level cache, and adding a block to c costs
// one load and store per 384 products. Equal lengths, so that no short block is left.
int64_t k_block(int64_t k) {
  constexpr int64_t kLongest = 384, kRound = 16;
  const int64_t blocks = std::max<int64_t>((k + kLongest - 1) / kLongest, 1);
  const int64_t length = (k + blocks - 1) / blocks;
  return std::max((length + kRound - 1) / kRound * kRound, kRound);
}

namespace {

// Products below this many multiply-adds stay on one thread: a fork and join costs about 1 us.
constexpr int64_t kWorthForking = int64_t{1} << 18;
// Elements of b that are packed once for all threads; beyond, each chunk packs its own block.
constexpr int64_t kSharedPanels = int64_t{1} << 21;

// How c is cut into chunks of work. Bits do not depend on it.
struct Cut {
  int64_t rows, columns;  // of a chunk
  int64_t row_chunks, column_chunks;
  int64_t count() const { return row_chunks * column_chunks; }
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class T>
Cut cut(const Gemm<T>& g) {
  const auto& isa = gemm_isa<T>();
  constexpr int64_t kTiles = 6, kColumns = 512, kChunks = 16;
  Cut c{isa.rows * kTiles, kColumns, 0, 0};
  if (g.k * g.n > kSharedPanels) c.rows *= 4;  // packing its own b must pay
  const auto count = [&] {
    c.rows = std::min(c.rows, std::max<int64_t>(g.m, 1));
    c.row_chunks = ceil_div(g.m, c.rows);
    c.column_chunks = ceil_div(g.n, c.columns);
    return g.batch * c.count();
  };
  const int64_t wanted = std::min(kChunks, g.batch * g.m * g.n * g.k / kWorthForking);
  while (count() < wanted) {
    if (c.rows > 2 * isa.rows)
      c.rows = ceil_div(c.rows / 2, isa.rows) * isa.rows;
    else if (std::min(c.columns, g.n) > 2 * isa.columns)
      c.columns = ceil_div(std::min(c.columns, g.n) / 2, isa.columns) * isa.columns;
    else
      break;
  }
  count();
  return c;
}

// The block [i0, i0 + m) x [k0, k0 + k) of a, as a Product reads it: in place where rows are short
// strides apart, else packed, so that no two rows share a cache set.
template <class T>
void place_a(const Gemm<T>& g, const T* a, int64_t m, int64_t k, Product<T>& p, Scratch& scratch) {
  constexpr int64_t kFewColumns = 128, kShortRow = 2048 / sizeof(T);
  const int64_t row = g.a.row, column = g.a.column;
  const bool direct = g.n <= kFewColumns || m <= gemm_isa<T>().rows;
  if (column == 1) {
    p.a_k = 1;
    p.a = a;
    p.a_row = row;
    if (direct) return;
    p.a_row = k + 64 / static_cast<int64_t>(sizeof(T));
    T* packed = scratch.take<T>(m * p.a_row);
    gemm_isa<T>().pack(m, k, a, row, 1, packed, p.a_row);
    p.a = packed;
  } else {
    p.a_row = 1;
    p.a = a;
    p.a_k = column;
    if (row == 1 && direct && column <= kShortRow) return;
    p.a_k = m;
    T* packed = scratch.take<T>(m * k);
    gemm_isa<T>().pack(k, m, a, column, row, packed, m);
    p.a = packed;
  }
}

template <class T>
int64_t panel_columns(int64_t n) {
  return ceil_div(n, gemm_isa<T>().columns) * gemm_isa<T>().columns;
}

// Rows [i0, i0 + m) and columns [j0, j0 + n) of one matrix c, all of K. `panels`: b packed per
// block of K, or null.
template <class T>
void run_chunk(const Gemm<T>& g, int64_t z, int64_t i0, int64_t m, int64_t j0, int64_t n,
               const T* panels) {
  const auto& isa = gemm_isa<T>();
  const T* a = g.a.at(i0, 0) + z * g.a_batch;
  const T* b = g.b.at(0, j0) + z * g.b_batch;
  Product<T> p{};
  p.m = m;
  p.n = n;
  p.segments = 1;
  p.c = g.c + z * g.c_batch + i0 * g.c_row + j0;
  p.c_row = g.c_row;
  Epilogue<T> last = g.epilogue;
  if (last.bias) last.bias += j0;
  if (last.residual) last.residual += z * g.residual_batch + i0 * last.residual_row + j0;
  const bool plain = !last.bias && !last.residual && last.scale == T(1);
  const int64_t block = k_block(g.k);
  for (int64_t k0 = 0; k0 < g.k; k0 += block) {
    const int64_t k = std::min(block, g.k - k0);
    Scratch scratch;
    p.length = k;
    place_a(g, a + k0 * g.a.column, m, k, p, scratch);
    p.b_k = isa.columns;
    p.b_panel = k * isa.columns;
    if (panels) {
      p.b = panels + k0 * panel_columns<T>(g.n) + j0 * k;
    } else {
      T* packed = scratch.take<T>(k * panel_columns<T>(n));
      isa.pack_panels(k, n, b + k0 * g.b.row, g.b.row, g.b.column, packed);
      p.b = packed;
    }
    p.accumulate = k0 > 0;
    p.epilogue = k0 + k == g.k && !plain ? &last : nullptr;
    isa.multiply(p);
  }
}

// All of b, packed per block of K, panels of a block one after the other.
template <class T>
const T* pack_shared(const Gemm<T>& g, const T* b, Scratch& scratch) {
  const auto& isa = gemm_isa<T>();
  const int64_t columns = panel_columns<T>(g.n), block = k_block(g.k);
  T* out = scratch.take<T>(g.k * columns);
  const int64_t blocks = ceil_div(g.k, block), panels = columns / isa.columns;
  parallel_for(blocks * panels, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t k0 = i / panels * block, k = std::min(block, g.k - k0);
      const int64_t j = i % panels * isa.columns;
      isa.pack_panels(k, std::min(isa.columns, g.n - j), b + k0 * g.b.row + j * g.b.column, g.b.row,
                      g.b.column, out + k0 * columns + j * k);
    }
  });
  return out;
}

// Long K, small c: every block of K into a c of its own, then added in the same order as without.
template <class T>
void run_split(const Gemm<T>& g) {
  const int64_t block = k_block(g.k), blocks = ceil_div(g.k, block);
  Scratch scratch;
  T* sums = scratch.take<T>(blocks * g.m * g.n);
  for (int64_t z = 0; z < g.batch; ++z) {
    parallel_for(blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t q = begin; q < end; ++q) {
        Gemm<T> part = g;
        part.k = std::min(block, g.k - q * block);
        part.a.data = g.a.at(0, q * block);
        part.b.data = g.b.at(q * block, 0);
        part.c = sums + q * g.m * g.n - z * g.c_batch;
        part.c_row = g.n;
        part.epilogue = {nullptr, nullptr, 0, T(1)};
        run_chunk(part, z, 0, g.m, 0, g.n, static_cast<const T*>(nullptr));
      }
    });
    const Epilogue<T>& e = g.epilogue;
    parallel_for(g.m, ceil_div(16384, blocks * g.n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* c = g.c + z * g.c_batch + i * g.c_row;
        std::copy_n(sums + i * g.n, g.n, c);
        for (int64_t q = 1; q < blocks; ++q) {
          const T* s = sums + q * g.m * g.n + i * g.n;
          for (int64_t j = 0; j < g.n; ++j) c[j] += s[j];
        }
        const T* residual =
            e.residual ? e.residual + z * g.residual_batch + i * e.residual_row : nullptr;
        for (int64_t j = 0; j < g.n; ++j) {
          if (e.bias) c[j] += e.bias[j];
          if (residual) c[j] += residual[j];
          c[j] *= e.scale;
        }
      }
    });
  }
}

template <class T>
void run_empty_sum(const Gemm<T>& g) {
  for (int64_t z = 0; z < g.batch; ++z)
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        const Epilogue<T>& e = g.epilogue;
        T v = 0;
        if (e.bias) v += e.bias[j];
        if (e.residual) v += e.residual[z * g.residual_batch + i * e.residual_row + j];
        g.c[z * g.c_batch + i * g.c_row + j] = v * e.scale;
      }
}

}  // namespace

template <class T>
void run(const Gemm<T>& g) {
  if (g.batch == 0 || g.m == 0 || g.n == 0) return;
  if (g.k == 0) return run_empty_sum(g);
  constexpr int64_t kFewChunks = 8, kManyBlocks = 8;
  const Cut c = cut(g);
  const bool forks = g.batch * g.m * g.n * g.k >= kWorthForking;
  const int64_t blocks = ceil_div(g.k, k_block(g.k));
  if (forks && g.batch * c.count() < kFewChunks && blocks >= kManyBlocks &&
      blocks * g.m * g.n <= kSharedPanels)
    return run_split(g);

  const auto chunk = [&](int64_t z, int64_t index, const T* panels) {
    const int64_t i = index / c.column_chunks * c.rows, j = index % c.column_chunks * c.columns;
    run_chunk(g, z, i, std::min(c.rows, g.m - i), j, std::min(c.columns, g.n - j), panels);
  };
  if (c.row_chunks > 1 && g.k * g.n <= kSharedPanels) {
    const bool same_b = g.b_batch == 0;
    for (int64_t z = 0; z < g.batch; ++z) {
      Scratch scratch;
      const T* panels = pack_shared(g, g.b.data + z * g.b_batch, scratch);
      const int64_t matrices = same_b ? g.batch : 1;
      parallel_chunks(matrices * c.count(),
                      [&](int64_t i) { chunk(z + i / c.count(), i % c.count(), panels); });
      if (same_b) break;
    }
    return;
  }
  // Small matrices go several to a piece of work.
  const int64_t work = std::min(c.rows, g.m) * std::min(c.columns, g.n) * g.k;
  const int64_t grain = std::max<int64_t>(kWorthForking / std::max<int64_t>(work, 1), 1);
  parallel_for(g.batch * c.count(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) chunk(i / c.count(), i % c.count(), nullptr);
  });
}
template void run(const Gemm<float>&);
template void run(const Gemm<double>&);

namespace {

// One leading axis with the strides of every operand.
struct Axis {
  int64_t size, a, b, c, residual;
  bool joins(const Axis& inner) const {
    return a == inner.a * inner.size && b == inner.b * inner.size && c == inner.c * inner.size &&
           residual == inner.residual * inner.size;
  }
};

template <class T>
void matmul_as(const View& a, const View& b, const GemmEpilogue& e, const View& c) {
  const int leading = c.rank() - 2;
  Axis axes[kMaxRank];
  int count = 0;  // innermost first
  for (int i = leading - 1; i >= 0; --i) {
    const Axis axis{c.size(i), a.stride(i), b.stride(i), c.stride(i),
                    e.residual ? e.residual.stride(i) : 0};
    if (axis.size == 1) continue;
    if (count > 0 && axis.joins(axes[count - 1]))
      axes[count - 1].size *= axis.size;
    else
      axes[count++] = axis;
  }

  Gemm<T> g{};
  g.batch = 1;
  g.m = c.size(-2);
  g.n = c.size(-1);
  g.k = a.size(-1);
  g.a = {a.as<const T>(), a.stride(-2), a.stride(-1)};
  g.b = {b.as<const T>(), b.stride(-2), b.stride(-1)};
  g.c = c.as<T>();
  g.c_row = c.stride(-2);
  g.epilogue = {e.bias.as<const T>(), e.residual.as<const T>(),
                e.residual ? e.residual.stride(-2) : 0, static_cast<T>(e.scale)};
  int outer = 0;
  if (count > 0) {
    const Axis& inner = axes[0];
    const Axis rows{g.m, g.a.row, 0, g.c_row, g.epilogue.residual_row};
    if (inner.b == 0 && inner.joins(rows)) {  // one b for all: more rows instead of more products
      g.m *= inner.size;
    } else {
      g.batch = inner.size;
      g.a_batch = inner.a;
      g.b_batch = inner.b;
      g.c_batch = inner.c;
      g.residual_batch = inner.residual;
    }
    outer = 1;
  }
  int64_t repeats = 1;
  for (int i = outer; i < count; ++i) repeats *= axes[i].size;
  for (int64_t r = 0; r < repeats; ++r) {
    Gemm<T> one = g;
    int64_t rest = r;
    for (int i = outer; i < count; ++i) {
      const int64_t index = rest % axes[i].size;
      rest /= axes[i].size;
      one.a.data += index * axes[i].a;
      one.b.data += index * axes[i].b;
      one.c += index * axes[i].c;
      if (one.epilogue.residual) one.epilogue.residual += index * axes[i].residual;
    }
    run(one);
  }
}

void matmul(const View& a, const View& b, const GemmEpilogue& epilogue, const View& c) {
  dispatch<float, double>(c.dtype, "matmul", [&](auto type) {
    matmul_as<typename decltype(type)::type>(a, b, epilogue, c);
  });
}

}  // namespace
}  // namespace brume::cpu

namespace brume {

const GemmKernels cpu_gemm{.matmul = cpu::matmul};

}  // namespace brume
