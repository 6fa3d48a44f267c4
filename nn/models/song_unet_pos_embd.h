#pragma once
// SongUNet with channels that say where in the domain each pixel lies, for models that are trained
// and run on patches.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <brume/nn/models/song_unet.h>

namespace brume::nn {

enum class GridType { learnable, linear, sinusoidal, sinusoidal_octave, test };
Names names_of(GridType);

struct SongUNetPosEmbdConfig : SongUNetConfig {
  SongUNetPosEmbdConfig() {
    channel_mult = {1, 2, 2, 2, 2};
    attn_resolutions = {28};
    dropout = 0.13;
  }
  GridType gridtype = GridType::sinusoidal;
  int64_t N_grid_channels = 4;  // 0: none
  // Of SongUNetPosLtEmbd; here they keep these values.
  bool lead_time_mode = false;
  std::optional<int64_t> lead_time_channels{};
  int64_t lead_time_steps = 9;
  std::vector<int64_t> prob_channels{};

  template <class V>
  void fields(V& v) {
    SongUNetConfig::fields(v);
    v("lead_time_mode", lead_time_mode);
    grid_fields(v);
  }
  template <class V>
  void options(V& v) {
    SongUNetConfig::options(v);
    v("lead_time_mode", lead_time_mode);
    grid_fields(v);
  }

 protected:
  template <class V>
  void grid_fields(V& v) {
    v("gridtype", gridtype);
    v("N_grid_channels", N_grid_channels);
    v("lead_time_channels", lead_time_channels);
    v("lead_time_steps", lead_time_steps);
    v("prob_channels", prob_channels);
  }
};

/// Which part of the grid goes to which sample: the whole one to each, or one of these.
struct GridPlace {
  Tensor global_index{};  // i64 [P, 2, h, w]: row and column; sample b * P + p gets patch p
  std::function<Tensor(const Tensor&)> embedding_selector{};  // [C, H, W] -> [batch, C, h, w]
  /// i64: one for each image [batch / P], or one for each row of x [batch].
  Tensor lead_time_label{};
};

/// SongUNet of x and N_grid_channels of a grid over img_resolution: learnable; linear (x and y from
/// -1 to 1, 2 channels); sinusoidal and sinusoidal_octave (for each frequency sin X, sin Y, cos X,
/// cos Y); test (row and column). in_channels counts the grid's channels.
/// @shape  x [B, in_channels - N_grid_channels, h, w] -> [B, out_channels, h, w]
/// @throws ShapeError if N_grid_channels does not suit the grid, or x not its part of the grid
/// @source Mardani et al. 2023, arXiv:2309.15214
class SongUNetPosEmbd : public SongUNet {
 public:
  using Config = SongUNetPosEmbdConfig;
  explicit SongUNetPosEmbd(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& noise_labels, const Tensor& class_labels = {},
                    const GridPlace& place = {}, const Tensor& augment_labels = {}) const;

 protected:
  struct WithLeadTimes {};
  SongUNetPosEmbd(const Config& c, WithLeadTimes);

 private:
  Tensor grid_of_samples(int64_t samples, const Tensor& lead_time_label) const;
  Tensor lead_times_at(const Tensor& pixel, const Tensor& label, int64_t batch) const;
  Tensor located(int64_t batch, const GridPlace& place) const;
  Tensor positions_;   // [N_grid_channels, H, W]
  Tensor lead_times_;  // [lead_time_steps, lead_time_channels, H, W]
};

/// lead_time_channels is required; prob_channels are outputs that are probabilities of classes.
struct SongUNetPosLtEmbdConfig : SongUNetPosEmbdConfig {
  template <class V>
  void fields(V& v) {
    SongUNetConfig::fields(v);
    grid_fields(v);
  }
  template <class V>
  void options(V& v) {
    SongUNetConfig::options(v);
    grid_fields(v);
  }
};

/// SongUNetPosEmbd with learnable channels for each lead time behind those of the grid. Outputs
/// `prob_channels` are scaled by a learnable factor each; in training mode they are logits, in
/// evaluation mode they go through a softmax over these channels.
/// @throws ShapeError also if place.lead_time_label is missing
class SongUNetPosLtEmbd : public SongUNetPosEmbd {
 public:
  using Config = SongUNetPosLtEmbdConfig;
  explicit SongUNetPosLtEmbd(const Config& c);
  Tensor operator()(const Tensor& x, const Tensor& noise_labels, const Tensor& class_labels,
                    const GridPlace& place, const Tensor& augment_labels = {}) const;

 private:
  std::vector<int64_t> prob_channels_;
  Tensor scalar_;  // [1, prob_channels, 1, 1]
};

}  // namespace brume::nn
