#pragma once
// One line of the benchmark: something that is set up once and timed many times.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace brume::bench {

/// What a row times. Building one may allocate; calling `step` must do the same work every time.
struct Work {
  std::function<void()> step;
  double step_flops = 0;           // multiply-adds count two; 0: no rate is printed
  double step_bytes = 0;           // read and written; 0: no bandwidth is printed
  std::function<void()> sample{};  // a whole sampling run, for models
  int64_t params = 0;
  // Timed in turns with step: the row says how often step would fit into its time, or into one of
  // so many equal parts of it. A gradient, and its inputs; or what more work with the same data is.
  std::function<void()> beside{};
  int beside_parts = 1;
  const char* beside_name = "gradient";
};

struct Row {
  std::string name;
  std::function<Work()> set_up;
  bool on_request = false;  // only where its name is asked for
};
using Rows = std::vector<Row>;

// One file per group; main.cpp lists them.
void add_gemm_rows(Rows& rows);
void add_conv_rows(Rows& rows);
void add_model_rows(Rows& rows);
void add_norm_rows(Rows& rows);
void add_attention_rows(Rows& rows);
void add_pointwise_rows(Rows& rows);
void add_optim_rows(Rows& rows);
void add_file_rows(Rows& rows);
void add_sampler_rows(Rows& rows);
void add_gpu_rows(Rows& rows);

/// Multiply-add rate of all threads in the instruction set in use, the best of `repeats`, GFLOP/s.
double peak_gflops(int repeats);

}  // namespace brume::bench
