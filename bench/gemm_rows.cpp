// Products at the sizes of the models: linear layers forward (b transposed), the gradient of their
// weights (a transposed), batch-1 layers.

#include <initializer_list>
#include <memory>

#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>
#include <brume/core/tensor.h>
#include <brume/core/text.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

enum class Form { plain, layer, weight_gradient };

View transposed(const Tensor& x) {
  return {x.data(), x.dtype(), {x.size(1), x.size(0)}, {x.strides()[1], x.strides()[0]}};
}

Row gemm(const std::string& name, int64_t m, int64_t n, int64_t k, Form form,
         DType dtype = DType::f32) {
  return {"gemm_" + name, [=] {
            const Shape a_shape = form == Form::weight_gradient ? Shape{k, m} : Shape{m, k};
            const Tensor a = to(values(a_shape), dtype);
            const Tensor b = to(values(form == Form::layer ? Shape{n, k} : Shape{k, n}), dtype);
            const Tensor c = to(values({m, n}), dtype);
            const auto step = [=] {
              kernels(c).gemm.matmul(form == Form::weight_gradient ? transposed(a) : a.view(),
                                     form == Form::layer ? transposed(b) : b.view(), {}, c.view());
            };
            return Work{step, 2.0 * static_cast<double>(m * n * k)};
          }};
}

}  // namespace

void add_gemm_rows(Rows& rows) {
  for (int64_t n : {16, 32, 64, 128, 256, 512, 1024, 2048})
    rows.push_back(gemm(cat("square_", n), n, n, n, Form::plain));
  struct Size {
    int64_t m, n, k;
  };
  const auto add = [&](const char* name, Form form, std::initializer_list<Size> sizes) {
    for (const auto& [m, n, k] : sizes)
      rows.push_back(gemm(cat(name, "_", m, "x", n, "x", k), m, n, k, form));
  };
  add("layer", Form::layer,
      {{4096, 384, 384},
       {4096, 1536, 384},
       {4096, 384, 1536},
       {4096, 1152, 384},
       {1024, 768, 192},
       {1024, 192, 768},
       {1024, 576, 192},
       {6000, 128, 128},
       {4096, 512, 512},
       {16384, 64, 64},
       {16, 128, 512},
       {1, 128, 512},
       {1, 384, 384},
       {1, 2304, 384},
       {64, 384, 384}});
  add("data_gradient", Form::plain,
      {{1024, 192, 768}, {1024, 768, 192}, {1024, 192, 576}, {4096, 512, 512}, {6000, 128, 128}});
  rows.push_back(gemm("layer_4096x384x384_bf16", 4096, 384, 384, Form::layer, DType::bf16));
  add("gradient", Form::weight_gradient,
      {{1536, 384, 4096},
       {384, 1536, 4096},
       {768, 192, 1024},
       {192, 768, 1024},
       {128, 128, 6000},
       {512, 512, 4096},
       {64, 64, 65536},
       {64, 32, 16384},
       {128, 128, 4096},
       {384, 384, 64},
       {128, 512, 16}});
}

}  // namespace brume::bench
