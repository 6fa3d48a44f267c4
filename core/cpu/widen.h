#pragma once
// bf16 and f16 are storage types: kernels that compute in f32 take such operands as f32 copies.

#include <brume/core/cpu/scratch.h>
#include <brume/core/view.h>

namespace brume::cpu {

/// The f32 copies of one kernel call. Operands that are absent or of another dtype pass as they
/// are.
class Widened {
 public:
  /// x's values.
  View in(const View& x);
  /// An uninitialised array for a result; finish() rounds it into y.
  View out(const View& y);
  void finish() const;

 private:
  View array_like(const View& x);

  static constexpr int kResults = 8;
  Scratch scratch_;
  int results_ = 0;
  View wide_[kResults], narrow_[kResults];
};

}  // namespace brume::cpu
