// brume-conformance: runs cases whose numbers come from elsewhere and says how close ours are.

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <brume/core/io/atomic_file.h>

#include "tests/conformance/runner.h"
#include "tests/conformance/value.h"

namespace {

using namespace brume;
using conformance::Outcome;
using conformance::Verdict;

struct Counts {
  int64_t passed = 0, failed = 0, skipped = 0;
};

void count(Counts& counts, const Outcome& outcome) {
  switch (outcome.verdict) {
    case Verdict::passed:
      ++counts.passed;
      break;
    case Verdict::failed:
      ++counts.failed;
      break;
    case Verdict::skipped:
      ++counts.skipped;
      break;
  }
}

std::string json_text(const Counts& counts, const std::vector<Outcome>& outcomes) {
  using conformance::Value;
  const std::string names[] = {"passed", "failed", "skipped"};
  conformance::List cases;
  for (const Outcome& o : outcomes)
    cases.push_back(conformance::Map{{"name", o.name},
                                     {"target", o.target},
                                     {"verdict", names[static_cast<int>(o.verdict)]},
                                     {"ratio", std::isfinite(o.ratio) ? Value(o.ratio) : Value()},
                                     {"key", o.key},
                                     {"text", o.text},
                                     {"seconds", o.seconds}});
  return to_json(conformance::Map{{"passed", counts.passed},
                                  {"failed", counts.failed},
                                  {"skipped", counts.skipped},
                                  {"cases", std::move(cases)}});
}

int run(int argc, char** argv) {
  CLI::App app{
      "Runs conformance cases: each says what to build, what to feed it and what must come "
      "out.\nFormat: tests/conformance/data/FORMAT.md"};
  std::vector<std::string> paths;
  std::string device = "cpu", json;
  conformance::RunOptions options;
  app.add_option("path", paths, "Files of cases, or folders of them")->required();
  app.add_option("--device", device, "Where to run")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--filter", options.filter, "Only cases whose name or target contains this");
  app.add_flag("--known-classes", options.known_classes,
               "Skip cases of classes and functions that the library lacks");
  app.add_option("--save", options.save_to, "Save the modules that are built here, as .mdlus");
  app.add_option("--json", json, "Write the results to this file");
  CLI11_PARSE(app, argc, argv);
  if (device == "cuda") options.device = {DeviceType::cuda, 0};

  Counts counts;
  std::vector<Outcome> outcomes;
  for (const std::string& path : paths)
    for (const std::string& file : conformance::case_files(path))
      conformance::run_file(file, options, [&](const Outcome& outcome) {
        count(counts, outcome);
        std::puts(conformance::to_line(outcome).c_str());
        if (!json.empty()) outcomes.push_back(outcome);
      });
  check<Error>(
      counts.passed + counts.failed + counts.skipped > 0, "no case in these paths",
      options.filter.empty() ? "" : cat(" has '", options.filter, "' in its name or target"));
  std::printf("%ld passed, %ld failed, %ld skipped\n", static_cast<long>(counts.passed),
              static_cast<long>(counts.failed), static_cast<long>(counts.skipped));
  if (!json.empty()) io::write_file(json, json_text(counts, outcomes));
  return counts.failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "brume-conformance: %s\n", error.what());
    return 2;
  }
}
