#include "tests/conformance/runner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "tests/conformance/kinds.h"

namespace brume::conformance {
namespace {

bool passes(const RunOptions& options, const Outcome& outcome) {
  return outcome.name.find(options.filter) != std::string::npos ||
         outcome.target.find(options.filter) != std::string::npos;
}

// A kernel that a device lacks is no wrong result: such a case is skipped, but never on the CPU.
bool is_missing_kernel(const DeviceError& error, Device device) {
  return device != kCpu &&
         std::string_view(error.what()).find("no kernel on this device") != std::string::npos;
}

// Runs one case; what it throws becomes its failure.
template <class Run>
void run_case(Outcome outcome, const CaseFile& file, const Value* tolerances, const Report& report,
              Run&& run) {
  static const Value kNone{Map()};
  const auto start = std::chrono::steady_clock::now();
  try {
    Findings findings(file, tolerances ? *tolerances : kNone);
    run(findings);
    findings.write_to(outcome);
  } catch (const DeviceError& error) {
    outcome.verdict = is_missing_kernel(error, file.device()) ? Verdict::skipped : Verdict::failed;
    outcome.text = error.what();
  } catch (const std::exception& error) {
    outcome.verdict = Verdict::failed;
    outcome.text = error.what();
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report(outcome);
}

void run_described(const CaseFile& file, const std::string& kind, Findings& findings) {
  if (kind == "module" || kind == "preconditioner") return run_module(file, findings);
  if (kind == "scheduler") return run_scheduler(file, findings);
  if (kind == "loss" || kind == "sampler") return run_objects(file, findings);
  if (kind == "optim") return run_optim(file, findings);
  if (kind == "training") return run_training(file, findings);
  throw UnknownTarget(cat("kind ", kind));
}

}  // namespace

std::vector<std::string> case_files(const std::string& path) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
    if (entry.path().extension() == ".safetensors" && is_case(entry.path().string()))
      out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

void run_file(const std::string& path, const RunOptions& options, const Report& report) {
  std::optional<CaseFile> file;
  Outcome outcome{.name = path, .target = "", .verdict = Verdict::failed};
  try {
    file.emplace(path, options.device);
    const Value& description = file->description();
    const std::string kind = description.at("kind").text("kind");
    outcome.name = cat(kind, '/', description.at("name").text("name"));
    if (kind != "op") {
      outcome.target = description.at("target").text("target");
      if (!passes(options, outcome)) return;
      return run_case(outcome, *file, description.find("tol"), report,
                      [&](Findings& findings) { run_described(*file, kind, findings); });
    }
    for (const Value& sub : description.at("cases").list("cases")) {
      Outcome one{.name = cat(outcome.name, '/', sub.at("id").text("id")),
                  .target = sub.at("target").text("target")};
      if (!passes(options, one)) continue;
      run_case(one, *file, sub.find("tol"), report,
               [&](Findings& findings) { run_op(*file, sub, findings); });
    }
  } catch (const std::exception& error) {
    outcome.text = error.what();
    report(outcome);
  }
}

std::string to_line(const Outcome& o) {
  std::string line = o.verdict == Verdict::passed   ? "ok      "
                     : o.verdict == Verdict::failed ? "FAILED  "
                                                    : "skipped ";
  line += o.name;
  if (!o.target.empty()) line += ' ' + o.target;
  if (o.verdict == Verdict::passed) {
    char ratio[32];
    std::snprintf(ratio, sizeof ratio, " %.2g", o.ratio);
    line += ratio;
    if (!o.key.empty()) line += cat(" (", o.key, ')');
  } else {
    line += ": ";
    if (!o.key.empty()) line += o.key + ": ";
    line += o.text;
  }
  return line;
}

}  // namespace brume::conformance
