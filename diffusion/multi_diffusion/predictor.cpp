#include <brume/diffusion/multi_diffusion/predictor.h>

#include <algorithm>

#include <brume/autograd/checkpoint.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {
namespace {

Tensor rows_of(const Tensor& x, int64_t start, int64_t count) {
  return slice(x, 0, start, start + count);
}

Condition rows_of(const Condition& c, int64_t start, int64_t count) {
  if (c.is_tensor()) return rows_of(c.tensor(), start, count);
  Condition out;
  for (const auto& [key, x] : c.entries()) out = out.with(key, rows_of(x, start, count));
  return out;
}

// Observations of a whole image, cut like it.
Observations cut(const char* who, const MultiDiffusionPredictor& predictor, Observations o) {
  check_observations(who, o);
  const GridPatching2D& patching = predictor.patching();
  const auto whole = [&](const Tensor& x) { return patching.apply(expand(x, o.y.shape())); };
  // A number stays one.
  if (o.std_y.value.numel() > 1) o.std_y = whole(o.std_y.value);
  if (o.gamma.value.numel() > 1) o.gamma = whole(o.gamma.value);
  o.y = patching.apply(o.y);
  return o;
}

// slice would cut a range that reaches too far, and other patches' data would guide a sample.
Observations rows_of(const Observations& o, int64_t start, int64_t count) {
  check(start + count <= o.y.size(0), "multi-diffusion guidance: the observations y have ",
        o.y.size(0), " patches, x has ", start + count, " or more; y wants the batch of x");
  Observations out = o;
  out.y = rows_of(o.y, start, count);
  if (o.std_y.value.numel() > 1) out.std_y = rows_of(o.std_y.value, start, count);
  if (o.gamma.value.numel() > 1) out.gamma = rows_of(o.gamma.value, start, count);
  return out;
}

}  // namespace

MultiDiffusionPredictor::MultiDiffusionPredictor(nn::Ref<MultiDiffusionModel2D> model,
                                                 MultiDiffusionPredictorOptions options)
    : model_(std::move(model)), options_(std::move(options)) {
  check(options_.prediction_type == PredictionType::x0 || options_.to_x0,
        "MultiDiffusionPredictor: a score, epsilon or v prediction wants to_x0");
  check(options_.chunk_size >= 0, "MultiDiffusionPredictor: chunk_size must not be negative, got ",
        options_.chunk_size);
}

void MultiDiffusionPredictor::set_patching(int64_t overlap_pix, int64_t boundary_pix,
                                           Size2D patch_shape) {
  if (patch_shape == Size2D{}) patch_shape = model_->patch_shape();
  check<Error>(patch_shape != Size2D{},
               "MultiDiffusionPredictor: set_patching wants a patch shape, as the model has none");
  patching_ = std::make_shared<GridPatching2D>(model_->global_spatial_shape(), patch_shape,
                                               overlap_pix, boundary_pix);
  const auto& entries = options_.condition.entries();
  rows_ = model_->patch_condition(*patching_, options_.condition,
                                  entries.empty() ? 1 : entries[0].second.size(0));
}

const GridPatching2D& MultiDiffusionPredictor::patching() const {
  check<Error>(patching_ != nullptr, "MultiDiffusionPredictor: call set_patching first");
  return *patching_;
}

// Row p * batch + b is image b's; what was made without images is the same for all of them.
Condition MultiDiffusionPredictor::condition_of_rows(int64_t start, int64_t count,
                                                     int64_t batch) const {
  if (rows_.empty()) return {};
  const int64_t images = rows_.entries()[0].second.size(0) / patching().patch_num();
  if (images == batch) return rows_of(rows_, start, count);
  check(options_.condition.empty(), "MultiDiffusionPredictor: the condition has ", images,
        " samples, but the batch size of x is ", batch);
  std::vector<int64_t> patch;
  for (int64_t row = start; row < start + count; ++row) patch.push_back(row / batch);
  Condition out;
  for (const auto& [key, x] : rows_.entries())
    out = out.with(key, index_select(x, 0, transfer(from_vector(patch, {count}), x.device())));
  return out;
}

Tensor MultiDiffusionPredictor::predict_rows(const Tensor& x, const Tensor& t, int64_t start,
                                             int64_t batch) const {
  const Condition condition = condition_of_rows(start, x.size(0), batch);
  const auto run = [this, t, condition](const Tensors& in) {
    Tensor y = model_->model()(in[0], t, condition);
    check(y.shape() == in[0].shape(), "MultiDiffusionPredictor: the model returned ", y.shape(),
          " for patches of ", in[0].shape());
    return options_.prediction_type == PredictionType::x0 ? y : options_.to_x0(y, in[0], t);
  };
  const bool again = options_.use_checkpointing && grad_enabled();
  return again ? checkpoint(run, {x}) : run({x});
}

Tensor MultiDiffusionPredictor::by_chunks(const Tensor& x, const Tensor& t,
                                          const std::function<Tensor(const PatchChunk&)>& f) const {
  check(x.rank() == 4 && t.shape() == Shape{x.size(0)},
        "MultiDiffusionPredictor: wants x [B, C, H, W] and t [B], got ", x.shape(), " and ",
        t.shape());
  const Tensor patches = patching().apply(x), times = patching().repeat(t);
  const int64_t rows = patches.size(0);
  const int64_t step = options_.chunk_size == 0 ? rows : options_.chunk_size;
  std::vector<Tensor> parts;
  for (int64_t start = 0; start < rows; start += step) {
    const int64_t count = std::min(step, rows - start);
    const PatchChunk chunk{start, rows_of(patches, start, count), rows_of(times, start, count)};
    parts.push_back(f(chunk));
  }
  const Tensor all = parts.size() == 1 ? parts[0] : cat(parts, 0);
  return options_.fuse ? patching().fuse(all, x.size(0)) : all;
}

Tensor MultiDiffusionPredictor::operator()(const Tensor& x, const Tensor& t) const {
  return by_chunks(x, t,
                   [&](const PatchChunk& c) { return predict_rows(c.x, c.t, c.start, x.size(0)); });
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
  return x0_predictor_.by_chunks(x, t, [&](const PatchChunk& c) {
    std::vector<DPSGuidance> guidances;
    for (const MultiDiffusionDPSGuidance& g : guidances_)
      guidances.push_back([&g, &c](const Tensor& xc, const Tensor& tc, const Tensor& x0) {
        return g(xc, tc, x0, c.start);
      });
    const Predictor predictor = [&](const Tensor& xc, const Tensor& tc) {
      return x0_predictor_.predict_rows(xc, tc, c.start, x.size(0));
    };
    return DPSScorePredictor(predictor, x0_to_score_, std::move(guidances))(c.x, c.t);
  });
}

MultiDiffusionModelConsistencyDPSGuidance::MultiDiffusionModelConsistencyDPSGuidance(
    const MultiDiffusionPredictor& predictor,
    std::function<Tensor(const Tensor&)> observation_operator, Observations observations)
    : operator_(std::move(observation_operator)),
      patches_(
          cut("MultiDiffusionModelConsistencyDPSGuidance", predictor, std::move(observations))) {}

Tensor MultiDiffusionModelConsistencyDPSGuidance::operator()(const Tensor& x, const Tensor& t,
                                                             const Tensor& x0,
                                                             int64_t slice_start) const {
  const EnableGrad record;
  const Observations o = rows_of(patches_, slice_start, x.size(0));
  const Tensor prediction = operator_(x0);
  check(prediction.shape() == o.y.shape(),
        "MultiDiffusionModelConsistencyDPSGuidance: the operator returned ", prediction.shape(),
        " for patches of y of ", o.y.shape());
  return likelihood_score(o, x, t, prediction);
}

MultiDiffusionDataConsistencyDPSGuidance::MultiDiffusionDataConsistencyDPSGuidance(
    const MultiDiffusionPredictor& predictor, const Tensor& mask, Observations observations)
    : mask_(predictor.patching().apply(
          convert(expand(mask, observations.y.shape()), observations.y.dtype()))),
      patches_(
          cut("MultiDiffusionDataConsistencyDPSGuidance", predictor, std::move(observations))) {}

Tensor MultiDiffusionDataConsistencyDPSGuidance::operator()(const Tensor& x, const Tensor& t,
                                                            const Tensor& x0,
                                                            int64_t slice_start) const {
  return likelihood_score(rows_of(patches_, slice_start, x.size(0)), x, t, x0,
                          rows_of(mask_, slice_start, x.size(0)));
}

}  // namespace brume::diffusion
