#pragma once
// Division by a fixed number as a multiplication and a shift.

#include <cuda_runtime.h>

#include <cstdint>

namespace brume::cuda {

/// Exact for numerators below 2^31 and 1 <= divisor < 2^31.
/// @source Granlund and Montgomery 1994, "Division by invariant integers using multiplication"
class Divider {
 public:
  Divider() = default;
  explicit Divider(uint32_t divisor) : divisor_(divisor) {
    while ((uint64_t{1} << shift_) < divisor) ++shift_;
    factor_ = static_cast<uint32_t>(
        (uint64_t{1} << 32) * ((uint64_t{1} << shift_) - divisor) / divisor + 1);
  }

  __host__ __device__ uint32_t divisor() const { return divisor_; }
  __device__ uint32_t quotient(uint32_t x) const { return (__umulhi(x, factor_) + x) >> shift_; }

 private:
  uint32_t divisor_ = 1, factor_ = 1, shift_ = 0;
};

}  // namespace brume::cuda
