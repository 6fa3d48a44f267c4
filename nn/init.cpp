#include <brume/nn/init.h>

#include <cmath>
#include <span>
#include <vector>

#include <brume/autograd/mode.h>
#include <brume/core/cpu/parallel.h>

namespace brume::nn {
namespace {

struct State {
  Construction::Mode mode = Construction::Mode::initialise;
  Generator* rng = nullptr;
  int depth = 0;
  int64_t parameters = 0, modules = 0;
};
thread_local State state;

constexpr int64_t kGrain = 1 << 16;

template <class T, class F>
void transform(std::span<T> x, F f) {
  cpu::parallel_for(static_cast<int64_t>(x.size()), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T& value = x[static_cast<size_t>(i)];
      value = f(value);
    }
  });
}

// The bounds are -2 and 2 themselves, not standard deviations. Whole tensors are redrawn, and
// outliers alone replaced, since that is the reference's order of draws.
template <class T>
void fill_truncated_normal(std::span<T> x, T std, Generator& rng) {
  const auto outside = [](T v) { return v < T(-2) || v > T(2); };
  rng.fill_normal(x);
  transform(x, [std](T v) { return v * std; });
  std::vector<T> fresh;
  for (;;) {
    bool any = false;
    for (const T v : x) any |= outside(v);
    if (!any) return;
    fresh.resize(x.size());
    rng.fill_normal(std::span<T>(fresh));
    for (size_t i = 0; i < x.size(); ++i)
      if (outside(x[i])) x[i] = fresh[i] * std;
  }
}

template <class T>
void fill(std::span<T> x, const Init& init, Generator& rng) {
  const T scale = static_cast<T>(init.scale), gain = static_cast<T>(init.gain);
  switch (init.law) {
    case Init::Law::constant:
      transform(x, [&](T) { return scale; });
      break;
    case Init::Law::uniform: {
      rng.fill_uniform(x);
      const T width = static_cast<T>(2 * init.scale);
      transform(x, [=](T u) { return (u * width - scale) * gain; });
      break;
    }
    case Init::Law::symmetric:
      rng.fill_uniform(x);
      transform(x, [=](T u) { return (u * T(2) - T(1)) * scale * gain; });
      break;
    case Init::Law::positive:
      rng.fill_uniform(x);
      transform(x, [=](T u) { return u * scale * gain; });
      break;
    case Init::Law::normal:
      rng.fill_normal(x);
      transform(x, [=](T u) { return u * scale * gain; });
      break;
    case Init::Law::truncated_normal:
      fill_truncated_normal(x, scale, rng);
      break;
  }
}

}  // namespace

Names names_of(InitMode) {
  static constexpr const char* kNames[] = {"xavier_uniform", "xavier_normal", "kaiming_uniform",
                                           "kaiming_normal", "fan_in_uniform"};
  return kNames;
}

Init Init::constant(double value) { return {Init::Law::constant, value}; }
Init Init::uniform(double bound) { return {Init::Law::uniform, bound}; }
Init Init::positive(double bound) { return {Init::Law::positive, bound}; }
Init Init::normal(double std) { return {Init::Law::normal, std}; }
Init Init::truncated_normal(double std) {
  check(std > 0 && std <= 1, "Init::truncated_normal: wants a standard deviation in (0, 1], got ",
        std);
  return {Init::Law::truncated_normal, std};
}

Init Init::fan(InitMode mode, int64_t fan_in, int64_t fan_out, double gain) {
  const auto in = static_cast<double>(fan_in), out = static_cast<double>(fan_out);
  switch (mode) {
    case InitMode::xavier_uniform:
      return {Init::Law::symmetric, std::sqrt(6 / (in + out)), gain};
    case InitMode::xavier_normal:
      return {Init::Law::normal, std::sqrt(2 / (in + out)), gain};
    case InitMode::kaiming_uniform:
      return {Init::Law::symmetric, std::sqrt(3 / in), gain};
    case InitMode::kaiming_normal:
      return {Init::Law::normal, std::sqrt(1 / in), gain};
    case InitMode::fan_in_uniform:
      break;
  }
  return {Init::Law::uniform, std::sqrt(1 / in), gain};
}

void initialise(const Tensor& x, const Init& init, Generator& rng) {
  check_writable(x, "initialise");
  dispatch<float, double>(x.dtype(), "initialise", [&](auto type) {
    fill(x.host<typename decltype(type)::type>(), init, rng);
  });
  x.impl().storage->bump_version();
}

Construction::Construction(Mode mode, Generator* rng)
    : mode_before_(std::exchange(state.mode, mode)), rng_before_(std::exchange(state.rng, rng)) {}
Construction::~Construction() {
  state.mode = mode_before_;
  state.rng = rng_before_;
}

detail::ConstructionDepth::ConstructionDepth() {
  if (state.depth == 0) state.parameters = state.modules = 0;
  check<Error>(++state.modules <= kMaxModules, "make: more than ", kMaxModules,
               " modules in one model");
  ++state.depth;
}
detail::ConstructionDepth::~ConstructionDepth() { --state.depth; }

void detail::count_elements(const Shape& shape) {
  const int64_t count = numel(shape);
  check(count <= kMaxParameters - state.parameters, "make: more than ", kMaxParameters,
        " parameters in one model");
  state.parameters += count;
}

bool detail::shapes_alone() { return state.mode == Construction::Mode::shapes_only; }

Tensor detail::without_memory(const Shape& shape, DType dtype) {
  return alias(zeros({1}, {.dtype = dtype}), shape, Dims::filled(shape.rank(), 0));
}

Tensor detail::initial_tensor(const Shape& shape, const Init& init) {
  count_elements(shape);
  if (shapes_alone()) return without_memory(shape);
  Tensor x = empty(shape);
  if (draws_values()) initialise(x, init, state.rng ? *state.rng : default_generator());
  return x;
}

void detail::redraw(const Tensor& x, const Init& init) {
  const NoGrad no_grad;  // x may be a parameter already
  if (draws_values()) initialise(x, init, state.rng ? *state.rng : default_generator());
}

bool detail::draws_values() { return state.mode == Construction::Mode::initialise; }

}  // namespace brume::nn
