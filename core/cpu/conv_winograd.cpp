#include <brume/core/cpu/conv_winograd.h>

#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/math/ceil_div.h>

namespace brume::cpu {
namespace {

// y = the correlation of x with w, `from` channels to `to`.
struct Correlation {
  const WinogradLoops& loops;
  int64_t from, to;
  int64_t in[2], padding[2];
  int64_t out[2];
  Image<const float> x;
  const float* w;
  int64_t w_from, w_to, w_space[2];
  bool flipped;
  ConvTerms<float> terms;
  Image<float> y;
  WinogradTiles tiles;

  int64_t columns() const { return gemm_isa<float>().columns; }
  int64_t panels() const { return ceil_div(to, columns()); }
  // Transformed weights are [panel][point][from][columns], with a gap behind each point.
  int64_t filter_step() const { return from * columns() + kGap; }
  int64_t filter_panel() const { return loops.points * filter_step(); }
};

// Rows [begin, end) of one panel of the weights, transformed; `out` is where the first one goes.
// This is done at each call, though weights seldom change: kept, they are nearly twice as large and
// come from further away. Sampling gained 1 % of 16 samples at once and lost 10 % of one.
void transform_filter(const Correlation& c, int64_t panel, int64_t begin, int64_t end, float* out) {
  constexpr int64_t kRows = 16;
  const auto& isa = gemm_isa<float>();
  const int64_t columns = isa.columns, j = panel * columns, n = std::min(columns, c.to - j);
  Scratch scratch;
  float* taps = scratch.take<float>(kRows * 9 * columns);  // [row][9][columns]
  if (n < columns) std::fill_n(taps, kRows * 9 * columns, 0.0F);
  const bool adjacent = c.w_space[1] == 1 && c.w_space[0] == 3;
  const float* last = c.w + (c.from - 1) * c.w_from + (c.to - 1) * c.w_to + 8;
  int64_t rows = 0;
  for (int64_t i = begin; i < end; i += rows, out += rows * columns) {
    const float* w = c.w + i * c.w_from + j * c.w_to;
    rows = std::min(kRows, end - i);
    if (adjacent && c.w_from == 9) {
      isa.pack(rows * 9, n, w, 1, c.w_to, taps, columns);
    } else if (adjacent && c.w_to == 9) {
      // Sixteen taps are packed faster than nine, where the filters have so many numbers behind.
      // The next row is a page away: the processor does not foresee it.
      rows = 1;
      for (int64_t k = 0; k < n * 9; k += 16) __builtin_prefetch(w + c.w_from + k);
      isa.pack(w + (n - 1) * 9 + 15 <= last ? 16 : 9, n, w, 1, 9, taps, columns);
    } else {
      for (int64_t k = 0; k < 9; ++k)
        isa.pack(rows, n, w + k / 3 * c.w_space[0] + k % 3 * c.w_space[1], c.w_from, c.w_to,
                 taps + k * columns, 9 * columns);
    }
    c.loops.filter(rows, columns, taps, c.flipped, out, c.filter_step());
  }
}

// Tiles [begin, end) of x, transformed: [point][tile][from] with `step` numbers from point to
// point.
void transform_input(const Correlation& c, int64_t begin, int64_t end, const float* zeros,
                     float* out, int64_t step) {
  const float* pixels[kMostWinogradPoints];
  auto at = c.tiles.at(begin);
  for (int64_t t = begin; t < end; ++t, out += c.from, c.tiles.advance(at)) {
    square_of(c.x, c.in, at.sample, at.h - c.padding[0], at.w - c.padding[1], c.tiles.edge + 2,
              zeros, pixels);
    c.loops.input(c.from, pixels, out, step);
  }
}

// Products of the tiles [begin, end) transformed back, for `channels` results from `channel` on.
void transform_output(const Correlation& c, int64_t begin, int64_t end, int64_t channel,
                      int64_t channels, const float* zeros, const float* products, int64_t row,
                      int64_t step) {
  const ConvTerms<float>& terms = c.terms;
  Scratch scratch;
  float* sink = scratch.take<float>(channels);
  float* shift = terms.per_sample ? scratch.take<float>(channels) : nullptr;
  float* pixels[kMostWinogradPoints];
  const float* residual[kMostWinogradPoints];
  WinogradTerms t{nullptr, terms.residual.data ? residual : nullptr, terms.scale};
  int64_t sample = -1;
  auto at = c.tiles.at(begin);
  for (int64_t i = begin; i < end; ++i, products += row, c.tiles.advance(at)) {
    if (at.sample != sample) {
      sample = at.sample;
      t.shift = shift_of(terms, sample, channel, channels, shift);
    }
    Image<float> y = c.y;
    y.data += channel;
    square_of(y, c.out, at.sample, at.h, at.w, c.tiles.edge, sink, pixels);
    if (terms.residual.data) {
      Image<const float> r = terms.residual;
      r.data += channel;
      square_of(r, c.out, at.sample, at.h, at.w, c.tiles.edge, zeros, residual);
    }
    c.loops.output(channels, products, step, t, pixels);
  }
}

// products [point][tile][columns of the panels] = input filter, for each point.
void multiply_points(const Correlation& c, int64_t tiles, const float* input, int64_t input_step,
                     const float* filter, int64_t panels, float* products, int64_t step) {
  const int64_t columns = c.columns();
  Product<float> p{};
  p.m = tiles;
  p.n = panels * columns;
  p.segments = 1;
  p.length = c.from;
  p.a_row = c.from;
  p.a_k = 1;
  p.b_panel = c.filter_panel();
  p.b_k = columns;
  p.c_row = panels * columns;
  for (int64_t point = 0; point < c.loops.points; ++point) {
    p.a = input + point * input_step;
    p.b = filter + point * c.filter_step();
    p.c = products + point * step;
    gemm_isa<float>().multiply(p);
  }
}

// Few tiles: all inputs are transformed first, then threads share out the channels of the result,
// each transforming the weights that it needs.
void share_out_channels(const Correlation& c) {
  constexpr int64_t kTilesAtOnce = 8;
  const int64_t columns = c.columns(), tiles = c.tiles.count;
  const int64_t input_step = tiles * c.from + kGap, step = tiles * columns + kGap;
  Scratch shared;
  float* zeros = shared.take<float>(std::max(c.from, c.to));
  std::fill_n(zeros, std::max(c.from, c.to), 0.0F);
  float* input = shared.take<float>(c.loops.points * input_step);
  parallel_for(tiles, kTilesAtOnce, [&](int64_t begin, int64_t end) {
    transform_input(c, begin, end, zeros, input + begin * c.from, input_step);
  });
  parallel_chunks(c.panels(), [&](int64_t panel) {
    Scratch scratch;
    float* filter = scratch.take<float>(c.filter_panel());
    float* products = scratch.take<float>(c.loops.points * step);
    transform_filter(c, panel, 0, c.from, filter);
    multiply_points(c, tiles, input, input_step, filter, 1, products, step);
    const int64_t channel = panel * columns;
    transform_output(c, 0, tiles, channel, std::min(columns, c.to - channel), zeros, products,
                     columns, step);
  });
}

// Many tiles: all weights are transformed first, then threads share out blocks of tiles, each small
// enough to stay in a core's own caches from its pixels to its results.
void share_out_tiles(const Correlation& c, int64_t blocks) {
  constexpr int64_t kRowsAtOnce = 64, kPanelsAtOnce = 2;
  const int64_t columns = c.columns(), panels = c.panels();
  Scratch shared;
  float* zeros = shared.take<float>(std::max(c.from, c.to));
  std::fill_n(zeros, std::max(c.from, c.to), 0.0F);
  float* filter = shared.take<float>(panels * c.filter_panel());
  const int64_t pieces = ceil_div(c.from, kRowsAtOnce);
  parallel_chunks(panels * pieces, [&](int64_t index) {
    const int64_t panel = index / pieces, begin = index % pieces * kRowsAtOnce;
    transform_filter(c, panel, begin, std::min(begin + kRowsAtOnce, c.from),
                     filter + panel * c.filter_panel() + begin * columns);
  });
  parallel_chunks(blocks, [&](int64_t index) {
    const int64_t begin = c.tiles.count * index / blocks;
    const int64_t end = c.tiles.count * (index + 1) / blocks, tiles = end - begin;
    const int64_t input_step = tiles * c.from + kGap;
    const int64_t step = tiles * kPanelsAtOnce * columns + kGap;
    Scratch scratch;
    float* input = scratch.take<float>(c.loops.points * input_step);
    float* products = scratch.take<float>(c.loops.points * step);
    transform_input(c, begin, end, zeros, input, input_step);
    for (int64_t panel = 0; panel < panels; panel += kPanelsAtOnce) {
      const int64_t some = std::min(kPanelsAtOnce, panels - panel), channel = panel * columns;
      multiply_points(c, tiles, input, input_step, filter + panel * c.filter_panel(), some,
                      products, step);
      transform_output(c, begin, end, channel, std::min(some * columns, c.to - channel), zeros,
                       products, some * columns, step);
    }
  });
}

// Which of them is shared out changes no bits, so it may follow the batch.
void correlate(const Correlation& c) {
  // Three tiles of the product above each other reuse the weights of a point best. Fewer where that
  // leaves too few blocks to share out, but many channels, with their many weights, gain most.
  constexpr int64_t kBlockTiles = 14, kMost = 3, kBlocks = 24;
  const int64_t least = std::clamp<int64_t>(c.from / 64, 1, kMost);
  const int64_t block =
      kBlockTiles * std::clamp(c.tiles.count / (kBlockTiles * kBlocks), least, kMost);
  const int64_t blocks = ceil_div(c.tiles.count, block);
  if (blocks == 0) return;
  blocks <= c.panels() ? share_out_channels(c) : share_out_tiles(c, blocks);
}

}  // namespace

const WinogradLoops* winograd_loops(const ConvShape& s, ConvAlgorithm wanted) {
  constexpr int64_t kLeastChannels = 32;
  if (wanted == ConvAlgorithm::direct || s.groups != 1) return nullptr;
  if (s.ci < kLeastChannels || s.co < kLeastChannels) return nullptr;
  if (s.in[0] != 1 || s.out[0] != 1 || s.kernel[0] != 1) return nullptr;
  for (int i = 1; i < 3; ++i)
    if (s.kernel[i] != 3 || s.stride[i] != 1 || s.dilation[i] != 1) return nullptr;
  return wanted == ConvAlgorithm::winograd_f4 ? &winograd_f4() : &winograd_f2();
}

void winograd_forward(const WinogradLoops& loops, const ConvShape& s, const Image<const float>& x,
                      const Filter<float>& w, const ConvTerms<float>& terms,
                      const Image<float>& y) {
  correlate({loops,
             s.ci,
             s.co,
             {s.in[1], s.in[2]},
             {s.padding[1], s.padding[2]},
             {s.out[1], s.out[2]},
             x,
             w.data,
             w.ci,
             w.co,
             {w.space[1], w.space[2]},
             false,
             terms,
             y,
             {loops.tile, s.batch, s.out[1], s.out[2]}});
}

void winograd_input_gradient(const WinogradLoops& loops, const ConvShape& s,
                             const Image<const float>& gy, const Filter<float>& w,
                             const ConvTerms<float>& terms, const Image<float>& gx) {
  correlate({loops,
             s.co,
             s.ci,
             {s.out[1], s.out[2]},
             {2 - s.padding[1], 2 - s.padding[2]},
             {s.in[1], s.in[2]},
             gy,
             w.data,
             w.co,
             w.ci,
             {w.space[1], w.space[2]},
             true,
             terms,
             gx,
             {loops.tile, s.batch, s.in[1], s.in[2]}});
}

}  // namespace brume::cpu
