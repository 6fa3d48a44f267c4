// brume-bench: one line per row, JSON on request.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <brume/core/backend.h>
#include <brume/core/cpu/isa.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/error.h>
#include <brume/core/io/atomic_file.h>

#include "bench/clock.h"
#include "bench/row.h"

namespace brume::bench {
namespace {

const double process_start = seconds();

struct Timing {
  double median = 0, least = 0;  // ms
  double share = 0;              // of the peak, the median
};

double median(std::vector<double>& x) {
  std::nth_element(x.begin(), x.begin() + static_cast<int64_t>(x.size()) / 2, x.end());
  return x[x.size() / 2];
}

// Repeats for about `budget` seconds, at least five times. The peak is taken in turns with the
// work: clocks change from moment to moment, and by a third.
Timing time(const std::function<void()>& work, double budget, double flops = 0) {
  work();
  std::vector<double> ms, shares;
  double peak = flops > 0 ? peak_gflops(1) : 0;
  for (const double start = seconds(); ms.size() < 5 || seconds() - start < budget;) {
    const double before = seconds();
    work();
    ms.push_back((seconds() - before) * 1e3);
    if (flops == 0) continue;
    const double again = peak_gflops(1);
    shares.push_back(flops / ms.back() * 1e-6 * 2 / (peak + again));
    peak = again;
  }
  return {median(ms), *std::min_element(ms.begin(), ms.end()), flops > 0 ? median(shares) : 0};
}

// Time of a part of `beside` over that of the step, in turns.
double ratio_beside(const Work& work, double budget) {
  std::vector<double> ratios;
  for (const double start = seconds(); ratios.size() < 5 || seconds() - start < budget;) {
    const double before = seconds();
    work.step();
    const double between = seconds();
    work.beside();
    ratios.push_back((seconds() - between) / (between - before) / work.beside_parts);
  }
  return median(ratios);
}

// The largest resident memory since reset_peak_rss(), where the system tells.
void reset_peak_rss() { std::ofstream("/proc/self/clear_refs") << 5; }
double peak_rss_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

// Allocations answered from the CPU's pool since `before`, as a share; 1 if there were none.
double pool_hit_rate(const MemoryStats& before) {
  const MemoryStats now = memory_stats();
  const auto hits = static_cast<double>(now.hits - before.hits),
             misses = static_cast<double>(now.misses - before.misses);
  return hits + misses > 0 ? hits / (hits + misses) : 1;
}

// `start_up`: seconds from the start of the process until its rows begin.
nlohmann::json run(const Row& row, double budget, double start_up) {
  const double begin = seconds();
  const Work work = row.set_up();
  reset_peak_rss();
  work.step();
  const double t_first_step = start_up + seconds() - begin;
  const MemoryStats first = memory_stats();
  const Timing step = time(work.step, budget, work.step_flops);
  const double hit_rate = pool_hit_rate(first);
  const double gflops = work.step_flops / step.least * 1e-6;
  nlohmann::json out{{"cfg", row.name},
                     {"params", work.params},
                     {"step_med_ms", step.median},
                     {"step_min_ms", step.least},
                     {"gflops", gflops},
                     {"peak_share", step.share},
                     {"t_first_step", t_first_step},
                     {"pool_hit_rate", hit_rate}};
  if (work.beside) out[cat(work.beside_name, "_ratio")] = ratio_beside(work, budget);
  std::printf("%-34s %10.4f %10.4f", row.name.c_str(), step.median, step.least);
  if (work.step_flops > 0)
    std::printf(" %9.1f %5.0f %%", gflops, 100 * step.share);
  else if (work.step_bytes > 0)
    std::printf(" %7.1f GB/s   ", work.step_bytes / step.least * 1e-6);
  else if (work.beside)
    std::printf(" %-8s %6.2f x", work.beside_name,
                out[cat(work.beside_name, "_ratio")].get<double>());
  else
    std::printf(" %17s", "");
  if (work.sample) {
    const Timing sample = time(work.sample, 4 * budget);
    out["sample_med_ms"] = sample.median;
    out["sample_min_ms"] = sample.least;
    std::printf(" %10.2f %10.2f", sample.median, sample.least);
  } else {
    std::printf(" %21s", "");
  }
  out["rss_mb"] = peak_rss_mb();
  std::printf(" %7.0f\n", peak_rss_mb());
  std::fflush(stdout);
  return out;
}

bool chosen(const Row& row, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return !row.on_request;
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) {
    return w.ends_with('*') ? row.name.starts_with(w.substr(0, w.size() - 1)) : row.name == w;
  });
}

int bench(int argc, char** argv) {
  std::vector<std::string> wanted;
  std::string json;
  int threads = num_threads();
  double budget = 0.5;
  bool list = false, cpu_time = false, once = false;
  CLI::App app("Times kernels and models, beside the multiply-add peak of this machine");
  app.add_option("--rows", wanted, "Names, or beginnings followed by *")->delimiter(',');
  app.add_option("--threads", threads, "Threads of the kernels")->check(CLI::PositiveNumber);
  app.add_option("--json", json, "Also write the figures to this file");
  app.add_option("--seconds", budget, "Time per figure")->check(CLI::PositiveNumber);
  app.add_flag("--cpu-time", cpu_time,
               "On one thread, count its CPU time: for a machine that others keep busy");
  app.add_flag(
      "--once", once,
      "Only set up each row and run its step once; prints the seconds that it takes a process");
  app.add_flag("--list", list, "Print the names of the rows");
  CLI11_PARSE(app, argc, argv);

  Rows rows;
  add_gemm_rows(rows);
  add_conv_rows(rows);
  add_norm_rows(rows);
  add_attention_rows(rows);
  add_pointwise_rows(rows);
  add_model_rows(rows);
  add_optim_rows(rows);
  add_file_rows(rows);
  add_sampler_rows(rows);
  add_gpu_rows(rows);
  std::erase_if(rows, [&](const Row& row) { return !chosen(row, wanted); });
  if (rows.empty()) {
    std::fprintf(stderr, "brume-bench: no row has such a name; --list prints them\n");
    return 2;
  }
  if (list) {
    for (const Row& row : rows) std::printf("%s\n", row.name.c_str());
    return 0;
  }
  const double start_up = seconds() - process_start;
  if (cpu_time) {
    threads = 1;
    count_cpu_time();
  }
  set_num_threads(threads);
  if (once) {
    for (const Row& row : rows) {
      const double begin = seconds();
      row.set_up().step();
      std::printf("%-34s first step after %.3f s\n", row.name.c_str(),
                  start_up + seconds() - begin);
    }
    return 0;
  }
  const double peak = peak_gflops(400);
  std::printf("peak %.1f GFLOP/s (%s, %d threads)\n", peak, cpu::name(cpu::isa()), threads);
  std::printf("%-34s %10s %10s %9s %7s %10s %10s %7s\n", "row", "median ms", "min ms", "GFLOP/s",
              "peak", "sample med", "sample min", "MB");
  nlohmann::json out{{"peak_gflops", peak}, {"rows", nlohmann::json::array()}};
  for (const Row& row : rows) out["rows"].push_back(run(row, budget, start_up));
  if (!json.empty()) io::write_file(json, out.dump(2) + '\n');
  return 0;
}

}  // namespace
}  // namespace brume::bench

int main(int argc, char** argv) {
  try {
    return brume::bench::bench(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "brume-bench: %s\n", e.what());
    return 1;
  }
}
