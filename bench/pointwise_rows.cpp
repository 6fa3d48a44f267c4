// Pointwise operations: the overhead of a call, every function in the first cache (value beside
// gradient), bandwidth, and copies between layouts.

#include <cstring>
#include <iterator>
#include <map>
#include <string>

#include <brume/autograd/backward.h>
#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/backend.h>
#include <brume/core/math/pointwise_loops.h>

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

// Forward and backward of a chain of small operations; milliseconds read as microseconds per
// operation.
Row chain() {
  return {"call_chain_of_20", [] {
            constexpr int kLength = 20;
            const Tensor x = set_requires_grad(values({4})), one = ones({4});
            return Work{[=] {
              for (int i = 0; i < kCalls / kLength; ++i) {
                Tensor y = x;
                for (int k = 0; k < kLength; k += 2) y = (y + x) * one;
                (void)grad({y}, {x}, {one});
              }
            }};
          }};
}

// A functor's constants are a few doubles: growing ones suit limits and slopes alike.
template <class F>
F with_constants() {
  F f;
  if constexpr (!std::is_empty_v<F>) {
    double constants[sizeof(F) / sizeof(double)];
    for (size_t i = 0; i < std::size(constants); ++i)
      constants[i] = 0.7 + 0.6 * static_cast<double>(i);
    std::memcpy(static_cast<void*>(&f), constants, sizeof f);
  }
  return f;
}

// 100 times 1024 elements in the first cache.
template <class F>
Work work_of() {
  constexpr int kArity = math::arity_of<F, math::Vec<float, 1>>(), kRepeats = 100;
  constexpr math::Interval domain = math::domain<F>;
  Tensors in, out;
  for (int k = 0; k < kArity; ++k) {
    in.push_back((domain.high - domain.low) / 2 * (values({1024}) + 1) + domain.low);
    out.push_back(values({1024}));
  }
  const auto call = [=, y = values({1024}), f = with_constants<F>()](bool backward) {
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
    for (int i = 0; i < kRepeats; ++i)
      backward ? table.backward(fn, y.view(), x, gx) : table.forward(fn, x, y.view());
  };
  Work work{.step = [=] { call(false); }};
  if constexpr (!math::Loops<F, math::Vec<float, 1>, kArity>::kPredicate) {
    work.beside = [=] { call(true); };
    work.beside_parts = kArity;
  }
  return work;
}

// One row per function; those that share a name are numbered.
template <class... F>
void add_functions(Rows& rows, math::FnList<F...>) {
  std::map<std::string, int> seen;
  const auto name = [&](const char* base) {
    const int count = ++seen[base];
    return count == 1 ? cat("l1_", base) : cat("l1_", base, "_", count);
  };
  (rows.push_back({name(F::name), work_of<F>}), ...);
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
  rows.push_back(chain());
  add_functions(rows, math::AllPointwiseFns{});
  rows.push_back(streaming("add", 3, [](const Tensor& x, const Tensor& y) { (void)(x + y); }));
  rows.push_back(streaming("silu", 2, [](const Tensor& x, const Tensor&) { (void)silu(x); }));
  for (const Shape& shape : {Shape{16, 64, 32, 32}, Shape{64, 3, 64, 64}}) {
    rows.push_back(layout_copy(shape, Layout::row_major, Layout::channels_last));
    rows.push_back(layout_copy(shape, Layout::channels_last, Layout::row_major));
  }
}

}  // namespace brume::bench
