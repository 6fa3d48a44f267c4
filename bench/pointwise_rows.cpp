// Pointwise operations: the overhead of a call, functions in the first cache (value beside
// gradient), bandwidth, and copies between layouts.

#include <string>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/backend.h>
#include <brume/core/math/pointwise_list.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

// A step is 1000 calls, so milliseconds read as microseconds per call.
constexpr int kCalls = 1000;

template <class F>
Row call(const std::string& name, bool recorded, F f) {
  return {"call_" + name, [=] {
            const Tensor x = set_requires_grad(values({4}), recorded), y = values({4});
            return Work{[=] {
              for (int i = 0; i < kCalls; ++i) f(x, y);
            }};
          }};
}

// 1000 times 1024 elements: milliseconds are nanoseconds per 1024 elements times 1e-3.
template <class F>
void add_function(Rows& rows, F f) {
  constexpr int kArity = math::arity_of<F, math::Vec<float, 1>>();
  const auto set_up = [=](bool backward) {
    Tensors in, out;
    for (int k = 0; k < kArity; ++k) {
      in.push_back(values({1024}));
      out.push_back(values({1024}));
    }
    const Tensor y = values({1024});
    return Work{[=] {
      const PointwiseFn fn{.name = F::name,
                           .id = math::AllPointwiseFns::index<F>,
                           .arity = kArity,
                           .functor = &f,
                           .functor_bytes = sizeof f};
      View x[kArity], gx[kArity];
      for (size_t k = 0; k < kArity; ++k) {
        x[k] = in[k].view();
        gx[k] = out[k].view();
      }
      const PointwiseKernels& table = kernels(y).pointwise;
      for (int i = 0; i < kCalls; ++i)
        backward ? table.backward(fn, y.view(), x, gx) : table.forward(fn, x, y.view());
    }};
  };
  rows.push_back({std::string("l1_") + F::name, [=] { return set_up(false); }});
  rows.push_back({std::string("l1_") + F::name + "_backward", [=] { return set_up(true); }});
}

template <class F>
Row streaming(const std::string& name, int tensors, F f) {
  const Shape shape{16, 64, 128, 128};
  return {"stream_" + name, [=] {
            const Tensor x = values(shape), y = values(shape);
            return Work{.step = [=] { f(x, y); },
                        .step_bytes = 4.0 * tensors * static_cast<double>(x.numel())};
          }};
}

Row layout_copy(const Shape& shape, Layout from, Layout to) {
  const std::string name = cat("layout_", shape[1], "x", shape[2], "x", shape[3],
                               to == Layout::row_major ? "_to_row_major" : "_to_channels_last");
  return {name, [=] {
            const Tensor x = relayout(values(shape), from);
            return Work{.step = [=] { (void)relayout(x, to); },
                        .step_bytes = 8.0 * static_cast<double>(x.numel())};
          }};
}

}  // namespace

void add_pointwise_rows(Rows& rows) {
  rows.push_back(call("add", false, [](const Tensor& x, const Tensor& y) { (void)(x + y); }));
  rows.push_back(
      call("add_recorded", true, [](const Tensor& x, const Tensor& y) { (void)(x + y); }));
  rows.push_back(
      call("mul_recorded", true, [](const Tensor& x, const Tensor& y) { (void)(x * y); }));
  add_function(rows, math::Add{});
  add_function(rows, math::Exp{});
  add_function(rows, math::Tanh{});
  add_function(rows, math::Silu{});
  add_function(rows, math::Mish{});
  add_function(rows, math::Gelu{});
  add_function(rows, math::GeluTanh{});
  add_function(rows, math::Modulate{});
  add_function(rows, math::Combine{});
  rows.push_back(streaming("add", 3, [](const Tensor& x, const Tensor& y) { (void)(x + y); }));
  rows.push_back(streaming("silu", 2, [](const Tensor& x, const Tensor&) { (void)silu(x); }));
  for (const Shape& shape : {Shape{16, 64, 32, 32}, Shape{64, 3, 64, 64}}) {
    rows.push_back(layout_copy(shape, Layout::row_major, Layout::channels_last));
    rows.push_back(layout_copy(shape, Layout::channels_last, Layout::row_major));
  }
}

}  // namespace brume::bench
