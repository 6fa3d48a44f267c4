#pragma once
// From the views of an operation to the steps that the threads of its kernel take.

#include <cstddef>
#include <cstdint>

#include <brume/core/walk.h>
#include <brume/cuda/device/steps.cuh>

namespace brume::cuda {

/// Steps of one launch: below 2^31, which is as far as Divider is exact.
inline constexpr int64_t kMostSteps = (int64_t{1} << 31) - 1;

/// n, as far as a launch can count. @throws Error naming the operation beyond that
inline uint32_t count32(const char* op, int64_t n) {
  check<Error>(n <= kMostSteps, op, ": the CUDA kernel counts to 2^31, not to ", n);
  return static_cast<uint32_t>(n);
}

/// One more axis, outside of those that the steps have.
template <int K>
void add_axis(Steps<K>& steps, int64_t size, const int64_t (&stride)[K]) {
  steps.size[steps.rank] = Divider(static_cast<uint32_t>(size));
  for (int k = 0; k < K; ++k) steps.stride[k][steps.rank] = stride[k];
  ++steps.rank;
}

/// Whether every tensor's rows can be read `width` elements of `item` bytes at a time: contiguous
/// and aligned to 16 bytes, or (inputs only) one value along the row. Outputs stand first.
template <int K>
bool fits_packs(const Walk& walk, const View* const (&views)[K], int outputs, int64_t item) {
  for (int k = 0; k < K; ++k) {
    if (!present(views[k])) continue;
    const int64_t inner = walk.inner_stride(k);
    if (inner == 0 && k >= outputs) continue;
    if (inner != 1 || reinterpret_cast<uintptr_t>(views[k]->data) % 16 != 0) return false;
    for (int axis = 0; axis + 1 < walk.rank; ++axis)
      if (walk.strides[k][axis] * item % 16 != 0) return false;
  }
  return true;
}

namespace detail {

/// Steps of which all but the sizes are set; the outermost axis is halved until a launch holds what
/// is left.
template <int K, class F>
void launch_pieces(Steps<K> steps, const int64_t* size, int width, int64_t most, F& f) {
  int64_t count = (size[0] + width - 1) / width;
  for (int axis = 1; axis < steps.rank; ++axis) count *= size[axis];
  if (count <= most) {
    steps.count = static_cast<uint32_t>(count);
    steps.row = size[0];
    steps.size[0] = Divider(static_cast<uint32_t>((size[0] + width - 1) / width));
    for (int axis = 1; axis < steps.rank; ++axis)
      steps.size[axis] = Divider(static_cast<uint32_t>(size[axis]));
    f(steps);
    return;
  }
  int axis = steps.rank - 1;
  while (axis > 0 && size[axis] == 1) --axis;
  const int64_t unit = axis == 0 ? width : 1;
  const int64_t half = (size[axis] + unit - 1) / unit / 2;  // in steps
  int64_t part[kMaxRank];
  for (int i = 0; i < steps.rank; ++i) part[i] = size[i];
  part[axis] = half * unit;
  launch_pieces(steps, part, width, most, f);
  for (int k = 0; k < K; ++k)
    if (steps.data[k])
      steps.data[k] = static_cast<std::byte*>(steps.data[k]) +
                      half * steps.stride[k][axis] * item_size(steps.dtype[k]);
  part[axis] = size[axis] - half * unit;
  launch_pieces(steps, part, width, most, f);
}

}  // namespace detail

/// Calls f(steps) for one launch after the other; together they cover the walk. `width` elements of
/// a row make a step; a launch has at most `most` steps.
template <int K, class F>
void for_each_launch(const Walk& walk, const View* const (&views)[K], int width, F&& f,
                     int64_t most = kMostSteps) {
  if (walk.count == 0) return;
  Steps<K> steps;
  steps.rank = walk.rank == 0 ? 1 : walk.rank;
  int64_t size[kMaxRank] = {1};
  for (int axis = 0; axis < walk.rank; ++axis) size[axis] = walk.sizes[walk.rank - 1 - axis];
  for (int k = 0; k < K; ++k) {
    if (!present(views[k])) continue;
    steps.data[k] = views[k]->data;
    steps.dtype[k] = views[k]->dtype;
    for (int axis = 0; axis < walk.rank; ++axis)
      steps.stride[k][axis] = walk.strides[k][walk.rank - 1 - axis] * (axis == 0 ? width : 1);
  }
  detail::launch_pieces(steps, size, width, most, f);
}

}  // namespace brume::cuda
