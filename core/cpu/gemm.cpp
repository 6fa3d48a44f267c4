#include <algorithm>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/cpu/widen.h>
#include <brume/core/math/ceil_div.h>

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
// Elements of b that are packed at once for all threads: a longer K goes in stretches. Few enough
// to be found in the shared cache, enough that threads seldom wait for each other.
constexpr int64_t kSharedPanels = int64_t{1} << 20;
// Tiles above each other in a block.
constexpr int64_t kBlockTiles = 6;

// How c is cut into chunks of work. Bits do not depend on it.
struct Cut {
  int64_t rows, columns;  // of a chunk
  int64_t row_chunks, column_chunks;
  int64_t count() const { return row_chunks * column_chunks; }
};

template <class T>
Cut cut(const Gemm<T>& g) {
  const auto& isa = gemm_isa<T>();
  constexpr int64_t kBlocks = 4, kColumns = 512, kChunks = 16;
  Cut c{isa.rows * kBlockTiles * kBlocks, kColumns, 0, 0};
  const auto count = [&] {
    c.rows = std::min(c.rows, std::max<int64_t>(g.m, 1));
    c.row_chunks = ceil_div(g.m, c.rows);
    c.rows = ceil_div(g.m, c.row_chunks);
    c.column_chunks = ceil_div(g.n, c.columns);
    return g.batch * c.count();
  };
  const int64_t wanted = std::min(kChunks, g.batch * g.m * g.n * g.k / kWorthForking);
  // Low chunks last: a panel of b that comes into the first-level cache should serve many tiles.
  // 512 x 512 x 4096 in chunks of 64 x 256 runs at 83 % of the peak, of 27 x 512 at 75 %.
  while (count() < wanted) {
    const int64_t columns = std::min(c.columns, g.n);
    const bool lower = c.rows > isa.rows * kBlockTiles || columns <= kColumns / 2;
    if (lower && c.rows > 2 * isa.rows)
      c.rows = ceil_div(c.rows / 2, isa.rows) * isa.rows;
    else if (columns > 2 * isa.columns)
      c.columns = ceil_div(columns / 2, isa.columns) * isa.columns;
    else
      break;
  }
  count();
  return c;
}

template <class T>
int64_t panel_columns(int64_t n) {
  return ceil_div(n, gemm_isa<T>().columns) * gemm_isa<T>().columns;
}

// Rows of K closer than this are read in place at full speed; farther, they cost page look-ups and
// fall into the same cache sets.
template <class T>
constexpr int64_t kShortRow = 2048 / sizeof(T);

// A block of a [m, k] as a Product reads it: in place or packed, adjacent numbers adjacent still.
template <class T>
void place_a(const Gemm<T>& g, const T* a, int64_t m, int64_t n, int64_t k, Product<T>& p,
             Scratch& scratch) {
  constexpr int64_t kFewColumns = 128;
  const int64_t row = g.a.row, column = g.a.column;
  p.a = a;
  p.a_row = row;
  p.a_k = column;
  // A column of a takes a line of each row, and rows of kShortRow share a few cache sets.
  if (row == 1 && column < kShortRow<T>) return;
  const bool once = n <= kFewColumns || m <= gemm_isa<T>().rows;
  if (column == 1 && (row <= kShortRow<T> || once)) return;
  constexpr int64_t kLine = 64 / sizeof(T);
  if (row == 1) {
    p.a_k = ceil_div(m, kLine) * kLine;
    T* packed = scratch.take<T>(k * p.a_k);
    gemm_isa<T>().pack(k, m, a, column, 1, packed, p.a_k);
    p.a = packed;
    return;
  }
  p.a_row = k + kLine;
  p.a_k = 1;
  T* packed = scratch.take<T>(m * p.a_row);
  gemm_isa<T>().pack(m, k, a, row, column, packed, p.a_row);
  p.a = packed;
}

// A block of b [k, n]: in place or packed into panels.
template <class T>
void place_b(const Gemm<T>& g, const T* b, int64_t k, int64_t n, Product<T>& p, Scratch& scratch) {
  const auto& isa = gemm_isa<T>();
  if (g.b.column == 1 && g.b.row <= kShortRow<T> && n % (isa.columns / 2) == 0) {
    p.b = b;
    p.b_k = g.b.row;
    p.b_panel = isa.columns;
    return;
  }
  p.b_k = isa.columns;
  p.b_panel = k * isa.columns;
  T* packed = scratch.take<T>(k * panel_columns<T>(n));
  isa.pack_panels(k, n, b, g.b.row, g.b.column, packed, p.b_panel);
  p.b = packed;
}

// What one thread multiplies at a time: rows, columns and a stretch of K of matrix z.
struct Block {
  int64_t z, i, m, j, n, k, length;
};

template <class T>
Ahead<T> ahead(const T* x, const Matrix<T>& matrix, int64_t rows, int64_t columns) {
  if (matrix.column == 1) return {x, rows, columns, matrix.row};
  if (matrix.row == 1) return {x, columns, rows, matrix.column};
  return {};
}

// c (+)= a b over a block within one block of K. `panels`: b packed for it; null: packs its own.
// `next`: what this thread will probably want afterwards, or null.
template <class T>
void run_block(const Gemm<T>& g, const Block& at, const T* panels, const Block* next, T* c,
               int64_t c_row, bool accumulate, const Epilogue<T>* epilogue) {
  const auto& isa = gemm_isa<T>();
  const auto a = [&](const Block& x) { return g.a.at(x.i, x.k) + x.z * g.a_batch; };
  const auto b = [&](const Block& x) { return g.b.at(x.k, x.j) + x.z * g.b_batch; };
  Scratch scratch;
  Product<T> p{};
  p.m = at.m;
  p.n = at.n;
  p.segments = 1;
  p.length = at.length;
  place_a(g, a(at), at.m, at.n, at.length, p, scratch);
  if (panels) {
    p.b = panels;
    p.b_k = isa.columns;
    p.b_panel = at.length * isa.columns;
  } else {
    place_b(g, b(at), at.length, at.n, p, scratch);
  }
  p.c = c;
  p.c_row = c_row;
  p.accumulate = accumulate;
  p.epilogue = epilogue;
  if (next) {
    p.ahead[0] = ahead(a(*next), g.a, next->m, next->length);
    if (!panels) p.ahead[1] = ahead(b(*next), g.b, next->length, next->n);
  }
  isa.multiply(p);
}

// All blocks of K within a block. `panels`: b packed for its stretch of K, all columns; or null.
template <class T>
void run_chunk(const Gemm<T>& g, const Block& at, const T* panels, const Block* next) {
  const int64_t block = k_block(g.k), end_k = at.k + at.length;
  // Rows of one block: its part of a stays in the second-level cache beside that of b.
  const int64_t pieces = ceil_div(at.m, gemm_isa<T>().rows * kBlockTiles);
  const auto part = [&](int64_t k, int64_t piece) {
    const int64_t first = at.m * piece / pieces, end = at.m * (piece + 1) / pieces;
    return Block{at.z, at.i + first, end - first, at.j, at.n, k, std::min(block, end_k - k)};
  };
  for (int64_t k = at.k; k < end_k; k += block)
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const Block now = part(k, piece);
      Block then = now;
      const bool last_piece = piece + 1 == pieces, more = !last_piece || k + block < end_k;
      if (more) then = last_piece ? part(k + block, 0) : part(k, piece + 1);
      const T* packed =
          panels ? panels + (k - at.k) * panel_columns<T>(g.n) + at.j * now.length : nullptr;
      Epilogue<T> e = g.epilogue;
      if (e.bias) e.bias += now.z * g.bias_batch + now.j;
      if (e.residual) e.residual += now.z * g.residual_batch + now.i * e.residual_row + now.j;
      run_block(g, now, packed, more ? &then : next,
                g.c + now.z * g.c_batch + now.i * g.c_row + now.j, g.c_row, k > 0,
                k + now.length == g.k && !e.plain() ? &e : nullptr);
    }
}

// b's panels for a stretch of K.
template <class T>
const T* pack_stretch(const Gemm<T>& g, const T* b, int64_t begin, int64_t end, Scratch& scratch) {
  const auto& isa = gemm_isa<T>();
  const int64_t columns = panel_columns<T>(g.n), block = k_block(g.k);
  T* out = scratch.take<T>((end - begin) * columns);
  constexpr int64_t kPieceRows = 48;
  const int64_t block_pieces = ceil_div(block, kPieceRows);
  parallel_chunks(ceil_div(end - begin, block) * block_pieces, [&](int64_t piece) {
    const int64_t k0 = begin + piece / block_pieces * block, k = std::min(block, end - k0);
    const int64_t row = piece % block_pieces * kPieceRows;
    if (row >= k) return;
    isa.pack_panels(std::min(kPieceRows, k - row), g.n, b + (k0 + row) * g.b.row, g.b.row,
                    g.b.column, out + (k0 - begin) * columns + row * isa.columns, k * isa.columns);
  });
  return out;
}

// Long K, small c: every block of K into a c of its own, then added in the same order as without.
template <class T>
void run_split(const Gemm<T>& g, int64_t z) {
  constexpr int64_t kPieces = 16, kSumGrain = 16384;
  const int64_t length = k_block(g.k), blocks = ceil_div(g.k, length), size = g.m * g.n;
  const int64_t row_pieces =
      std::clamp<int64_t>(kPieces / blocks, 1, ceil_div(g.m, gemm_isa<T>().rows));
  const int64_t rows = ceil_div(g.m, row_pieces), grain = ceil_div(blocks, kPieces);
  Scratch scratch;
  T* sums = scratch.take<T>(blocks * size);
  const auto block = [&](int64_t index, int64_t piece) {
    const int64_t i = std::min(piece * rows, g.m);
    return Block{z,
                 i,
                 std::min(rows, g.m - i),
                 0,
                 g.n,
                 index * length,
                 std::min(length, g.k - index * length)};
  };
  parallel_chunks(ceil_div(blocks, grain) * row_pieces, [&](int64_t index) {
    const int64_t first = index / row_pieces * grain, piece = index % row_pieces;
    for (int64_t q = first; q < std::min(first + grain, blocks); ++q) {
      const Block at = block(q, piece);
      if (at.m == 0) return;
      const Block then = block(std::min(q + 1, blocks - 1), piece);
      run_block<T>(g, at, nullptr, &then, sums + q * size + at.i * g.n, g.n, false, nullptr);
    }
  });
  parallel_for(g.m, ceil_div(kSumGrain, blocks * g.n), [&](int64_t begin, int64_t end) {
    Epilogue<T> e = g.epilogue;
    if (e.bias) e.bias += z * g.bias_batch;
    if (e.residual) e.residual += z * g.residual_batch + begin * e.residual_row;
    Product<T> p{};
    p.m = end - begin;
    p.n = g.n;
    p.c = g.c + z * g.c_batch + begin * g.c_row;
    p.c_row = g.c_row;
    for (int64_t q = 0; q < blocks; ++q) {
      p.accumulate = q > 0;
      p.epilogue = q + 1 == blocks && !e.plain() ? &e : nullptr;
      gemm_isa<T>().finish(p, sums + q * size + begin * g.n, g.n);
    }
  });
}

template <class T>
void run_empty_sum(const Gemm<T>& g) {
  for (int64_t z = 0; z < g.batch; ++z)
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) {
        const Epilogue<T>& e = g.epilogue;
        T v = 0;
        if (e.bias) v += e.bias[z * g.bias_batch + j];
        if (e.residual) v += e.residual[z * g.residual_batch + i * e.residual_row + j];
        g.c[z * g.c_batch + i * g.c_row + j] = v * e.scale;
      }
}

}  // namespace

template <class T>
void run(const Gemm<T>& g) {
  if (g.batch == 0 || g.m == 0 || g.n == 0) return;
  if (g.k == 0) return run_empty_sum(g);
  // A long K over a small c: rows of a and b are then read once, in order.
  constexpr int64_t kSmallC = 256 * 256, kManyBlocks = 4, kSplitSums = int64_t{1} << 21;
  const bool forks = g.batch * g.m * g.n * g.k >= kWorthForking;
  const int64_t blocks = ceil_div(g.k, k_block(g.k));
  if (forks && g.m * g.n <= kSmallC && blocks >= kManyBlocks && blocks * g.m * g.n <= kSplitSums) {
    for (int64_t z = 0; z < g.batch; ++z) run_split(g, z);
    return;
  }

  const Cut c = cut(g);
  const auto block = [&](int64_t z, int64_t index, int64_t k, int64_t length) {
    const int64_t i = index / c.column_chunks * c.rows, j = index % c.column_chunks * c.columns;
    return Block{z, i, std::min(c.rows, g.m - i), j, std::min(c.columns, g.n - j), k, length};
  };
  if (c.row_chunks > 1) {
    const int64_t one = k_block(g.k), columns = panel_columns<T>(g.n);
    const int64_t stretch = std::max<int64_t>(kSharedPanels / columns / one, 1) * one;
    const int64_t together = g.b_batch == 0 ? g.batch : 1;  // matrices that share b
    for (int64_t z = 0; z < g.batch; z += together)
      for (int64_t k = 0; k < g.k; k += stretch) {
        const int64_t length = std::min(stretch, g.k - k);
        Scratch scratch;
        const T* panels = pack_stretch(g, g.b.data + z * g.b_batch, k, k + length, scratch);
        parallel_chunks(together * c.count(), [&](int64_t i) {
          const int64_t index = i % c.count(), later = index + num_threads();
          const Block at = block(z + i / c.count(), index, k, length);
          Block then = block(at.z, later, k, std::min(one, length));
          const bool moves = later < c.count() && then.i != at.i;
          then.m = std::min(then.m, gemm_isa<T>().rows * kBlockTiles);
          run_chunk(g, at, panels, moves ? &then : nullptr);
        });
      }
    return;
  }
  // Small matrices go several to a piece of work.
  const int64_t work = std::min(c.rows, g.m) * std::min(c.columns, g.n) * g.k;
  const int64_t grain = std::max<int64_t>(kWorthForking / std::max<int64_t>(work, 1), 1);
  parallel_for(g.batch * c.count(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      run_chunk<T>(g, block(i / c.count(), i % c.count(), 0, g.k), nullptr, nullptr);
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

void matmul(const View& a, const View& b, const GemmEpilogue& e, const View& c) {
  Widened w;
  const View wa = w.in(a), wb = w.in(b), wc = w.out(c);
  const GemmEpilogue we{.bias = w.in(e.bias), .residual = w.in(e.residual), .scale = e.scale};
  dispatch<float, double>(wc.dtype, "matmul", [&](auto type) {
    matmul_as<typename decltype(type)::type>(wa, wb, we, wc);
  });
  w.finish();
}

}  // namespace
}  // namespace brume::cpu

namespace brume {

const GemmKernels cpu_gemm{.matmul = cpu::matmul};

}  // namespace brume
