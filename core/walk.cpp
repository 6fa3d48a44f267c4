#include <brume/core/walk.h>

namespace brume {

Walk::Walk(std::span<const View* const> views, const View& order) {
  // Axes by falling stride; equal strides keep their order.
  int axes[kMaxRank];
  for (int axis = 0; axis < order.shape.rank(); ++axis) {
    count *= order.shape[axis];
    if (order.shape[axis] == 1) continue;
    int to = rank++;
    for (; to > 0 && order.strides[axes[to - 1]] < order.strides[axis]; --to)
      axes[to] = axes[to - 1];
    axes[to] = axis;
  }
  if (count == 0) return;
  const int given = rank;
  rank = 0;
  for (int i = 0; i < given; ++i) {
    const int axis = axes[i];
    const int64_t size = order.shape[axis];
    bool merges = rank > 0;
    for (size_t v = 0; v < views.size() && merges; ++v)
      merges = !present(views[v]) || strides[v][rank - 1] == views[v]->strides[axis] * size;
    if (!merges) sizes[rank++] = 1;
    sizes[rank - 1] *= size;
    for (size_t v = 0; v < views.size(); ++v)
      strides[v][rank - 1] = present(views[v]) ? views[v]->strides[axis] : 0;
  }
  for (size_t v = 0; v < views.size(); ++v) {
    int64_t dense = 1;
    linear[v] = true;
    for (int i = rank - 1; i >= 0; --i) {
      linear[v] &= strides[v][i] == dense;
      dense *= sizes[i];
    }
  }
}

}  // namespace brume
