// Products, convolutions and attention on a GPU, in bf16 if not said otherwise, at the sizes of the
// models, and Fourier transforms in f32: a step is kRepeats of them, then a wait. BRUME_GEMM,
// BRUME_CONV and BRUME_FFT choose who multiplies, convolves and transforms, BRUME_F32 how f32 is
// multiplied.

#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/core/tensor.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

constexpr int kRepeats = 20;
constexpr Device kGpu{DeviceType::cuda, 0};

Tensor on_gpu(const Shape& shape, Layout layout = Layout::row_major, DType dtype = DType::bf16) {
  return transfer(to(values(shape, layout), dtype), kGpu);
}

template <class F>
Work repeated(F once) {
  return {[=] {
    for (int i = 0; i < kRepeats; ++i) once();
    backend(kGpu.type).memory.synchronize();
  }};
}

// A linear layer: b lies transposed.
Row layer(int64_t m, int64_t n, int64_t k, DType dtype = DType::bf16) {
  return {cat("gpu_gemm_", dtype == DType::bf16 ? "" : cat(dtype, "_"), m, "x", n, "x", k),
          [=] {
            const auto matrix = [&](const Shape& shape) {
              return on_gpu(shape, Layout::row_major, dtype);
            };
            const Tensor a = matrix({m, k}), b = matrix({n, k}), c = matrix({m, n});
            return repeated([=] {
              const View across{b.data(), b.dtype(), {k, n}, {1, k}};
              kernels(c).gemm.matmul(a.view(), across, {}, c.view());
            });
          },
          true};
}

enum class Pass { forward, input_gradient, weight_gradient };

// In one group, or each channel by itself.
Row conv(int64_t batch, int64_t size, int64_t channels, int64_t groups = 1,
         Pass pass = Pass::forward) {
  constexpr const char* kPasses[] = {"", "input_gradient_", "weight_gradient_"};
  return {cat("gpu_conv_", groups == 1 ? "" : "each_", kPasses[static_cast<int>(pass)], "3x3_",
              batch, "x", size, "x", size, "x", channels),
          [=] {
            const Shape image{batch, channels, size, size};
            const Tensor x = on_gpu(image, Layout::channels_last), y = empty_like(x);
            const Tensor w = on_gpu({channels, channels / groups, 3, 3});
            return repeated([=] {
              ConvParams same;
              same.groups = groups;
              for (int64_t& padding : same.padding) padding = 1;
              const ConvKernels& kernel = kernels(y).conv;
              if (pass == Pass::forward) kernel.forward(x.view(), w.view(), same, {}, y.view());
              if (pass == Pass::input_gradient)
                kernel.input_gradient(x.view(), w.view(), same, {}, y.view());
              if (pass == Pass::weight_gradient)
                kernel.weight_gradient(x.view(), x.view(), same, w.view(), {});
            });
          },
          true};
}

Row attention(int64_t batch, int64_t heads, int64_t tokens, int64_t width) {
  return {cat("gpu_attention_", batch, "x", heads, "x", tokens, "x", width),
          [=] {
            const Shape shape{batch, heads, tokens, width};
            const Tensor q = on_gpu(shape), k = on_gpu(shape), v = on_gpu(shape), o = on_gpu(shape);
            const Tensor sums = empty({batch, heads, tokens}, {.device = kGpu});
            return repeated([=] {
              kernels(o).attention.attention({q.view(), k.view(), v.view()}, {.scale = 0.125},
                                             o.view(), sums.view());
            });
          },
          true};
}

// Along the last axis, of complex numbers or of real ones.
Row transform(int64_t lines, int64_t n, bool complex) {
  return {cat(complex ? "gpu_fft_" : "gpu_rfft_", lines, "x", n),
          [=] {
            const int64_t kept = complex ? n : n / 2 + 1;
            const Tensor x = on_gpu(complex ? Shape{lines, n, 2} : Shape{lines, n},
                                    Layout::row_major, DType::f32);
            const Tensor y = empty({lines, kept, 2}, {.device = kGpu});
            return repeated([=] {
              if (complex)
                kernels(y).fft.fft(false, 1, 1, x.view(), y.view());
              else
                kernels(y).fft.rfft(1, 1, 1, x.view(), y.view());
            });
          },
          true};
}

}  // namespace

void add_gpu_rows(Rows& rows) {
  rows.push_back(layer(4096, 4096, 4096));
  rows.push_back(layer(65536, 1536, 384));
  rows.push_back(layer(4096, 4096, 4096, DType::f32));
  for (const Pass pass : {Pass::forward, Pass::input_gradient, Pass::weight_gradient})
    for (const int64_t groups : {1, 128}) rows.push_back(conv(256, 32, 128, groups, pass));
  rows.push_back(attention(256, 12, 256, 64));
  for (const bool complex : {true, false}) rows.push_back(transform(16384, 1024, complex));
}

}  // namespace brume::bench
