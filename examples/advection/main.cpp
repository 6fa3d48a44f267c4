// A MeshGraphNet learns how dye is carried and spreads on irregular meshes.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/png.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/fit.h>

#include "examples/advection/scene.h"

namespace {

using namespace brume;
using advection::Scene;

struct Options {
  int64_t scenes = 64, held_out = 8, batch_size = 8, seed = 1;
  double noise = 0.01;  // on the inputs, so that a rollout corrects its own errors
  nn::FitOptions fit{.steps = 1500, .lr = 2e-3};
  advection::SceneOptions scene;
  double at_most = HUGE_VAL;  // percent of error after one frame to pass
  std::string out = "runs/advection";
};

std::vector<Scene> random_scenes(const Options& o, int64_t count, Generator& rng) {
  std::vector<Scene> scenes;
  for (int64_t i = 0; i < count; ++i) scenes.push_back(random_scene(o.scene, rng));
  return scenes;
}

// Meshes side by side in one graph, with features of all their nodes and edges.
struct Batch {
  explicit Batch(const std::vector<const Scene*>& scenes) {
    std::vector<Tensor> index, edge_parts, node_parts;
    int64_t nodes = 0;
    for (const Scene* scene : scenes) {
      index.push_back(scene->edge_index + static_cast<double>(nodes));
      edge_parts.push_back(scene->edge_features);
      node_parts.push_back(scene->node_features);
      nodes += scene->mesh.size();
    }
    graph.emplace(cat(index, 1), nodes);
    edge_features = cat(edge_parts, 0);
    node_features = cat(node_parts, 0);
  }
  std::optional<nn::Graph> graph;
  Tensor edge_features, node_features;
};

/// The network predicts how the concentration changes in one frame, in units of `typical_change`.
struct NextFrame {
  nn::Ref<nn::MeshGraphNet> net;
  double typical_change;
  // @shape c [N] of all nodes of the batch
  Tensor change(const Batch& batch, const Tensor& c) const {
    const Tensor nodes = cat({unsqueeze(c, 1), batch.node_features}, 1);
    return squeeze(net(nodes, batch.edge_features, *batch.graph), 1);
  }
  Tensor operator()(const Batch& batch, const Tensor& c) const {
    return c + change(batch, c) * typical_change;
  }
};

double typical_change(const std::vector<Scene>& scenes) {
  double total = 0;
  for (const Scene& scene : scenes) {
    const Tensor& c = scene.concentration;
    total += mean(square(slice(c, 0, 1, c.size(0)) - slice(c, 0, 0, -1))).item();
  }
  return std::sqrt(total / static_cast<double>(scenes.size()));
}

NextFrame train(const Options& o, const std::vector<Scene>& scenes, Generator& rng) {
  const nn::Construction weights(rng);
  NextFrame model{.net = nn::make<nn::MeshGraphNet>({.input_dim_nodes = 1 + 3,
                                                     .input_dim_edges = 3,
                                                     .output_dim = 1,
                                                     .processor_size = 4,
                                                     .hidden_dim_processor = 48,
                                                     .hidden_dim_node_encoder = 48,
                                                     .hidden_dim_edge_encoder = 48,
                                                     .hidden_dim_node_decoder = 48}),
                  .typical_change = typical_change(scenes)};
  nn::fit(*model.net, o.fit, [&] {
    std::vector<const Scene*> chosen;
    std::vector<Tensor> now, next;
    const auto which = random_integers({o.batch_size}, 0, o.scenes, rng).to_vector<int64_t>();
    const auto frame = random_integers({o.batch_size}, 0, o.scene.frames, rng).to_vector<int64_t>();
    for (size_t i = 0; i < which.size(); ++i) {
      const Scene& scene = scenes[static_cast<size_t>(which[i])];
      chosen.push_back(&scene);
      now.push_back(select(scene.concentration, 0, frame[i]));
      next.push_back(select(scene.concentration, 0, frame[i] + 1));
    }
    const Tensor c = cat(now, 0), seen = c + normal(c.shape(), rng) * o.noise;
    const Tensor wanted = (cat(next, 0) - seen) / model.typical_change;
    return mse_loss(model.change(Batch(chosen), seen), wanted);
  });
  return model;
}

// |c - exact| / |exact| of each frame. @shape [T, N] -> [T]
Tensor relative_error(const Tensor& c, const Tensor& exact) {
  return vector_norm(c - exact, 2, 1) / vector_norm(exact, 2, 1);
}

// All frames from the first alone. @shape -> [frames + 1, N]
Tensor rollout(const NextFrame& model, const Scene& scene) {
  const Batch batch({&scene});
  std::vector<Tensor> frames{select(scene.concentration, 0, 0)};
  while (static_cast<int64_t>(frames.size()) < scene.concentration.size(0))
    frames.push_back(model(batch, frames.back()));
  return stack(frames, 0);
}

void draw(const std::string& path, const Scene& scene, const Tensor& learned) {
  std::vector<Tensor> rows;
  const int64_t frames = learned.size(0) - 1;
  for (const Tensor& film : {scene.concentration, learned, (learned - scene.concentration) * 5.0})
    for (int64_t i = 0; i <= 4; ++i) rows.push_back(select(film, 0, frames * i / 4));
  io::write_png_grid(path, picture(scene.mesh, stack(rows, 0), 160),
                     {.columns = 5, .colours = io::Colours::blue_red});
}

void run(Options o) {
  Generator rng(static_cast<uint64_t>(o.seed));
  const std::vector<Scene> scenes = random_scenes(o, o.scenes, rng);
  const std::vector<Scene> held_out = random_scenes(o, o.held_out, rng);
  o.fit.on_report = [](int64_t step, double loss) {
    std::printf("step %5lld  loss %.5f\n", static_cast<long long>(step), loss);
  };
  const NextFrame model = train(o, scenes, rng);

  const NoGrad no_grad;
  Tensor one_frame = scalar(0), all_frames = scalar(0), still = scalar(0);
  const auto share = 1 / static_cast<double>(o.held_out);
  for (const Scene& scene : held_out) {
    const Tensor errors = relative_error(rollout(model, scene), scene.concentration);
    one_frame = one_frame + select(errors, 0, 1) * share;
    all_frames = all_frames + select(errors, 0, -1) * share;
    const Tensor first = slice(scene.concentration, 0, 0, 1);
    still =
        still + select(relative_error(first, slice(scene.concentration, 0, 1, 2)), 0, 0) * share;
  }
  std::printf(
      "on %lld held-out meshes and flows, relative L2 error\n"
      "after 1 frame    %6.2f %%   (if nothing moved: %.2f %%)\n"
      "after %lld frames  %6.2f %%\n",
      static_cast<long long>(o.held_out), 100 * one_frame.item(), 100 * still.item(),
      static_cast<long long>(o.scene.frames), 100 * all_frames.item());
  io::make_folders(o.out);
  nn::save(*model.net, io::join_path(o.out, "mesh_graph_net.safetensors"));
  draw(io::join_path(o.out, "rollout.png"), held_out[0], rollout(model, held_out[0]));
  check<Error>(100 * one_frame.item() <= o.at_most, "the error after 1 frame is above ", o.at_most,
               " %");
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  Options o;
  CLI::App app("A MeshGraphNet on advection and diffusion");
  app.add_option("--scenes", o.scenes, "to train on")->capture_default_str();
  app.add_option("--held-out", o.held_out, "to judge by")->capture_default_str();
  app.add_option("--steps", o.fit.steps, "of training")->capture_default_str();
  app.add_option("--seed", o.seed, "of everything")->capture_default_str();
  app.add_option("--at-most", o.at_most, "percent of error after 1 frame; fail above");
  app.add_option("--out", o.out, "folder for model and picture")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_advection: %s\n", error.what());
    return 1;
  }
}
