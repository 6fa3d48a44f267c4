// The program brume: train, sample, evaluate, info, convert, selftest.

#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/core/cpu/parallel.h>
#include <brume/core/error.h>

#include "convert.h"
#include "device.h"
#include "evaluate.h"
#include "info.h"
#include "sample.h"
#include "selftest.h"
#include "train.h"

namespace {

using namespace brume;

// CLI11's own checks print the bounds of a double.
CLI::Validator at_least(int64_t least) {
  return {[least](const std::string& text) {
            int64_t value = 0;
            const bool good = CLI::detail::lexical_cast(text, value) && value >= least;
            return good ? std::string() : cat("wants a whole number from ", least, ", got ", text);
          },
          ""};
}

void add_device_option(CLI::App& app, std::string& device) {
  app.add_option("--device", device, "cpu, cuda, or auto: cuda if there is one")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
}

// CLI11 would call an unknown command an unexpected argument.
void check_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::string known;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == argv[1]) return;
    known += cat(known.empty() ? "" : ", ", command->get_name());
  }
  throw Error(cat("no command is called '", argv[1], "'; there are ", known));
}

void add_draw_options(CLI::App& app, tools::DrawOptions& draw) {
  app.add_option("--steps", draw.steps, "steps from noise to sample")
      ->check(at_least(2))
      ->capture_default_str();
  app.add_option("--batch", draw.batch, "samples at a time; changes no bit")
      ->check(at_least(1))
      ->capture_default_str();
  app.add_option("--solver", draw.solver, tools::kSolvers)->capture_default_str();
  app.add_option("--churn", draw.S_churn, "noise put back by the stochastic solvers (40)");
}

int run(int argc, char** argv) {
  CLI::App app("Diffusion models: train, sample, evaluate");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "brume " BRUME_VERSION);
  std::string device = "cpu";
  int threads = 0;
  app.add_option("--threads", threads, "threads to use (all)")->check(CLI::Range(1, kMostThreads));

  tools::TrainArguments train;
  int64_t seed = -1;
  auto* train_command = app.add_subcommand("train", "train a model as a JSON file says");
  train_command->add_option("config", train.config, "the options (those of the resumed run)");
  train_command->add_option("--out", train.out,
                            "run folder (the resumed one, else runs/run); holds no other run");
  train_command->add_option("--resume", train.resume, "go on from this run's newest checkpoint");
  train_command->add_option("--set", train.changes, "change an option: key.key=value");
  train_command->add_option("--seed", seed, "seed of everything random")->check(at_least(0));
  train_command->add_flag("--dry-run", train.dry_run, "measure one step and write nothing");
  train_command->add_flag("--quiet", train.quiet, "print no progress");
  add_device_option(*train_command, device);

  tools::SampleArguments sample;
  bool quiet = false;
  auto* sample_command = app.add_subcommand("sample", "draw samples from a trained model");
  sample_command->add_option("path", sample.path, "a run folder or a model's file")->required();
  sample_command->add_option("--num", sample.num, "how many (as many as --seeds, or 16)")
      ->check(at_least(1));
  sample_command->add_option("--classes", sample.classes, "which classes: 3,5 or 0-9");
  sample_command->add_option("--seeds", sample.seeds, "one for each sample (0, 1, ...)");
  sample_command->add_option("--shape", sample.shape, "of one sample, if the file does not say it")
      ->delimiter(',');
  sample_command->add_option("--out", sample.out, ".png, .npy or .safetensors")
      ->default_val("samples.png");
  sample_command->add_flag("--quiet", quiet, "print no progress");
  add_draw_options(*sample_command, sample.draw);
  add_device_option(*sample_command, device);

  tools::EvaluateArguments evaluate;
  auto* evaluate_command = app.add_subcommand("evaluate", "judge a run by its samples");
  evaluate_command->add_option("run", evaluate.run, "a run folder or a model in it")->required();
  evaluate_command->add_option("--data", evaluate.data, "where data.x is now");
  evaluate_command->add_option("--labels", evaluate.labels, "where data.labels is now");
  evaluate_command->add_option("--classifier", evaluate.classifier,
                               "run folder of a classifier, which names the samples");
  evaluate_command->add_option("--num", evaluate.num, "how many samples")
      ->check(at_least(1))
      ->capture_default_str();
  evaluate_command->add_flag("--json", evaluate.json, "figures as JSON");
  add_draw_options(*evaluate_command, evaluate.draw);
  add_device_option(*evaluate_command, device);

  std::string info_path;
  bool info_json = false;
  auto* info_command = app.add_subcommand("info", "show what a model's file holds");
  info_command->add_option("path", info_path, "a model's file or a run folder")->required();
  info_command->add_flag("--json", info_json, "as JSON");

  std::string convert_in, convert_out;
  auto* convert_command =
      app.add_subcommand("convert", "write a model's file in another format, as OUT ends");
  convert_command->add_option("in", convert_in, ".safetensors, .mdlus, .pt or .pth")->required();
  convert_command->add_option("out", convert_out, ".safetensors, .mdlus or .pt")->required();

  bool coverage = false;
  auto* selftest_command = app.add_subcommand("selftest", "prove every operation on this machine");
  add_device_option(*selftest_command, device);
  selftest_command->add_flag("--coverage", coverage, "list what is proven instead");

  check_command(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (threads > 0) set_num_threads(threads);
  if (train_command->parsed()) {
    if (seed >= 0) train.seed = seed;
    train.device = tools::device_named(device);
    return tools::train(train);
  }
  if (sample_command->parsed()) {
    sample.draw.quiet = quiet;
    sample.device = tools::device_named(device);
    return tools::sample(sample);
  }
  if (evaluate_command->parsed()) {
    evaluate.device = tools::device_named(device);
    return tools::evaluate(evaluate);
  }
  if (selftest_command->parsed()) return tools::selftest(tools::device_named(device), coverage);
  if (convert_command->parsed()) return tools::convert_file(convert_in, convert_out);
  return tools::info(info_path, info_json);
}

}  // namespace

// 2: the user can mend it (files, options, shapes); 1: anything else.
int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const brume::GradError& error) {
    std::fprintf(stderr, "brume: %s\n", error.what());
    return 1;
  } catch (const brume::Error& error) {
    std::fprintf(stderr, "brume: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "brume: %s\n", error.what());
    return 1;
  }
}
