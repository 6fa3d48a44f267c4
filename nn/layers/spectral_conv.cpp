#include <brume/nn/layers/spectral_conv.h>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Which leading axes' negative frequencies weights1, weights2, ... belong to: bit a for axis a. The
// order of four axes is the reference's.
constexpr unsigned kCorners[] = {0b000, 0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111};
constexpr unsigned kCorners3d[] = {0b00, 0b01, 0b10, 0b11};

unsigned corner(size_t axes, size_t i) { return axes == 3 ? kCorners3d[i] : kCorners[i]; }

// Low frequencies in front and high ones at the end of an axis of n.
Tensor ends_of_axis(const Tensor& low, const Tensor& high, int64_t axis, int64_t n) {
  const auto filled = [&](const Tensor& x, int64_t before, int64_t after) {
    std::vector<int64_t> amounts(static_cast<size_t>(2 * (x.rank() - axis)), 0);
    amounts[amounts.size() - 2] = before;
    amounts[amounts.size() - 1] = after;
    return pad(x, amounts);
  };
  const int64_t m = low.size(axis);
  if (2 * m <= n) return cat({filled(low, 0, n - 2 * m), high}, axis);
  return filled(low, 0, n - m) + filled(high, n - m, 0);
}

}  // namespace

SpectralConv::SpectralConv(int64_t in_channels, int64_t out_channels,
                           const std::vector<int64_t>& modes)
    : modes_(modes) {
  check(in_channels > 0 && out_channels > 0, "SpectralConv: channels must be positive, got ",
        in_channels, " and ", out_channels);
  const auto axes = static_cast<int64_t>(modes.size());
  Dims shape{in_channels, out_channels};
  for (const int64_t m : modes) {
    check(m > 0, "SpectralConv: modes must be positive, got ", m);
    shape.push_back(m);
  }
  shape.push_back(2);
  for (int64_t a = 0; a < axes; ++a) {
    transformed_.push_back(a + 2);
    if (a + 1 < axes) leading_.push_back(a + 2);
  }
  const double scale = 1 / static_cast<double>(in_channels * out_channels);
  for (int i = 0; i < 1 << (axes - 1); ++i)
    weights_.push_back(param(cat("weights", i + 1), shape, Init::positive(scale)));
}

Tensor SpectralConv::operator()(const Tensor& x) const {
  const auto axes = static_cast<int64_t>(modes_.size());
  check(x.rank() == axes + 2 && x.size(1) == weights_[0].size(0), "SpectralConv: wants [B, ",
        weights_[0].size(0), ", ", axes, " axes], got ", x.shape());
  std::vector<int64_t> sizes;
  for (int64_t a = 0; a < axes; ++a) {
    sizes.push_back(x.size(a + 2));
    const int64_t most = a + 1 < axes ? sizes.back() : sizes.back() / 2 + 1;
    check(modes_[static_cast<size_t>(a)] <= most, "SpectralConv: an axis of ", sizes.back(),
          " has ", most, " frequencies, and ", modes_[static_cast<size_t>(a)], " are kept");
  }
  // What is not kept of the last axis need not be transformed along the others.
  Tensor spectrum = slice(rfft(x, {axes + 1}), axes + 1, 0, modes_.back());
  if (!leading_.empty()) spectrum = fft(spectrum, leading_);

  const int64_t batch = x.size(0), in = x.size(1), out = weights_[0].size(1);
  Dims to_modes, from_modes{axes, axes + 1}, kept;
  for (int64_t a = 0; a < axes; ++a) {
    to_modes.push_back(a + 2), from_modes.push_back(a);
    kept.push_back(modes_[static_cast<size_t>(a)]);
  }
  const int64_t modes = numel(kept);
  for (const int64_t axis : {int64_t{0}, int64_t{1}, axes + 2}) to_modes.push_back(axis);
  from_modes.push_back(axes + 2);
  kept.push_back(batch), kept.push_back(out), kept.push_back(2);
  std::vector<Tensor> corners;
  for (size_t i = 0; i < weights_.size(); ++i) {
    Tensor part = spectrum;
    for (size_t a = 0; a < leading_.size(); ++a) {
      const bool high = (corner(modes_.size(), i) >> a & 1) != 0;
      const int64_t begin = high ? sizes[a] - modes_[a] : 0;
      part = slice(part, leading_[a], begin, begin + modes_[a]);
    }
    part = reshape(permute(part, to_modes), {modes, batch, in, 2});
    const Tensor w = reshape(permute(as_dtype(weights_[i], x), to_modes), {modes, in, out, 2});
    corners.push_back(permute(reshape(complex_matmul(part, w), kept), from_modes));
  }
  return irfft(joined(corners, sizes), transformed_, {.sizes = sizes});
}

// The corners in their places: axis by axis, two become one.
Tensor SpectralConv::joined(const std::vector<Tensor>& corners,
                            const std::vector<int64_t>& sizes) const {
  std::vector<Tensor> by_bits(corners.size());
  for (size_t i = 0; i < corners.size(); ++i) by_bits[corner(modes_.size(), i)] = corners[i];
  for (size_t a = leading_.size(); a-- > 0;) {
    const size_t half = size_t{1} << a;
    for (size_t i = 0; i < half; ++i)
      by_bits[i] = ends_of_axis(by_bits[i], by_bits[i + half], leading_[a], sizes[a]);
  }
  return by_bits[0];
}

Ref<SpectralConv> make_spectral_conv(int64_t in_channels, int64_t out_channels,
                                     const std::vector<int64_t>& modes) {
  switch (modes.size()) {
    case 1:
      return make<SpectralConv1d>({in_channels, out_channels, modes});
    case 2:
      return make<SpectralConv2d>({in_channels, out_channels, modes});
    case 3:
      return make<SpectralConv3d>({in_channels, out_channels, modes});
    default:
      return make<SpectralConv4d>({in_channels, out_channels, modes});
  }
}

}  // namespace brume::nn
