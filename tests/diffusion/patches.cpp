#include <cmath>

#include <doctest/doctest.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/mode.h>
#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/diffusion/multi_diffusion/losses.h>
#include <brume/diffusion/multi_diffusion/predictor.h>
#include <brume/diffusion/preconditioners.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;
using namespace brume::diffusion;

namespace {

// A model that looks at each pixel alone, so that cutting changes nothing.
AnyModel pixelwise() {
  return [](const Tensor& x, const Tensor& t, const Condition& c) {
    Tensor y = x * (1.0 / (1.0 + per_sample(t, x)));
    for (const auto& [key, value] : c.entries())
      y = y + tanh(value.rank() == 4 ? slice(value, 1, 0, 1) : per_sample(select(value, 1, 0), x));
    return y;
  };
}

nn::Ref<MultiDiffusionModel2D> patch_model(MultiDiffusionModel2DConfig c = {}) {
  c.global_spatial_shape = {12, 10};
  return nn::make<MultiDiffusionModel2D>(pixelwise(), c);
}

}  // namespace

TEST_CASE("patches put together again are the image") {
  const Tensor x = noise({2, 3, 32, 48});
  for (const auto& [size, overlap, boundary] :
       {std::array<int64_t, 3>{8, 0, 0}, {16, 4, 0}, {16, 4, 2}, {12, 0, 2}}) {
    const GridPatching2D grid({32, 48}, {size, size}, overlap, boundary);
    CHECK(distance(grid.fuse(grid.apply(x), 2), x) < 1e-6);
  }
}

TEST_CASE("a grid has as many patches as it takes to cover the image") {
  const auto count = [](Size2D image, Size2D patch, int64_t overlap, int64_t boundary) {
    return GridPatching2D(image, patch, overlap, boundary).patch_num();
  };
  CHECK(count({32, 32}, {8, 8}, 0, 0) == 16);
  CHECK(count({32, 32}, {8, 8}, 2, 1) == 49);
  CHECK(count({32, 32}, {12, 12}, 0, 2) == 16);
  CHECK(count({32, 32}, {16, 24}, 4, 2) == 8);
  CHECK(count({32, 48}, {12, 12}, 2, 1) == 24);
  CHECK(count({48, 64}, {12, 12}, 4, 2) == 88);
  CHECK(count({64, 64}, {16, 16}, 4, 2) == 49);
}

TEST_CASE("one patch larger than the image is the image reflected around itself") {
  const Tensor x = noise({1, 1, 6, 4});
  const Tensor patch = image_batching(x, 8, 6, 0, 1);
  REQUIRE(patch.shape() == Shape{1, 1, 8, 6});
  CHECK(slice(slice(patch, 2, 1, 7), 3, 1, 5).to_vector<float>() == x.to_vector<float>());
  CHECK(select(patch, 2, 0).to_vector<float>() == select(patch, 2, 2).to_vector<float>());
  CHECK(image_fuse(patch, 6, 4, 1, 0, 1).to_vector<float>() == x.to_vector<float>());
}

TEST_CASE("random patches stay inside the image and know their pixels") {
  Generator rng(3);
  RandomPatching2D random({9, 7}, {4, 3}, 50, rng);
  const Tensor x = noise({2, 1, 9, 7}), patches = random.apply(x), where = random.global_index();
  const auto at = where.to_vector<int64_t>();
  const auto pixels = x.to_vector<float>(), cut = patches.to_vector<float>();
  for (size_t p = 0; p < 50; ++p)
    for (size_t k = 0; k < 12; ++k) {
      const auto row = at[p * 24 + k], column = at[p * 24 + 12 + k];
      REQUIRE((row >= 0 && row < 9 && column >= 0 && column < 7));
      // Row p * B + b is patch p of image b; here b = 1.
      CHECK(cut[(p * 2 + 1) * 12 + k] == pixels[static_cast<size_t>(63 + row * 7 + column)]);
    }
  const auto before = patches.to_vector<float>();
  random.reset_patch_indices(rng);
  CHECK(random.apply(x).to_vector<float>() != before);
  const Tensor rows = random.global_index_of_rows(2);
  CHECK(select(rows, 0, 7).to_vector<int64_t>() ==
        select(random.global_index(), 0, 3).to_vector<int64_t>());
}

TEST_CASE("gradients of cutting go to the pixels that were read, those of fusing to all patches") {
  const GridPatching2D grid({8, 6}, {4, 4}, 1, 1);
  const Tensor x = set_requires_grad(noise({1, 2, 8, 6})), c = noise({1, 2, 8, 6}, 6);
  const Tensor back = grad({sum(grid.fuse(grid.apply(x), 1) * c)}, {x})[0];
  CHECK(distance(back, c) < 1e-6);
}

TEST_CASE("an additional input is resized to every patch of its image") {
  const GridPatching2D grid({8, 8}, {4, 4});
  const Tensor x = noise({2, 1, 8, 8}), extra = full({2, 3, 16, 2}, 7);
  const Tensor y = grid.apply(x, extra);
  REQUIRE(y.shape() == Shape{8, 4, 4, 4});
  CHECK(min(slice(y, 1, 1, 4)).item() == doctest::Approx(7));
  CHECK(resize_bilinear(from_vector(std::vector<float>{0, 2}, {1, 1, 1, 2}), {1, 4})
            .to_vector<float>() == std::vector<float>{0, 0.5, 1.5, 2});
}

TEST_CASE("a model of patches does what the model does to the whole image") {
  const Tensor x = noise({2, 1, 12, 10}), image = noise({2, 1, 12, 10}, 6), t = full({2}, 0.5);
  const auto model = patch_model({.condition_patch = true});
  model->set_grid_patching({5, 4}, 1, 0);
  CHECK(distance(model(x, t, image), pixelwise()(x, t, image)) < 1e-6);
  MultiDiffusionPredictor whole(model, {.condition = image});
  MultiDiffusionPredictor chunks(model, {.condition = image, .chunk_size = 3});
  for (MultiDiffusionPredictor* p : {&whole, &chunks}) {
    p->set_patching(1, 0);  // the patch shape is the model's
    CHECK(distance((*p)(x, t), pixelwise()(x, t, image)) < 1e-6);
  }
  CHECK(whole(x, t).to_vector<float>() == chunks(x, t).to_vector<float>());
}

TEST_CASE("a predictor holds one chunk of patches and conditions at a time") {
  const int64_t size = 256, image_bytes = 4 * size * size;
  const auto model = nn::make<MultiDiffusionModel2D>(
      pixelwise(),
      MultiDiffusionModel2DConfig{.global_spatial_shape = {size, size}, .condition_patch = true});
  const Tensor x = noise({1, 1, size, size}), image = noise({1, 1, size, size}, 6);
  const Tensor t = full({1}, 0.5);
  const NoGrad guard;
  // Patches that overlap by three quarters have 16 times the pixels of the image.
  const auto extra_bytes = [&](int64_t chunk_size) {
    MultiDiffusionPredictor p(model, {.condition = image, .chunk_size = chunk_size});
    reset_peak_memory();
    const int64_t before = memory_stats().live;
    p.set_patching(24, 0, {32, 32});
    CHECK(distance(p(x, t), pixelwise()(x, t, image)) < 1e-6);
    return memory_stats().peak - before;
  };
  CHECK(extra_bytes(0) > 16 * image_bytes);
  CHECK(extra_bytes(8) < 5 * image_bytes);

  MultiDiffusionPredictor p(model, {.condition = image, .chunk_size = 8});
  p.set_patching(24, 0, {32, 32});
  const EDMNoiseScheduler s;
  const MultiDiffusionDPSScorePredictor guided(
      p,
      [&](const Tensor& x0, const Tensor& xt, const Tensor& time) {
        return s.x0_to_score(x0, xt, time);
      },
      {MultiDiffusionDataConsistencyDPSGuidance(p, ones({1, 1, size, size}), {.y = image})});
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  (void)guided(x, t);
  CHECK(memory_stats().peak - before < 6 * image_bytes);
}

TEST_CASE("a predictor sees an embedding that was trained after its patching was set") {
  const auto model = patch_model(
      {.positional_embedding = GlobalEmbedding::learnable, .channels_positional_embedding = 1});
  MultiDiffusionPredictor predictor(model, {.chunk_size = 5});
  predictor.set_patching(1, 0, {6, 5});
  const Tensor x = noise({2, 1, 12, 10}), t = full({2}, 0.5);
  for (int step = 0; step < 2; ++step) {  // a graph of its own each time
    const Tensor embedding = model->parameters()[0].tensor;
    set_grad(embedding, {});
    backward(sum(predictor(x, t)));
    CHECK(grad_of(embedding).defined());
    const NoGrad guard;
    fill_(embedding, step);
    CHECK(distance(predictor(x, t), pixelwise()(x, t, {}) + std::tanh(step)) < 1e-6);
  }
}

TEST_CASE("a predictor cuts images of another size than the model's") {
  const Tensor x = noise({1, 1, 20, 16}), t = full({1}, 0.5);
  MultiDiffusionPredictor predictor(patch_model(), {.chunk_size = 4});
  predictor.set_patching(1, 1, {6, 5}, {20, 16});
  CHECK(distance(predictor(x, t), pixelwise()(x, t, {})) < 1e-6);
  MultiDiffusionPredictor located(patch_model(
      {.positional_embedding = GlobalEmbedding::linear, .channels_positional_embedding = 2}));
  CHECK(error_of([&] {
          located.set_patching(1, 1, {6, 5}, {20, 16});
        }) ==
        "MultiDiffusionModel2D: its positional embedding is 12x10, the image to cut is 20x16");
}

TEST_CASE("a model of patches takes what is cut already") {
  const auto model = patch_model({.positional_embedding = GlobalEmbedding::linear,
                                  .channels_positional_embedding = 2,
                                  .condition_patch = true});
  const Tensor x = noise({2, 1, 12, 10}), image = noise({2, 1, 12, 10}, 6), t = full({2}, 0.5);
  model->set_grid_patching({6, 5}, 1, 0);
  const BasePatching2D& cut = model->patching();
  const Tensor rows = cut.apply(x), times = cut.repeat(t), images = cut.apply(image);
  const auto whole = model(x, t, image).to_vector<float>();
  const auto call = [&](const Tensor& xs, const Tensor& ts, const Tensor& c, PatchedInputs which) {
    return model(xs, ts, c, which).to_vector<float>();
  };
  CHECK(call(rows, t, image, {.x_is_patched = true}) == whole);
  CHECK(call(x, times, image, {.t_is_patched = true}) == whole);
  CHECK(call(rows, times, images, {true, true, true}) == whole);
  CHECK(error_of([&] {
          call(slice(rows, 0, 0, 5), t, image, {.x_is_patched = true});
        }).starts_with("MultiDiffusionModel2D: with x_is_patched, x has "));
  CHECK(error_of([&] { call(x, times, image, {}); }) ==
        "MultiDiffusionModel2D: wants t of 2 times, got [18]");
}

TEST_CASE("chunks share one resized condition") {
  const auto model = patch_model({.condition_interp = {{"small", true}}});
  const Condition seen{{"small", noise({1, 1, 6, 5}, 4)}, {"label", noise({1, 3}, 5)}};
  MultiDiffusionPredictor predictor(model, {.condition = seen, .chunk_size = 2});
  predictor.set_patching(0, 0, {4, 5});
  std::vector<const void*> memory;
  predictor.chunks(noise({1, 1, 12, 10}, 6), ones({1}), [&](const PatchChunk& c) {
    CHECK(c.condition.at("small").shape() == Shape{1, 1, 4, 5});
    memory.push_back(c.condition.at("small").data());
  });
  CHECK(memory == std::vector<const void*>(3, memory[0]));
}

TEST_CASE("each tensor of a condition reaches the patches in its own way") {
  const Condition seen{{"cut", noise({2, 1, 12, 10}, 3)},
                       {"small", noise({2, 1, 6, 5}, 4)},
                       {"label", noise({2, 3}, 5)}};
  const MultiDiffusionModel2DConfig config{.condition_patch = {{"cut", true}, {"label", false}},
                                           .condition_interp = {{"small", true}}};
  const auto model = patch_model(config);
  const GridPatching2D grid({12, 10}, {4, 5});
  const PatchRows all{0, 2 * grid.patch_num(), 2};
  const Condition rows = model->patch_condition(grid, seen, all);
  CHECK(distance(rows.at("cut"), grid.apply(seen.at("cut"))) == 0);
  CHECK(distance(rows.at("small"), grid.repeat(resize_bilinear(seen.at("small"), {4, 5}))) == 0);
  CHECK(distance(rows.at("label"), grid.repeat(seen.at("label"))) == 0);

  const auto error = [&](const Condition& c) {
    return error_of([&] { (void)model->patch_condition(grid, c, all); });
  };
  CHECK(error(seen.without("small")) == "Condition: has no 'small'; there is 'cut', 'label'");
  CHECK(error(noise({2, 1, 12, 10})) ==
        "MultiDiffusionModel2D: condition_patch and condition_interp have names, but the condition "
        "is a tensor without one");
  CHECK(error_of([] {
          patch_model({.condition_patch = {{"a", true}}, .condition_interp = true});
        }) == "MultiDiffusionModel2D: condition 'a' is to be both cut and resized");

  // Both forms are read from the reference's arguments, and written as they were.
  const std::string json = nn::config_to_json(config);
  CHECK(json.find(R"("condition_patch":{"cut":true,"label":false})") != json.npos);
  CHECK(nn::same_config(nn::config_from_json<MultiDiffusionModel2DConfig>(json), config));
  const std::string plain =
      nn::config_to_json(MultiDiffusionModel2DConfig{.condition_patch = true});
  CHECK(plain.find(R"("condition_patch":true)") != plain.npos);
}

TEST_CASE("the embedding of a patch is the part of the grid that it covers") {
  const auto model = patch_model(
      {.positional_embedding = GlobalEmbedding::linear, .channels_positional_embedding = 2});
  const Tensor x = noise({2, 1, 12, 10}), t = full({2}, 0.5);
  model->set_grid_patching({6, 5});
  // The model adds tanh of the first channel, rows from -1 to 1.
  const Tensor added = model(x, t) - pixelwise()(x, t, {});
  CHECK(select(select(select(added, 0, 1), 0, 0), 0, 0).to_vector<float>()[3] ==
        doctest::Approx(std::tanh(-1)));
  CHECK(select(select(select(added, 0, 1), 0, 0), 0, 11).to_vector<float>()[9] ==
        doctest::Approx(std::tanh(1)));
  MultiDiffusionPredictor predictor(model, {.chunk_size = 3});
  predictor.set_patching(0, 0);
  CHECK(predictor(x, t).to_vector<float>() == model(x, t).to_vector<float>());
}

TEST_CASE("checkpointing keeps the gradients of a predictor") {
  const auto model = patch_model();
  const Tensor t = full({1}, 0.5);
  const auto gradient = [&](bool again) {
    MultiDiffusionPredictor p(model, {.chunk_size = 2, .use_checkpointing = again});
    p.set_patching(0, 0, {6, 5});
    const Tensor x = set_requires_grad(noise({1, 1, 12, 10}));
    return grad({sum(square(p(x, t)))}, {x})[0].to_vector<float>();
  };
  CHECK(gradient(true) == gradient(false));
}

TEST_CASE("guidance of patches is guidance of the image where patches do not overlap") {
  const EDMNoiseScheduler s;
  const auto to_score = [&](const Tensor& x0, const Tensor& x, const Tensor& t) {
    return s.x0_to_score(x0, x, t);
  };
  const Tensor x = noise({2, 1, 12, 10}), y = noise({2, 1, 12, 10}, 7), t = full({2}, 0.5);
  const Tensor mask = convert(gt(noise({2, 1, 12, 10}, 8), 0), DType::f32);
  Observations o{.y = y, .std_y = 0.3, .gamma = abs(noise({1, 1, 12, 10}, 9))};
  o.sigma_fn = [](const Tensor& time) { return time; };
  const auto model = patch_model();
  MultiDiffusionPredictor p(model, {.chunk_size = 3});
  p.set_patching(0, 0, {6, 5});
  const MultiDiffusionDPSScorePredictor patches(
      p, to_score, {MultiDiffusionDataConsistencyDPSGuidance(p, mask, o)});
  const DPSScorePredictor whole(bind(pixelwise()), to_score, {DataConsistencyDPSGuidance(mask, o)});
  const NoGrad guard;
  CHECK(distance(patches(x, t), whole(x, t)) < 1e-4);
  const auto square_of = [](const Tensor& x0) { return square(x0); };
  const MultiDiffusionDPSScorePredictor by_operator(
      p, to_score, {MultiDiffusionModelConsistencyDPSGuidance(p, square_of, o)});
  const DPSScorePredictor whole_by_operator(bind(pixelwise()), to_score,
                                            {ModelConsistencyDPSGuidance(square_of, o)});
  CHECK(distance(by_operator(x, t), whole_by_operator(x, t)) < 1e-3);
}

TEST_CASE("guidance of patches without rows takes all of them, and fuses its term if asked") {
  const Tensor x = noise({2, 1, 12, 10}), t = full({2}, 0.5);
  MultiDiffusionPredictor p(patch_model(), {.chunk_size = 3});
  p.set_patching(0, 0, {6, 5});
  const Tensor rows = set_requires_grad(p.patching().apply(x)), times = p.patching().repeat(t);
  const Observations o{.y = noise({2, 1, 12, 10}, 7), .std_y = 0.3, .retain_graph = true};
  const Tensor mask = ones({1, 1, 12, 10}), x0 = rows * 2.0;
  const auto term = [&](bool fuse) {
    return MultiDiffusionDataConsistencyDPSGuidance(p, mask, o, fuse)(rows, times, x0);
  };
  const Tensor expected = (o.y - x * 2.0) * (2 / 0.09);
  CHECK(distance(term(true), expected) < 1e-3);
  CHECK(distance(p.patching().fuse(term(false), 2), expected) < 1e-3);
  const PatchRows some{3, 4, 2};
  const Tensor part = set_requires_grad(slice(detach(rows), 0, 3, 7));
  CHECK(distance(MultiDiffusionDataConsistencyDPSGuidance(p, mask, o, true)(
                     part, slice(times, 0, 3, 7), part * 2.0, some),
                 slice(term(false), 0, 3, 7)) == 0);
}

TEST_CASE("guidance of patches says which observations do not fit") {
  const EDMNoiseScheduler s;
  const auto to_score = [&](const Tensor& x0, const Tensor& x, const Tensor& t) {
    return s.x0_to_score(x0, x, t);
  };
  MultiDiffusionPredictor p(patch_model(), {.chunk_size = 3});
  p.set_patching(0, 0, {6, 5});
  const Tensor x = noise({2, 1, 12, 10}), t = full({2}, 0.5);
  const auto error = [&](const Tensor& mask, const Observations& o) {
    return error_of([&] {
      const MultiDiffusionDPSScorePredictor score(
          p, to_score, {MultiDiffusionDataConsistencyDPSGuidance(p, mask, o)});
      (void)score(x, t);
    });
  };
  const Tensor y = noise({2, 1, 12, 10}), mask = ones({1, 1, 12, 10});
  CHECK(error(mask, {.y = y}).empty());
  CHECK(error(mask, {.y = noise({1, 1, 12, 10})}).empty());  // one observation for all
  CHECK(error(mask, {.y = noise({3, 1, 12, 10})}) ==
        "MultiDiffusionDataConsistencyDPSGuidance: the observations y are of 3 images, x is of 2");
  CHECK(error(mask, {}) == "MultiDiffusionDataConsistencyDPSGuidance: wants observations y");
  CHECK(error({}, {.y = y}) == "MultiDiffusionDataConsistencyDPSGuidance: wants a mask");
  CHECK(error(ones({3, 1, 12, 10}), {.y = y}) ==
        "MultiDiffusionDataConsistencyDPSGuidance: a mask of [3, 1, 12, 10] does not broadcast to "
        "y of [2, 1, 12, 10]");
  CHECK(error(mask, {.y = noise({2, 1, 6, 5})}) ==
        "MultiDiffusionDataConsistencyDPSGuidance: wants observations y [B, C, 12, 10] of the "
        "images that are cut, got [2, 1, 6, 5]");
  CHECK(error(mask, {.y = noise({2, 3, 12, 10})}) ==
        "MultiDiffusionDataConsistencyDPSGuidance: the prediction is [3, 1, 6, 5] for patches of y "
        "of [3, 3, 6, 5]");
  // What nobody observed may be anything.
  const Tensor half = convert(gt(noise({2, 1, 12, 10}, 8), 0), DType::f32);
  const Observations gaps{.y = where(ne(half, 0), y, full(y.shape(), std::nan("")))};
  const auto score = [&](const Observations& o) {
    return MultiDiffusionDPSScorePredictor(
               p, to_score, {MultiDiffusionDataConsistencyDPSGuidance(p, half, o)})(x, t)
        .to_vector<float>();
  };
  CHECK(score(gaps) == score({.y = y}));
}

TEST_CASE("a field of 1024 x 1024 is sampled by patches of 64 x 64 in less than 1 GB") {
  const Tensor wide = noise({16, 1, 3, 3}, 1), back = noise({1, 16, 3, 3}, 2) * 1e-3;
  const AnyModel net = [=](const Tensor& x, const Tensor&, const Condition&) {
    return conv(silu(conv(x, wide, {}, {.padding = 1})), back, {}, {.padding = 1});
  };
  const auto model = nn::make<MultiDiffusionModel2D>(
      AnyModel(nn::make<EDMPreconditioner>(net, EDMPreconditionerConfig{})),
      MultiDiffusionModel2DConfig{.global_spatial_shape = {1024, 1024}});
  MultiDiffusionPredictor predictor(model, {.chunk_size = 16});
  predictor.set_patching(8, 0, {64, 64});
  const NoGrad guard;
  const EDMNoiseScheduler s;
  const Tensor start = noise({1, 1, 1024, 1024}) * 80.0;
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  const Tensor x =
      sample(denoiser(s, {.x0 = predictor}), start, s, {.num_steps = 2, .solver = EulerSolver{}});
  CHECK(x.shape() == start.shape());
  CHECK(memory_stats().peak - before < 200'000'000);
}

TEST_CASE("losses of random patches are zero for a perfect model") {
  const EDMNoiseScheduler s;
  Generator rng(9);
  const Tensor x0 = zeros({2, 1, 12, 10});
  const AnyModel perfect = [](const Tensor& x, const Tensor&, const Condition&) {
    return zeros_like(x);
  };
  const auto model = nn::make<MultiDiffusionModel2D>(
      perfect, MultiDiffusionModel2DConfig{.global_spatial_shape = {12, 10}});
  const MultiDiffusionMSEDSMLoss loss(model, s, {.reduction = Reduction::none});
  CHECK(error_of([&] { (void)loss(x0, rng); }) ==
        "MultiDiffusionModel2D: patches are not random; call set_random_patching first");
  model->set_random_patching({4, 5}, 3, rng);
  const Tensor value = loss(x0, rng);
  CHECK(value.shape() == Shape{6, 1, 4, 5});
  CHECK(max(abs(value)).item() == 0);
  const MultiDiffusionWeightedMSEDSMLoss weighted(model, s);
  CHECK(weighted(x0, ones({2, 1, 12, 10}), rng).item() == 0);
  CHECK(error_of([&] {
          (void)weighted(x0, ones({2, 1, 1, 1}), rng);
        }) ==
        "MultiDiffusionWeightedMSEDSMLoss: weight is [2, 1, 1, 1] for data of [2, 1, 12, 10]");
}

TEST_CASE("patching says what does not fit") {
  CHECK(error_of([] {
          GridPatching2D({8, 8}, {4, 4}, 3, 1);
        }) == "GridPatching2D: a patch of 4 pixels with overlap 3 and boundary 1 does not advance");
  CHECK(error_of([] {
          (void)GridPatching2D({8, 8}, {4, 4}).apply(ones({1, 1, 8, 7}));
        }) == "GridPatching2D: wants images of 8x8, got [1, 1, 8, 7]");
  CHECK(error_of([] {
          (void)GridPatching2D({8, 8}, {4, 4}).fuse(ones({3, 1, 4, 4}), 1);
        }) == "GridPatching2D: fuse wants 4 patches for each of 1 images, got 3");
  CHECK(error_of([] {
          (void)patch_model()(ones({1, 1, 12, 10}), ones({1}));
        }).starts_with("MultiDiffusionModel2D: has no patching"));
  CHECK(error_of([] {
          (void)MultiDiffusionPredictor(patch_model())(ones({1, 1, 12, 10}), ones({1}));
        }) == "MultiDiffusionPredictor: call set_patching first");
  CHECK(error_of([] {
          MultiDiffusionPredictor(patch_model()).set_patching(0, 0);
        }).starts_with("MultiDiffusionPredictor: set_patching wants a patch shape"));
  CHECK(error_of([] { patch_model({.condition_patch = true, .condition_interp = true}); }) ==
        "MultiDiffusionModel2D: condition_patch and condition_interp exclude each other");
}

TEST_CASE("the embedding of patches has the type of x") {
  const AnyModel joins = [](const Tensor& x, const Tensor&, const Condition& c) {
    return slice(cat({x, c.at("positional_embedding")}, 1), 1, 0, 1) * 0.5;
  };
  const auto model = nn::make<MultiDiffusionModel2D>(
      joins, MultiDiffusionModel2DConfig{.global_spatial_shape = {12, 10},
                                         .positional_embedding = GlobalEmbedding::linear,
                                         .channels_positional_embedding = 2});
  const Tensor x = convert(noise({2, 1, 12, 10}), DType::f64);
  const Tensor t = full({2}, 0.5, {.dtype = DType::f64});
  Generator rng(10);
  model->set_random_patching({4, 5}, 3, rng);
  const EDMNoiseScheduler s;
  CHECK(MultiDiffusionMSEDSMLoss(model, s)(x, rng).dtype() == DType::f64);
  model->set_grid_patching({6, 5});
  CHECK(model(x, t).dtype() == DType::f64);
  MultiDiffusionPredictor predictor(model, {.chunk_size = 3});
  predictor.set_patching(0, 0);
  CHECK(predictor(x, t).dtype() == DType::f64);
}
