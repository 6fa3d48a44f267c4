// The gradient of a multiply-and-add convolution in its weight: per tap a product over all pixels.

#include <algorithm>
#include <vector>

#include <brume/core/cpu/conv_driver.h>
#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>

namespace brume::cpu {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
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

// A piece of work sums `row_count` result rows for one group and one panel of result channels into
// sums of its own. The number of sums follows the problem, so it decides the bits, not the threads.
template <class T>
struct Pieces {
  int64_t columns, panels, rows, sums, sum_rows, block_rows;

  explicit Pieces(const ConvShape& s) {
    constexpr int64_t kPieces = 16, kLeastPixels = 1024, kBlockPixels = 256;
    columns = gemm_isa<T>().columns;
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

// sums [taps][ci][columns] += x^T gy over result rows [begin, end). `panel`: gy of those rows,
// [rows * width][columns].
template <class T>
void add_block(const ConvShape& s, const Image<const T>& x, int64_t group, int64_t begin,
               int64_t end, const T* panel, int64_t columns, T* sums) {
  Product<T> p{};
  p.m = s.ci;
  p.n = columns;
  p.a_row = 1;
  p.a_k = s.stride[2] * x.space[2];
  p.b_k = columns;
  p.c_row = columns;
  p.accumulate = true;
  std::vector<int64_t> a_rows, b_rows;
  for (int64_t kd = 0; kd < s.kernel[0]; ++kd)
    for (int64_t kh = 0; kh < s.kernel[1]; ++kh) {
      const Range depths = inside(s, 0, kd), heights = inside(s, 1, kh);
      a_rows.clear();
      b_rows.clear();
      for (int64_t index = begin; index < end; ++index) {
        const Row r = row_at(s, index);
        if (r.depth < depths.begin || r.depth >= depths.end) continue;
        if (r.row < heights.begin || r.row >= heights.end) continue;
        a_rows.push_back(r.sample * x.batch +
                         (r.depth * s.stride[0] + kd * s.dilation[0] - s.padding[0]) * x.space[0] +
                         (r.row * s.stride[1] + kh * s.dilation[1] - s.padding[1]) * x.space[1]);
        b_rows.push_back((index - begin) * s.out[2] * columns);
      }
      for (int64_t kw = 0; kw < s.kernel[2]; ++kw, sums += s.ci * columns) {
        const Range widths = inside(s, 2, kw);
        if (a_rows.empty() || widths.begin >= widths.end) continue;
        p.segments = static_cast<int64_t>(a_rows.size());
        p.length = widths.end - widths.begin;
        p.a_segment = a_rows.data();
        p.b_segment = b_rows.data();
        p.a = x.data + group * s.ci +
              (widths.begin * s.stride[2] + kw * s.dilation[2] - s.padding[2]) * x.space[2];
        p.b = panel + widths.begin * columns;
        p.c = sums;
        gemm_isa<T>().multiply(p);
      }
    }
}

}  // namespace

template <class T>
void direct_weight_gradient(const ConvShape& s, const Image<const T>& x, const Image<const T>& gy,
                            T* gw) {
  const int64_t taps = s.taps();
  if (s.batch * s.pixels() == 0) {
    std::fill_n(gw, s.groups * s.co * s.ci * taps, T(0));
    return;
  }
  const Pieces<T> pieces(s);
  const int64_t columns = pieces.columns, size = taps * s.ci * columns;
  Scratch shared;
  // [group][panel][sum][taps][ci][columns]
  T* all = shared.take<T>(s.groups * pieces.panels * pieces.sums * size);
  parallel_chunks(s.groups * pieces.panels * pieces.sums, [&](int64_t piece) {
    const int64_t sum = piece % pieces.sums, j = piece / pieces.sums % pieces.panels * columns;
    const int64_t group = piece / pieces.sums / pieces.panels;
    const int64_t last = std::min((sum + 1) * pieces.sum_rows, pieces.rows);
    Scratch scratch;
    T* panel = scratch.take<T>(pieces.block_rows * s.out[2] * columns);
    T* sums = all + piece * size;
    std::fill_n(sums, size, T(0));
    for (int64_t begin = sum * pieces.sum_rows; begin < last; begin += pieces.block_rows) {
      const int64_t end = std::min(begin + pieces.block_rows, last);
      for (int64_t index = begin; index < end; ++index) {
        const Row r = row_at(s, index);
        gemm_isa<T>().pack_panels(s.out[2], std::min(columns, s.co - j),
                                  gy.at(r.sample, r.depth, r.row, 0) + group * s.co + j,
                                  gy.space[2], 1, panel + (index - begin) * s.out[2] * columns, 0);
      }
      add_block(s, x, group, begin, end, panel, columns, sums);
    }
  });
  // Sums in order, turned into [co][ci][taps].
  parallel_chunks(s.groups * pieces.panels * s.ci, [&](int64_t index) {
    const int64_t ci = index % s.ci, j = index / s.ci % pieces.panels * columns;
    const int64_t group = index / s.ci / pieces.panels;
    const T* from = all + index / s.ci * pieces.sums * size + ci * columns;
    for (int64_t k = 0; k < std::min(columns, s.co - j); ++k) {
      T* to = gw + ((group * s.co + j + k) * s.ci + ci) * taps;
      for (int64_t t = 0; t < taps; ++t) {
        const T* part = from + t * s.ci * columns + k;
        T v = part[0];
        for (int64_t sum = 1; sum < pieces.sums; ++sum) v += part[sum * size];
        to[t] = v;
      }
    }
  });
}

template void direct_weight_gradient(const ConvShape&, const Image<const float>&,
                                     const Image<const float>&, float*);
template void direct_weight_gradient(const ConvShape&, const Image<const double>&,
                                     const Image<const double>&, double*);

}  // namespace brume::cpu
