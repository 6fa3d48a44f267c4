#pragma once
// The inner loops of the norms, one table per instruction set. Arrays of one kind never overlap
// those of another, except where said.

#include <cstdint>

#include <brume/core/cpu/isa.h>

namespace brume::cpu {

/// Pixels [0, rows) of one image, `channels` numbers each, without gaps; the other arrays hold one
/// number per channel.
template <class T>
struct ChannelLoops {
  // s[c] = sum of x - shift, q[c] = sum of (x - shift)^2; q may be null.
  void (*moments)(int64_t rows, int64_t channels, const T* x, const T* shift, T* s, T* q);
  // y = act((x - center) slope + offset)
  void (*affine)(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                 const T* offset, bool silu, T* y);
  // g = gy act'(...), written only with silu. sums: [3, channels]: of g, g (x - center),
  // x - center.
  void (*affine_sums)(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                      const T* offset, bool silu, const T* gy, T* g, T* sums);
  // gx = g slope - (u + v (x - center)); gx may be g.
  void (*affine_grad)(int64_t rows, int64_t channels, const T* x, const T* center, const T* slope,
                      const T* u, const T* v, const T* g, T* gx);
};

/// Rows of `width` numbers, without gaps; weight and bias hold one number per column.
template <class T>
struct RowLoops {
  // y = (x - mean) rstd weight + bias; mean null: not centred.
  void (*norm)(int64_t rows, int64_t width, T eps, const T* x, const T* weight, const T* bias, T* y,
               T* mean, T* rstd);
  // Adds to gweight and gbias.
  void (*norm_grad)(int64_t rows, int64_t width, const T* x, const T* weight, const T* mean,
                    const T* rstd, const T* gy, T* gx, T* gweight, T* gbias);
};

BRUME_ISA_TABLE(ChannelLoops<float>, channel_loops)
BRUME_ISA_TABLE(RowLoops<float>, row_loops)

namespace portable {
extern const ChannelLoops<double> channel_loops_f64;
extern const RowLoops<double> row_loops_f64;
}  // namespace portable

}  // namespace brume::cpu
