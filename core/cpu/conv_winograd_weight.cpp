// Winograd's gradient in the weight: per point of the transforms a product over all tiles.

#include <brume/core/cpu/conv_winograd.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/math/ceil_div.h>

namespace brume::cpu {
namespace {

// A piece of work sums the tiles of one part for one group of result channels. Parts and blocks
// follow the problem, so they decide the bits; groups may follow the threads.
struct Pieces {
  int64_t columns;        // of a panel of result channels
  int64_t width, groups;  // channels of a group
  int64_t parts;
  int64_t block;  // tiles that are transformed at once
  int64_t size;   // numbers of a piece's sums, [point][ci][width]

  Pieces(const WinogradLoops& loops, const ConvShape& s, int64_t tiles) {
    constexpr int64_t kMostParts = 8, kPartTiles = 512, kBlockNumbers = 1 << 17;
    constexpr int64_t kPieceNumbers = 1 << 18, kSumNumbers = 1 << 20;  // of one piece, of all parts
    constexpr int64_t kPiecesPerThread = 2;
    columns = gemm_isa<float>().columns;
    const int64_t panels = ceil_div(s.co, columns), panel = loops.points * s.ci * columns;
    parts = std::clamp<int64_t>(std::min(tiles / kPartTiles, kSumNumbers / (panels * panel)), 1,
                                kMostParts);
    block = std::clamp<int64_t>(kBlockNumbers / (loops.points * s.ci), 16, 64);
    // Every group transforms x again: no more of them than keep the threads busy.
    const int64_t wanted = ceil_div(kPiecesPerThread * num_threads(), parts);
    const int64_t group_panels =
        std::clamp<int64_t>(panels / wanted, 1, std::max<int64_t>(kPieceNumbers / panel, 1));
    groups = ceil_div(panels, group_panels);
    width = group_panels * columns;
    size = loops.points * s.ci * width;
  }
};

struct Problem {
  const WinogradLoops& loops;
  const ConvShape& s;
  const Image<const float>&x, &gy;
  const WinogradTiles tiles;
  const Pieces pieces;
  const float* zeros;
};

// sums [point][ci][width] over tiles [begin, end).
void sum_tiles(const Problem& p, int64_t channel, int64_t begin, int64_t end, float* sums) {
  const int64_t ci = p.s.ci, width = p.pieces.width, points = p.loops.points;
  const int64_t channels = std::min(width, p.s.co - channel);
  const int64_t x_step = p.pieces.block * ci + kGap, y_step = p.pieces.block * width + kGap;
  Scratch scratch;
  float* x = scratch.take<float>(points * x_step);   // [point][tile][ci]
  float* gy = scratch.take<float>(points * y_step);  // [point][tile][width]
  if (channels < width) std::fill_n(gy, points * y_step, 0.0F);
  const float* pixels[kMostWinogradPoints];
  Image<const float> from = p.gy;
  from.data += channel;

  Product<float> q{};
  q.m = ci;
  q.n = width;
  q.segments = 1;
  q.a_row = 1;
  q.a_k = ci;
  q.b_panel = p.pieces.columns;
  q.b_k = width;
  q.c_row = width;
  auto at = p.tiles.at(begin);
  for (int64_t t = begin; t < end; t += q.length) {
    q.length = std::min(p.pieces.block, end - t);
    for (int64_t i = 0; i < q.length; ++i, p.tiles.advance(at)) {
      square_of(p.x, p.s.in + 1, at.sample, at.h - p.s.padding[1], at.w - p.s.padding[2],
                p.tiles.edge + 2, p.zeros, pixels);
      p.loops.input(ci, pixels, x + i * ci, x_step);
      square_of(from, p.s.out + 1, at.sample, at.h, at.w, p.tiles.edge, p.zeros, pixels);
      p.loops.output_gradient(channels, pixels, gy + i * width, y_step);
    }
    q.accumulate = t > begin;
    for (int64_t point = 0; point < points; ++point) {
      q.a = x + point * x_step;
      q.b = gy + point * y_step;
      q.c = sums + point * ci * width;
      gemm_isa<float>().multiply(q);
    }
  }
}

// gw of one group from its parts, which are added in order.
void finish(const Problem& p, int64_t channel, int64_t begin, int64_t end, const float* sums,
            float* gw) {
  constexpr int64_t kRows = 16;
  const int64_t ci = p.s.ci, width = p.pieces.width;
  Scratch scratch;
  float* taps = scratch.take<float>(kRows * 9 * width);
  for (int64_t i = begin; i < end; i += kRows) {
    const int64_t rows = std::min(kRows, end - i);
    for (int64_t r = 0; r < rows; ++r)
      p.loops.filter_gradient(width, sums + (i + r) * width, ci * width, p.pieces.parts,
                              p.pieces.size, taps + r * 9 * width);
    gemm_isa<float>().pack(std::min(width, p.s.co - channel), rows * 9, taps, 1, width,
                           gw + (channel * ci + i) * 9, ci * 9);
  }
}

}  // namespace

void winograd_weight_gradient(const WinogradLoops& loops, const ConvShape& s,
                              const Image<const float>& x, const Image<const float>& gy,
                              float* gw) {
  const WinogradTiles tiles(loops.tile, s.batch, s.out[1], s.out[2]);
  if (tiles.count == 0) {
    std::fill_n(gw, s.co * s.ci * 9, 0.0F);
    return;
  }
  const Pieces pieces(loops, s, tiles.count);
  Scratch shared;
  float* zeros = shared.take<float>(std::max(s.ci, pieces.width));
  std::fill_n(zeros, std::max(s.ci, pieces.width), 0.0F);
  float* sums = shared.take<float>(pieces.groups * pieces.parts * pieces.size);
  const Problem p{loops, s, x, gy, tiles, pieces, zeros};
  parallel_chunks(pieces.groups * pieces.parts, [&](int64_t index) {
    const int64_t part = index % pieces.parts, channel = index / pieces.parts * pieces.width;
    sum_tiles(p, channel, tiles.count * part / pieces.parts,
              tiles.count * (part + 1) / pieces.parts, sums + index * pieces.size);
    if (pieces.parts == 1) finish(p, channel, 0, s.ci, sums + index * pieces.size, gw);
  });
  if (pieces.parts == 1) return;
  constexpr int64_t kRows = 16;
  const int64_t blocks = ceil_div(s.ci, kRows);
  parallel_chunks(pieces.groups * blocks, [&](int64_t index) {
    const int64_t group = index / blocks, begin = index % blocks * kRows;
    finish(p, group * pieces.width, begin, std::min(begin + kRows, s.ci),
           sums + group * pieces.parts * pieces.size, gw);
  });
}

}  // namespace brume::cpu
