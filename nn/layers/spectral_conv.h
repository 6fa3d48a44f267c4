#pragma once

#include <string>
#include <vector>

#include <brume/nn/module.h>

namespace brume::nn {

/// How many frequencies a SpectralConv of kD axes keeps: modes1, modes2, ...
template <int kD>
struct SpectralConvConfig {
  int64_t in_channels = 0, out_channels = 0;
  std::vector<int64_t> modes = std::vector<int64_t>(kD, 0);

  template <class V>
  void fields(V& v) {
    static constexpr const char* kNames[] = {"modes1", "modes2", "modes3", "modes4"};
    v("in_channels", in_channels, required);
    v("out_channels", out_channels, required);
    modes.resize(kD);
    for (size_t a = 0; a < kD; ++a) v(kNames[a], modes[a], required);
  }
};

/// Fourier transform over the last axes, a complex matrix between channels for each of the lowest
/// frequencies, zeros for the others, and back. Keys: weights1, weights2, ... for the corners of
/// the spectrum, [in, out, modes..., 2]. Where corners overlap their results add up.
/// @shape  x [B, in_channels, ...] -> [B, out_channels, ...]
/// @throws ShapeError if an axis has fewer frequencies than are kept
/// @source Li et al. 2021, arXiv:2010.08895
class SpectralConv : public Module {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  SpectralConv(int64_t in_channels, int64_t out_channels, const std::vector<int64_t>& modes);

 private:
  Tensor spectrum(const Tensor& x) const;
  Tensor field(const Tensor& spectrum, const Shape& x) const;

  std::vector<int64_t> modes_;
  std::vector<Tensor> weights_;
};

template <int kD>
class SpectralConvNd : public SpectralConv {
 public:
  using Config = SpectralConvConfig<kD>;
  explicit SpectralConvNd(const Config& c) : SpectralConv(c.in_channels, c.out_channels, c.modes) {}
};
using SpectralConv1d = SpectralConvNd<1>;
using SpectralConv2d = SpectralConvNd<2>;
using SpectralConv3d = SpectralConvNd<3>;
using SpectralConv4d = SpectralConvNd<4>;

/// One of the four, by the number of modes.
Ref<SpectralConv> make_spectral_conv(int64_t in_channels, int64_t out_channels,
                                     const std::vector<int64_t>& modes);

}  // namespace brume::nn
