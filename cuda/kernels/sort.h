#pragma once

#include <brume/core/view.h>

namespace brume::cuda {

/// Positions of each line in a stable order; NaN counts as largest.
void argsort(int axis, bool descending, const View& x, const View& positions);

}  // namespace brume::cuda
