#include <brume/autograd/ops/resample.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/constant.h>

namespace brume {
namespace {

// A linear map of an axis: y[j] = sum_k weight[k][j] x[index[k][j]].
struct Taps {
  explicit Taps(int64_t out) : out_(out) {}
  /// Adds to output j; taps of one output go into layers of their own.
  void add(int64_t j, int64_t index, double weight) {
    const size_t layer = j == last_ ? layer_ + 1 : 0;
    last_ = j, layer_ = layer;
    if (layer == indices_.size()) {
      indices_.emplace_back(static_cast<size_t>(out_), 0);
      weights_.emplace_back(static_cast<size_t>(out_), 0.0);
    }
    indices_[layer][static_cast<size_t>(j)] = index;
    weights_[layer][static_cast<size_t>(j)] = weight;
  }
  Tensor apply(const Tensor& x, int axis) const {
    Shape along = Shape::filled(x.rank(), 1);
    along[axis] = out_;
    Tensor y;
    for (size_t k = 0; k < indices_.size(); ++k) {
      Tensor picked = index_select(x, axis, constant(from_vector(indices_[k], {out_}), x.device()));
      const auto is_one = [](double w) { return w == 1; };
      if (!std::all_of(weights_[k].begin(), weights_[k].end(), is_one)) {
        const Tensor w = constant(from_vector(weights_[k], along), x.device());
        picked = picked * convert(w, x.dtype());
      }
      y = y.defined() ? y + picked : picked;
    }
    return y;
  }

 private:
  int64_t out_, last_ = -1;
  size_t layer_ = 0;
  std::vector<std::vector<int64_t>> indices_;
  std::vector<std::vector<double>> weights_;
};

// Sizes, steps and amounts along an axis: products of two and sums of a few stay below 2^63.
constexpr int64_t kMost = int64_t{1} << 30;

// Axes behind [B, C] and one number for each.
void check_image(const Tensor& x, size_t numbers, const char* who) {
  check(x.rank() >= 3 && x.rank() <= 5 && static_cast<size_t>(x.rank() - 2) == numbers, who,
        ": wants x [B, C, ...] and one number for each axis behind, got ", x.shape(), " and ",
        numbers);
}

int64_t product(int64_t a, int64_t b, const char* who) {
  int64_t result = 0;
  check(!__builtin_mul_overflow(a, b, &result), who, ": no axis has ", a, " x ", b, " entries");
  return result;
}

int64_t mirrored(int64_t i, int64_t n, PadMode mode) {
  switch (mode) {
    case PadMode::reflect:
      return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    case PadMode::circular:
      return (i + n) % n;
    default:
      return std::clamp<int64_t>(i, 0, n - 1);
  }
}

// What no element is below.
double lowest(DType dtype) {
  switch (dtype) {
    case DType::i32:
      return std::numeric_limits<int32_t>::lowest();
    case DType::i64:
      return static_cast<double>(std::numeric_limits<int64_t>::lowest());
    case DType::u8:
    case DType::boolean:
      return 0;
    default:
      return -INFINITY;
  }
}

struct Window {
  int64_t kernel, stride, padding, count;
};

Window window_of(const Tensor& x, const PoolOptions& o, size_t a, const char* who) {
  const auto at = [a](const std::vector<int64_t>& v, int64_t otherwise) {
    return a < v.size() ? v[a] : otherwise;
  };
  Window w{o.kernel[a], at(o.stride, o.kernel[a]), at(o.padding, 0), 0};
  const int64_t n = x.size(static_cast<int64_t>(a) + 2);
  const bool sound = w.kernel > 0 && w.kernel <= kMost && w.stride > 0 && w.stride <= kMost &&
                     w.padding >= 0 && w.padding <= w.kernel / 2;
  const int64_t last = sound ? n + 2 * w.padding - w.kernel : -1;
  check(last >= 0, who, ": a window of ", w.kernel, " with stride ", w.stride, " and padding ",
        w.padding, " does not fit an axis of ", n);
  w.count = last / w.stride + 1;
  if (o.ceil_mode && last % w.stride != 0 && w.count * w.stride < n + w.padding) ++w.count;
  return w;
}

// Where output j of an axis looks, in pixels of the input.
double source(int64_t j, double per_output, bool align_corners) {
  const auto out = static_cast<double>(j);
  return align_corners ? out * per_output : (out + 0.5) * per_output - 0.5;
}

// Cubic convolution with a = -0.75. @source Keys 1981
double cubic_weight(double distance) {
  constexpr double a = -0.75;
  const double d = std::abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

// `per_output`: how many pixels of the input an output advances by.
Taps interpolation(int64_t in, int64_t out, double per_output, const InterpolateOptions& o) {
  Taps taps(out);
  const auto clamped = [in](int64_t i) { return std::clamp<int64_t>(i, 0, in - 1); };
  for (int64_t j = 0; j < out; ++j) {
    const auto position = static_cast<double>(j);
    switch (o.mode) {
      case InterpolateMode::nearest:
        taps.add(j, clamped(static_cast<int64_t>(position * per_output)), 1);
        break;
      case InterpolateMode::nearest_exact:
        taps.add(j, clamped(static_cast<int64_t>((position + 0.5) * per_output)), 1);
        break;
      case InterpolateMode::linear: {
        const double at = std::max(source(j, per_output, o.align_corners), 0.0);
        const auto low = static_cast<int64_t>(at);
        const double high = at - static_cast<double>(low);
        taps.add(j, clamped(low), 1 - high);
        taps.add(j, clamped(low + 1), high);
        break;
      }
      case InterpolateMode::cubic: {
        const double at = source(j, per_output, o.align_corners);
        const auto low = static_cast<int64_t>(std::floor(at));
        for (int64_t i = low - 1; i <= low + 2; ++i)
          taps.add(j, clamped(i), cubic_weight(at - static_cast<double>(i)));
        break;
      }
      case InterpolateMode::area: {
        const int64_t begin = j * in / out, end = ((j + 1) * in + out - 1) / out;
        for (int64_t i = begin; i < end; ++i) taps.add(j, i, 1 / static_cast<double>(end - begin));
        break;
      }
    }
  }
  return taps;
}

// Windows of every axis behind [B, C]: [B, C, counts..., kernels...], a view.
Tensor all_windows(Tensor x, const std::vector<int64_t>& kernel,
                   const std::vector<int64_t>& stride) {
  for (size_t a = 0; a < kernel.size(); ++a)
    x = windows(x, static_cast<int64_t>(a) + 2, kernel[a], stride[a]);
  return x;
}

}  // namespace

Tensor pad_with(const Tensor& x, const std::vector<int64_t>& amounts, PadMode mode, double value) {
  if (mode == PadMode::constant) return pad(x, amounts, value);
  check(amounts.size() % 2 == 0 && static_cast<int>(amounts.size() / 2) <= x.rank(),
        "pad_with: wants two amounts for each of the last axes, got ", amounts.size());
  Tensor y = x;
  for (size_t a = 0; a < amounts.size() / 2; ++a) {
    const int64_t before = amounts[2 * a], after = amounts[2 * a + 1];
    if (before == 0 && after == 0) continue;
    const int axis = x.rank() - 1 - static_cast<int>(a);
    const int64_t n = x.size(axis), most = mode == PadMode::reflect ? n - 1 : n;
    check(before >= 0 && after >= 0 && n > 0 && std::max(before, after) <= kMost &&
              (mode == PadMode::replicate || std::max(before, after) <= most),
          "pad_with: an axis of ", n, " cannot be padded by ", before, " and ", after);
    Taps taps(n + before + after);
    for (int64_t j = 0; j < n + before + after; ++j) taps.add(j, mirrored(j - before, n, mode), 1);
    y = taps.apply(y, axis);
  }
  return y;
}

Tensor avg_pool(const Tensor& x, const PoolOptions& o) {
  check_image(x, o.kernel.size(), "avg_pool");
  Tensor y = x;
  for (size_t a = 0; a < o.kernel.size(); ++a) {
    const Window w = window_of(x, o, a, "avg_pool");
    const int64_t n = x.size(static_cast<int64_t>(a) + 2);
    Taps taps(w.count);
    for (int64_t j = 0; j < w.count; ++j) {
      const int64_t begin = j * w.stride - w.padding;
      const int64_t end = std::min(begin + w.kernel, n + w.padding);
      for (int64_t i = std::max<int64_t>(begin, 0); i < std::min(end, n); ++i)
        taps.add(j, i, 1 / static_cast<double>(end - begin));
    }
    y = taps.apply(y, static_cast<int>(a) + 2);
  }
  return y;
}

Tensor max_pool(const Tensor& x, const PoolOptions& o) {
  check_image(x, o.kernel.size(), "max_pool");
  std::vector<int64_t> amounts, strides, kernel_axes;
  for (size_t a = 0; a < o.kernel.size(); ++a) {
    const Window w = window_of(x, o, a, "max_pool");
    const int64_t n = x.size(static_cast<int64_t>(a) + 2);
    const int64_t behind = (w.count - 1) * w.stride + w.kernel - n - w.padding;
    amounts.insert(amounts.begin(), {w.padding, behind});
    strides.push_back(w.stride);
    kernel_axes.push_back(x.rank() + static_cast<int64_t>(a));
  }
  return max(all_windows(pad(x, amounts, lowest(x.dtype())), o.kernel, strides), kernel_axes);
}

Tensor adaptive_avg_pool(const Tensor& x, const std::vector<int64_t>& size) {
  return interpolate(x, size, {.mode = InterpolateMode::area});
}

Tensor interpolate(const Tensor& x, const std::vector<int64_t>& size, const InterpolateOptions& o) {
  check_image(x, size.size(), "interpolate");
  check(o.scale.empty() || o.scale.size() == size.size(), "interpolate: ", o.scale.size(),
        " scales for ", size.size(), " axes");
  Tensor y = x;
  for (size_t a = 0; a < size.size(); ++a) {
    const int axis = static_cast<int>(a) + 2;
    const int64_t in = x.size(axis), out = size[a];
    check(in > 0 && out > 0 && out <= kMost, "interpolate: an axis of ", in, " to ", out);
    double per_output = static_cast<double>(in) / static_cast<double>(out);
    if (!o.scale.empty()) {
      per_output = 1 / o.scale[a];
      check(o.scale[a] > 0 && per_output > 0 && per_output <= kMost,
            "interpolate: a scale must be finite and at least 2^-30, got ", o.scale[a]);
    }
    if (o.align_corners)
      per_output = out == 1 ? 0 : static_cast<double>(in - 1) / static_cast<double>(out - 1);
    y = interpolation(in, out, per_output, o).apply(y, axis);
  }
  return y;
}

Tensor unfold(const Tensor& x, const std::vector<int64_t>& kernel,
              const std::vector<int64_t>& stride) {
  check(x.rank() == 4 && kernel.size() == 2 && stride.size() == 2,
        "unfold: wants x [B, C, H, W], 2 kernel sizes and 2 strides, got ", x.shape());
  const Tensor w = permute(all_windows(x, kernel, stride), {0, 1, 4, 5, 2, 3});
  return reshape(w, {x.size(0), x.size(1) * kernel[0] * kernel[1], w.size(4) * w.size(5)});
}

Tensor fold(const Tensor& columns, const std::vector<int64_t>& size,
            const std::vector<int64_t>& kernel, const std::vector<int64_t>& stride) {
  check(
      columns.rank() == 3 && size.size() == 2 && kernel.size() == 2 && stride.size() == 2,
      "fold: wants columns [B, C * k0 * k1, windows], 2 sizes, 2 kernel sizes and 2 strides, got ",
      columns.shape());
  Shape counts;
  for (size_t a = 0; a < 2; ++a) {
    check(kernel[a] > 0 && stride[a] > 0 && kernel[a] <= size[a], "fold: a window of ", kernel[a],
          " with stride ", stride[a], " does not fit an axis of ", size[a]);
    counts.push_back((size[a] - kernel[a]) / stride[a] + 1);
  }
  const int64_t pixels = numel({size[0], size[1]}), block = kernel[0] * kernel[1];
  check(columns.size(1) % block == 0, "fold: wants columns [B, C * ", block, ", windows], got ",
        columns.shape());
  check(columns.size(2) == numel(counts), "fold: an image of ", size[0], " x ", size[1],
        " has other windows than ", columns.size(2));
  const int64_t batch = columns.size(0), channels = columns.size(1) / block;
  // Which pixel each entry comes from.
  const TensorOptions integers{.dtype = DType::i64, .device = columns.device()};
  const Tensor numbers = reshape(arange(0, pixels, 1, integers), {1, 1, size[0], size[1]});
  const Tensor place = reshape(unfold(numbers, kernel, stride), {-1});
  const Tensor image =
      zeros({batch, channels, pixels}, {.dtype = columns.dtype(), .device = columns.device()});
  const Tensor sums =
      index_add(image, 2, place, reshape(columns, {batch, channels, block * columns.size(2)}));
  return reshape(sums, {batch, channels, size[0], size[1]});
}

Tensor pixel_shuffle(const Tensor& x, int64_t r) {
  const int d = x.rank() - 2;
  check(d >= 1 && d <= 3 && r > 0,
        "pixel_shuffle: wants [B, C, ...] and a factor of at least 1, got ", x.shape(), " and ", r);
  int64_t block = 1;
  for (int i = 0; i < d; ++i) block = product(block, r, "pixel_shuffle");
  check(x.size(1) % block == 0, "pixel_shuffle: wants [B, C * ", block, ", ...], got ", x.shape());
  Dims split, order{0, 1}, joined;
  split.push_back(x.size(0)), split.push_back(x.size(1) / block);
  for (int i = 0; i < d; ++i) split.push_back(r);
  for (int i = 0; i < d; ++i) split.push_back(x.size(i + 2));
  joined.push_back(x.size(0)), joined.push_back(x.size(1) / block);
  for (int i = 0; i < d; ++i) {
    order.push_back(2 + d + i), order.push_back(2 + i);
    joined.push_back(product(x.size(i + 2), r, "pixel_shuffle"));
  }
  return reshape(permute(reshape(x, split), order), joined);
}

Tensor pixel_unshuffle(const Tensor& x, int64_t r) {
  const int d = x.rank() - 2;
  check(d >= 1 && d <= 3 && r > 0,
        "pixel_unshuffle: wants [B, C, ...] and a factor of at least 1, got ", x.shape(), " and ",
        r);
  Dims split, order{0, 1}, joined;
  split.push_back(x.size(0)), split.push_back(x.size(1));
  joined.push_back(x.size(0)), joined.push_back(x.size(1));
  for (int i = 0; i < d; ++i) {
    check(x.size(i + 2) % r == 0, "pixel_unshuffle: sizes must be multiples of ", r, ", got ",
          x.shape());
    split.push_back(x.size(i + 2) / r), split.push_back(r);
    order.push_back(3 + 2 * i);
    joined[1] = product(joined[1], r, "pixel_unshuffle");
  }
  for (int i = 0; i < d; ++i) {
    order.push_back(2 + 2 * i);
    joined.push_back(x.size(i + 2) / r);
  }
  return reshape(permute(reshape(x, split), order), joined);
}

Tensor grid_sample(const Tensor& x, const Tensor& grid) {
  check(x.rank() == 4 && grid.rank() == 4 && grid.size(3) == 2 && grid.size(0) == x.size(0),
        "grid_sample: wants x [B, C, H, W] and grid [B, h, w, 2], got ", x.shape(), " and ",
        grid.shape());
  check_same_dtype("grid_sample", x, "grid", grid);
  check_same_device("grid_sample", x, "grid", grid);
  // Numbers of 16 bits do not tell the pixels of an image apart.
  const DType dtype = wide_dtype(x.dtype());
  const int64_t batch = x.size(0), channels = x.size(1), h = x.size(2), w = x.size(3);
  const int64_t points = grid.size(1) * grid.size(2);
  const auto place = [&](int64_t axis, int64_t size) {  // in pixels
    const Tensor g = to(reshape(select(grid, 3, axis), {batch, 1, points}), dtype);
    constexpr double outside = -2;
    return nan_to_num(((g + 1) * static_cast<double>(size) - 1) * 0.5, outside, outside, outside);
  };
  const Tensor column = place(0, w), row = place(1, h);
  const Tensor left = floor(detach(column)), top = floor(detach(row));
  const Tensor pixels = to(reshape(x, {batch, channels, h * w}), dtype);
  Tensor y;
  for (const int dr : {0, 1})
    for (const int dc : {0, 1}) {
      const Tensor r = top + dr, c = left + dc;
      const auto on = [](const Tensor& i, int64_t n) {
        return logical_and(ge(i, 0), lt(i, static_cast<double>(n)));
      };
      const Tensor inside = logical_and(on(r, h), on(c, w));
      const Tensor weight = where(inside, (1 - abs(row - r)) * (1 - abs(column - c)), 0);
      // Rows and columns fit the dtype, their products may not.
      const auto whole = [&](const Tensor& i) { return convert(where(inside, i, 0), DType::i64); };
      const Tensor at = whole(r) * static_cast<double>(w) + whole(c);
      const Tensor term = gather(pixels, 2, expand(at, {batch, channels, points})) * weight;
      y = y.defined() ? y + term : term;
    }
  return to(reshape(y, {batch, channels, grid.size(1), grid.size(2)}), x.dtype());
}

}  // namespace brume
