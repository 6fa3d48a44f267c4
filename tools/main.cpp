// The program brume: train, sample, evaluate, info, convert, selftest.

#include <charconv>
#include <cstdio>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include <brume/core/cpu/parallel.h>
#include <brume/core/error.h>
#include <brume/diffusion/sample.h>
#include <brume/nn/nearest.h>

#include "convert.h"
#include "device.h"
#include "evaluate.h"
#include "info.h"
#include "sample.h"
#include "selftest.h"
#include "train.h"

namespace {

using namespace brume;

// CLI11's own checks print the bounds of a double; its own reading takes octal numbers, and the
// greatest for one that is greater. So it is given the number as it is understood here.
CLI::Validator whole_number(int64_t least, int64_t most = std::numeric_limits<int64_t>::max()) {
  return {[least, most](std::string& text) {
            int64_t value = 0;
            const char* const last = text.data() + text.size();
            const auto [end, error] = std::from_chars(text.data(), last, value);
            if (error == std::errc() && end == last && value >= least && value <= most) {
              text = cat(value);
              return std::string();
            }
            const bool open = most == std::numeric_limits<int64_t>::max();
            return cat("wants a whole number from ", least, open ? "" : cat(" to ", most), ", got ",
                       text);
          },
          ""};
}

// "" is a script's unset variable.
CLI::Validator path() {
  return {[](const std::string& text) { return text.empty() ? "wants a path, got none" : ""; }, ""};
}

// All that the command line can say.
struct CommandLine {
  CLI::App app{"Diffusion models: train, sample, evaluate", "brume"};
  std::string device = "cpu";
  int threads = 0;
  bool quiet = false;

  tools::TrainArguments train;
  int64_t seed = -1;
  tools::SampleArguments sample;
  tools::EvaluateArguments evaluate;
  std::string info_path;
  bool info_json = false, info_tensors = false;
  tools::ConvertArguments convert;
  bool coverage = false;

  struct Command {
    CLI::App* app;
    int (*run)(CommandLine&);
  };
  std::vector<Command> commands;

  CLI::App& add(const char* name, const char* what, int (*run)(CommandLine&)) {
    commands.push_back({app.add_subcommand(name, what), run});
    return *commands.back().app;
  }
};

void add_device_option(CLI::App& app, CommandLine& line) {
  app.add_option("--device", line.device, "cpu, cuda, or auto: cuda if there is one")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
}

void add_draw_options(CLI::App& app, tools::DrawOptions& draw) {
  app.add_option("--steps", draw.steps, "steps from noise to sample")
      ->transform(whole_number(2, diffusion::kMostSteps))
      ->capture_default_str();
  app.add_option("--batch", draw.batch, "samples at a time; changes no bit")
      ->transform(whole_number(1))
      ->capture_default_str();
  app.add_option("--solver", draw.solver, "one of " + tools::solver_names())->capture_default_str();
  app.add_option("--churn", draw.S_churn,
                 cat("noise put back by the stochastic solvers (", tools::kChurn, ")"));
}

void add_train(CommandLine& line) {
  CLI::App& app = line.add("train", "train a model as a JSON file says", [](CommandLine& chosen) {
    chosen.train.quiet = chosen.quiet;
    if (chosen.seed >= 0) chosen.train.seed = chosen.seed;
    // CLI11 gives --set all the words behind it: one that changes nothing is the configuration.
    std::vector<std::string>& changes = chosen.train.changes;
    if (chosen.train.config.empty() && !changes.empty() &&
        changes.back().find('=') == std::string::npos) {
      chosen.train.config = changes.back();
      changes.pop_back();
    }
    chosen.train.device = tools::device_named(chosen.device);
    return tools::train(chosen.train);
  });
  tools::TrainArguments& train = line.train;
  app.add_option("config", train.config, "the options (those of the resumed run)");
  app.add_option("--out", train.out,
                 "run folder (the resumed one, else runs/run); holds no other run")
      ->check(path());
  app.add_option("--resume", train.resume, "go on from this run's newest checkpoint")
      ->check(path());
  app.add_option("--data", train.data, "where data.x is now")->check(path());
  app.add_option("--labels", train.labels, "where data.labels is now")->check(path());
  app.add_option("--set", train.changes, "change an option: key.key=value");
  app.add_option("--seed", line.seed, "seed of everything random")->transform(whole_number(0));
  app.add_flag("--graph", train.graph,
               "have a GPU replay the step instead of giving it each kernel");
  app.add_flag("--dry-run", train.dry_run, "measure one step and write nothing");
  app.add_flag("--quiet", line.quiet, "print no progress");
  add_device_option(app, line);
}

void add_sample(CommandLine& line) {
  CLI::App& app = line.add("sample", "draw samples from a trained model", [](CommandLine& chosen) {
    chosen.sample.draw.quiet = chosen.quiet;
    chosen.sample.device = tools::device_named(chosen.device);
    return tools::sample(chosen.sample);
  });
  tools::SampleArguments& sample = line.sample;
  app.add_option("path", sample.path, "a run folder or a model's file")->required();
  app.add_option("--num", sample.num, "how many (as many as --seeds, or 16)")
      ->transform(whole_number(1));
  app.add_option("--classes", sample.classes, "which classes: 3,5 or 0-9");
  app.add_option("--seeds", sample.seeds, "one for each sample (0, 1, ...)");
  app.add_option("--shape", sample.shape, "of one sample, instead of what the file says")
      ->delimiter(',')
      ->transform(whole_number(1));
  app.add_option("--out", sample.out, ".png, .npy or .safetensors")
      ->default_val("samples.png")
      ->check(path());
  app.add_flag("--quiet", line.quiet, "print no progress");
  add_draw_options(app, sample.draw);
  add_device_option(app, line);
}

void add_evaluate(CommandLine& line) {
  CLI::App& app = line.add("evaluate", "judge a run by its samples", [](CommandLine& chosen) {
    chosen.evaluate.device = tools::device_named(chosen.device);
    return tools::evaluate(chosen.evaluate);
  });
  tools::EvaluateArguments& evaluate = line.evaluate;
  app.add_option("run", evaluate.run, "a run folder or a model in it")->required();
  app.add_option("--data", evaluate.data, "where data.x is now")->check(path());
  app.add_option("--labels", evaluate.labels, "where data.labels is now")->check(path());
  app.add_option("--classifier", evaluate.classifier,
                 "run folder of a classifier, which names the samples")
      ->check(path());
  app.add_option("--num", evaluate.num, "how many samples")
      ->transform(whole_number(1))
      ->capture_default_str();
  app.add_flag("--json", evaluate.json, "figures as JSON");
  app.add_flag("--require", evaluate.require, "exit with 1 if a figure is not as wanted");
  add_draw_options(app, evaluate.draw);
  add_device_option(app, line);
}

void add_files(CommandLine& line) {
  CLI::App& info = line.add("info", "show what a file or a run holds", [](CommandLine& chosen) {
    return tools::info(chosen.info_path, chosen.info_json, chosen.info_tensors);
  });
  info.add_option("path", line.info_path, "a model's file, a .npy, or a run folder")->required();
  info.add_flag("--json", line.info_json, "as JSON, with all tensors");
  info.add_flag("--tensors", line.info_tensors, "list every tensor");

  CLI::App& convert =
      line.add("convert", "write a model's file in another format, as OUT ends",
               [](CommandLine& chosen) { return tools::convert_file(chosen.convert); });
  convert.add_option("in", line.convert.in, ".safetensors, .mdlus, .pt, .pth, or a run folder")
      ->required();
  convert.add_option("out", line.convert.out, ".safetensors, .mdlus or .pt")->required();
  convert.add_option("--as", line.convert.like,
                     "a model whose class, arguments and notes IN lacks and OUT gets");
}

void add_selftest(CommandLine& line) {
  CLI::App& app =
      line.add("selftest", "prove every operation on this machine", [](CommandLine& chosen) {
        return tools::selftest(tools::device_named(chosen.device), chosen.coverage);
      });
  app.add_flag("--coverage", line.coverage,
               "list for each operation what is proven, and whether it holds");
  add_device_option(app, line);
}

// CLI11 would call an unknown command an unexpected argument.
void check_command(const CommandLine& line, std::string_view word) {
  if (word.starts_with('-')) return;
  std::string known;
  for (const CommandLine::Command& command : line.commands) {
    if (command.app->get_name() == word) return;
    known += cat(known.empty() ? "" : ", ", command.app->get_name());
  }
  throw Error(cat("no command is called '", word, "'; there are ", known));
}

// What CLI11 says of a command line that it refuses, or what it left over, which says more.
std::string fault_of(const CommandLine& line, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = line.app.get_subcommands();
  if (chosen.empty()) return cat(error.what(), "; see brume --help");
  const std::string& command = chosen[0]->get_name();
  for (const std::string& word : line.app.remaining(true)) {
    if (!word.starts_with('-')) continue;
    std::vector<std::string> options;
    for (const CLI::App* app : std::initializer_list<const CLI::App*>{chosen[0], &line.app})
      for (const CLI::Option* option : app->get_options())
        for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    const std::vector<std::string_view> known(options.begin(), options.end());
    return cat(command, ": there is no option ", word,
               nn::suggestion(word.substr(0, word.find('=')), known));
  }
  return cat(command, ": ", error.what(), "; see brume ", command, " --help");
}

int run(int argc, char** argv) {
  CommandLine line;
  line.app.require_subcommand(1);
  line.app.fallthrough();
  line.app.set_version_flag("--version", "brume " BRUME_VERSION);
  line.app.add_option("--threads", line.threads, "threads to use (all)")
      ->transform(whole_number(1, kMostThreads));
  for (const auto add : {add_train, add_sample, add_evaluate, add_files, add_selftest}) add(line);

  if (argc < 2) {
    std::fputs(line.app.help().c_str(), stdout);
    return 2;
  }
  check_command(line, argv[1]);
  try {
    line.app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    return line.app.exit(asked);
  } catch (const CLI::ParseError& error) {
    throw Error(fault_of(line, error));
  }
  if (line.threads > 0) set_num_threads(line.threads);
  for (const CommandLine::Command& command : line.commands)
    if (command.app->parsed()) return command.run(line);
  return 2;
}

}  // namespace

namespace {

int out_of_memory() {
  std::fputs(
      "brume: there is not enough memory; fewer samples at a time (batch_size, --batch), fewer "
      "--steps or --num, a smaller --shape or model take less\n",
      stderr);
  return 2;
}

}  // namespace

// 2: the user can mend it (files, options, shapes); 1: anything else.
int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::length_error&) {  // a container's, of more than could ever be
    return out_of_memory();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "brume: %s\n", error.what());
    const bool mends = dynamic_cast<const brume::Error*>(&error) != nullptr &&
                       dynamic_cast<const brume::GradError*>(&error) == nullptr &&
                       dynamic_cast<const brume::CudaError*>(&error) == nullptr;
    return mends ? 2 : 1;
  }
}
