#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <brume/core/random.h>
#include <brume/core/tensor.h>

namespace brume::diffusion {

/// Where a batch draws its noise from: one generator for all, or one per sample, so that sample i
/// is the same whatever batch it is drawn in.
class NoiseSource {
 public:
  /// Draws from `rng`, which must outlive this.
  NoiseSource(Generator& rng) : shared_(&rng) {}
  /// Sample i has the seed seeds[i].
  explicit NoiseSource(std::span<const uint64_t> seeds);
  /// Sample i draws from generators[i], such as Generator::torch_cpu(seed).
  explicit NoiseSource(std::vector<Generator> generators) : own_(std::move(generators)) {}

  /// Standard normal numbers. @shape [B, ...], B = the number of seeds if there are any
  Tensor normal(const Shape& shape, TensorOptions options = {});
  Tensor normal_like(const Tensor& x) {
    return normal(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  }
  /// Leaves this as normal_like(x) would, without making the numbers where that can be told ahead.
  void skip_normal_like(const Tensor& x);
  /// Student-t numbers of `nu` degrees of freedom: normal numbers first, then for each sample the
  /// root of chi^2(nu) / nu, which divides all of its numbers. @shape as normal
  Tensor student_t(const Shape& shape, double nu, TensorOptions options = {});
  /// Standard gamma numbers. @shape as normal
  Tensor gamma(const Shape& shape, double concentration, TensorOptions options = {});
  /// Integers in [low, high), i64. @shape as normal
  Tensor integers(const Shape& shape, int64_t low, int64_t high);

 private:
  using Draw = std::function<Tensor(const Shape& shape, Generator& rng)>;
  Tensor draw(const Shape& shape, TensorOptions options, const Draw& one);
  void check_batch(const Shape& shape) const;

  Generator* shared_ = nullptr;
  std::vector<Generator> own_;
};

}  // namespace brume::diffusion
