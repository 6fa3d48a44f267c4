// Flows seen at a few points: posterior samples of an unconditional model, guided by observations.

#include <cmath>
#include <cstdio>

#include <CLI/CLI.hpp>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/npy.h>
#include <brume/core/io/png.h>
#include <brume/diffusion/dps.h>
#include <brume/diffusion/metrics.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>

namespace {

using namespace brume;

struct Options {
  std::string model, data, out = "runs/inpainting";
  int64_t fields = 4, members = 8, steps = 40, seed = 1;
  double share = 0.1, noise = 0.05;
  double at_most = HUGE_VAL;  // error between the points over that of guessing 0, to pass
};

constexpr double kDeviation = 0.5;  // of the data, the prior's

// Fields of the flows that training held out (every eighth sample).
Tensor held_out(const Options& o) {
  const Tensor all = io::read_npy(o.data);
  check(all.rank() == 4 && o.fields >= 1 && 8 * o.fields <= all.size(0), o.data,
        ": wants eight samples [N, 1, H, W] for each field, got ", all.shape());
  return slice(all, 0, 7, 8 * o.fields, 8);
}

// Members of the posterior of each field. @shape truth [F, 1, H, W] -> [members, F, 1, H, W]
Tensor posterior(const diffusion::AnyModel& model, const Tensor& mask, const Tensor& seen,
                 const Options& o, Generator& rng) {
  const diffusion::EDMNoiseScheduler scheduler;
  const int64_t F = seen.size(0), N = F * o.members;
  const Shape each{o.members, F, 1, seen.size(2), seen.size(3)};
  const Shape rows{N, 1, seen.size(2), seen.size(3)};
  const auto repeated = [&](const Tensor& x) {
    return reshape(expand(unsqueeze(x, 0), each), rows);
  };
  // What is not known of x0 at noise level t, if the data were Gaussian: t s / sqrt(t^2 + s^2).
  diffusion::Observations observations{.y = repeated(seen), .std_y = o.noise, .gamma = 1.0};
  observations.sigma_fn = [](const Tensor& t) {
    return t * kDeviation * rsqrt(square(t) + kDeviation * kDeviation);
  };
  const diffusion::DPSScorePredictor score(
      bind(model),
      [&](const Tensor& x0, const Tensor& x, const Tensor& t) {
        return scheduler.x0_to_score(x0, x, t);
      },
      {diffusion::DataConsistencyDPSGuidance(repeated(mask), observations)});
  diffusion::NoiseSource noise(rng);
  const Tensor first = slice(scheduler.timesteps(o.steps), 0, 0, 1);
  const Tensor start = scheduler.init_latents(rows, expand(first, {N}), noise);
  const auto show = [](const diffusion::SampleStep& s) {
    std::fprintf(stderr, "\rstep %lld of %lld", static_cast<long long>(s.step),
                 static_cast<long long>(s.steps));
    return true;
  };
  const Tensor x =
      sample(denoiser(scheduler, {.score = score}), start, scheduler,
             {.num_steps = o.steps, .solver = diffusion::EulerSolver{}, .on_step = show});
  std::fputs("\n", stderr);
  return reshape(x, each);
}

double root_mean(const Tensor& squares, const Tensor& where) {
  return std::sqrt(sum(squares * where).item() / sum(where).item());
}

int run(const Options& o) {
  const NoGrad no_grad;
  Generator rng(static_cast<uint64_t>(o.seed));
  const diffusion::AnyModel model(diffusion::load(o.model));
  model.module()->eval();
  const Tensor truth = held_out(o);
  const Tensor mask = convert(lt(uniform(truth.shape(), rng), o.share), DType::f32);
  const Tensor seen = (truth + normal(truth.shape(), rng) * o.noise) * mask;
  const Tensor members = posterior(model, mask, seen, o, rng);

  const Tensor mean_field = mean(members, 0), spread = var(members, 0);
  const Tensor missed = square(mean_field - truth), elsewhere = 1.0 - mask;
  // A member is as far from the mean of the others as the truth is, so the truth from the mean of
  // n members by a factor sqrt(1 + 1 / n) more than their spread.
  const double factor = std::sqrt(1 + 1 / static_cast<double>(o.members));
  std::printf("%lld fields, %.0f %% of their points seen with an error of %.2f\n",
              static_cast<long long>(o.fields), 100 * mean(mask).item(), o.noise);
  std::printf("                     seen     elsewhere\n");
  const double between = root_mean(missed, elsewhere);
  const double zero = root_mean(square(truth), elsewhere);
  std::printf("error of the mean  %8.4f %8.4f\n", root_mean(missed, mask), between);
  std::printf("spread             %8.4f %8.4f\n", factor * root_mean(spread, mask),
              factor * root_mean(spread, elsewhere));
  std::printf("error of zero      %8.4f %8.4f\n", root_mean(square(truth), mask), zero);
  std::printf("CRPS %.4f, of the mean alone %.4f\n", diffusion::crps(members, truth, true),
              diffusion::crps(unsqueeze(mean_field, 0), truth));

  io::make_folders(o.out);
  std::vector<Tensor> row;
  for (int64_t f = 0; f < o.fields; ++f)
    for (const Tensor& x : {truth, seen, mean_field, select(members, 0, 0), select(members, 0, 1),
                            sqrt(spread) * 2.0 - 1.0})
      row.push_back(slice(x, 0, f, f + 1));
  const std::string picture = io::join_path(o.out, "fields.png");
  io::write_png_grid(picture, cat(row, 0),
                     {.columns = 6, .scale = 3, .colours = io::Colours::blue_red});
  std::printf("%s: truth, seen, mean, two members, spread\n", picture.c_str());
  check<Error>(between / zero <= o.at_most, "between the seen points the error is ", between / zero,
               " of that of guessing 0, more than ", o.at_most, " (--at-most)");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // each line as it comes, into a pipe too
  CLI::App app("Flows seen at a few points");
  Options o;
  app.add_option("model", o.model, "a model of flows, as brume train leaves it")->required();
  app.add_option("data", o.data, "the flows, .npy")->required();
  app.add_option("--out", o.out, "folder for the picture")->capture_default_str();
  app.add_option("--fields", o.fields)->capture_default_str();
  app.add_option("--members", o.members, "of each field's ensemble")
      ->check(CLI::Range(2, 1000))
      ->capture_default_str();
  app.add_option("--steps", o.steps)->capture_default_str();
  app.add_option("--share", o.share, "of points that are seen")->capture_default_str();
  app.add_option("--noise", o.noise, "error of an observation")->capture_default_str();
  app.add_option("--seed", o.seed)->capture_default_str();
  app.add_option("--at-most", o.at_most,
                 "fail if the error between the points over that of guessing 0 is more");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "example_inpainting: %s\n", error.what());
    return 1;
  }
}
