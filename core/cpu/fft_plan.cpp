#include <brume/core/cpu/fft_plan.h>

#include <cmath>
#include <complex>
#include <map>
#include <mutex>
#include <numbers>

#include <brume/core/error.h>

namespace brume::cpu {
namespace {

using Complex = std::complex<double>;

// exp(-2 pi i k / n), exact at quarter turns.
Complex root(int64_t k, int64_t n) {
  k %= n;
  if (4 * k % n == 0) {
    constexpr Complex kQuarters[] = {{1, 0}, {0, -1}, {-1, 0}, {0, 1}};
    return kQuarters[4 * k / n];
  }
  const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

template <class T>
void append(std::vector<T>& to, Complex z) {
  to.push_back(static_cast<T>(z.real()));
  to.push_back(static_cast<T>(z.imag()));
}

// 4 first, so that only a last 2 is left; empty if a factor is too large.
std::vector<int> radices(int64_t n) {
  std::vector<int> out;
  for (const int r : {4, 2, 3, 5, 7, 11, 13})
    for (; n % r == 0; n /= r) out.push_back(r);
  if (n != 1) out.clear();
  return out;
}

template <class T>
std::vector<FftPass<T>> passes_of(int64_t n, const std::vector<int>& radix_list) {
  std::vector<FftPass<T>> passes;
  int64_t left = n, stride = 1;
  for (const int radix : radix_list) {
    FftPass<T> pass{radix, left / radix, stride, {}, {}};
    for (int64_t p = 0; p < pass.blocks; ++p)
      for (int64_t t = 1; t < radix; ++t) append(pass.twiddles, root(p * t, left));
    if (radix > 5)
      for (int64_t k = 0; k < radix; ++k) append(pass.roots, root(k, radix));
    passes.push_back(std::move(pass));
    left /= radix;
    stride *= radix;
  }
  return passes;
}

// The spectrum of the wrapped conjugate chirp, in f64, by the definition's recursion over powers of
// two.
std::vector<Complex> spectrum(std::vector<Complex> x) {
  const size_t n = x.size();
  if (n == 1) return x;
  std::vector<Complex> even(n / 2), odd(n / 2);
  for (size_t i = 0; i < n / 2; ++i) even[i] = x[2 * i], odd[i] = x[2 * i + 1];
  even = spectrum(std::move(even));
  odd = spectrum(std::move(odd));
  for (size_t k = 0; k < n / 2; ++k) {
    const Complex turned = root(static_cast<int64_t>(k), static_cast<int64_t>(n)) * odd[k];
    x[k] = even[k] + turned;
    x[k + n / 2] = even[k] - turned;
  }
  return x;
}

template <class T>
void make_chirp(FftPlan<T>& plan) {
  int64_t length = 1;
  while (length < 2 * plan.n - 1) length *= 2;
  plan.convolver = fft_plan<T>(length);
  std::vector<Complex> wrapped(static_cast<size_t>(length));
  int64_t square = 0;  // j^2 mod 2 n
  for (int64_t j = 0; j < plan.n; ++j) {
    const Complex c = root(square, 2 * plan.n);
    append(plan.chirp, c);
    wrapped[static_cast<size_t>(j)] = wrapped[static_cast<size_t>((length - j) % length)] =
        std::conj(c);
    square = (square + 2 * j + 1) % (2 * plan.n);
  }
  for (const Complex& z : spectrum(std::move(wrapped)))
    append(plan.chirp_spectrum, z / static_cast<double>(length));
}

template <class T>
std::shared_ptr<const FftPlan<T>> make_plan(int64_t n) {
  auto plan = std::make_shared<FftPlan<T>>();
  plan->n = n;
  const std::vector<int> factors = radices(n);
  if (factors.empty() && n > 1)
    make_chirp(*plan);
  else
    plan->passes = passes_of<T>(n, factors);
  for (int64_t k = 0; k <= n; ++k) append(plan->half_turn, root(k, 2 * n));
  return plan;
}

constexpr size_t kMaxPlans = 256;  // a process that keeps asking for new lengths starts again

}  // namespace

template <class T>
std::shared_ptr<const FftPlan<T>> fft_plan(int64_t n) {
  check(n >= 1 && n <= (int64_t{1} << 27), "fft: a length must be from 1 to 2^27, got ", n);
  static std::mutex mutex;
  static std::map<int64_t, std::shared_ptr<const FftPlan<T>>> plans;
  {
    const std::scoped_lock lock(mutex);
    if (const auto found = plans.find(n); found != plans.end()) return found->second;
  }
  auto plan = make_plan<T>(n);
  const std::scoped_lock lock(mutex);
  if (plans.size() >= kMaxPlans) plans.clear();
  return plans.emplace(n, std::move(plan)).first->second;
}

template std::shared_ptr<const FftPlan<float>> fft_plan(int64_t n);
template std::shared_ptr<const FftPlan<double>> fft_plan(int64_t n);

}  // namespace brume::cpu
