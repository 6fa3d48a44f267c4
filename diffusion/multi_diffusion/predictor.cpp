#include <brume/diffusion/multi_diffusion/predictor.h>

#include <algorithm>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

// A value that broadcasts to images [B, C, H, W], made ready for rows_of.
Tensor of_images(const Tensor& value, const Shape& images) {
  if (!value.defined()) return value;
  Shape shape = value.shape();
  while (shape.rank() < 4) shape.insert(0, 1);
  const bool one = shape[2] == 1 && shape[3] == 1;
  const Tensor x = reshape(value, shape);
  return one ? x : contiguous(expand(x, {shape[0], shape[1], images[2], images[3]}));
}

// Cut like the image, or one number for each image or channel.
Tensor rows_of(const Tensor& x, const BasePatching2D& patching, const PatchRows& rows) {
  if (!x.defined()) return x;
  if (x.size(2) != 1 || x.size(3) != 1) return patching.apply_rows(x, rows);
  return x.size(0) == 1 ? x : BasePatching2D::repeat_rows(x, rows);
}

}  // namespace

MultiDiffusionPredictor::MultiDiffusionPredictor(nn::Ref<MultiDiffusionModel2D> model,
                                                 MultiDiffusionPredictorOptions options)
    : model_(std::move(model)), options_(std::move(options)) {
  check(options_.prediction_type == PredictionType::x0 || options_.to_x0,
        "MultiDiffusionPredictor: a score, epsilon or v prediction wants to_x0");
  check(options_.prediction_type != PredictionType::x0 || !options_.to_x0,
        "MultiDiffusionPredictor: to_x0 is for a score, epsilon or v prediction; give the "
        "prediction_type");
  check(options_.chunk_size >= 0, "MultiDiffusionPredictor: chunk_size must not be negative, got ",
        options_.chunk_size);
}

void MultiDiffusionPredictor::set_patching(int64_t overlap_pix, int64_t boundary_pix,
                                           Size2D patch_shape, Size2D global_shape) {
  if (patch_shape == Size2D{}) patch_shape = model_->patch_shape();
  if (global_shape == Size2D{}) global_shape = model_->global_spatial_shape();
  check<Error>(patch_shape != Size2D{},
               "MultiDiffusionPredictor: set_patching wants a patch shape, as the model has none");
  auto patching =
      std::make_shared<GridPatching2D>(global_shape, patch_shape, overlap_pix, boundary_pix);
  const NoGrad guard;  // whether a condition suits is known by its first row
  (void)model_->patch_condition(
      *patching, options_.condition,
      {.start = 0, .count = 1, .batch = options_.condition.batch().value_or(1)});
  patching_ = std::move(patching);
}

const GridPatching2D& MultiDiffusionPredictor::patching() const {
  check<Error>(patching_ != nullptr, "MultiDiffusionPredictor: call set_patching first");
  return *patching_;
}

Tensor MultiDiffusionPredictor::predict(const PatchChunk& chunk) const {
  const Condition condition =
      model_->patch_condition(patching(), chunk.condition, chunk.rows, chunk.x.dtype());
  const auto run = [this, t = chunk.t, condition](const Tensors& in) {
    Tensor y = model_->model()(in[0], t, condition);
    check(y.shape() == in[0].shape(), "MultiDiffusionPredictor: the model returned ", y.shape(),
          " for patches of ", in[0].shape());
    if (!options_.to_x0) return y;
    y = options_.to_x0(y, in[0], t);
    check(y.shape() == in[0].shape(), "MultiDiffusionPredictor: to_x0 returned ", y.shape(),
          " for patches of ", in[0].shape());
    return y;
  };
  const bool again = options_.use_checkpointing && grad_enabled();
  return again ? checkpoint(run, {chunk.x}) : run({chunk.x});
}

void MultiDiffusionPredictor::chunks(const Tensor& x, const Tensor& t,
                                     const std::function<void(const PatchChunk&)>& f) const {
  check(x.rank() == 4 && x.size(0) >= 1 && t.shape() == Shape{x.size(0)},
        "MultiDiffusionPredictor: wants x [B, C, H, W] of at least one image and t [B], got ",
        x.shape(), " and ", t.shape());
  const int64_t B = x.size(0), all = patching().patch_num() * B;
  options_.condition.check_batch(B, "MultiDiffusionPredictor");
  const Condition condition = model_->resized(patching(), options_.condition);
  const int64_t step = options_.chunk_size == 0 ? all : options_.chunk_size;
  for (int64_t start = 0; start < all; start += step) {
    const PatchRows rows{start, std::min(step, all - start), B};
    f({rows, patching().apply_rows(x, rows), BasePatching2D::repeat_rows(t, rows), condition});
  }
}

Tensor MultiDiffusionPredictor::operator()(const Tensor& x, const Tensor& t) const {
  if (options_.fuse) return fused(x, t, [&](const PatchChunk& c) { return predict(c); });
  std::vector<Tensor> parts;
  chunks(x, t, [&](const PatchChunk& c) { parts.push_back(predict(c)); });
  return parts.size() == 1 ? parts[0] : cat(parts, 0);
}

Tensor MultiDiffusionPredictor::fused(const Tensor& x, const Tensor& t,
                                      const std::function<Tensor(const PatchChunk&)>& f) const {
  std::optional<PatchFusion> fusion;
  chunks(x, t, [&](const PatchChunk& c) {
    if (!fusion) fusion.emplace(patching(), x.size(0));
    fusion->add(f(c));
  });
  return fusion->images();
}

MultiDiffusionDPSScorePredictor::MultiDiffusionDPSScorePredictor(
    MultiDiffusionPredictor x0_predictor, X0ToScore x0_to_score_fn,
    std::vector<MultiDiffusionDPSGuidance> guidances)
    : x0_predictor_(std::move(x0_predictor)),
      x0_to_score_(std::move(x0_to_score_fn)),
      guidances_(std::move(guidances)) {
  check<Error>(x0_predictor_.chunk_size() > 0,
               "MultiDiffusionDPSScorePredictor: wants a predictor with a chunk_size");
  check<Error>(x0_to_score_ && !guidances_.empty(),
               "MultiDiffusionDPSScorePredictor: wants an x0_to_score_fn and a guidance");
}

Tensor MultiDiffusionDPSScorePredictor::operator()(const Tensor& x, const Tensor& t) const {
  // A chunk is guided as DPSScorePredictor guides a batch.
  return x0_predictor_.fused(x, t, [&](const PatchChunk& c) {
    std::vector<DPSGuidance> guidances;
    for (const MultiDiffusionDPSGuidance& g : guidances_)
      guidances.push_back([&g, &c](const Tensor& xc, const Tensor& tc, const Tensor& x0) {
        return g(xc, tc, x0, c.rows);
      });
    const Predictor predictor = [&](const Tensor& xc, const Tensor& tc) {
      return x0_predictor_.predict({c.rows, xc, tc, c.condition});
    };
    return DPSScorePredictor(predictor, x0_to_score_, std::move(guidances))(c.x, c.t);
  });
}

PatchObservations::PatchObservations(const char* who, const MultiDiffusionPredictor& predictor,
                                     Observations observations, Tensor mask, bool fuse)
    : who_(who),
      predictor_(predictor),
      whole_(std::move(observations)),
      mask_(std::move(mask)),
      fuse_(fuse) {
  check_observations(who, whole_);
  const auto [H, W] = predictor.patching().img_shape();
  const Shape y = whole_.y.shape();
  check(y.rank() == 4 && y[2] == H && y[3] == W, who, ": wants observations y [B, C, ", H, ", ", W,
        "] of the images that are cut, got ", y);
  if (mask_.defined()) whole_.y = without_gaps(who, whole_.y, mask_);
  mask_ = of_images(mask_, y);
  whole_.std_y = of_images(whole_.std_y.value, y);
  whole_.gamma = of_images(whole_.gamma.value, y);
}

Tensor PatchObservations::term(const Tensor& x, const Tensor& t, const Tensor& prediction,
                               const std::optional<PatchRows>& some) const {
  const GridPatching2D& patching = predictor_.patching();
  const int64_t P = patching.patch_num();
  check(some || x.size(0) % P == 0, who_, ": without rows, x has ", P,
        " patches for each image, got ", x.shape());
  const PatchRows rows = some.value_or(PatchRows{0, x.size(0), x.size(0) / P});
  check(rows.count == x.size(0) && rows.start + rows.count <= P * rows.batch, who_, ": rows ",
        rows.start, " to ", rows.start + rows.count, " of ", P * rows.batch, " do not suit x of ",
        x.shape());
  check(whole_.y.size(0) == 1 || whole_.y.size(0) == rows.batch, who_,
        ": the observations y are of ", whole_.y.size(0), " images, x is of ", rows.batch);
  Observations o = whole_;
  o.y = rows_of(whole_.y, patching, rows);
  o.std_y = rows_of(whole_.std_y.value, patching, rows);
  o.gamma = rows_of(whole_.gamma.value, patching, rows);
  Shape wanted = o.y.shape();
  if (mask_.defined() && wanted[1] == 1) wanted[1] = x.size(1);
  check(prediction.shape() == wanted, who_, ": the prediction is ", prediction.shape(),
        " for patches of y of ", o.y.shape());
  const Tensor term = likelihood_score(who_, o, x, t, prediction, rows_of(mask_, patching, rows));
  return fuse_ && !some ? patching.fuse(term, rows.batch) : term;
}

MultiDiffusionModelConsistencyDPSGuidance::MultiDiffusionModelConsistencyDPSGuidance(
    const MultiDiffusionPredictor& predictor,
    std::function<Tensor(const Tensor&)> observation_operator, Observations observations, bool fuse)
    : operator_(std::move(observation_operator)),
      observations_("MultiDiffusionModelConsistencyDPSGuidance", predictor, std::move(observations),
                    {}, fuse) {
  check<Error>(static_cast<bool>(operator_),
               "MultiDiffusionModelConsistencyDPSGuidance: wants an observation operator");
}

Tensor MultiDiffusionModelConsistencyDPSGuidance::operator()(
    const Tensor& x, const Tensor& t, const Tensor& x0,
    const std::optional<PatchRows>& rows) const {
  const EnableGrad record;
  return observations_.term(x, t, operator_(x0), rows);
}

MultiDiffusionDataConsistencyDPSGuidance::MultiDiffusionDataConsistencyDPSGuidance(
    const MultiDiffusionPredictor& predictor, const Tensor& mask, Observations observations,
    bool fuse)
    : observations_("MultiDiffusionDataConsistencyDPSGuidance", predictor, std::move(observations),
                    mask, fuse) {
  check(mask.defined(), "MultiDiffusionDataConsistencyDPSGuidance: wants a mask");
}

Tensor MultiDiffusionDataConsistencyDPSGuidance::operator()(
    const Tensor& x, const Tensor& t, const Tensor& x0,
    const std::optional<PatchRows>& rows) const {
  return observations_.term(x, t, x0, rows);
}

}  // namespace brume::diffusion
