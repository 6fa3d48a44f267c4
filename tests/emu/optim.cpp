// The optimizers' list kernels against the CPU's: whole lists, odd lengths, arrays that are absent,
// arrays that cannot be read 16 bytes at a time.

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/cuda/kernels/cuda_kernels.h>
#include <tests/emu/on_device.h>

using namespace brume;
using namespace brume::cuda;

namespace {

const std::vector<int64_t> kSizes = {1, 7, 4096, 9001, 64};

/// One array per parameter, on both sides; `skew` moves it off its 16-byte boundary.
class Arrays {
 public:
  explicit Arrays(double scale, bool positive = false, size_t skew = 0) : skew_(skew) {
    double phase = scale;
    for (const int64_t n : kSizes) {
      std::vector<float> values(static_cast<size_t>(n) + skew);
      for (float& v : values) {
        phase += 0.7;
        const double x = std::sin(phase) * scale;
        v = static_cast<float>(positive ? x * x : x);
      }
      host_.push_back(values);
      device_.emplace_back(values);
    }
  }
  View cpu(size_t i) const { return view(i, const_cast<float*>(host_[i].data())); }
  View device(size_t i) const { return view(i, device_[i]); }
  double worst() const {
    double worst = 0;
    for (size_t i = 0; i < host_.size(); ++i) {
      const auto got = device_[i].values();
      for (size_t k = 0; k < got.size(); ++k)
        worst = std::fmax(worst, std::fabs(static_cast<double>(got[k]) - host_[i][k]));
    }
    return worst;
  }

 private:
  View view(size_t i, float* data) const { return {data + skew_, DType::f32, {kSizes[i]}, {1}}; }
  size_t skew_;
  std::vector<std::vector<float>> host_;
  std::vector<OnDevice<float>> device_;
};

TEST_CASE("Adam's step is the CPU's, with and without amsgrad and an average") {
  for (const bool whole : {true, false}) {
    const size_t skew = whole ? 0 : 1;
    Arrays param(1, false, skew), grad(0.5, false, skew), first(0.1), second(0.2, true),
        most(0.3, true), average(0.9);
    std::vector<AdamEntry> cpu, device;
    for (size_t i = 0; i < kSizes.size(); ++i) {
      const auto entry = [&](auto of) {
        return AdamEntry{.param = of(param),
                         .grad = of(grad),
                         .exp_avg = of(first),
                         .exp_avg_sq = of(second),
                         .max_exp_avg_sq = whole ? of(most) : View{},
                         .average = whole ? of(average) : View{},
                         .step = i < 3 ? 5 : 6};
      };
      cpu.push_back(entry([i](const Arrays& a) { return a.cpu(i); }));
      device.push_back(entry([i](const Arrays& a) { return a.device(i); }));
    }
    const AdamParams p{.lr = 0.01,
                       .weight_decay = 0.1,
                       .decoupled = whole,
                       .maximize = !whole,
                       .grad_scale = 0.5,
                       .average_decay = 0.99};
    cpu_optim.adam(cpu, p);
    cuda_optim.adam(device, p);
    for (const Arrays* a : {&param, &first, &second, &most, &average}) CHECK(a->worst() < 1e-6);
  }
}

TEST_CASE("sgd, averages, factors and sums of squares are the CPU's") {
  Arrays param(1), grad(0.5), buffer(0.1), average(0.9);
  std::vector<SgdEntry> cpu, device;
  std::vector<AverageEntry> cpu_average, device_average;
  std::vector<View> cpu_grad, device_grad;
  for (size_t i = 0; i < kSizes.size(); ++i) {
    cpu.push_back({.param = param.cpu(i), .grad = grad.cpu(i), .momentum_buffer = buffer.cpu(i)});
    device.push_back(
        {.param = param.device(i), .grad = grad.device(i), .momentum_buffer = buffer.device(i)});
    cpu_average.push_back({average.cpu(i), param.cpu(i)});
    device_average.push_back({average.device(i), param.device(i)});
    cpu_grad.push_back(grad.cpu(i));
    device_grad.push_back(grad.device(i));
  }
  for (const bool nesterov : {false, true}) {
    const SgdParams p{.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = nesterov};
    cpu_optim.sgd(cpu, p);
    cuda_optim.sgd(device, p);
  }
  cpu_optim.average(cpu_average, 0.9);
  cuda_optim.average(device_average, 0.9);
  cpu_optim.scale(cpu_grad, 0.3);
  cuda_optim.scale(device_grad, 0.3);
  for (const Arrays* a : {&param, &grad, &buffer, &average}) CHECK(a->worst() < 1e-6);

  std::vector<double> want(kSizes.size());
  const OnDevice<double> got(kSizes.size());
  const Shape shape = {static_cast<int64_t>(kSizes.size())};
  cpu_optim.sums_of_squares(cpu_grad, {want.data(), DType::f64, shape, {1}});
  cuda_optim.sums_of_squares(device_grad, {got, DType::f64, shape, {1}});
  for (size_t i = 0; i < want.size(); ++i)
    CHECK(got.values()[i] == doctest::Approx(want[i]).epsilon(1e-6));
}

}  // namespace
