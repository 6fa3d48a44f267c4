#include <brume/core/random.h>

#include <cmath>

#include <brume/core/backend.h>
#include <brume/core/math/philox.h>
#include <brume/core/recording.h>
#include <brume/core/torch_stream.h>

namespace brume {
namespace {

template <class T>
View view_of(std::span<T> out) {
  return {out.data(), dtype_of<T>, Shape{static_cast<int64_t>(out.size())}, Strides{1}};
}

const RandomKernels& host() { return backend(DeviceType::cpu).random; }

// Element `index` of a gamma draw. Each attempt takes one block: 64 bits for a normal's radius, 32
// for its angle, 32 for the decision.
// @source Marsaglia and Tsang 2000, A simple method for generating gamma variables
double gamma_element(uint64_t seed, uint64_t offset, uint64_t index, double shape) {
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (uint64_t attempt = 0;; ++attempt) {
    const math::Words words = math::philox(seed, offset, index | attempt << 48);
    const double x = math::normal_from<double>(uint64_t{words.w[0]} << 32 | words.w[1],
                                               uint64_t{words.w[2]} << 32)
                         .a;
    const double u = (static_cast<double>(words.w[3]) + 0.5) * 0x1p-32;
    const double y = 1 + c * x, v = y * y * y;
    if (y > 0 && std::log(u) < 0.5 * x * x + d * (1 - v + std::log(v))) return d * v;
  }
}

}  // namespace

Generator::Generator(uint64_t seed) : seed_(seed), offset_(std::make_shared<uint64_t>(0)) {}
Generator::Generator(std::shared_ptr<const std::vector<RecordedDraw>> recording)
    : offset_(std::make_shared<uint64_t>(0)), recording_(std::move(recording)) {}
Generator::Generator(const Generator& other)
    : seed_(other.seed_),
      offset_(std::make_shared<uint64_t>(*other.offset_)),
      torch_(other.torch_ ? std::make_unique<TorchStream>(*other.torch_) : nullptr),
      recording_(other.recording_) {}
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator other) noexcept {
  seed_ = other.seed_;
  offset_ = std::move(other.offset_);
  torch_ = std::move(other.torch_);
  recording_ = std::move(other.recording_);
  return *this;
}
Generator::~Generator() = default;

Generator Generator::torch_cpu(uint64_t seed) {
  Generator generator(seed);
  generator.torch_ = std::make_unique<TorchStream>(seed);
  return generator;
}

uint64_t Generator::advance(uint64_t n) {
  check<Error>(!torch_ && !recording_,
               "random: this generator replays a stream, which only whole tensors of normal, "
               "uniform, integer or gamma numbers can be taken from; use Generator(seed)");
  if (Recording* const recording = Recording::current()) recording->watch(offset_);
  const uint64_t first = *offset_;
  *offset_ += n;
  return first;
}

Draws Generator::claim(uint64_t n, DeviceType device) {
  const Draws draws{.seed = seed_, .offset = advance(n)};
  Recording* const recording = Recording::current();
  return recording && device != DeviceType::cpu ? recording->from_base(draws, offset_) : draws;
}

Generator Generator::for_sample(uint64_t index) const {
  constexpr uint64_t kSampleSeeds = ~uint64_t{0};  // an offset that draws do not reach
  const math::Words words = math::philox(seed_, kSampleSeeds, index);
  return Generator(uint64_t{words.w[0]} << 32 | words.w[1]);
}

void Generator::fill_uniform(std::span<float> out) {
  if (torch_) return torch_->fill_uniform(out);
  host().uniform(claim(out.size(), DeviceType::cpu), view_of(out));
}
void Generator::fill_uniform(std::span<double> out) {
  if (torch_) return torch_->fill_uniform(out);
  host().uniform(claim(out.size(), DeviceType::cpu), view_of(out));
}
void Generator::fill_normal(std::span<float> out) {
  if (torch_) return torch_->fill_normal(out);
  host().normal(claim(out.size(), DeviceType::cpu), view_of(out));
}
void Generator::fill_normal(std::span<double> out) {
  if (torch_) return torch_->fill_normal(out);
  host().normal(claim(out.size(), DeviceType::cpu), view_of(out));
}

void Generator::fill_gamma(double shape, std::span<double> out) {
  check(std::isfinite(shape) && shape >= 1, "gamma: the shape must be finite and at least 1, got ",
        shape);
  const uint64_t offset = torch_ ? 0 : advance(out.size());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = torch_ ? torch_->gamma(shape) : gamma_element(seed_, offset, i, shape);
}

int64_t Generator::integer(int64_t n) {
  check(n >= 1, "random: wants a range of at least one integer, got ", n);
  if (torch_) return torch_->integer(n);
  int64_t value = 0;
  host().integers(claim(1, DeviceType::cpu), 0, n, view_of(std::span(&value, 1)));
  return value;
}

Generator& default_generator() {
  thread_local Generator generator;
  return generator;
}

}  // namespace brume
