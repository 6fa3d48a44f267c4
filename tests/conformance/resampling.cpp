// Pooling, interpolation, padding, windows.

#include <cmath>

#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

// One number for each of `count` axes, or the same for all.
std::vector<int64_t> per_axis(std::vector<int64_t> given, int count) {
  if (given.size() == 1) given.resize(static_cast<size_t>(count), given[0]);
  return given;
}

template <Tensor (*pool)(const Tensor&, const PoolOptions&), int axes>
Value pooled(Arguments& a) {
  const Tensor x = a.tensor("input");
  PoolOptions o{.kernel = per_axis(a.integers("kernel_size"), axes)};
  if (a.has("stride")) o.stride = per_axis(a.integers("stride"), axes);
  o.padding = per_axis(a.integers("padding", {0}), axes);
  o.ceil_mode = a.flag("ceil_mode", false);
  return pool(x, o);
}

Value adaptive_pool(Arguments& a) {
  return adaptive_avg_pool(a.tensor("input"), per_axis(a.integers("output_size"), 2));
}

InterpolateMode interpolate_mode(const std::string& name) {
  if (name == "nearest") return InterpolateMode::nearest;
  if (name == "nearest-exact") return InterpolateMode::nearest_exact;
  if (name == "area") return InterpolateMode::area;
  if (name == "bicubic") return InterpolateMode::cubic;
  check<Error>(name == "linear" || name == "bilinear" || name == "trilinear",
               "interpolate: unknown mode ", name);
  return InterpolateMode::linear;
}

Value interpolated(Arguments& a) {
  const Tensor x = a.tensor("input");
  const int axes = x.rank() - 2;
  InterpolateOptions o{.mode = interpolate_mode(a.text("mode", "nearest")),
                       .align_corners = a.flag("align_corners", false)};
  const bool recompute = a.flag("recompute_scale_factor", false);
  if (a.has("size")) return interpolate(x, per_axis(a.integers("size"), axes), o);
  const double scale = a.number("scale_factor");
  std::vector<int64_t> size;
  for (int i = 0; i < axes; ++i)
    size.push_back(static_cast<int64_t>(std::floor(static_cast<double>(x.size(i + 2)) * scale)));
  if (!recompute) o.scale.assign(static_cast<size_t>(axes), scale);
  return interpolate(x, size, o);
}

Value padded(Arguments& a) {
  const Array& x = a.array("input");
  std::vector<int64_t> amounts = a.integers("pad");
  if (x.complex) amounts.insert(amounts.begin(), {0, 0});
  const std::string mode = a.text("mode", "constant");
  const double value = a.number("value", 0);
  PadMode m = PadMode::constant;
  if (mode == "reflect") m = PadMode::reflect;
  if (mode == "replicate") m = PadMode::replicate;
  if (mode == "circular") m = PadMode::circular;
  check<Error>(m != PadMode::constant || mode == "constant", "pad: unknown mode ", mode);
  return Array{pad_with(x.tensor, amounts, m, value), x.complex};
}

Value unfolded(Arguments& a) {
  return unfold(a.tensor("input"), per_axis(a.integers("kernel_size"), 2),
                per_axis(a.integers("stride", {1}), 2));
}
Value folded(Arguments& a) {
  return fold(a.tensor("input"), per_axis(a.integers("output_size"), 2),
              per_axis(a.integers("kernel_size"), 2), per_axis(a.integers("stride", {1}), 2));
}

Value grid_sampled(Arguments& a) {
  check<Error>(a.text("mode", "bilinear") == "bilinear" &&
                   a.text("padding_mode", "zeros") == "zeros" && !a.flag("align_corners", false),
               "grid_sample: not served");
  return grid_sample(a.tensor("input"), a.tensor("grid"));
}

}  // namespace

void add_resampling(Functions& t) {
  t["torch.nn.functional.avg_pool1d"] = pooled<avg_pool, 1>;
  t["torch.nn.functional.avg_pool2d"] = pooled<avg_pool, 2>;
  t["torch.nn.functional.avg_pool3d"] = pooled<avg_pool, 3>;
  t["torch.nn.functional.max_pool2d"] = pooled<max_pool, 2>;
  t["torch.nn.functional.max_pool3d"] = pooled<max_pool, 3>;
  t["torch.nn.functional.adaptive_avg_pool2d"] = adaptive_pool;
  t["torch.nn.functional.interpolate"] = interpolated;
  t["torch.nn.functional.pad"] = padded;
  t["torch.nn.functional.unfold"] = unfolded;
  t["torch.nn.functional.fold"] = folded;
  t["torch.nn.functional.grid_sample"] = grid_sampled;
  t["torch.nn.functional.pixel_shuffle"] = [](Arguments& a) -> Value {
    return pixel_shuffle(a.tensor("input"), a.integer("upscale_factor"));
  };
  t["torch.nn.functional.pixel_unshuffle"] = [](Arguments& a) -> Value {
    return pixel_unshuffle(a.tensor("input"), a.integer("downscale_factor"));
  };
}

}  // namespace brume::conformance
