#include "sample.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <span>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/diffusion/ensemble.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/solvers/edm_stochastic.h>
#include <brume/diffusion/solvers/exponential.h>
#include <brume/nn/data/dataset.h>
#include <brume/nn/model_file.h>
#include <brume/nn/nearest.h>

#include "device.h"
#include "run_folder.h"
#include "signal_watch.h"

namespace brume::tools {
namespace {

constexpr int64_t kMostAtOnce = 10'000'000;  // samples or listed numbers: each takes some bytes

// A solver and what its denoiser is.
struct Method {
  diffusion::Solver solver;
  diffusion::DenoisingType type = diffusion::DenoisingType::ode;
};

// What solvers are made of.
struct Parts {
  const diffusion::EDMNoiseScheduler& scheduler;
  diffusion::ChurnOptions churn;
};

struct NamedSolver {
  std::string_view name;
  bool puts_noise_back;
  Method (*make)(const Parts&);
};

constexpr auto kX0 = diffusion::DenoisingType::x0;

constexpr NamedSolver kSolvers[] = {
    {"heun", false, [](const Parts&) { return Method{diffusion::HeunSolver{}}; }},
    {"euler", false, [](const Parts&) { return Method{diffusion::EulerSolver{}}; }},
    {"ddim", false,
     [](const Parts& p) {
       return Method{diffusion::DDIMSolver{.scheduler = &p.scheduler}, kX0};
     }},
    {"dpm", false,
     [](const Parts& p) {
       return Method{diffusion::DPMSolverPlusPlus({.scheduler = &p.scheduler}), kX0};
     }},
    {"unipc", false,
     [](const Parts& p) {
       return Method{diffusion::UniPCSolver({.scheduler = &p.scheduler}), kX0};
     }},
    {"edm_stochastic_euler", true,
     [](const Parts& p) { return Method{diffusion::EDMStochasticEulerSolver{p.churn}}; }},
    {"edm_stochastic_heun", true,
     [](const Parts& p) { return Method{diffusion::EDMStochasticHeunSolver{p.churn}}; }},
};

const NamedSolver& solver_of(const DrawOptions& o) {
  std::vector<std::string_view> names;
  for (const NamedSolver& solver : kSolvers) names.push_back(solver.name);
  const auto found = std::find(names.begin(), names.end(), o.solver);
  check<Error>(found != names.end(), "--solver: '", o.solver, "' is not known",
               found == names.end() ? nn::suggestion(o.solver, names) : "");
  return kSolvers[found - names.begin()];
}

int64_t parse_number(std::string_view text, const std::string& who) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check<FormatError>(error == std::errc() && end == text.data() + text.size(), who,
                     ": wants numbers such as 0-3,7, got '", text, "'");
  return value;
}

}  // namespace

std::string solver_names() {
  std::string names;
  for (const NamedSolver& solver : kSolvers) names += cat(names.empty() ? "" : ", ", solver.name);
  return names;
}

void check_solver(const DrawOptions& o) {
  check<Error>(o.steps >= 2 && o.steps <= diffusion::kMostSteps, "--steps: wants 2 to ",
               diffusion::kMostSteps, ", got ", o.steps);
  const NamedSolver& chosen = solver_of(o);
  if (!o.S_churn) return;
  check<Error>(std::isfinite(*o.S_churn) && *o.S_churn >= 0,
               "--churn: wants a number that is not negative, got ", *o.S_churn);
  if (chosen.puts_noise_back) return;
  std::string others;
  for (const NamedSolver& solver : kSolvers)
    if (solver.puts_noise_back) others += cat(others.empty() ? "" : " and ", solver.name);
  throw Error(cat("--churn: ", o.solver, " puts no noise back; the solvers ", others, " do"));
}

Sampler open_sampler(const nn::ModelFile& file, Device device) {
  Sampler sampler{.model = load_model(file), .notes = {}};
  check<Error>(diffusion::is_model(*sampler.model), "'", file.path, "' holds a ",
               sampler.model->class_name(),
               ", from which no samples can be drawn: it is no "
               "diffusion model");
  sampler.model->to(device);
  const auto notes = file.notes.find(kSamplingKey);
  if (notes != file.notes.end())
    sampler.notes = nn::config_from_json<SamplingNotes>(notes->second, file.path);
  // The notes come from a file, which may claim anything.
  const int64_t classes = sampler.notes.classes;
  check<FormatError>(classes >= 0 && classes <= nn::kMostClasses, file.path, ": ", kSamplingKey,
                     " wants 0 to ", nn::kMostClasses, " classes, got ", classes);
  check<FormatError>(numel(Shape(sampler.notes.shape)) > 0, file.path, ": ", kSamplingKey,
                     " wants a shape of positive sizes, got ", Shape(sampler.notes.shape));
  return sampler;
}

namespace {

// The model as a predictor. Whether it takes the shape of the samples is its first call's to say.
diffusion::Predictor x0_of(const Sampler& sampler, const Tensor& condition) {
  return [x0 = bind(diffusion::AnyModel(sampler.model), condition), shape = sampler.notes.shape,
          tried = false](const Tensor& x, const Tensor& t) mutable {
    if (tried) return x0(x, t);
    tried = true;
    try {
      return x0(x, t);
    } catch (const ShapeError& error) {
      throw ShapeError(cat("sample: the model does not take samples of shape ", Shape(shape), ": ",
                           error.what()));
    }
  };
}

// One batch; `shown` stands before the steps in the line of progress.
Tensor draw_batch(const Sampler& sampler, std::span<const uint64_t> seeds,
                  std::span<const int64_t> classes, const DrawOptions& o,
                  const std::string& shown) {
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
  const Tensor times = scheduler.timesteps(o.steps), first = slice(times, 0, 0, 1);
  const auto count = static_cast<int64_t>(seeds.size());
  diffusion::NoiseSource noise(seeds);
  Tensor condition;
  if (!classes.empty())
    condition = transfer(nn::one_hot(from_span(classes, {count}), known), device);
  Shape shape{count};
  for (int64_t size : sampler.notes.shape) shape.push_back(size);
  const Tensor start =
      transfer(scheduler.init_latents(shape, expand(first, {count}), noise), device);
  const Method method = solver_of(o).make(
      {.scheduler = scheduler,
       .churn = {.noise = &noise, .S_churn = o.S_churn.value_or(kChurn), .num_steps = o.steps}});
  const auto denoiser =
      diffusion::denoiser(scheduler, {.x0 = x0_of(sampler, condition), .type = method.type});
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const auto show = [&](const diffusion::SampleStep& s) {
    if (!o.quiet && terminal)
      std::fprintf(stderr, "\r\033[K%s, step %lld/%lld", shown.c_str(),
                   static_cast<long long>(s.step), static_cast<long long>(s.steps));
    return !(o.stop && o.stop());
  };
  const Tensor x = diffusion::sample(
      denoiser, contiguous(start, Layout::channels_last), scheduler,
      {.num_steps = o.steps, .solver = method.solver, .time_steps = times, .on_step = show});
  if (!o.quiet && terminal) std::fputs("\r\033[K", stderr);
  if (o.stop && o.stop()) throw Stopped{};
  if (!o.quiet && !terminal) std::fprintf(stderr, "%s\n", shown.c_str());
  return x;
}

// One sample per seed, `batch` at a time.
diffusion::DrawMembers members_of(const Sampler& sampler, size_t total,
                                  std::span<const int64_t> classes, const DrawOptions& o) {
  return [&sampler, total, classes, &o](int64_t first, std::span<const uint64_t> seeds) {
    const auto begin = static_cast<size_t>(first);
    const auto some = classes.empty() ? classes : classes.subspan(begin, seeds.size());
    return draw_batch(sampler, seeds, some, o,
                      cat("samples ", begin + 1, "-", begin + seeds.size(), " of ", total));
  };
}

}  // namespace

Tensor draw(const Sampler& sampler, const std::vector<uint64_t>& seeds,
            const std::vector<int64_t>& classes, const DrawOptions& o) {
  const auto members = members_of(sampler, seeds.size(), classes, o);
  const std::span<const uint64_t> all(seeds);
  std::vector<Tensor> parts;
  for (size_t begin = 0; begin < seeds.size(); begin += static_cast<size_t>(o.batch))
    parts.push_back(
        members(static_cast<int64_t>(begin),
                all.subspan(begin, std::min(static_cast<size_t>(o.batch), all.size() - begin))));
  return transfer(cat(parts, 0), kCpu);
}

bool is_picture(const std::vector<int64_t>& shape) { return shape.size() == 3; }

void write_picture(const std::string& path, const Tensor& x, io::Colours colours, int64_t columns) {
  const int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const bool one_each = C == 1 || (C == 3 && colours == io::Colours::plain);
  if (!one_each && columns == 0)
    columns = std::max<int64_t>(
        1, std::llround(std::sqrt(static_cast<double>(B) / static_cast<double>(C))));
  io::write_png_grid(path, one_each ? x : reshape(x, {B * C, 1, H, W}),
                     {.columns = one_each ? columns : columns * C,
                      .scale = std::max<int64_t>(1, 48 / W),
                      .colours = colours});
}

namespace {

// What --shape asks for instead of what the model's file says.
void change_shape(SamplingNotes& notes, const std::vector<int64_t>& shape) {
  check(std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size > 0; }),
        "--shape: wants positive sizes, got ", Shape(shape));
  if (!notes.shape.empty() && notes.shape != shape)
    std::fprintf(stderr,
                 "brume: sample: warning: the model was trained on %s; --shape draws %s instead\n",
                 to_string(Shape(notes.shape)).c_str(), to_string(Shape(shape)).c_str());
  notes.shape = shape;
}

int draw_to_file(const SampleArguments& a) {
  check_solver(a.draw);
  check<Error>(
      a.out.ends_with(".png") || a.out.ends_with(".npy") || a.out.ends_with(".safetensors"),
      "--out: wants a name that ends in .png, .npy or .safetensors, got '", a.out, "'");
  const std::string folder = std::filesystem::path(a.out).parent_path().string();
  check<Error>(folder.empty() || io::file_status(folder).kind == io::FileKind::folder,
               "--out: there is no folder '", folder, "'; make it first");
  io::check_can_write(a.out);
  check(a.num.value_or(1) <= kMostAtOnce, "--num: at most ", kMostAtOnce, " at once, got ",
        a.num.value_or(1), "; draw them in parts with --seeds");
  Sampler sampler = open_sampler(nn::open_model_file(model_of(a.path)), a.device);
  if (!a.shape.empty()) change_shape(sampler.notes, a.shape);
  const std::vector<int64_t>& shape = sampler.notes.shape;
  check(!a.out.ends_with(".png") || shape.empty() || is_picture(shape), "--out: samples of shape ",
        Shape(shape), " are no pictures [C, H, W]; write .npy or .safetensors");
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
  if (a.out.ends_with(".npy")) {
    (void)diffusion::write_ensemble(
        a.out, seeds, members_of(sampler, seeds.size(), classes, a.draw), {.batch = a.draw.batch});
    std::printf("%s: %lld samples\n", a.out.c_str(), static_cast<long long>(num));
    return 0;
  }
  const Tensor x = draw(sampler, seeds, classes, a.draw);
  if (a.out.ends_with(".png")) {
    // A row for each class.
    const auto rows =
        static_cast<int64_t>(a.classes.empty() ? 0 : parse_list(a.classes, "--classes").size());
    write_picture(a.out, x, sampler.notes.colours, rows > 0 ? num / rows : 0);
  } else {
    const std::pair<std::string, Tensor> entry{"samples", x};
    io::save_safetensors(a.out, std::span<const std::pair<std::string, Tensor>>(&entry, 1));
  }
  std::printf("%s: %lld samples\n", a.out.c_str(), static_cast<long long>(num));
  return 0;
}

}  // namespace

int sample(const SampleArguments& arguments) {
  const SignalWatch watch;
  SampleArguments watched = arguments;
  watched.draw.stop = [] { return SignalWatch::seen() != 0; };
  try {
    return draw_to_file(watched);
  } catch (const Stopped&) {
    std::fprintf(stderr, "brume: sample: stopped before the last sample; '%s' was not written\n",
                 arguments.out.c_str());
    return SignalWatch::exit_code();
  }
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
    check<FormatError>(low >= 0 && low <= high && high - low < kMostAtOnce, who, ": '", part,
                       "' is no range of up to ", kMostAtOnce, " numbers");
    const int64_t count = high - low + 1;
    check<FormatError>(static_cast<int64_t>(out.size()) <= kMostAtOnce - count, who, ": more than ",
                       kMostAtOnce, " numbers");
    for (int64_t i = 0; i < count; ++i) out.push_back(low + i);
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
