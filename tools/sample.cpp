#include "sample.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <span>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/npy.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/nn/model_file.h>

#include "device.h"
#include "run_folder.h"

namespace brume::tools {
namespace {

diffusion::Solver make_solver(const DrawOptions& o, diffusion::NoiseSource& noise) {
  const bool plain = o.solver == "heun" || o.solver == "euler";
  check<Error>(!plain || !o.S_churn, "--churn: ", o.solver,
               " puts no noise back; the solvers edm_stochastic_euler and edm_stochastic_heun do");
  if (o.solver == "heun") return diffusion::HeunSolver{};
  if (o.solver == "euler") return diffusion::EulerSolver{};
  const diffusion::ChurnOptions churn{
      .noise = &noise, .S_churn = o.S_churn.value_or(40), .num_steps = o.steps};
  if (o.solver == "edm_stochastic_euler") return diffusion::EDMStochasticEulerSolver{churn};
  if (o.solver == "edm_stochastic_heun") return diffusion::EDMStochasticHeunSolver{churn};
  throw Error(cat("--solver: '", o.solver,
                  "' is not known; use euler, heun, edm_stochastic_euler or edm_stochastic_heun"));
}

int64_t parse_number(std::string_view text, const std::string& who) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check<FormatError>(error == std::errc() && end == text.data() + text.size(), who,
                     ": wants numbers such as 0-3,7, got '", text, "'");
  return value;
}

}  // namespace

Sampler open_sampler(const std::string& path, Device device) {
  const std::string file = model_of(path);
  Sampler sampler{.model = load_model(file), .notes = {}};
  check<Error>(diffusion::is_model(*sampler.model), "'", file, "' holds a ",
               sampler.model->class_name(),
               ", from which no samples can be drawn: it is no "
               "diffusion model");
  sampler.model->to(device);
  const io::Metadata texts = nn::open_model_file(file).notes;
  const auto notes = texts.find(kSamplingKey);
  if (notes != texts.end())
    sampler.notes = nn::config_from_json<SamplingNotes>(notes->second, file);
  return sampler;
}

Tensor draw(const Sampler& sampler, const std::vector<uint64_t>& seeds,
            const std::vector<int64_t>& classes, const DrawOptions& o) {
  check(!sampler.notes.shape.empty(),
        "sample: the file does not say what shape its samples have; "
        "give --shape, such as --shape 1,8,8");
  const int64_t known = sampler.notes.classes;
  check(classes.empty() == (known == 0), "sample: the model has ", known, " classes; ",
        classes.empty() ? "say which with --classes" : "leave --classes out");
  for (int64_t c : classes)
    check(c < known, "--classes: ", c, " is not one of the model's, which are 0 to ", known - 1);
  const NoGrad no_grad;
  const diffusion::EDMNoiseScheduler scheduler(sampler.notes.noise);
  const Device device = device_of(*sampler.model);
  const diffusion::AnyModel model(sampler.model);
  const Tensor times = scheduler.timesteps(o.steps), first = slice(times, 0, 0, 1);
  std::vector<Tensor> parts;
  for (size_t begin = 0; begin < seeds.size(); begin += static_cast<size_t>(o.batch)) {
    const size_t end = std::min(seeds.size(), begin + static_cast<size_t>(o.batch));
    const auto count = static_cast<int64_t>(end - begin);
    diffusion::NoiseSource noise(std::span<const uint64_t>(seeds).subspan(begin, end - begin));
    Tensor condition;
    if (!classes.empty()) {
      const std::vector<int64_t> some(classes.begin() + static_cast<int64_t>(begin),
                                      classes.begin() + static_cast<int64_t>(end));
      condition = transfer(one_hot(from_vector(some, {count}), known), device);
    }
    Shape shape{count};
    for (int64_t size : sampler.notes.shape) shape.push_back(size);
    const Tensor start =
        transfer(scheduler.init_latents(shape, expand(first, {count}), noise), device);
    const auto denoiser = diffusion::denoiser(scheduler, {.x0 = bind(model, condition)});
    const auto show = [&](const diffusion::SampleStep& s) {
      if (!o.quiet) {
        std::printf("\rsamples %zu-%zu of %zu, step %lld/%lld ", begin + 1, end, seeds.size(),
                    static_cast<long long>(s.step), static_cast<long long>(s.steps));
        std::fflush(stdout);
      }
      return true;
    };
    parts.push_back(diffusion::sample(denoiser, contiguous(start, Layout::channels_last), scheduler,
                                      {.num_steps = o.steps,
                                       .solver = make_solver(o, noise),
                                       .time_steps = times,
                                       .on_step = show}));
  }
  if (!o.quiet) std::printf("\n");
  return transfer(cat(parts, 0), kCpu);
}

void write_picture(const std::string& path, const Tensor& x, io::Colours colours, int64_t columns) {
  io::write_png_grid(
      path, x,
      {.columns = columns, .scale = std::max<int64_t>(1, 48 / x.size(-1)), .colours = colours});
}

int sample(const SampleArguments& a) {
  check<Error>(
      a.out.ends_with(".png") || a.out.ends_with(".npy") || a.out.ends_with(".safetensors"),
      "--out: wants a name that ends in .png, .npy or .safetensors, got '", a.out, "'");
  Sampler sampler = open_sampler(a.path, a.device);
  if (!a.shape.empty()) sampler.notes.shape = a.shape;
  std::vector<uint64_t> seeds;
  for (int64_t seed : a.seeds.empty() ? std::vector<int64_t>{} : parse_list(a.seeds, "--seeds"))
    seeds.push_back(static_cast<uint64_t>(seed));
  const int64_t num = a.num.value_or(seeds.empty() ? 16 : static_cast<int64_t>(seeds.size()));
  if (seeds.empty())
    for (int64_t i = 0; i < num; ++i) seeds.push_back(static_cast<uint64_t>(i));
  check(static_cast<int64_t>(seeds.size()) == num, "--seeds: ", seeds.size(), " seeds for ", num,
        " samples; leave --num out, or list as many");
  std::vector<int64_t> classes;
  if (!a.classes.empty()) classes = spread_classes(parse_list(a.classes, "--classes"), num);
  const Tensor x = draw(sampler, seeds, classes, a.draw);
  if (a.out.ends_with(".png")) {
    // A row for each class.
    const auto rows =
        static_cast<int64_t>(a.classes.empty() ? 0 : parse_list(a.classes, "--classes").size());
    write_picture(a.out, x, sampler.notes.colours, rows > 0 ? num / rows : 0);
  } else if (a.out.ends_with(".npy")) {
    io::write_npy(a.out, x);
  } else {
    const std::pair<std::string, Tensor> entry{"samples", x};
    io::save_safetensors(a.out, std::span<const std::pair<std::string, Tensor>>(&entry, 1));
  }
  std::printf("%s: %lld samples\n", a.out.c_str(), static_cast<long long>(num));
  return 0;
}

std::vector<int64_t> parse_list(const std::string& text, const std::string& who) {
  std::vector<int64_t> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = std::string_view(text).substr(begin, end - begin);
    const size_t dash = part.find('-', 1);
    const int64_t low = parse_number(part.substr(0, dash), who);
    const int64_t high =
        dash == std::string_view::npos ? low : parse_number(part.substr(dash + 1), who);
    check<FormatError>(low >= 0 && low <= high && high - low < 10'000'000, who, ": '", part,
                       "' is no range");
    for (int64_t i = low; i <= high; ++i) out.push_back(i);
    begin = end + 1;
  }
  return out;
}

std::vector<int64_t> spread_classes(const std::vector<int64_t>& listed, int64_t num) {
  const auto count = static_cast<int64_t>(listed.size());
  check(num % count == 0, "--num: ", num, " samples do not share out over ", count,
        " classes; take a multiple of ", count, ", such as ", (num / count + 1) * count);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < num; ++i) out.push_back(listed[static_cast<size_t>(i / (num / count))]);
  return out;
}

}  // namespace brume::tools
