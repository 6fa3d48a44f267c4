#include <brume/core/kernels/attention.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/isa/attention.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/cpu/widen.h>

namespace brume {
namespace cpu {
namespace {

// A block of queries goes through the keys block by block (online softmax), so that its scores stay
// in L2 whatever the number of keys. Blocks follow from L and S alone: a head's bits depend neither
// on other heads nor on the number of threads.
constexpr int64_t kQueryBlock = 64;  // at most; blocks are of nearly equal size
constexpr int64_t kKeyBlock = 512;
// Backward adds up the keys' gradients within chunks of queries, then over chunks, in order.
constexpr int64_t kMostQueryChunks = 8;
// With fewer heads their query blocks are spread over the threads; with more, one thread takes a
// head through everything while its keys are warm.
constexpr int64_t kManyHeads = 8;

template <class T>
const AttentionLoops<T>& loops() {
  if constexpr (std::is_same_v<T, float>)
    return attention_loops();
  else
    return portable::attention_loops_f64;
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// One head of an operand: [rows, width] with strides.
template <class T>
struct HeadView {
  HeadRows<T> at;
  int64_t rows, width;

  HeadView(const View& x, int64_t head)
      : at{x.as<T>() + head / x.shape[1] * x.stride(0) + head % x.shape[1] * x.stride(1),
           x.stride(2), x.shape[3] == 1 ? 1 : x.stride(3)},
        rows(x.shape[2]),
        width(x.shape[3]) {}
  HeadRows<T> from(int64_t row) const { return {at.data + row * at.row, at.row, at.column}; }
};

// Rows with adjacent columns: the operand's own, or a copy.
template <class T>
struct RowMatrix {
  const T* data;
  int64_t row;
};
template <class T>
RowMatrix<T> rows_of(Scratch& scratch, const HeadView<T>& x, int64_t first, int64_t rows) {
  const HeadRows<T> from = x.from(first);
  if (from.column == 1) return {from.data, from.row};
  T* copy = scratch.take<T>(rows * x.width);
  loops<T>().gather(rows, x.width, {from.data, from.row, from.column}, copy);
  return {copy, x.width};
}
template <class T>
RowMatrix<T> rows_of(Scratch& scratch, const HeadView<T>& x) {
  return rows_of(scratch, x, 0, x.rows);
}

// Numbers that panels of `columns` hold.
template <class T>
int64_t panel_size(int64_t k, int64_t n) {
  return k * round_up(n, gemm_isa<T>().columns);
}

// The right operand of a product: panels of `columns` numbers, by the way from one to the next and
// from a row to the next.
template <class T>
struct Panels {
  const T* data;
  int64_t panel, row;
  Panels from_row(int64_t r) const { return {data + r * row, panel, row}; }
  Panels from_column(int64_t c) const {  // where a panel begins
    return {data + c / gemm_isa<T>().columns * panel, panel, row};
  }
};

// [rows, width], read where it lies if that fills half panels and lasts. A copy of few rows costs
// as much as a product with them; many rows far apart would fall into the same cache sets.
template <class T>
Panels<T> panels_of(const RowMatrix<T>& x, int64_t rows, int64_t width, bool lasts, T* out) {
  const int64_t columns = gemm_isa<T>().columns;
  if (lasts && rows <= kQueryBlock && width % (columns / 2) == 0) return {x.data, columns, x.row};
  gemm_isa<T>().pack_panels(rows, width, x.data, x.row, 1, out, rows * columns);
  return {out, rows * columns, columns};
}
template <class T>
Panels<T> transposed_panels(const RowMatrix<T>& x, int64_t rows, int64_t width, T* out) {
  const int64_t columns = gemm_isa<T>().columns;
  gemm_isa<T>().pack_panels(width, rows, x.data, 1, x.row, out, width * columns);
  return {out, width * columns, columns};
}

// c[m, n] (+)= a[m, k] b
template <class T>
void multiply(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_k,
              const Panels<T>& b, T* c, int64_t c_row, bool accumulate) {
  if (k == 0) {  // heads of width 0; the tile kernels want a sum of something
    for (int64_t i = 0; i < m && !accumulate; ++i) std::fill_n(c + i * c_row, n, T(0));
    return;
  }
  const int64_t zero = 0;
  gemm_isa<T>().multiply({.m = m,
                          .n = n,
                          .segments = 1,
                          .length = k,
                          .a = a,
                          .a_row = a_row,
                          .a_k = a_k,
                          .a_segment = nullptr,
                          .b = b.data,
                          .b_panel = b.panel,
                          .b_k = b.row,
                          .b_segment = &zero,
                          .c = c,
                          .c_row = c_row,
                          .accumulate = accumulate,
                          .epilogue = nullptr});
}

template <class T>
struct Problem {
  const AttentionOperands& x;
  T scale;
  bool causal;
  int64_t heads, queries, keys, width, value_width;

  Problem(const AttentionOperands& operands, const AttentionParams& p)
      : x(operands),
        scale(static_cast<T>(p.scale)),
        causal(p.causal),
        heads(x.q.shape[0] * x.q.shape[1]),
        queries(x.q.shape[2]),
        keys(x.k.shape[2]),
        width(x.q.shape[3]),
        value_width(x.v.shape[3]) {}

  int64_t query_blocks() const { return (queries + kQueryBlock - 1) / kQueryBlock; }
  int64_t first_query(int64_t block) const { return queries * block / query_blocks(); }

  // f(first key, keys) for the blocks that queries up to `last` see.
  template <class F>
  void for_key_blocks(int64_t last, F f) const {
    const int64_t end = causal ? std::min(keys, last + 1) : keys;
    for (int64_t k = 0; k < end; k += kKeyBlock) f(k, std::min(kKeyBlock, keys - k));
  }

  // What is added to the scores of a block: the mask, and -inf where causality hides a key. Null if
  // that is nothing.
  const T* bias(T* out, int64_t head, int64_t query, int64_t rows, int64_t key,
                int64_t columns) const {
    const bool hides = causal && key + columns - 1 > query;
    if (!x.mask && !hides) return nullptr;
    constexpr T kHidden = -std::numeric_limits<T>::infinity();
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c) {
        T value = 0;
        if (x.mask) {
          const View& m = x.mask;
          const int64_t i = head / x.q.shape[1] * m.stride(0) + head % x.q.shape[1] * m.stride(1) +
                            (query + r) * m.stride(2) + (key + c) * m.stride(3);
          value = m.dtype == DType::boolean ? (m.as<bool>()[i] ? T(0) : kHidden) : m.as<T>()[i];
        }
        out[r * columns + c] = hides && key + c > query + r ? kHidden : value;
      }
    return out;
  }
};

// Panels of one head.
template <class T>
struct PackedKeys {
  Panels<T> k_transposed, v;  // forward: [D, S], [S, Dv]
};

template <class T>
PackedKeys<T> pack_keys(const Problem<T>& p, int64_t head, T* out) {
  Scratch scratch;
  const HeadView<T> k(p.x.k, head), v(p.x.v, head);
  return {transposed_panels(rows_of(scratch, k), p.keys, p.width, out),
          panels_of(rows_of(scratch, v), p.keys, p.value_width, v.at.column == 1,
                    out + panel_size<T>(p.width, p.keys))};
}

template <class T>
void attend(const Problem<T>& p, const PackedKeys<T>& packed, int64_t head, int64_t block,
            const View& o, const View& lse) {
  const int64_t query = p.first_query(block), rows = p.first_query(block + 1) - query;
  const int64_t row = round_up(std::min(p.keys, kKeyBlock), gemm_isa<T>().columns);
  Scratch scratch;
  const RowMatrix<T> q = rows_of(scratch, HeadView<T>(p.x.q, head), query, rows);
  const HeadView<T> out(o, head);
  const bool direct = out.at.column == 1;
  T* sums = direct ? out.from(query).data : scratch.take<T>(rows * p.value_width);
  const int64_t sums_row = direct ? out.at.row : p.value_width;
  T* scores = scratch.take<T>(rows * row);
  T* bias = scratch.take<T>(rows * row);
  T largest[kQueryBlock], total[kQueryBlock], factor[kQueryBlock];
  std::fill_n(largest, rows, -std::numeric_limits<T>::infinity());
  std::fill_n(total, rows, T(0));
  p.for_key_blocks(query + rows - 1, [&](int64_t key, int64_t columns) {
    multiply(rows, columns, p.width, q.data, q.row, 1, packed.k_transposed.from_column(key), scores,
             row, false);
    loops<T>().online_softmax({.rows = rows,
                               .columns = columns,
                               .scale = p.scale,
                               .scores = scores,
                               .row_stride = row,
                               .bias = p.bias(bias, head, query, rows, key, columns),
                               .bias_stride = columns},
                              largest, total, factor);
    if (key > 0) loops<T>().scale_rows(rows, p.value_width, sums, sums_row, factor);
    multiply<T>(rows, p.value_width, columns, scores, row, 1, packed.v.from_row(key), sums,
                sums_row, key > 0);
  });
  if (p.keys == 0)
    for (int64_t r = 0; r < rows; ++r) std::fill_n(sums + r * sums_row, p.value_width, T(0));
  T* row_lse = lse.as<T>() + head * p.queries + query;
  for (int64_t r = 0; r < rows; ++r) {
    row_lse[r] = largest[r] + std::log(total[r]);
    factor[r] = total[r] > 0 ? 1 / total[r] : total[r] == 0 ? 0 : total[r];
  }
  loops<T>().scale_rows(rows, p.value_width, sums, sums_row, factor);
  if (!direct) loops<T>().scatter(rows, p.value_width, sums, T(1), out.from(query));
}

template <class T>
void attention_of(const AttentionOperands& x, const AttentionParams& params, const View& o,
                  const View& lse) {
  const Problem<T> p(x, params);
  const int64_t packed_size = panel_size<T>(p.width, p.keys) + panel_size<T>(p.keys, p.value_width);
  const int64_t blocks = p.query_blocks();
  if (p.heads >= kManyHeads) {
    parallel_chunks(p.heads, [&](int64_t head) {
      Scratch scratch;
      const auto packed = pack_keys(p, head, scratch.take<T>(packed_size));
      for (int64_t b = 0; b < blocks; ++b) attend(p, packed, head, b, o, lse);
    });
    return;
  }
  Scratch scratch;
  PackedKeys<T> packed[kManyHeads];
  T* memory = scratch.take<T>(p.heads * packed_size);
  parallel_chunks(p.heads, [&](int64_t head) {
    packed[head] = pack_keys(p, head, memory + head * packed_size);
  });
  parallel_chunks(p.heads * blocks, [&](int64_t i) {
    attend(p, packed[i / blocks], i / blocks, i % blocks, o, lse);
  });
}

// Backward.

template <class T>
struct PackedForBackward {
  Panels<T> k_transposed, v_transposed, k;  // [D, S], [Dv, S], [S, D]
};

template <class T>
int64_t packed_for_backward_size(const Problem<T>& p) {
  return panel_size<T>(p.width, p.keys) + panel_size<T>(p.value_width, p.keys) +
         panel_size<T>(p.keys, p.width);
}

template <class T>
PackedForBackward<T> pack_for_backward(const Problem<T>& p, int64_t head, T* out) {
  Scratch scratch;
  const HeadView<T> k(p.x.k, head);
  const RowMatrix<T> k_rows = rows_of(scratch, k),
                     v_rows = rows_of(scratch, HeadView<T>(p.x.v, head));
  T *v_out = out + panel_size<T>(p.width, p.keys),
    *k_out = v_out + panel_size<T>(p.value_width, p.keys);
  return {transposed_panels(k_rows, p.keys, p.width, out),
          transposed_panels(v_rows, p.keys, p.value_width, v_out),
          panels_of(k_rows, p.keys, p.width, k.at.column == 1, k_out)};
}

// Gradients of one head's keys and values, [S, D] and [S, Dv], row-major.
template <class T>
struct KeyGradients {
  T *k, *v;
};

template <class T>
struct BackwardJob {
  Problem<T> p;
  const View &o, &lse, &go;
  const AttentionOperands& grads;

  int64_t blocks() const { return p.query_blocks(); }
  int64_t blocks_per_chunk() const {
    return std::max<int64_t>((blocks() + kMostQueryChunks - 1) / kMostQueryChunks, 1);
  }
  int64_t chunks() const {  // at least one, which writes zeros if there are no queries
    return std::max<int64_t>((blocks() + blocks_per_chunk() - 1) / blocks_per_chunk(), 1);
  }
  int64_t key_numbers() const { return p.keys * (p.width + p.value_width); }
  KeyGradients<T> key_gradients(T* memory) const { return {memory, memory + p.keys * p.width}; }

  // Writes the block's gq (and the mask's gradient), adds to `out`.
  void block(const PackedForBackward<T>& packed, int64_t head, int64_t b,
             const KeyGradients<T>& out) const {
    const int64_t query = p.first_query(b), rows = p.first_query(b + 1) - query;
    const int64_t row = round_up(std::min(p.keys, kKeyBlock), gemm_isa<T>().columns);
    Scratch scratch;
    const RowMatrix<T> q = rows_of(scratch, HeadView<T>(p.x.q, head), query, rows),
                       g = rows_of(scratch, HeadView<T>(go, head), query, rows),
                       y = rows_of(scratch, HeadView<T>(o, head), query, rows);
    const Panels<T> q_panels = panels_of(q, rows, p.width, true,
                                         scratch.take<T>(panel_size<T>(rows, p.width))),
                    g_panels = panels_of(g, rows, p.value_width, true,
                                         scratch.take<T>(panel_size<T>(rows, p.value_width)));
    T *scores = scratch.take<T>(rows * row), *gp = scratch.take<T>(rows * row),
      *bias = scratch.take<T>(rows * row), *gq = scratch.take<T>(rows * p.width);
    T mean_gp[kQueryBlock];
    loops<T>().row_dots(rows, p.value_width, g.data, g.row, y.data, y.row, mean_gp);
    std::fill_n(gq, rows * p.width, T(0));
    p.for_key_blocks(query + rows - 1, [&](int64_t key, int64_t columns) {
      multiply(rows, columns, p.width, q.data, q.row, 1, packed.k_transposed.from_column(key),
               scores, row, false);
      multiply(rows, columns, p.value_width, g.data, g.row, 1, packed.v_transposed.from_column(key),
               gp, row, false);
      loops<T>().softmax_grad({.rows = rows,
                               .columns = columns,
                               .scale = p.scale,
                               .scores = scores,
                               .row_stride = row,
                               .bias = p.bias(bias, head, query, rows, key, columns),
                               .bias_stride = columns},
                              lse.as<T>() + head * p.queries + query, gp, mean_gp);
      if (grads.mask)
        for (int64_t r = 0; r < rows; ++r)
          std::copy_n(gp + r * row, columns,
                      grads.mask.as<T>() + (head * p.queries + query + r) * p.keys + key);
      multiply<T>(columns, p.value_width, rows, scores, 1, row, g_panels,
                  out.v + key * p.value_width, p.value_width, true);
      multiply<T>(columns, p.width, rows, gp, 1, row, q_panels, out.k + key * p.width, p.width,
                  true);
      multiply<T>(rows, p.width, columns, gp, row, 1, packed.k.from_row(key), gq, p.width, true);
    });
    loops<T>().scatter(rows, p.width, gq, p.scale, HeadView<T>(grads.q, head).from(query));
  }

  void chunk(const PackedForBackward<T>& packed, int64_t head, int64_t c,
             const KeyGradients<T>& out) const {
    const int64_t first = c * blocks_per_chunk();
    for (int64_t b = first; b < std::min(first + blocks_per_chunk(), blocks()); ++b)
      block(packed, head, b, out);
  }

  void write_keys(int64_t head, const KeyGradients<T>& from) const {
    loops<T>().scatter(p.keys, p.width, from.k, p.scale, HeadView<T>(grads.k, head).at);
    loops<T>().scatter(p.keys, p.value_width, from.v, T(1), HeadView<T>(grads.v, head).at);
  }
};

template <class T>
void add_to(T* sum, const T* x, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sum[i] += x[i];
}

template <class T>
void attention_backward_of(const AttentionOperands& x, const AttentionParams& params, const View& o,
                           const View& lse, const View& go, const AttentionOperands& grads) {
  const BackwardJob<T> job{Problem<T>(x, params), o, lse, go, grads};
  const int64_t packed_size = packed_for_backward_size(job.p), size = job.key_numbers();
  const int64_t heads = job.p.heads, chunks = job.chunks();
  if (grads.mask) std::fill_n(grads.mask.as<T>(), heads * job.p.queries * job.p.keys, T(0));
  if (heads >= kManyHeads) {
    parallel_chunks(heads, [&](int64_t head) {
      Scratch scratch;
      const auto packed = pack_for_backward(job.p, head, scratch.take<T>(packed_size));
      T *sum = scratch.take<T>(size), *part = scratch.take<T>(size);
      std::fill_n(sum, size, T(0));
      for (int64_t c = 0; c < chunks; ++c) {
        // A chunk of one block adds its products to the sum as they are: the same additions.
        if (job.blocks_per_chunk() == 1) {
          job.chunk(packed, head, c, job.key_gradients(sum));
          continue;
        }
        std::fill_n(part, size, T(0));
        job.chunk(packed, head, c, job.key_gradients(part));
        add_to(sum, part, size);
      }
      job.write_keys(head, job.key_gradients(sum));
    });
    return;
  }
  Scratch scratch;
  PackedForBackward<T> packed[kManyHeads];
  T* memory = scratch.take<T>(heads * packed_size);
  T* parts = scratch.take<T>(heads * chunks * size);
  parallel_chunks(heads, [&](int64_t head) {
    packed[head] = pack_for_backward(job.p, head, memory + head * packed_size);
  });
  parallel_chunks(heads * chunks, [&](int64_t i) {
    std::fill_n(parts + i * size, size, T(0));
    job.chunk(packed[i / chunks], i / chunks, i % chunks, job.key_gradients(parts + i * size));
  });
  parallel_chunks(heads, [&](int64_t head) {
    T* sum = parts + head * chunks * size;
    for (int64_t c = 1; c < chunks; ++c) add_to(sum, sum + c * size, size);
    job.write_keys(head, job.key_gradients(sum));
  });
}

AttentionOperands widened(Widened& w, const AttentionOperands& x) {
  return {.q = w.in(x.q), .k = w.in(x.k), .v = w.in(x.v), .mask = w.in(x.mask)};
}

void attention(const AttentionOperands& x, const AttentionParams& p, const View& o,
               const View& lse) {
  Widened w;
  const AttentionOperands wide = widened(w, x);
  const View wo = w.out(o);
  dispatch<float, double>(wo.dtype, "attention", [&](auto type) {
    attention_of<typename decltype(type)::type>(wide, p, wo, lse);
  });
  w.finish();
}

void attention_backward(const AttentionOperands& x, const AttentionParams& p, const View& o,
                        const View& lse, const View& go, const AttentionOperands& grads) {
  Widened w;
  const AttentionOperands wide = widened(w, x);
  const AttentionOperands wide_grads{
      .q = w.out(grads.q), .k = w.out(grads.k), .v = w.out(grads.v), .mask = w.out(grads.mask)};
  const View wo = w.in(o), wgo = w.in(go);
  dispatch<float, double>(wo.dtype, "attention_backward", [&](auto type) {
    attention_backward_of<typename decltype(type)::type>(wide, p, wo, lse, wgo, wide_grads);
  });
  w.finish();
}

}  // namespace
}  // namespace cpu

const AttentionKernels cpu_attention{.attention = cpu::attention,
                                     .attention_backward = cpu::attention_backward};

}  // namespace brume
