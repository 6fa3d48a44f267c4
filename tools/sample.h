#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <brume/nn/model_file.h>

#include "task.h"

namespace brume::tools {

/// A trained diffusion model and what sampling needs to know about it.
struct Sampler {
  nn::Ref<nn::Module> model;
  SamplingNotes notes;
};

/// What a model's file holds, in evaluation mode on the device.
/// @throws Error if it is no diffusion model
Sampler open_sampler(const nn::ModelFile& file, Device device);

inline constexpr double kChurn = 40;  // of the stochastic solvers, unless another is asked for

struct DrawOptions {
  int64_t steps = 18;  // 2 to diffusion::kMostSteps
  int64_t batch = 100;
  std::string solver = "heun";      // one of solver_names
  std::optional<double> S_churn{};  // kChurn if empty; of the stochastic solvers alone
  bool quiet = true;
  std::function<bool()> stop{};  // asked after each step; true ends the drawing
};

/// Thrown by draw if DrawOptions::stop says so.
struct Stopped {};

/// "heun, euler, ...".
std::string solver_names();
/// Before a model is read. @throws Error naming --solver, --churn or --steps
void check_solver(const DrawOptions& options);

/// One sample per seed, drawn where the model is; sample i depends on seeds[i] and classes[i]
/// alone.
/// @shape  classes: one per seed, or empty for an unconditional model -> [N, ...]
Tensor draw(const Sampler& sampler, const std::vector<uint64_t>& seeds,
            const std::vector<int64_t>& classes, const DrawOptions& options);

/// Whether write_picture can show samples of this shape, which is without the batch.
bool is_picture(const std::vector<int64_t>& shape);

/// A picture of samples, row by row (0 columns: about square); small ones are magnified. Channels
/// that make no colour (other than 1 or 3, or more than one to be coloured) stand side by side.
/// @shape  x [N, C, H, W]
void write_picture(const std::string& path, const Tensor& x, io::Colours colours,
                   int64_t columns = 0);

struct SampleArguments {
  std::string path, out;
  std::optional<int64_t> num{};  // as many as there are seeds, else 16
  std::string classes, seeds;    // lists or ranges: "3,5" or "0-9"
  std::vector<int64_t> shape;    // of a model whose file does not say it, or instead of that
  Device device = kCpu;
  DrawOptions draw;
};
/// Draws into `out`, until SIGINT or SIGTERM, after which no file has appeared; returns the
/// program's exit code.
int sample(const SampleArguments& arguments);

/// "0-3,7" -> 0 1 2 3 7. @throws FormatError naming `who`
std::vector<int64_t> parse_list(const std::string& text, const std::string& who);
/// The classes of `num` samples: each listed class for an equal share, in order.
std::vector<int64_t> spread_classes(const std::vector<int64_t>& listed, int64_t num);

}  // namespace brume::tools
