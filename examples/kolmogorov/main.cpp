// Vorticity fields of Kolmogorov flow: data for a diffusion model, and how its samples compare.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/plot.h>
#include <brume/core/io/png.h>
#include <brume/nn/config.h>

#include "examples/kolmogorov/ensemble.h"
#include "examples/kolmogorov/spectrum.h"

namespace {

using namespace brume;
using namespace brume::kolmogorov;

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr double kStandardDeviation = 0.5;  // of the data as written: the EDM schedule's sigma_data

// A folder of data: vorticity.npy, and what it is in vorticity.json.
struct DataNotes {
  double unit = 1;  // the vorticity that the number 1 stands for
  EnsembleOptions ensemble;
  template <class V>
  void fields(V& v) {
    v("unit", unit);
    v("ensemble", ensemble);
  }
};

template <class C>
C read_config(const std::string& path) {
  return nn::config_from_json<C>(io::read_file(path, kMaxConfigBytes), path);
}

void write_data(const std::string& config, const std::string& folder) {
  DataNotes notes{.ensemble = read_config<EnsembleOptions>(config)};
  const Tensor vorticity = vorticity_samples(notes.ensemble, [&](int64_t done) {
    std::fprintf(stderr, "\rsamples %lld of %lld", static_cast<long long>(done),
                 static_cast<long long>(notes.ensemble.samples));
  });
  std::fputs("\n", stderr);
  const double deviation = std::sqrt(mean(square(vorticity)).item());  // the mean is 0
  notes.unit = deviation / kStandardDeviation;
  const Tensor x = vorticity / notes.unit;
  io::make_folders(folder);
  io::write_npy(io::join_path(folder, "vorticity.npy"), x);
  io::write_file(io::join_path(folder, "vorticity.json"), nn::config_to_json(notes, 2) + "\n");
  io::write_png_grid(io::join_path(folder, "vorticity.png"),
                     slice(x, 0, 0, std::min<int64_t>(16, x.size(0))),
                     {.scale = 3, .colours = io::Colours::blue_red});
  std::printf("%s: fields %s, standard deviation of the vorticity %.3f\n", folder.c_str(),
              to_string(x.shape()).c_str(), deviation);
}

void compare_spectra(const std::string& folder, const std::string& samples, const std::string& out,
                     int64_t band) {
  const auto notes = read_config<DataNotes>(io::join_path(folder, "vorticity.json"));
  const Tensor data = io::read_npy(io::join_path(folder, "vorticity.npy"));
  const Tensor drawn = io::read_npy(samples);
  check(data.shape().rank() == drawn.shape().rank() && data.size(-1) == drawn.size(-1),
        "spectrum: the data are ", data.shape(), ", but the samples are ", drawn.shape());
  const auto of_data = energy_spectrum(data * notes.unit);
  const auto of_samples = energy_spectrum(drawn * notes.unit);
  const int64_t whole_shells = (data.size(-1) - 1) / 2;
  check(0 < band && band <= whole_shells, "--band: wants 1 to ", whole_shells, ", got ", band);

  io::PlotLine data_line{.name = "data", .x = {}, .y = {}},
      samples_line{.name = "samples", .x = {}, .y = {}};
  double worst = 0;
  std::printf(" k   E(k) of data   of samples   ratio\n");
  for (int64_t k = 1; k <= whole_shells; ++k) {
    const double a = of_data[static_cast<size_t>(k)], b = of_samples[static_cast<size_t>(k)];
    std::printf("%2lld   %12.4e %12.4e   %5.3f\n", static_cast<long long>(k), a, b, b / a);
    if (k <= band) worst = std::max(worst, std::abs(std::log(b / a)));
    data_line.x.push_back(static_cast<double>(k));
    data_line.y.push_back(a);
    samples_line.x.push_back(static_cast<double>(k));
    samples_line.y.push_back(b);
  }
  io::write_plot(out, {data_line, samples_line},
                 {.title = cat("kinetic energy of ", data.size(0), " fields of data and ",
                               drawn.size(0), " samples"),
                  .x_label = "wavenumber k",
                  .y_label = "E(k)",
                  .log_x = true,
                  .log_y = true});
  std::printf(
      "%s: for k = 1 to %lld the samples' energy is within a factor of %.3f of the data's\n",
      out.c_str(), static_cast<long long>(band), std::exp(worst));
}

int run(int argc, char** argv) {
  CLI::App app("Vorticity fields of Kolmogorov flow");
  app.require_subcommand(1);
  std::string config, folder, samples, out;
  int64_t band = 10;
  auto* data = app.add_subcommand("data", "run the flows that a JSON file describes");
  data->add_option("config", config, "the options")->required();
  data->add_option("--out", folder, "folder for the data")->required();
  auto* spectrum = app.add_subcommand("spectrum", "compare samples with data by their energy");
  spectrum->add_option("data", folder, "folder of the data")->required();
  spectrum->add_option("samples", samples, "samples as .npy")->required();
  spectrum->add_option("--out", out, "the plot")->default_val("spectrum.png");
  spectrum->add_option("--band", band, "largest wavenumber to judge")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (data->parsed()) write_data(config, folder);
  if (spectrum->parsed()) compare_spectra(folder, samples, out, band);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_kolmogorov: %s\n", error.what());
    return 1;
  }
}
