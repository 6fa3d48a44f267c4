// The twins of cuFFT's functions for batches of lines along one axis, as its manual describes them:
// without factors, complex numbers as pairs, a work area that is written, and what real numbers are
// made of is lost. Work that was recorded and whose plan is gone fails.

#include <cufftXt.h>

#include <cmath>
#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <numbers>
#include <optional>
#include <vector>

#include <brume/core/dtype.h>
#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/library.h>
#include <brume/cuda/emu/stream.h>

namespace {

constexpr size_t kWorkBytes = 128;

struct Layout {
  long long n, x_step, x_distance, y_step, y_distance, count;
  cufftType type;
  bool from_real() const { return type == CUFFT_R2C || type == CUFFT_D2Z; }
  bool to_real() const { return type == CUFFT_C2R || type == CUFFT_Z2D; }
  bool is_wide() const { return type >= CUFFT_Z2Z; }
};

struct Plan {
  bool allocates = true;
  std::optional<Layout> layout{};  // once it is made
  cudaStream_t stream = nullptr;
  void* work = nullptr;
};

std::map<cufftHandle, Plan>& plans() {
  static std::map<cufftHandle, Plan>& all = *new std::map<cufftHandle, Plan>;
  return all;
}

Plan* find(cufftHandle handle) {
  const auto found = plans().find(handle);
  return found == plans().end() ? nullptr : &found->second;
}

template <class T>
void transform(const Layout& l, int direction, T* x, T* y) {
  const int x_parts = l.from_real() ? 1 : 2, y_parts = l.to_real() ? 1 : 2;
  const long long given = l.to_real() ? l.n / 2 + 1 : l.n;
  const long long results = l.from_real() ? l.n / 2 + 1 : l.n;
  const int sign = l.from_real() ? CUFFT_FORWARD : l.to_real() ? CUFFT_INVERSE : direction;
  for (long long line = 0; line < l.count; ++line) {
    std::vector<std::complex<double>> all(static_cast<size_t>(l.n));
    for (long long j = 0; j < given; ++j) {
      T* from = x + (line * l.x_distance + j * l.x_step) * x_parts;
      const std::complex<double> z(static_cast<double>(from[0]),
                                   x_parts == 1 ? 0.0 : static_cast<double>(from[1]));
      if (l.to_real() && j > 0) all[static_cast<size_t>(l.n - j)] = std::conj(z);
      all[static_cast<size_t>(j)] = z;
      if (l.to_real()) from[0] = from[1] = std::numeric_limits<T>::quiet_NaN();
    }
    for (long long k = 0; k < results; ++k) {
      std::complex<double> sum = 0;
      for (long long j = 0; j < l.n; ++j)
        sum += all[static_cast<size_t>(j)] *
               std::polar(1.0, sign * 2 * std::numbers::pi * static_cast<double>(j * k % l.n) /
                                   static_cast<double>(l.n));
      T* to = y + (line * l.y_distance + k * l.y_step) * y_parts;
      to[0] = static_cast<T>(sum.real());
      if (y_parts == 2) to[1] = static_cast<T>(sum.imag());
    }
  }
}

}  // namespace

cufftResult cufftGetVersion(int* version) {
  *version = 11203;
  return CUFFT_SUCCESS;
}

cufftResult cufftCreate(cufftHandle* plan) {
  static cufftHandle next = 0;
  *plan = next++;
  plans()[*plan] = {};
  return CUFFT_SUCCESS;
}

cufftResult cufftDestroy(cufftHandle plan) {
  return plans().erase(plan) ? CUFFT_SUCCESS : CUFFT_INVALID_PLAN;
}

cufftResult cufftSetAutoAllocation(cufftHandle handle, int on) {
  Plan* plan = find(handle);
  if (!plan || plan->layout) return CUFFT_INVALID_PLAN;
  plan->allocates = on != 0;
  return CUFFT_SUCCESS;
}

cufftResult cufftMakePlanMany64(cufftHandle handle, int rank, long long* n, long long* x_sizes,
                                long long x_step, long long x_distance, long long* y_sizes,
                                long long y_step, long long y_distance, cufftType type,
                                long long count, size_t* work_bytes) {
  Plan* plan = find(handle);
  if (!plan || plan->layout) return CUFFT_INVALID_PLAN;
  // Without sizes the lines would be taken to lie one behind the other.
  if (rank != 1 || n[0] < 1 || count < 1 || !x_sizes || !y_sizes || x_step < 1 || y_step < 1 ||
      x_distance < 1 || y_distance < 1)
    return CUFFT_INVALID_VALUE;
  plan->layout = {n[0], x_step, x_distance, y_step, y_distance, count, type};
  *work_bytes = kWorkBytes;
  return CUFFT_SUCCESS;
}

cufftResult cufftSetStream(cufftHandle handle, cudaStream_t stream) {
  Plan* plan = find(handle);
  if (!plan) return CUFFT_INVALID_PLAN;
  plan->stream = stream;
  return CUFFT_SUCCESS;
}

cufftResult cufftSetWorkArea(cufftHandle handle, void* work) {
  Plan* plan = find(handle);
  if (!plan || !plan->layout) return CUFFT_INVALID_PLAN;
  plan->work = work;
  return CUFFT_SUCCESS;
}

cufftResult cufftXtExec(cufftHandle handle, void* x, void* y, int direction) {
  Plan* plan = find(handle);
  if (!plan || !plan->layout || !plan->stream) return CUFFT_INVALID_PLAN;
  if (!plan->allocates && !plan->work) return CUFFT_NO_WORKSPACE;
  if (direction != CUFFT_FORWARD && direction != CUFFT_INVERSE) return CUFFT_INVALID_VALUE;
  const size_t pair = plan->layout->is_wide() ? 16 : 8;
  for (void* data : {x, y})
    if (reinterpret_cast<uintptr_t>(data) % pair != 0) return CUFFT_UNALIGNED_DATA;
  // By value: in a capture it is done later.
  const auto work = [=, layout = *plan->layout, area = plan->work] {
    if (!find(handle)) return cudaErrorIllegalAddress;
    const brume::cuda::emu::MemoryAccess access;
    if (area) std::memset(area, 0xff, kWorkBytes);
    if (layout.is_wide())
      transform(layout, direction, static_cast<double*>(x), static_cast<double*>(y));
    else
      transform(layout, direction, static_cast<float*>(x), static_cast<float*>(y));
    return cudaSuccess;
  };
  return brume::cuda::emu::give(plan->stream, work) == cudaSuccess ? CUFFT_SUCCESS
                                                                   : CUFFT_EXEC_FAILED;
}

namespace brume::cuda::emu {

std::span<const Symbol> cufft_symbols() {
  static const Symbol symbols[] = {{"cufftGetVersion", address_of(cufftGetVersion)},
                                   {"cufftCreate", address_of(cufftCreate)},
                                   {"cufftDestroy", address_of(cufftDestroy)},
                                   {"cufftSetAutoAllocation", address_of(cufftSetAutoAllocation)},
                                   {"cufftMakePlanMany64", address_of(cufftMakePlanMany64)},
                                   {"cufftSetStream", address_of(cufftSetStream)},
                                   {"cufftSetWorkArea", address_of(cufftSetWorkArea)},
                                   {"cufftXtExec", address_of(cufftXtExec)}};
  return symbols;
}

}  // namespace brume::cuda::emu
