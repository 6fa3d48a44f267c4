#include <brume/autograd/ops/random.h>

#include <numeric>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/backend.h>
#include <brume/core/replay.h>

namespace brume {
namespace {

// Numbers are drawn row-major in f32 or f64, and brought into the form that was asked for.
DType drawn_dtype(DType wanted) { return wanted == DType::f64 ? DType::f64 : DType::f32; }
Tensor placed(const Tensor& drawn, const TensorOptions& options) {
  return relayout(convert(transfer(drawn, options.device), options.dtype), options.layout);
}

// `fill` is a Generator's way to draw on the host.
template <class T, class Fill>
Tensor drawn_on_host(const Shape& shape, const Fill& fill) {
  std::vector<T> values(static_cast<size_t>(numel(shape)));
  fill(std::span<T>(values));
  return from_vector(values, shape);
}

// Counter-based draws by the device's `kernel`; PyTorch's stream on the host.
template <class Kernel, class Fill>
Tensor draw(const Shape& shape, Generator& rng, const TensorOptions& options,
            Distribution distribution, const Kernel& kernel, const Fill& fill) {
  const Tensor recorded = next_recorded(rng, distribution, shape);
  if (recorded.defined()) return placed(recorded, options);
  const DType dtype = drawn_dtype(options.dtype);
  if (rng.is_torch())
    return placed(dtype == DType::f64 ? drawn_on_host<double>(shape, fill)
                                      : drawn_on_host<float>(shape, fill),
                  options);
  const Tensor y = empty(shape, {.dtype = dtype, .device = options.device});
  kernel(y, rng.claim(static_cast<uint64_t>(y.numel()), y.device().type));
  return placed(y, options);
}

}  // namespace

Tensor normal(const Shape& shape, Generator& rng, TensorOptions options) {
  return draw(
      shape, rng, options, Distribution::normal,
      [](const Tensor& y, const Draws& from) { kernels(y).random.normal(from, y.view()); },
      [&](auto values) { rng.fill_normal(values); });
}

void skip_normal(const Shape& shape, Generator& rng, TensorOptions options) {
  if (rng.is_torch() || rng.recording())
    (void)normal(shape, rng, options);
  else
    rng.advance(static_cast<uint64_t>(numel(shape)));
}

Tensor uniform(const Shape& shape, Generator& rng, TensorOptions options) {
  return draw(
      shape, rng, options, Distribution::uniform,
      [](const Tensor& y, const Draws& from) { kernels(y).random.uniform(from, y.view()); },
      [&](auto values) { rng.fill_uniform(values); });
}

Tensor gamma(const Shape& shape, double concentration, Generator& rng, TensorOptions options) {
  const Tensor recorded = next_recorded(rng, Distribution::gamma, shape);
  if (recorded.defined()) return placed(recorded, options);
  return placed(
      drawn_on_host<double>(shape, [&](auto values) { rng.fill_gamma(concentration, values); }),
      options);
}

Tensor random_integers(const Shape& shape, int64_t low, int64_t high, Generator& rng) {
  check(low < high, "random_integers: [", low, ", ", high, ") is empty");
  const Tensor recorded = next_recorded(rng, Distribution::integers, shape);
  if (recorded.defined()) return convert(recorded, DType::i64);
  if (rng.is_torch()) {
    int64_t range = 0;
    check(!__builtin_sub_overflow(high, low, &range), "random_integers: [", low, ", ", high,
          ") has more than 2^63 numbers; draw from fewer, or from Generator(seed)");
    return drawn_on_host<int64_t>(shape, [&](std::span<int64_t> values) {
      for (int64_t& value : values) value = low + rng.integer(range);
    });
  }
  const Tensor y = empty(shape, {.dtype = DType::i64});
  kernels(y).random.integers(rng.claim(static_cast<uint64_t>(y.numel()), DeviceType::cpu), low,
                             high, y.view());
  return y;
}

Tensor random_permutation(int64_t n, Generator& rng) {
  check(n >= 0, "random_permutation: n must not be negative, got ", n);
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i + 1 < n; ++i)
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + rng.integer(n - i))]);
  return from_vector(order, {n});
}

Tensor dropout(const Tensor& x, double p, Generator& rng) {
  check(p >= 0 && p <= 1, "dropout: p must lie in [0, 1], got ", p);
  if (p == 0) return x;
  const Draws from = rng.claim(static_cast<uint64_t>(x.numel()), x.device().type);
  const Layout layout =
      x.is_row_major() || !x.is_channels_last() ? Layout::row_major : Layout::channels_last;
  const TensorOptions options{x.dtype(), x.device(), layout};
  const auto mask = [=, shape = x.shape()] {
    const Tensor m = empty(shape, {drawn_dtype(options.dtype), options.device});
    kernels(m).random.dropout_mask(from, p, p == 1 ? 0 : 1 / (1 - p), m.view());
    return placed(m, options);
  };
  return record("dropout", detach(x) * mask(), {x},
                [mask](const Tensor& g) { return Grads{g * mask()}; });
}

}  // namespace brume
