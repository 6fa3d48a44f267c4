// The gradient of a multiply-and-add convolution in its weight: per tap a product over all pixels.

#include <algorithm>
#include <vector>

#include <brume/core/cpu/conv_driver.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/math/ceil_div.h>

namespace brume::cpu {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

struct Range {
  int64_t begin, end;
};

// Results whose tap k reads inside the input along an axis.
Range inside(const ConvShape& s, int axis, int64_t k) {
  const int64_t shift = s.padding[axis] - k * s.dilation[axis], stride = s.stride[axis];
  return {std::max<int64_t>(floor_div(shift + stride - 1, stride), 0),
          std::min(floor_div(s.in[axis] - 1 + shift, stride) + 1, s.out[axis])};
}

// Which way the products lie, and how their sums are kept until all are there.
template <class T>
struct Form {
  // Results of few channels would leave most of a vector empty: x's channels then lie along it.
  bool narrow;
  bool few;         // x has few channels: a row of taps makes one tile
  bool together;    // a row of taps is one product
  bool in_place;    // gy is read where it stands
  int64_t columns;  // of a panel of result channels
  int64_t co_stride, tap_stride, ci_stride;

  Form(const ConvShape& s, const Image<const T>& x) {
    const int64_t vector = gemm_isa<T>().columns / 2, taps = s.taps();
    const bool dense = s.dilation[2] == 1 && x.space[2] == s.ci;
    narrow = 2 * s.co <= vector && s.ci % vector == 0;
    few = !narrow && dense && s.kernel[2] > 1 && s.ci * s.kernel[2] <= gemm_isa<T>().rows;
    together = few || (narrow && dense);
    in_place = narrow || (few && s.co % vector == 0);
    columns = narrow ? s.co : gemm_isa<T>().columns;
    co_stride = narrow ? taps * s.ci : 1;
    tap_stride = narrow ? s.ci : few ? s.ci * columns : columns;
    ci_stride = narrow ? 1 : few ? columns : taps * columns;
  }
};

// A piece of work sums `sum_rows` result rows for one group and one panel of result channels into
// sums of its own. The number of sums follows the problem, so it decides the bits, not the threads.
struct Pieces {
  int64_t panels, rows, sums, sum_rows, block_rows;

  Pieces(const ConvShape& s, int64_t columns) {
    constexpr int64_t kPieces = 16, kLeastPixels = 1024, kBlockPixels = 256;
    panels = ceil_div(s.co, columns);
    rows = s.batch * s.out[0] * s.out[1];
    sums = std::clamp<int64_t>(ceil_div(kPieces, s.groups * panels), 1,
                               std::max<int64_t>(rows * s.out[2] / kLeastPixels, 1));
    sum_rows = ceil_div(rows, sums);
    sums = ceil_div(rows, sum_rows);
    block_rows = std::max<int64_t>(kBlockPixels / s.out[2], 1);
  }
};

struct Row {
  int64_t sample, depth, row;
};
Row row_at(const ConvShape& s, int64_t index) {
  return {index / (s.out[0] * s.out[1]), index / s.out[1] % s.out[0], index % s.out[1]};
}

// How the products of one row of taps are cut along the width: all taps at once where each reads
// inside the input, if neighbouring taps read neighbouring pixels; the rest tap by tap.
struct Stretch {
  int64_t tap, taps;
  Range pixels;
};
std::vector<Stretch> stretches(const ConvShape& s, bool together) {
  std::vector<Stretch> all;
  Range common{0, together ? s.out[2] : 0};
  for (int64_t k = 0; k < s.kernel[2] && together; ++k) {
    const Range here = inside(s, 2, k);
    common = {std::max(common.begin, here.begin), std::min(common.end, here.end)};
  }
  if (common.begin >= common.end) common = {s.out[2], s.out[2]};
  all.push_back({0, s.kernel[2], common});
  for (int64_t k = 0; k < s.kernel[2]; ++k) {
    const Range here = inside(s, 2, k);
    all.push_back({k, 1, {here.begin, std::min(here.end, common.begin)}});
    all.push_back({k, 1, {std::max(here.begin, common.end), here.end}});
  }
  std::erase_if(all, [](const Stretch& x) { return x.pixels.begin >= x.pixels.end; });
  return all;
}

// The rows of gy that a block reads: in place, or copied into panels.
template <class T>
struct Rows {
  const T* data;
  int64_t pixel, channels;
  std::vector<int64_t> offsets;
};

template <class T>
Rows<T> rows_of(const ConvShape& s, const Form<T>& form, const Image<const T>& gy, int64_t channel,
                int64_t channels, int64_t begin, int64_t end, T* panel) {
  const int64_t vector = gemm_isa<T>().columns / 2;
  Rows<T> rows{form.in_place ? gy.data + channel : panel,
               form.in_place ? gy.space[2] : form.columns,
               form.in_place ? channels : ceil_div(channels, vector) * vector,
               {}};
  for (int64_t index = begin; index < end; ++index) {
    const Row r = row_at(s, index);
    const T* from = gy.at(r.sample, r.depth, r.row, 0) + channel;
    T* to = panel + (index - begin) * s.out[2] * form.columns;
    if (!form.in_place) gemm_isa<T>().pack_panels(s.out[2], channels, from, gy.space[2], 1, to, 0);
    rows.offsets.push_back(form.in_place ? from - rows.data : to - panel);
  }
  return rows;
}

// sums += x^T gy over result rows from `begin` on. x: the first channel of its group.
template <class T>
void add_block(const ConvShape& s, const Form<T>& form, const Image<const T>& x, int64_t begin,
               const Rows<T>& g, T* sums) {
  const int64_t x_pixel = s.stride[2] * x.space[2];
  const std::vector<Stretch> all = stretches(s, form.together);
  std::vector<int64_t> x_rows, g_rows;
  for (int64_t kd = 0; kd < s.kernel[0]; ++kd)
    for (int64_t kh = 0; kh < s.kernel[1]; ++kh) {
      const Range depths = inside(s, 0, kd), heights = inside(s, 1, kh);
      x_rows.clear();
      g_rows.clear();
      for (size_t i = 0; i < g.offsets.size(); ++i) {
        const Row r = row_at(s, begin + static_cast<int64_t>(i));
        if (r.depth < depths.begin || r.depth >= depths.end) continue;
        if (r.row < heights.begin || r.row >= heights.end) continue;
        x_rows.push_back(r.sample * x.batch +
                         (r.depth * s.stride[0] + kd * s.dilation[0] - s.padding[0]) * x.space[0] +
                         (r.row * s.stride[1] + kh * s.dilation[1] - s.padding[1]) * x.space[1]);
        g_rows.push_back(g.offsets[i]);
      }
      if (x_rows.empty()) continue;
      for (const Stretch& part : all) {
        const T* from =
            x.data + (part.pixels.begin * s.stride[2] + part.tap * s.dilation[2] - s.padding[2]) *
                         x.space[2];
        const T* gy = g.data + part.pixels.begin * g.pixel;
        Product<T> p{};
        p.segments = static_cast<int64_t>(x_rows.size());
        p.length = part.pixels.end - part.pixels.begin;
        p.a_row = 1;
        p.a = form.narrow ? gy : from;
        p.a_k = form.narrow ? g.pixel : x_pixel;
        p.a_segment = (form.narrow ? g_rows : x_rows).data();
        p.m = form.narrow ? s.co : part.taps * s.ci;
        p.b = form.narrow ? from : gy;
        p.b_k = form.narrow ? x_pixel : g.pixel;
        p.b_panel = gemm_isa<T>().columns;
        p.b_segment = (form.narrow ? x_rows : g_rows).data();
        p.n = form.narrow ? part.taps * s.ci : g.channels;
        p.c = sums + ((kd * s.kernel[1] + kh) * s.kernel[2] + part.tap) * form.tap_stride;
        p.c_row = form.narrow ? form.co_stride : form.ci_stride;
        p.accumulate = true;
        gemm_isa<T>().multiply(p);
      }
    }
}

// Finished sums of `count` pairs of a channel of x and a tap, for `channels` result channels.
template <class T>
void write(const ConvShape& s, const Form<T>& form, const T* sums, int64_t count, int64_t channels,
           T* gw) {
  const int64_t taps = s.taps(), row = s.ci * taps;
  const auto pack = gemm_isa<T>().pack;
  if (form.narrow)
    for (int64_t k = 0; k < channels; ++k)
      pack(s.ci, taps, sums + k * form.co_stride, 1, form.tap_stride, gw + k * row, taps);
  else if (form.few)
    for (int64_t c = 0; c < s.ci; ++c)
      pack(channels, taps, sums + c * form.ci_stride, 1, form.tap_stride, gw + c * taps, row);
  else
    pack(channels, count, sums, 1, form.columns, gw, row);
}

}  // namespace

template <class T>
void direct_weight_gradient(const ConvShape& s, const Image<const T>& x, const Image<const T>& gy,
                            T* gw) {
  const int64_t taps = s.taps(), entries_of_gw = s.groups * s.co * s.ci * taps;
  if (entries_of_gw == 0) return;
  if (s.batch * s.pixels() == 0) {
    std::fill_n(gw, entries_of_gw, T(0));
    return;
  }
  if (s.ci == 1 && s.co == 1 && s.groups > 1) return depthwise_weight_gradient(s, x, gy, gw);
  const Form<T> form(s, x);
  const Pieces pieces(s, form.columns);
  const int64_t columns = form.columns, size = taps * s.ci * columns;
  Scratch shared;
  // [group][panel][sum][size]
  T* all = shared.take<T>(s.groups * pieces.panels * pieces.sums * size);
  parallel_chunks(s.groups * pieces.panels * pieces.sums, [&](int64_t piece) {
    const int64_t sum = piece % pieces.sums, j = piece / pieces.sums % pieces.panels * columns;
    const int64_t group = piece / pieces.sums / pieces.panels;
    const int64_t last = std::min((sum + 1) * pieces.sum_rows, pieces.rows);
    Scratch scratch;
    Image<const T> x_group = x;
    x_group.data += group * s.ci;
    T* panel = scratch.take<T>(pieces.block_rows * s.out[2] * columns);
    T* sums = all + piece * size;
    std::fill_n(sums, size, T(0));
    for (int64_t begin = sum * pieces.sum_rows; begin < last; begin += pieces.block_rows) {
      const int64_t end = std::min(begin + pieces.block_rows, last);
      const Rows<T> rows =
          rows_of(s, form, gy, group * s.co + j, std::min(columns, s.co - j), begin, end, panel);
      add_block(s, form, x_group, begin, rows, sums);
    }
  });
  // Sums in order, turned into [co][ci][taps].
  constexpr int64_t kEntries = 256;
  const int64_t entries = form.narrow || form.few ? s.ci * taps : kEntries;
  const int64_t ranges = ceil_div(s.ci * taps, entries);
  parallel_chunks(s.groups * pieces.panels * ranges, [&](int64_t index) {
    const int64_t first = index % ranges * entries, panel = index / ranges;
    const int64_t count = std::min(entries, s.ci * taps - first);
    const int64_t group = panel / pieces.panels, j = panel % pieces.panels * columns;
    T* from = all + panel * pieces.sums * size + first * columns;
    Product<T> p{};
    p.m = 1;
    p.n = count * columns;
    p.c = from;
    p.accumulate = true;
    for (int64_t sum = 1; sum < pieces.sums; ++sum) gemm_isa<T>().finish(p, from + sum * size, 0);
    write(s, form, from, count, std::min(columns, s.co - j),
          gw + (group * s.co + j) * s.ci * taps + first);
  });
}

template void direct_weight_gradient(const ConvShape&, const Image<const float>&,
                                     const Image<const float>&, float*);
template void direct_weight_gradient(const ConvShape&, const Image<const double>&,
                                     const Image<const double>&, double*);

}  // namespace brume::cpu
