#include <brume/core/cpu/scan.h>

#include <brume/core/cpu/lines.h>

namespace brume::cpu {
namespace {

constexpr int64_t kGrain = 16384;  // elements per piece of work

template <class T, class State>
void scan_lines(const View& a, const View& b, int axis, bool backward, const View& y) {
  const int64_t n = y.size(axis);
  for_each_line(y, axis, kGrain, [&](const Line& line) {
    const T* pa = a ? a.as<T>() + line.offset(a) : nullptr;
    const T* pb = b ? b.as<T>() + line.offset(b) : nullptr;
    T* py = y.as<T>() + line.offset(y);
    State state = b ? State(0) : State(1);
    for (int64_t k = 0; k < n; ++k) {
      const int64_t i = backward ? n - 1 - k : k;
      if (pa) state *= static_cast<State>(pa[i * a.stride(axis)]);
      if (pb) state += static_cast<State>(pb[i * b.stride(axis)]);
      py[i * y.stride(axis)] = static_cast<T>(state);
    }
  });
}

template <class T>
int64_t position(const T* x, int64_t n, int64_t stride, bool largest) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    const T value = x[i * stride], held = x[best * stride];
    const bool wins = (largest ? value > held : value < held) || (value != value && held == held);
    if (wins) best = i;
  }
  return best;
}

}  // namespace

void scan(const View& a, const View& b, int axis, bool backward, const View& y) {
  dispatch<float, double, int64_t>(y.dtype, "scan", [&](auto type) {
    using T = typename decltype(type)::type;
    using State = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
    scan_lines<T, State>(a, b, axis, backward, y);
  });
}

void arg_extremum(bool largest, int axis, const View& x, const View& y) {
  dispatch<float, double, int32_t, int64_t, uint8_t>(x.dtype, "arg_extremum", [&](auto type) {
    using T = typename decltype(type)::type;
    for_each_line(x, axis, kGrain, [&](const Line& line) {
      y.as<int64_t>()[line.offset(y)] =
          position(x.as<T>() + line.offset(x), x.size(axis), x.stride(axis), largest);
    });
  });
}

}  // namespace brume::cpu
