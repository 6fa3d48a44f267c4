#pragma once
// SongUNet: the U-Net of score-based diffusion models of images (DDPM++, NCSN++).

#include <brume/nn/models/score_unet.h>

namespace brume::nn {

/// Encoder and decoder of UNetBlocks over levels of halved resolution, joined by skips.
/// @shape  x [B, in_channels, H, W], noise_labels [B] or [1], class_labels [B, label_dim],
///         augment_labels [B, augment_dim] -> [B, out_channels, H, W], channels-last in memory;
///         H and W are multiples of 2^(levels - 1)
/// @throws ShapeError if a shape does not fit or label_dim > 0 and class_labels are missing
/// @source Song et al. 2021, arXiv:2011.13456; Karras et al. 2022, arXiv:2206.00364
class SongUNet : public ScoreUNet {
 public:
  using Config = SongUNetConfig;
  explicit SongUNet(Config c);
  Tensor operator()(const Tensor& x, const Tensor& noise_labels, const Tensor& class_labels = {},
                    const Tensor& augment_labels = {}) const;

  const Config& config() const { return config_; }

 private:
  static Plan plan(const Config& c);
  void check_input(const Tensor& x, const Tensor& noise, const Tensor& classes,
                   const Tensor& augment) const;
};

}  // namespace brume::nn
