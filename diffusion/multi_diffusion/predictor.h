#pragma once
// Sampling of large images by patches, and guidance of patches by observations.

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <brume/diffusion/dps.h>
#include <brume/diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/model.h>

namespace brume::diffusion {

struct MultiDiffusionPredictorOptions {
  Condition condition{};
  bool fuse = true;                // else the patches are returned
  int64_t chunk_size = 0;          // rows that go through the model at once; 0: all
  bool use_checkpointing = false;  // compute a chunk again in backward instead of keeping it
  PredictionType prediction_type = PredictionType::x0;
  /// How a prediction that is not x0 becomes x0: (prediction, x_t, t) -> x0.
  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)> to_x0{};
};

/// Rows that go through the model at once.
struct PatchChunk {
  PatchRows rows;
  Tensor x, t;
  Condition condition;  // of the images, resized for patches
};

/// A predictor of x0 for whole images from a model of patches. Its results depend neither on the
/// size of chunks nor on checkpointing; the model is left as it is. Patches and their conditions
/// are made chunk by chunk and fused as they come: without gradients, memory beside that of a
/// chunk is that of a few images.
/// @shape  x [B, C, H, W], t [B] -> [B, C, H, W], or [P * B, C, h, w] without fuse
class MultiDiffusionPredictor {
 public:
  /// @throws ShapeError unless to_x0 is there where prediction_type is not x0, and only there,
  ///         or if chunk_size < 0
  explicit MultiDiffusionPredictor(nn::Ref<MultiDiffusionModel2D> model,
                                   MultiDiffusionPredictorOptions options = {});
  /// Comes first. Without a patch shape the one that the model was trained with is taken, without
  /// a global one the model's.
  /// @throws Error if no patch shape is known; ShapeError if the condition does not suit, or the
  ///         model has a positional embedding of another global shape
  void set_patching(int64_t overlap_pix, int64_t boundary_pix, Size2D patch_shape = {},
                    Size2D global_shape = {});

  Tensor operator()(const Tensor& x, const Tensor& t) const;
  /// Gives `f` the patches of x, chunk_size rows at a time.
  void chunks(const Tensor& x, const Tensor& t,
              const std::function<void(const PatchChunk&)>& f) const;
  /// What `f` makes of the chunks, fused as it comes.
  Tensor fused(const Tensor& x, const Tensor& t,
               const std::function<Tensor(const PatchChunk&)>& f) const;
  /// The prediction for a chunk.
  Tensor predict(const PatchChunk& chunk) const;

  /// @throws Error before set_patching
  const GridPatching2D& patching() const;
  int64_t chunk_size() const { return options_.chunk_size; }

 private:
  nn::Ref<MultiDiffusionModel2D> model_;
  MultiDiffusionPredictorOptions options_;
  std::shared_ptr<const GridPatching2D> patching_;
};

/// DPSGuidance of patches: also gets which rows they are; `rows.start` is slice_start.
using MultiDiffusionDPSGuidance = std::function<Tensor(const Tensor& x, const Tensor& t,
                                                       const Tensor& x0, const PatchRows& rows)>;

/// DPSScorePredictor chunk by chunk: each patch follows the observations in it alone, and where
/// patches overlap their scores are averaged. Memory is bounded by a chunk.
class MultiDiffusionDPSScorePredictor {
 public:
  /// @throws Error unless the predictor has a chunk_size and there is a guidance
  MultiDiffusionDPSScorePredictor(MultiDiffusionPredictor x0_predictor, X0ToScore x0_to_score_fn,
                                  std::vector<MultiDiffusionDPSGuidance> guidances);
  Tensor operator()(const Tensor& x, const Tensor& t) const;

 private:
  MultiDiffusionPredictor x0_predictor_;
  X0ToScore x0_to_score_;
  std::vector<MultiDiffusionDPSGuidance> guidances_;
};

/// What the two guidances below share: observations of whole images, cut chunk by chunk.
class PatchObservations {
 public:
  /// @throws ShapeError as check_observations, or unless y is of the predictor's images
  PatchObservations(const char* who, const MultiDiffusionPredictor& predictor,
                    Observations observations, Tensor mask, bool fuse);
  /// The term of a prediction of what was observed in some rows, or in all of them.
  /// @throws ShapeError unless y has the batch of x, or 1
  Tensor term(const Tensor& x, const Tensor& t, const Tensor& prediction,
              const std::optional<PatchRows>& rows) const;

 private:
  const char* who_;
  MultiDiffusionPredictor predictor_;
  Observations whole_;
  Tensor mask_;
  bool fuse_;
};

/// ModelConsistencyDPSGuidance of patches; y, std_y and gamma are given for the whole image.
/// Without `rows` it takes x as the rows of all patches, and returns images with `fuse`.
/// @shape  y [B or 1, ..., H, W]
class MultiDiffusionModelConsistencyDPSGuidance {
 public:
  MultiDiffusionModelConsistencyDPSGuidance(
      const MultiDiffusionPredictor& predictor,
      std::function<Tensor(const Tensor& x0)> observation_operator, Observations observations,
      bool fuse = false);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0,
                    const std::optional<PatchRows>& rows = {}) const;

 private:
  std::function<Tensor(const Tensor&)> operator_;
  PatchObservations observations_;
};

/// DataConsistencyDPSGuidance of patches; mask, y, std_y and gamma are given for the whole image.
/// Without `rows` it takes x as the rows of all patches, and returns images with `fuse`.
/// @shape  y [B or 1, C, H, W]; mask broadcasts to y
class MultiDiffusionDataConsistencyDPSGuidance {
 public:
  MultiDiffusionDataConsistencyDPSGuidance(const MultiDiffusionPredictor& predictor,
                                           const Tensor& mask, Observations observations,
                                           bool fuse = false);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0,
                    const std::optional<PatchRows>& rows = {}) const;

 private:
  PatchObservations observations_;
};

}  // namespace brume::diffusion
