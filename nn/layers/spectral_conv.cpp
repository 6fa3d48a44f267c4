#include <brume/nn/layers/spectral_conv.h>

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/shape.h>

namespace brume::nn {
namespace {

// Which leading axes' negative frequencies weights1, weights2, ... belong to: bit a for axis a. The
// order of four axes is the reference's.
constexpr unsigned kCorners[] = {0b000, 0b001, 0b010, 0b100, 0b011, 0b101, 0b110, 0b111};
constexpr unsigned kCorners3d[] = {0b00, 0b01, 0b10, 0b11};

unsigned corner(size_t axes, size_t i) { return axes == 3 ? kCorners3d[i] : kCorners[i]; }

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
  const double scale = 1 / static_cast<double>(in_channels * out_channels);
  for (int i = 0; i < 1 << (axes - 1); ++i)
    weights_.push_back(param(cat("weights", i + 1), shape, Init::positive(scale)));
}

Tensor SpectralConv::operator()(const Tensor& x) const {
  const auto axes = static_cast<int64_t>(modes_.size());
  const int64_t in = weights_[0].size(0), out = weights_[0].size(1);
  check(x.rank() == axes + 2 && x.size(1) == in, "SpectralConv: wants [B, ", in, ", ", axes,
        " axes], got ", x.shape());
  for (int64_t a = 0; a < axes; ++a) {
    const int64_t n = x.size(a + 2), most = a + 1 < axes ? n : n / 2 + 1;
    check(modes_[static_cast<size_t>(a)] <= most, "SpectralConv: an axis of ", n, " has ", most,
          " frequencies, and ", modes_[static_cast<size_t>(a)], " are kept");
  }
  // Bit a of a corner's number: whether it holds the high frequencies of axis a.
  std::vector<Tensor> corners{spectrum(x)};
  for (int64_t a = axes - 2; a >= 0; --a) {
    std::vector<Tensor> halves;
    for (const Tensor& whole : corners)
      for (const Tensor& half : chunk(whole, 2, a + 2)) halves.push_back(half);
    corners = std::move(halves);
  }
  // [B, 2, modes..., in] to [B, in, modes, 2] with each part in a line, and back.
  const int64_t modes = numel(Shape(modes_));
  Dims to_lines{0, axes + 2, 1}, from_lines{0, 2}, shape{x.size(0), out, 2};
  for (int64_t a = 0; a < axes; ++a) {
    to_lines.push_back(a + 2), from_lines.push_back(a + 3);
    shape.push_back(modes_[static_cast<size_t>(a)]);
  }
  from_lines.push_back(1);
  for (size_t i = 0; i < weights_.size(); ++i) {
    Tensor& part = corners[corner(modes_.size(), i)];
    const Tensor lines = reshape(permute(part, to_lines), {x.size(0), in, 2, modes});
    const Tensor w = reshape(as_dtype(weights_[i], x), {in, out, modes, 2});
    const Tensor y = transpose(mode_matmul(transpose(lines, 2, 3), w), 2, 3);
    part = permute(reshape(y, shape), from_lines);
  }
  for (int64_t a = 0; a + 1 < axes; ++a) {
    std::vector<Tensor> wholes;
    for (size_t i = 0; i < corners.size(); i += 2)
      wholes.push_back(cat({corners[i], corners[i + 1]}, a + 2));
    corners = std::move(wholes);
  }
  return field(corners[0], x.shape());
}

// The kept frequencies of x [B, C, n...]: [B, 2, 2 modes1, ..., modes of the last axis, C].
Tensor SpectralConv::spectrum(const Tensor& x) const {
  const int last = static_cast<int>(modes_.size()) - 1;
  Dims channels_last{0};
  for (int a = 0; a <= last; ++a) channels_last.push_back(a + 2);
  channels_last.push_back(1);
  Shape shape{x.size(0), 2};
  for (int a = 0; a <= last; ++a)
    shape.push_back((a < last ? 2 : 1) * modes_[static_cast<size_t>(a)]);
  shape.push_back(x.size(1));
  Tensor s = permute(x, channels_last);
  int64_t inner = x.size(1);
  for (int a = last; a >= 0; --a) {
    s = reshape(s, {-1, x.size(a + 2), a == last ? 1 : 2, inner});
    s = low_modes(s, modes_[static_cast<size_t>(a)]);
    inner *= s.size(2);
  }
  return reshape(s, shape);
}

// The reverse, to a field of x's axes.
Tensor SpectralConv::field(const Tensor& spectrum, const Shape& x) const {
  const int last = static_cast<int>(modes_.size()) - 1;
  Shape shape{x[0]};
  Dims channels_first{0, last + 2};
  Tensor s = spectrum;
  int64_t inner = spectrum.numel() / (x[0] * 2);
  for (int a = 0; a <= last; ++a) {
    const int64_t n = x[a + 2], parts = a == last ? 1 : 2;
    const int64_t count = parts * modes_[static_cast<size_t>(a)];
    const double share = 1 / static_cast<double>(n);
    inner /= count;
    // Of a real axis only one of each pair of frequencies was kept.
    s = from_low_modes(reshape(s, {-1, 2, count, inner}), n, parts,
                       {.single = share, .paired = a == last ? 2 * share : share});
    shape.push_back(n);
    channels_first.push_back(a + 1);
  }
  shape.push_back(inner);
  return permute(reshape(s, shape), channels_first);
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
