#include <brume/diffusion/legacy/patch_condition.h>

namespace brume::diffusion {

Condition patch_condition(const char* who, const BasePatching2D& patching,
                          const Condition& condition, int64_t batch, bool located, Device device) {
  const Condition rows =
      condition.for_batch(batch, who).each([&](const std::string&, const Tensor& x) {
        return patching.repeat(x);
      });
  if (!located) return rows;
  return rows.with("global_index", transfer(patching.global_index_of_rows(batch), device));
}

}  // namespace brume::diffusion
