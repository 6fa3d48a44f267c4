#pragma once
// How a GPU multiplies f32: exactly unless asked otherwise. The CPU multiplies exactly in any mode.

#include <cstdint>
#include <string>

namespace brume {

/// For products of matrices and convolutions of f32 on a GPU; sums are f32 in any of them. A result
/// differs from the exact one by at most product_error(mode) times the sum of |a b| over its terms.
enum class F32Mode : uint8_t {
  exact,   // f32
  tf32,    // factors rounded to 10 bits of mantissa; at most 7 times as fast
  bf16x3,  // factors as sums of two bf16, three products; at most 5 times; infinities become NaN
};
const char* name(F32Mode mode);
inline std::string to_string(F32Mode mode) { return name(mode); }

/// 0, 2^-10 + 2^-22 (each factor is off by 2^-11), 3 * 2^-18 + 2^-34 (each by 2^-18, and the
/// product of the small parts is left out).
double product_error(F32Mode mode);

/// The mode of the whole program: at first that of BRUME_F32, exact if that is not set.
/// @throws Error if BRUME_F32 names no mode
F32Mode f32_mode();
void set_f32_mode(F32Mode mode);

/// The mode for the length of a scope.
class WithF32Mode {
 public:
  explicit WithF32Mode(F32Mode mode) : before_(f32_mode()) { set_f32_mode(mode); }
  ~WithF32Mode() { set_f32_mode(before_); }
  WithF32Mode(const WithF32Mode&) = delete;
  WithF32Mode& operator=(const WithF32Mode&) = delete;

 private:
  F32Mode before_;
};

}  // namespace brume
