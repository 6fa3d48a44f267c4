#pragma once

#include <brume/core/view.h>

namespace brume::cuda {

void scan(const View& a, const View& b, int axis, bool backward, const View& y);

}  // namespace brume::cuda
