// Fourier transforms of the CPU: gathers a panel of lines, lets the loops of the instruction set
// work on it, and puts the results in their places.

#include <algorithm>
#include <complex>
#include <numbers>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/isa/fft.h>
#include <brume/core/cpu/isa/modes.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/cpu/scratch.h>
#include <brume/core/math/ceil_div.h>

namespace brume {
namespace cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // numbers per piece of work

template <class T>
const FftLoops<T>& loops() {
  if constexpr (sizeof(T) == 4)
    return fft_loops();
  else
    return portable::fft_loops_f64;
}
template <class T>
const ModeLoops<T>& products() {
  if constexpr (sizeof(T) == 4)
    return mode_loops();
  else
    return portable::mode_loops_f64;
}

// The first `rank` axes of x but one, those that lie closest in memory last: lines that stand
// beside each other in a panel then share their cache lines.
Dims other_axes(const View& x, int axis, int rank) {
  std::vector<int64_t> axes;
  for (int i = 0; i < rank; ++i)
    if (i != axis) axes.push_back(i);
  std::stable_sort(axes.begin(), axes.end(), [&](int64_t a, int64_t b) {
    return x.strides[static_cast<int>(a)] > x.strides[static_cast<int>(b)];
  });
  return Dims(axes);
}

// Lines of a tensor along an axis, in the order of other_axes. A complex tensor has one axis more.
template <class T>
class Lines {
 public:
  Lines(const View& v, int axis, const Dims& others) : v_(v), axis_(axis), others_(others) {}

  int64_t count() const {
    int64_t n = 1;
    for (const int64_t i : others_) n *= v_.size(static_cast<int>(i));
    return n;
  }
  int64_t length() const { return v_.size(axis_); }
  int64_t step() const { return v_.stride(axis_); }
  int64_t imaginary() const { return v_.stride(-1); }
  T* first(int64_t line) const {
    int64_t at = 0;
    for (int i = others_.rank() - 1; i >= 0; --i) {
      const int a = static_cast<int>(others_[i]);
      at += line % v_.size(a) * v_.stride(a);
      line /= v_.size(a);
    }
    return v_.as<T>() + at;
  }

 private:
  const View& v_;
  int axis_;
  Dims others_;
};

// The working memory of one panel.
template <class T>
struct Panel {
  int lanes;
  T *rows, *work, *spectrum;
};

// f(panel, line, lines) for each group of `lanes` lines, the last of which may be smaller.
template <class T, class F>
void for_each_panel(const FftPlan<T>& plan, int64_t lines, F&& f) {
  const int lanes = loops<T>().lanes;
  const int64_t panels = (lines + lanes - 1) / lanes, numbers = 2 * plan.room() * lanes;
  parallel_for(panels, std::max<int64_t>(kGrain / numbers, 1), [&](int64_t begin, int64_t end) {
    Scratch scratch;
    Panel<T> panel{lanes, scratch.take<T>(numbers), scratch.take<T>(numbers),
                   scratch.take<T>(2 * (plan.n + 1) * lanes)};
    std::fill_n(panel.rows, numbers, T(0));
    std::fill_n(panel.spectrum, 2 * (plan.n + 1) * lanes, T(0));
    for (int64_t p = begin; p < end; ++p)
      f(panel, p * lanes, std::min<int64_t>(lanes, lines - p * lanes));
  });
}

template <class T>
void complex_lines(bool inverse, int axis, double factor, const View& x, const View& y) {
  const Dims others = other_axes(x, axis, x.shape.rank() - 1);
  const Lines<T> from(x, axis, others), to(y, axis, others);
  const auto plan = fft_plan<T>(from.length());
  const T f = static_cast<T>(factor);
  for_each_panel<T>(*plan, from.count(), [&](Panel<T>& p, int64_t line, int64_t lines) {
    for (int64_t lane = 0; lane < lines; ++lane) {
      const T* src = from.first(line + lane);
      T* row = p.rows + lane;
      for (int64_t j = 0; j < plan->n; ++j, row += 2 * p.lanes, src += from.step()) {
        row[0] = src[0];
        row[p.lanes] = src[from.imaginary()];
      }
    }
    loops<T>().transform(*plan, inverse, p.rows, p.work);
    for (int64_t lane = 0; lane < lines; ++lane) {
      T* dst = to.first(line + lane);
      const T* row = p.rows + lane;
      for (int64_t j = 0; j < plan->n; ++j, row += 2 * p.lanes, dst += to.step()) {
        dst[0] = f * row[0];
        dst[to.imaginary()] = f * row[p.lanes];
      }
    }
  });
}

// An even number of reals is transformed as half as many pairs; an odd one with zeros beside it.
template <class T>
void real_lines(int axis, double factor, double paired, const View& x, const View& y) {
  const Dims others = other_axes(x, axis, x.shape.rank());
  const Lines<T> from(x, axis, others), to(y, axis, others);
  const int64_t n = from.length(), rows_apart = n % 2 == 0 ? 1 : 2;
  const auto plan = fft_plan<T>(n % 2 == 0 ? n / 2 : n);
  const T f = static_cast<T>(factor), inner = static_cast<T>(factor * paired);
  for_each_panel<T>(*plan, from.count(), [&](Panel<T>& p, int64_t line, int64_t lines) {
    if (n % 2 != 0) std::fill_n(p.rows, 2 * plan->n * p.lanes, T(0));
    for (int64_t lane = 0; lane < lines; ++lane) {
      const T* src = from.first(line + lane);
      T* row = p.rows + lane;
      for (int64_t j = 0; j < n; ++j, row += rows_apart * p.lanes, src += from.step()) *row = *src;
    }
    loops<T>().transform(*plan, false, p.rows, p.work);
    if (n % 2 == 0) loops<T>().split(*plan, p.rows, p.spectrum);
    for (int64_t lane = 0; lane < lines; ++lane) {
      T* dst = to.first(line + lane);
      const T* row = (n % 2 == 0 ? p.spectrum : p.rows) + lane;
      for (int64_t k = 0; k <= n / 2; ++k, row += 2 * p.lanes, dst += to.step()) {
        const T c = k == 0 || 2 * k == n ? f : inner;
        dst[0] = c * row[0];
        dst[to.imaginary()] = c * row[p.lanes];
      }
    }
  });
}

template <class T>
void inverse_real_lines(int axis, double factor, double paired, const View& x, const View& y) {
  const Dims others = other_axes(x, axis, y.shape.rank());
  const Lines<T> from(x, axis, others), to(y, axis, others);
  const int64_t n = to.length(), rows_apart = n % 2 == 0 ? 1 : 2;
  const auto plan = fft_plan<T>(n % 2 == 0 ? n / 2 : n);
  const T f = static_cast<T>(factor), inner = static_cast<T>(paired);
  for_each_panel<T>(*plan, to.count(), [&](Panel<T>& p, int64_t line, int64_t lines) {
    for (int64_t lane = 0; lane < lines; ++lane) {
      const T* src = from.first(line + lane);
      T* into = (n % 2 == 0 ? p.spectrum : p.rows) + lane;
      for (int64_t k = 0; k <= n / 2; ++k, src += from.step()) {
        const bool is_end = k == 0 || 2 * k == n;
        const T re = is_end ? src[0] : inner * src[0];
        const T im = is_end ? T(0) : inner * src[from.imaginary()];
        into[2 * k * p.lanes] = re;
        into[(2 * k + 1) * p.lanes] = im;
        if (n % 2 == 0 || k == 0) continue;
        into[2 * (n - k) * p.lanes] = re;
        into[(2 * (n - k) + 1) * p.lanes] = -im;
      }
    }
    if (n % 2 == 0) loops<T>().join(*plan, p.spectrum, p.rows);
    loops<T>().transform(*plan, true, p.rows, p.work);
    for (int64_t lane = 0; lane < lines; ++lane) {
      T* dst = to.first(line + lane);
      const T* row = p.rows + lane;
      for (int64_t j = 0; j < n; ++j, row += rows_apart * p.lanes, dst += to.step())
        *dst = f * *row;
    }
  });
}

template <class F>
void for_dtype(const View& x, const char* who, F&& f) {
  dispatch<float, double>(x.dtype, who, [&](auto type) { f(typename decltype(type)::type{}); });
}

void fft(bool inverse, int axis, double factor, const View& x, const View& y) {
  for_dtype(x, "fft", [&]<class T>(T) { complex_lines<T>(inverse, axis, factor, x, y); });
}
void rfft(int axis, double factor, double paired, const View& x, const View& y) {
  for_dtype(x, "rfft", [&]<class T>(T) { real_lines<T>(axis, factor, paired, x, y); });
}
void irfft(int axis, double factor, double paired, const View& x, const View& y) {
  for_dtype(x, "irfft", [&]<class T>(T) { inverse_real_lines<T>(axis, factor, paired, x, y); });
}

template <class T>
ModeMatrix<T> mode_matrix(const View& v) {
  return {v.as<T>(), v.stride(0), v.stride(1), v.stride(3)};
}

void mode_matmul(bool conjugate_w, bool conjugate_y, const View& x, const View& w, const View& y) {
  for_dtype(x, "mode_matmul", [&]<class T>(T) {
    const ModeProduct<T> p{.samples = x.size(0),
                           .in = x.size(1),
                           .modes = x.size(2),
                           .x = mode_matrix<const T>(x),
                           .w = mode_matrix<const T>(w),
                           .y = mode_matrix<T>(y),
                           .conjugate_w = conjugate_w,
                           .conjugate_y = conjugate_y};
    const int64_t work = std::max<int64_t>(p.samples * p.in * p.modes, 1);
    // Pairs of columns are computed together.
    parallel_for((y.size(1) + 1) / 2, std::max<int64_t>(kGrain / work, 1),
                 [&](int64_t begin, int64_t end) {
                   const int64_t last = std::min(2 * end, y.size(1));
                   products<T>().columns(p, 2 * begin, last);
                 });
  });
}

// LowModes::waves. A place that is its own mirror image is added to itself on the way to the
// spectrum, so it is halved there.
template <class T>
void fill_waves(const LowModes<T>& p, bool to_modes, double single, double paired, T* waves) {
  const auto n = static_cast<size_t>(p.n);
  std::vector<std::complex<double>> roots;
  for (size_t j = 0; j < n; ++j)
    roots.push_back(
        std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(j) / static_cast<double>(p.n)));
  for (int64_t f = 0; f < p.rows(); ++f)
    for (int64_t j = 0; j < p.folded(); ++j) {
      const bool is_mirror = j == 0 || 2 * j == p.n;
      const double factor =
          (f == 0 || 2 * f == p.n ? single : paired) * (to_modes && is_mirror ? 0.5 : 1);
      const std::complex<double> z = factor * roots[static_cast<size_t>(f * j) % n];
      T* at = to_modes ? waves + j * 2 * p.rows() + f : waves + f * 2 * p.folded() + j;
      at[0] = static_cast<T>(z.real());
      at[to_modes ? p.rows() : p.folded()] = is_mirror ? T(0) : static_cast<T>(z.imag());
    }
}

void low_modes_along(bool to_modes, double single, double paired, const View& x, const View& y) {
  for_dtype(x, "low_modes", [&]<class T>(T) {
    Scratch scratch;
    const bool is_complex = x.size(2) == 2;
    LowModes<T> p{.n = x.size(1),
                  .modes = is_complex ? y.size(2) / 2 : y.size(2),
                  .is_complex = is_complex,
                  .place = x.stride(1),
                  .part = x.stride(2),
                  .mode = y.stride(2),
                  .mode_part = y.stride(1),
                  .waves = nullptr};
    T* waves = scratch.take<T>(2 * p.rows() * p.folded());
    fill_waves(p, to_modes, single, paired, waves);
    p.waves = waves;
    // Columns that stay in the first-level cache from one block of rows to the next.
    constexpr int64_t kColumns = 64;
    const int64_t columns = x.size(3), pieces = ceil_div(columns, kColumns);
    const int64_t work = p.rows() * p.folded() * std::min(columns, kColumns);
    parallel_for(x.size(0) * pieces, std::max<int64_t>(8 * kGrain / work, 1),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t at = begin; at < end; ++at) {
                     const int64_t o = at / pieces, i = at % pieces * kColumns;
                     const int64_t count = std::min(kColumns, columns - i);
                     T* place = x.as<T>() + o * x.stride(0) + i;
                     T* spectrum = y.as<T>() + o * y.stride(0) + i;
                     if (to_modes)
                       products<T>().to_modes(p, count, place, spectrum);
                     else
                       products<T>().from_modes(p, count, spectrum, place);
                   }
                 });
  });
}
void low_modes(double single, double paired, const View& x, const View& y) {
  low_modes_along(true, single, paired, x, y);
}
void from_low_modes(double single, double paired, const View& y, const View& x) {
  low_modes_along(false, single, paired, x, y);
}

}  // namespace
}  // namespace cpu

const FftKernels cpu_fft{.fft = cpu::fft,
                         .rfft = cpu::rfft,
                         .irfft = cpu::irfft,
                         .mode_matmul = cpu::mode_matmul,
                         .low_modes = cpu::low_modes,
                         .from_low_modes = cpu::from_low_modes};

}  // namespace brume
