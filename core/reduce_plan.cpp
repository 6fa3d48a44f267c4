#include <brume/core/reduce_plan.h>

#include <cstdlib>
#include <limits>

namespace brume {

void ReduceAxes::push_merged(ReduceAxis axis) {
  ReduceAxis& outer = axes_[count_ - 1];
  if (outer.x == axis.x * axis.size && outer.y == axis.y * axis.size)
    outer = {outer.size * axis.size, axis.x, axis.y};
  else
    push_back(axis);
}

int64_t ReduceAxes::numel() const {
  int64_t product = 1;
  for (int i = 0; i < count_; ++i) product *= axes_[i].size;
  return product;
}

namespace {

// The axes of x that are longer than 1, by falling stride. Repeated ones (stride 0) go outside:
// what is read again should be whole rows.
Dims memory_order(const View& x) {
  const auto distance = [&](int64_t i) {
    const int64_t stride = x.strides[static_cast<int>(i)];
    return stride == 0 ? std::numeric_limits<int64_t>::max() : std::abs(stride);
  };
  Dims order;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.size(i) == 1) continue;
    int at = order.rank();
    while (at > 0 && distance(order[at - 1]) < distance(i)) --at;
    order.insert(at, i);
  }
  return order;
}

}  // namespace

ReducePlan reduce_plan(const View& x, const View& y) {
  ReducePlan plan;
  const Dims order = memory_order(x);
  for (int k = 0; k < order.rank(); ++k) {
    const int i = static_cast<int>(order[k]);
    const bool stays = y.size(i) != 1;
    ReduceAxes& axes = stays ? plan.kept : plan.reduced;
    const ReduceAxis axis{x.size(i), x.stride(i), stays ? y.stride(i) : 0};
    // Only neighbours in memory merge.
    if (k > 0 && plan.innermost_stays == stays)
      axes.push_merged(axis);
    else
      axes.push_back(axis);
    plan.innermost_stays = stays;
  }
  (plan.innermost_stays ? plan.columns : plan.run) =
      (plan.innermost_stays ? plan.kept : plan.reduced).take_last();
  plan.kept_count = plan.kept.numel();
  plan.reduced_count = plan.reduced.numel();
  return plan;
}

ReduceWalk::ReduceWalk(const ReduceAxes& axes, int64_t start) : axes_(axes) {
  for (int k = axes.count(); k-- > 0 && start > 0; start /= axes[k].size) {
    index_[k] = start % axes[k].size;
    x += index_[k] * axes[k].x;
    y += index_[k] * axes[k].y;
  }
}

}  // namespace brume
