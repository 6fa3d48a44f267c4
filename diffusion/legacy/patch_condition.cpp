#include <brume/diffusion/legacy/patch_condition.h>

#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {

Condition patch_condition(const char* who, const BasePatching2D& patching,
                          const Condition& condition, int64_t batch, bool located, Device device) {
  Condition images = condition.each([&](const std::string&, const Tensor& x) {
    if (x.rank() == 0 || x.size(0) != 1) return x;
    Shape shape = x.shape();
    shape[0] = batch;
    return expand(x, shape);
  });
  images.check_batch(batch, who);
  const Condition rows =
      images.each([&](const std::string&, const Tensor& x) { return patching.repeat(x); });
  if (!located) return rows;
  return rows.with("global_index", transfer(patching.global_index_of_rows(batch), device));
}

}  // namespace brume::diffusion
