#pragma once

#include <brume/diffusion/condition.h>
#include <brume/diffusion/multi_diffusion/patching.h>

namespace brume::diffusion {

/// The condition of `batch` images for the rows of their patches: every entry once for each patch
/// of its image, and the places of the patches as "global_index" if `located`. An entry of one row
/// serves all images.
/// @shape  entries [batch or 1, ...] -> [P * batch, ...]
/// @throws ShapeError naming `who` and an entry of another batch
Condition patch_condition(const char* who, const BasePatching2D& patching,
                          const Condition& condition, int64_t batch, bool located, Device device);

}  // namespace brume::diffusion
