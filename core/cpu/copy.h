#pragma once
// Moving elements without computing.

#include <brume/core/view.h>

namespace brume::cpu {

/// y = x converted to y.dtype; same shape, any strides.
void copy(const View& x, const View& y);
void fill(double value, const View& y);

}  // namespace brume::cpu
