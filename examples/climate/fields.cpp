#include "examples/climate/fields.h"

#include <cmath>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/npy.h>
#include <brume/diffusion/multi_diffusion/patching.h>

namespace brume::climate {
namespace {

constexpr int64_t kHeight = 36, kWidth = 48, kFactor = 6;

Tensor detail(const Fields& f) { return f.fine - f.coarse; }
double deviation(const Tensor& x) { return std::sqrt(mean(square(x)).item()); }

}  // namespace

Fields read_fields(const std::string& path, int64_t first, int64_t count, int64_t step) {
  const Tensor all = io::read_npy(path);
  check(all.rank() == 3 && all.size(1) > kHeight && all.size(2) > kWidth &&
            first + (count - 1) * step < all.size(0),
        path, ": wants years of fields larger than ", kHeight, " x ", kWidth, ", got ",
        all.shape());
  const Tensor years = slice(all, 0, first, first + (count - 1) * step + 1, step);
  const Tensor cut = slice(slice(years, 1, 0, kHeight), 2, 0, kWidth);
  const Tensor fine = unsqueeze(contiguous(flip(cut, {1})), 1);
  const Tensor coarse = avg_pool(fine, {.kernel = {kFactor, kFactor}});
  return {fine, diffusion::resize_bilinear(coarse, {kHeight, kWidth})};
}

Scales::Scales(const Fields& training)
    : coarse_mean_(mean(training.coarse, 0, keep_axis)),
      detail_mean_(mean(detail(training), 0, keep_axis)),
      coarse_unit_(deviation(training.coarse - coarse_mean_)),
      detail_unit_(deviation(detail(training) - detail_mean_)) {}

Tensor Scales::inputs(const Fields& f) const {
  const Tensor around = (f.coarse - coarse_mean_) / coarse_unit_;
  return cat({around, expand(detail_mean_ / deviation(detail_mean_), around.shape())}, 1);
}

Tensor Scales::targets(const Fields& f) const { return (detail(f) - detail_mean_) / detail_unit_; }

Tensor Scales::temperature(const Tensor& target, const Tensor& coarse) const {
  return coarse + detail_mean_ + target * detail_unit_;
}

}  // namespace brume::climate
