#pragma once
// Sampling of large images by patches, and guidance of patches by observations.

#include <functional>
#include <memory>
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

/// Some rows of the patches, from number `start` on.
struct PatchChunk {
  int64_t start;
  Tensor x, t;
};

/// A predictor of x0 for whole images from a model of patches. Its results depend neither on the
/// size of chunks nor on checkpointing; the model is left as it is.
/// @shape  x [B, C, H, W], t [B] -> [B, C, H, W], or [P * B, C, h, w] without fuse
class MultiDiffusionPredictor {
 public:
  /// @throws ShapeError if prediction_type is not x0 and to_x0 is missing, or chunk_size < 0
  explicit MultiDiffusionPredictor(nn::Ref<MultiDiffusionModel2D> model,
                                   MultiDiffusionPredictorOptions options = {});
  /// Comes first. Without a patch shape the one that the model was trained with is taken.
  /// @throws Error if neither is known
  void set_patching(int64_t overlap_pix, int64_t boundary_pix, Size2D patch_shape = {});

  Tensor operator()(const Tensor& x, const Tensor& t) const;
  /// Cuts x and t into chunks; what `f` makes of them is joined, and fused if the predictor fuses.
  Tensor by_chunks(const Tensor& x, const Tensor& t,
                   const std::function<Tensor(const PatchChunk&)>& f) const;
  /// The prediction for rows that are cut already, from number `start` on, of `batch` images.
  Tensor predict_rows(const Tensor& x, const Tensor& t, int64_t start, int64_t batch) const;

  /// @throws Error before set_patching
  const GridPatching2D& patching() const;
  int64_t chunk_size() const { return options_.chunk_size; }

 private:
  Condition condition_of_rows(int64_t start, int64_t count, int64_t batch) const;

  nn::Ref<MultiDiffusionModel2D> model_;
  MultiDiffusionPredictorOptions options_;
  std::shared_ptr<const GridPatching2D> patching_;
  Condition rows_;  // cut from the condition, with the embedding
};

/// DPSGuidance of patches: also gets the number of the first row.
using MultiDiffusionDPSGuidance =
    std::function<Tensor(const Tensor& x, const Tensor& t, const Tensor& x0, int64_t slice_start)>;

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

/// ModelConsistencyDPSGuidance of patches; y, std_y and gamma are given for the whole image.
class MultiDiffusionModelConsistencyDPSGuidance {
 public:
  MultiDiffusionModelConsistencyDPSGuidance(
      const MultiDiffusionPredictor& predictor,
      std::function<Tensor(const Tensor& x0)> observation_operator, Observations observations);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0, int64_t slice_start) const;

 private:
  std::function<Tensor(const Tensor&)> operator_;
  Observations patches_;
};

/// DataConsistencyDPSGuidance of patches; mask, y, std_y and gamma are given for the whole image.
class MultiDiffusionDataConsistencyDPSGuidance {
 public:
  MultiDiffusionDataConsistencyDPSGuidance(const MultiDiffusionPredictor& predictor,
                                           const Tensor& mask, Observations observations);
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& x0, int64_t slice_start) const;

 private:
  Tensor mask_;
  Observations patches_;
};

}  // namespace brume::diffusion
