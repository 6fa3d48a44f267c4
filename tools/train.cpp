#include "train.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/backend.h>
#include <brume/core/captured_step.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/plot.h>
#include <brume/core/text.h>
#include <brume/nn/model_file.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/lr_schedule.h>
#include <brume/nn/optim/sgd.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/progress.h>
#include <brume/nn/training/run_directory.h>
#include <brume/nn/training/run_log.h>

#include "data_summary.h"
#include "run_folder.h"
#include "signal_watch.h"
#include "task.h"

namespace brume::tools {
namespace {

std::string run_folder(const TrainArguments& a) {
  if (!a.out.empty()) return a.out;
  return a.resume.empty() ? "runs/run" : a.resume;
}

bool is_same_folder(const std::string& a, const std::string& b) {
  std::error_code missing;
  return std::filesystem::equivalent(a, b, missing);
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::unique_ptr<nn::Optimizer> make_optimizer(const OptimizerOptions& o, const nn::Module& model) {
  switch (o.name) {
    case OptimizerName::adamw:
      return std::make_unique<nn::AdamW>(
          model.parameters(), nn::AdamWOptions{.lr = o.lr, .weight_decay = o.weight_decay});
    case OptimizerName::sgd:
      return std::make_unique<nn::Sgd>(model.parameters(),
                                       nn::SgdOptions{.lr = o.lr, .weight_decay = o.weight_decay});
    case OptimizerName::adam:
      break;
  }
  return std::make_unique<nn::Adam>(model.parameters(),
                                    nn::AdamOptions{.lr = o.lr, .weight_decay = o.weight_decay});
}

// What a resumed run may change: when it ends, what is kept and shown of it on the way, and where
// its data lie.
constexpr std::string_view kMayChange[] = {
    "steps",        "report_steps", "checkpoint_steps", "keep_checkpoints",
    "sample_steps", "data.colours", "data.x",           "data.labels"};

// The rest would make another run of it. @returns the changes that are taken
std::vector<nn::Difference> accepted_changes(const RunOptions& options, const std::string& run) {
  std::vector<nn::Difference> taken =
      nn::config_differences(nn::config_to_json(options_of_run(run)), nn::config_to_json(options));
  std::vector<nn::Difference> refused;
  std::erase_if(taken, [&](const nn::Difference& d) {
    const bool may =
        std::find(std::begin(kMayChange), std::end(kMayChange), d.field) != std::end(kMayChange);
    if (!may) refused.push_back(d);
    return !may;
  });
  check<Error>(refused.empty(), "--resume: '", run, "' is another run: ", to_string(refused),
               "; leave that as it was, or begin a new run without --resume");
  return taken;
}

/// A step as a GPU keeps it. What the host would read after each step stays there until settle().
struct Replayed {
  nn::Batch batch;        // filled before each step
  Tensor loss_sum;        // [] f64, as RunningMean adds
  Tensor norm, norm_sum;  // [] f64; the sum is not finite if one was not
  std::unique_ptr<CapturedStep> step{};
  int64_t first_step;  // since settle()
};

class Trainer {
 public:
  Trainer(const RunOptions& options, const TrainArguments& arguments)
      : options_(options),
        arguments_(arguments),
        data_(open_data(options.data)),
        summary_(summary_of(*data_.train)),
        task_(make_task(options, data_)),
        optimizer_(make_optimizer(options.optimizer, *options.model)),
        ema_(*options.model, options.ema_decay),
        loader_(data_.train, {.batch_size = options.batch_size,
                              .seed = generator_of(options.seed, Stream::data).seed(),
                              .device = arguments.device}),
        rng_(std::make_shared<Generator>(generator_of(options.seed, Stream::training))),
        state_{.model = *options.model,
               .optimizer = *optimizer_,
               .ema = ema_,
               .loader = loader_,
               .rng = *rng_} {
    options.model->set_generator(rng_);
  }

  /// `news`: what is to be told before a resumed run goes on.
  int run(const std::string& news);
  std::vector<std::string> doubts() const;
  void dry_run();

 private:
  Tensor loss_of(const nn::Batch& batch);
  int go_on(nn::RunDirectory& directory);
  double peak_megabytes() const;  // of the device that trains
  nn::StepOptions step_options();
  void step();
  void replayed_step();
  void settle();
  void report(nn::RunLog& log, Clock::time_point begin, int64_t first);
  void write_samples(const nn::RunDirectory& directory);
  io::Metadata notes() const;  // of what is written of the model
  void save(nn::RunDirectory& directory);
  void finish(const nn::RunDirectory& directory);

  const RunOptions& options_;
  const TrainArguments& arguments_;
  RunData data_;
  DataSummary summary_;
  std::unique_ptr<TrainingTask> task_;
  std::unique_ptr<nn::Optimizer> optimizer_;
  nn::Ema ema_;
  nn::Loader loader_;
  std::shared_ptr<Generator> rng_;
  nn::TrainState state_;
  double grad_norm_ = 0;
  bool took_a_batch_ = false;           // so the model takes such data
  std::unique_ptr<Replayed> replayed_;  // with --graph on a GPU
};

// What is taken, but hardly meant.
std::vector<std::string> Trainer::doubts() const {
  std::vector<std::string> out;
  if (const std::string doubt = task_->doubt(summary_, options_.data); !doubt.empty())
    out.push_back(doubt);
  if (const int64_t samples = data_.train->size(); options_.batch_size > samples)
    out.push_back(cat("batch_size is ", options_.batch_size, ", but there are ", samples,
                      " samples to train on; a batch holds some of them more than once"));
  // What is kept is the average, which then still is what the run began with.
  if (const double first = std::pow(options_.ema_decay, options_.steps); first > 0.05)
    out.push_back(
        cat("after ", options_.steps, " steps ", static_cast<int>(100 * first),
            " % of the averaged weights, which are kept and judged, are the first ones; "
            "ema_decay ",
            std::floor(1000 * std::max(0.0, 1 - 5.0 / static_cast<double>(options_.steps))) / 1000,
            " leaves less than 1 %"));
  return out;
}

Tensor Trainer::loss_of(const nn::Batch& batch) {
  try {
    return task_->loss(batch, *rng_);
  } catch (const ShapeError& error) {
    if (took_a_batch_) throw;
    throw ShapeError(cat("train: the model does not take a batch of data.x, ", batch.x.shape(),
                         ": ", error.what(), hint_for(summary_.identity.shape),
                         channel_hint(*options_.model, summary_.identity.shape)));
  }
}

nn::StepOptions Trainer::step_options() {
  return {.clip_norm = options_.optimizer.clip_norm, .ema = &ema_};
}

void Trainer::step() {
  const OptimizerOptions& o = options_.optimizer;
  if (o.warmup_steps > 0) optimizer_->set_lr(nn::warmup_linear(o.lr, state_.step, o.warmup_steps));
  if (arguments_.graph && arguments_.device != kCpu) return replayed_step();
  optimizer_->zero_grad();
  const Tensor loss = loss_of(loader_.next());
  took_a_batch_ = true;
  const double value = loss.item();
  check<GradError>(std::isfinite(value), "train: the loss of step ", state_.step + 1, " is ", value,
                   "; no weight was changed. ",
                   state_.step == 0 ? "No step was taken before it: look at the data and data.scale"
                                    : "Try a lower optimizer.lr");
  backward(loss);
  grad_norm_ = optimizer_->step(step_options());
  ++state_.step;
  state_.loss.add(value);
}

void Trainer::replayed_step() {
  const nn::Batch next = loader_.next();
  if (!replayed_) {
    const TensorOptions number{.dtype = DType::f64, .device = arguments_.device};
    replayed_ = std::make_unique<Replayed>(Replayed{.batch = next,
                                                    .loss_sum = scalar(state_.loss.sum, number),
                                                    .norm = zeros({}, number),
                                                    .norm_sum = zeros({}, number),
                                                    .first_step = state_.step});
    Replayed& r = *replayed_;
    r.step = std::make_unique<CapturedStep>(arguments_.device, [this, &r] {
      optimizer_->zero_grad();
      const Tensor loss = loss_of(r.batch);
      backward(loss);
      copy_(r.norm, optimizer_->step_on_device(step_options()));
      const NoGrad no_grad;
      copy_(r.loss_sum, r.loss_sum + convert(loss, DType::f64));
      copy_(r.norm_sum, r.norm_sum + r.norm);
    });
  } else {
    copy_(replayed_->batch.x, next.x);
    if (next.label.defined()) copy_(replayed_->batch.label, next.label);
  }
  (*replayed_->step)();
  took_a_batch_ = true;
  ++state_.step;
  ++state_.loss.count;
}

// Brings the sums of replayed steps to the host, before it reports or keeps them.
void Trainer::settle() {
  if (!replayed_ || replayed_->first_step == state_.step) return;
  Replayed& r = *replayed_;
  state_.loss.sum = r.loss_sum.item();
  grad_norm_ = r.norm.item();
  check<GradError>(std::isfinite(state_.loss.sum) && std::isfinite(r.norm_sum.item()),
                   "train: a loss or a gradient of steps ", r.first_step + 1, " to ", state_.step,
                   " is not finite; its step changed no weight. Try a lower optimizer.lr");
  r.first_step = state_.step;
}

double Trainer::peak_megabytes() const {
  return static_cast<double>(memory_stats(arguments_.device.type).peak) / 1e6;
}

void Trainer::report(nn::RunLog& log, Clock::time_point begin, int64_t first) {
  settle();
  const double seconds = seconds_since(begin);
  const auto steps = static_cast<double>(state_.step - first);
  const double images = steps * static_cast<double>(options_.batch_size);
  const nn::Progress progress{
      .step = state_.step,
      .steps = options_.steps,
      .loss = state_.loss.value(),
      .images_per_second = images / seconds,
      .seconds_left = seconds / steps * static_cast<double>(options_.steps - state_.step)};
  log.append(state_.step, {{"loss", progress.loss},
                           {"lr", optimizer_->lr()},
                           {"grad_norm", grad_norm_},
                           {"images_per_second", progress.images_per_second},
                           {"memory_mb", peak_megabytes()}});
  state_.loss = {};
  if (replayed_) fill_(replayed_->loss_sum, 0);
  if (arguments_.quiet) return;
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  std::printf(terminal ? "\r\033[K%s" : "%s\n", nn::progress_line(progress).c_str());
  if (terminal && state_.step == options_.steps) std::printf("\n");
  std::fflush(stdout);
}

// With the averaged weights; draws nothing from the run's own generator.
void Trainer::write_samples(const nn::RunDirectory& directory) {
  ema_.swap_in();
  options_.model->eval();
  task_->write_samples(directory.file(cat("samples_", zero_padded(state_.step, 6), ".png")));
  options_.model->train();
  ema_.swap_out();
}

io::Metadata Trainer::notes() const {
  io::Metadata notes = task_->notes();
  notes[kDataKey] = nn::config_to_json(summary_.identity);
  return notes;
}

void Trainer::save(nn::RunDirectory& directory) {
  settle();
  directory.save(state_, options_.keep_checkpoints, notes());
}

void Trainer::finish(const nn::RunDirectory& directory) {
  std::vector<nn::LoggedRow> rows = nn::read_log(directory.file("log.jsonl"));
  io::PlotLine line{.name = "loss", .x = {}, .y = {}};
  for (const nn::LoggedRow& row : rows)
    for (const auto& [name, value] : row.values)
      if (name == "loss") {
        line.x.push_back(static_cast<double>(row.step));
        line.y.push_back(value);
      }
  ema_.swap_in();
  options_.model->eval();
  nn::save(*options_.model, directory.file("model.safetensors"), notes());
  io::write_plot(directory.file("loss.png"), {line},
                 {.title = "training loss", .x_label = "step", .y_label = "loss", .log_y = true});
  const std::string verdict = task_->verdict();
  if (!verdict.empty()) std::printf("%s\n", verdict.c_str());
  if (!arguments_.quiet) std::printf("model: %s\n", directory.file("model.safetensors").c_str());
}

int Trainer::run(const std::string& news) {
  std::optional<std::string> newest;
  if (!arguments_.resume.empty()) newest = nn::whole_checkpoint(arguments_.resume);
  if (newest)
    check_same_data(nn::open_model_file(*newest), summary_.identity, "--resume", "begin a new run");
  const std::string folder = run_folder(arguments_);
  nn::RunDirectory directory(folder);
  check<IoError>(is_same_folder(folder, arguments_.resume) || !nn::has_checkpoint(folder),
                 "train: '", folder, "' holds a run already; go on with --resume ", folder,
                 ", or choose another --out");
  if (newest) nn::load_checkpoint(*newest, state_);
  check<Error>(state_.step <= options_.steps, "--resume: '", arguments_.resume, "' stands at step ",
               state_.step, " already, but steps is ", options_.steps);
  if (newest && state_.step == options_.steps && !arguments_.quiet)
    std::printf(
        "'%s' is finished: it stands at the last of its %lld steps; --set steps=... goes on\n",
        arguments_.resume.c_str(), static_cast<long long>(options_.steps));
  if (!news.empty() && !arguments_.quiet) std::printf("resumed with %s\n", news.c_str());
  io::write_file(directory.file("options.json"), nn::config_to_json(options_, 2) + "\n");
  // Hours later it matters what is left. A divergence would come again from its checkpoint.
  const auto what_is_left = [&](const std::string& way_on) {
    const std::optional<std::string> last = nn::latest_checkpoint(folder);
    return cat("; the run stands at step ", state_.step,
               last ? cat(", its newest checkpoint is '", *last, "'", way_on)
                    : ", and has no checkpoint yet");
  };
  try {
    return go_on(directory);
  } catch (const IoError& error) {
    throw IoError(cat(error.what(),
                      what_is_left(cat("; go on from there with: brume train --resume ", folder))));
  } catch (const GradError& error) {
    throw GradError(cat(error.what(), what_is_left("")));
  }
}

int Trainer::go_on(nn::RunDirectory& directory) {
  nn::RunLog log(directory.path(), state_.step);
  const SignalWatch watch;
  const int64_t first = state_.step;
  const auto begin = Clock::now();
  while (state_.step < options_.steps && SignalWatch::seen() == 0) {
    step();
    if (state_.step % options_.report_steps == 0 || state_.step == options_.steps)
      report(log, begin, first);
    if (state_.step % options_.checkpoint_steps == 0 && state_.step < options_.steps)
      save(directory);
    if (options_.sample_steps > 0 && state_.step % options_.sample_steps == 0)
      write_samples(directory);
  }
  save(directory);
  if (state_.step < options_.steps) {
    std::fprintf(stderr, "\nstopped after step %lld; go on with: brume train --resume %s\n",
                 static_cast<long long>(state_.step), directory.path().c_str());
    return SignalWatch::exit_code();
  }
  finish(directory);
  return 0;
}

void Trainer::dry_run() {
  for (int i = 0; i < (arguments_.graph ? 3 : 1); ++i) step();  // with --graph a replay is timed
  settle();
  reset_peak_memory(arguments_.device.type);
  const auto begin = Clock::now();
  step();
  settle();
  const double seconds = seconds_since(begin);
  std::printf(
      "parameters   %lld\nmemory       %.1f MB of the %s at most in a step\nsteps        %lld of "
      "%lld "
      "images\nthroughput   %.1f images/s, %s in all\n",
      static_cast<long long>(options_.model->parameter_count()), peak_megabytes(),
      arguments_.device.type == DeviceType::cpu ? "CPU" : "GPU",
      static_cast<long long>(options_.steps), static_cast<long long>(options_.batch_size),
      static_cast<double>(options_.batch_size) / seconds,
      nn::clock_text(seconds * static_cast<double>(options_.steps)).c_str());
}

// A run folder that can be gone on from; what else people name is answered with what they meant.
void check_resumable(const std::string& path) {
  const io::FileKind kind = io::file_status(path).kind;
  check<IoError>(kind != io::FileKind::missing, "--resume: there is no '", path, "'");
  const auto is_run = [](const std::string& folder) {
    return io::file_status(io::join_path(folder, "options.json")).kind == io::FileKind::regular;
  };
  if (kind == io::FileKind::folder && is_run(path)) {
    if (!nn::has_checkpoint(path)) {
      const nn::RunDirectory unused(path);  // or its user has not come as far as the first
      throw IoError(
          cat("--resume: '", path,
              "' has no checkpoint, since it ended before the first; begin it anew: brume "
              "train ",
              io::join_path(path, "options.json"), " --out ", path));
    }
    (void)nn::whole_checkpoint(path);  // before the data are read, which may take long
    return;
  }
  const std::string run = kind == io::FileKind::folder ? std::filesystem::path(path + "/")
                                                             .lexically_normal()
                                                             .parent_path()
                                                             .parent_path()
                                                             .string()
                                                       : run_of(path);
  check<Error>(is_run(run), "--resume: '", path,
               "' is no run folder, which has options.json and checkpoints/");
  const bool is_step = kind == io::FileKind::regular && io::folder_of(path) != run &&
                       io::name_of(path) != nn::kLatestCheckpoint;
  throw Error(cat("--resume: wants the run folder; go on from its newest checkpoint with --resume ",
                  run,
                  is_step ? cat(", from this one after echo ", io::name_of(path), " > ",
                                io::join_path(io::folder_of(path), nn::kLatestCheckpoint))
                          : ""));
}

}  // namespace

int train(const TrainArguments& arguments) {
  check<Error>(!arguments.config.empty() || !arguments.resume.empty(),
               "train: wants a configuration, such as examples/digits/diffusion.json, or --resume "
               "with a run folder that has one");
  if (!arguments.resume.empty()) check_resumable(arguments.resume);
  std::vector<std::string> changes = arguments.changes;
  for (std::string& place : data_places(arguments.data, arguments.labels))
    changes.push_back(std::move(place));
  const RunOptions options = read_run_options(
      arguments.config.empty() ? io::join_path(arguments.resume, "options.json") : arguments.config,
      changes, arguments.seed);
  std::string news;
  if (!arguments.resume.empty()) news = to_string(accepted_changes(options, arguments.resume));
  options.model->to(arguments.device);
  if (arguments.graph && arguments.device == kCpu && !arguments.quiet)
    std::printf("--graph: the CPU runs each step as it is; only a GPU captures steps\n");
  Trainer trainer(options, arguments);
  for (const std::string& doubt : trainer.doubts())
    std::fprintf(stderr, "brume: train: warning: %s\n", doubt.c_str());
  if (arguments.dry_run) {
    trainer.dry_run();
    return 0;
  }
  return trainer.run(news);
}

}  // namespace brume::tools
