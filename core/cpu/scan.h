#pragma once
// What walks along one axis: recurrences, and positions of extrema (slots of ReduceKernels).

#include <brume/core/view.h>

namespace brume::cpu {

void scan(const View& a, const View& b, int axis, bool backward, const View& y);
void arg_extremum(bool largest, int axis, const View& x, const View& y);

}  // namespace brume::cpu
