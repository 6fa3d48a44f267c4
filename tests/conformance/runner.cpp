#include "tests/conformance/runner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include <brume/core/io/fs.h>
#include <brume/core/json.h>

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
void run_case(Outcome outcome, const CaseFile& file, const Value* tolerances,
              const RunOptions& options, const Report& report, Run&& run) {
  static const Value kNone{Map()};
  const auto start = std::chrono::steady_clock::now();
  try {
    Findings findings(file, tolerances ? *tolerances : kNone);
    run(findings);
    findings.write_to(outcome);
  } catch (const DeviceError& error) {
    outcome.verdict = is_missing_kernel(error, file.device()) ? Verdict::skipped : Verdict::failed;
    outcome.text = error.what();
  } catch (const UnknownTarget& error) {
    outcome.verdict = options.known_classes ? Verdict::skipped : Verdict::failed;
    outcome.text = error.what();
  } catch (const std::exception& error) {
    outcome.verdict = Verdict::failed;
    outcome.text = error.what();
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report(outcome);
}

void run_described(const CaseFile& file, const std::string& kind, const RunOptions& options,
                   Findings& findings) {
  if (kind == "module" || kind == "preconditioner")
    return run_module(file, options.save_to, findings);
  if (kind == "scheduler") return run_scheduler(file, findings);
  if (kind == "loss" || kind == "sampler") return run_objects(file, findings);
  if (kind == "optim") return run_optim(file, findings);
  if (kind == "training") return run_training(file, findings);
  if (kind == "checkpoint") return run_checkpoint(file, findings);
  throw UnknownTarget(cat("kind ", kind));
}

}  // namespace

namespace {

// The folder bad/ holds files that must be refused, and a list of them that says why.
bool in_refusals(const std::filesystem::path& path) {
  return path.parent_path().filename() == "bad";
}
bool is_refusals(const std::filesystem::path& path) {
  return in_refusals(path) && path.filename() == "index.json";
}

void run_refusals(const std::string& path, const RunOptions& options, const Report& report) {
  const Value index = parse(io::read_file(path, kMaxJsonBytes), path);
  const CaseFile no_tensors(io::folder_of(path));
  for (const Value& bad : index.at("cases").list("cases")) {
    const std::string& name = bad.at("file").text("file");
    Outcome outcome{.name = cat("bad/", name), .target = bad.at("format").text("format")};
    if (!passes(options, outcome)) continue;
    run_case(outcome, no_tensors, nullptr, options, report, [&](Findings& findings) {
      run_refusal(io::join_path(no_tensors.folder(), name), bad, findings);
    });
  }
}

}  // namespace

std::vector<std::string> case_files(const std::string& path) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> out;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
    if (is_refusals(entry.path()) || (entry.path().extension() == ".safetensors" &&
                                      !in_refusals(entry.path()) && is_case(entry.path())))
      out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

void run_file(const std::string& path, const RunOptions& options, const Report& report) {
  std::optional<CaseFile> file;
  Outcome outcome{.name = path, .target = "", .verdict = Verdict::failed};
  try {
    if (is_refusals(path)) return run_refusals(path, options, report);
    file.emplace(path, options.device);
    const Value& description = file->description();
    const std::string kind = description.at("kind").text("kind");
    outcome.name = cat(kind, '/', description.at("name").text("name"));
    if (kind != "op") {
      outcome.target = description.at("target").text("target");
      if (!passes(options, outcome)) return;
      return run_case(outcome, *file, description.find("tol"), options, report,
                      [&](Findings& findings) { run_described(*file, kind, options, findings); });
    }
    for (const Value& sub : description.at("cases").list("cases")) {
      Outcome one{.name = cat(outcome.name, '/', sub.at("id").text("id")),
                  .target = sub.at("target").text("target")};
      if (!passes(options, one)) continue;
      run_case(one, *file, sub.find("tol"), options, report,
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
