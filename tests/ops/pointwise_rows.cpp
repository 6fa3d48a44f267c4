// Rows of autograd/ops/pointwise.h: one for every function of the list, and one for every public
// name that is not in it.

#include <brume/autograd/ops/pointwise.h>

#include <utility>

#include <brume/autograd/ops/pointwise_call.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

// A functor's constants are a few doubles: growing ones suit limits and slopes alike.
template <class F>
F with_constants() {
  if constexpr (std::is_empty_v<F>) {
    return F{};
  } else {
    double constants[sizeof(F) / sizeof(double)];
    double next = 0.7;
    for (double& c : constants) c = std::exchange(next, next + 0.6);
    F f;
    __builtin_memcpy(&f, constants, sizeof f);
    return f;
  }
}

template <class F, size_t... k>
Tensor apply(const Tensors& in, std::index_sequence<k...>) {
  return pointwise(with_constants<F>(), in[k]...);
}

// Operands that broadcast against each other, with tails behind whole vectors.
template <class F>
OpRow listed() {
  constexpr int kArity = math::arity_of<F, math::Vec<float, 1>>();
  const Shape shapes[] = {{3, 37}, {37}, {3, 1}, {1, 37}};
  std::vector<Operand> operands;
  for (int k = 0; k < kArity; ++k)
    operands.push_back(uniform(shapes[k], math::domain<F>.low, math::domain<F>.high));
  if (math::Loops<F, math::Wide<float>, kArity>::kPredicate)
    for (Operand& operand : operands) operand = constant(operand);
  OpFlags flags{.second_order = true, .bound = 4e-6, .gradient_bound = 2e-5, .half_bound = 8e-3};
  if (kArity > 1) {
    std::vector<Shape> wrong(shapes, shapes + kArity);
    wrong[1] = {36};
    flags.refuses.push_back(wrong);
  }
  return {F::name, operands, [](In in) { return apply<F>(in, std::make_index_sequence<kArity>()); },
          flags};
}

template <class... F>
Rows listed_rows(math::FnList<F...>) {
  return {listed<F>()...};
}

Rows other_rows() {
  const Operand x = uniform({3, 37}, -3, 3);
  return {
      {"clamp_min", {x}, [](In in) { return clamp_min(in[0], -1); }, {.second_order = true}},
      {"clamp_max", {x}, [](In in) { return clamp_max(in[0], 1); }, {.second_order = true}},
      {"hardtanh", {x}, [](In in) { return hardtanh(in[0]); }, {.second_order = true}},
      {"relu6", {x}, [](In in) { return relu6(in[0] * 3); }, {.second_order = true}},
      {"selu", {x}, [](In in) { return selu(in[0]); }, {.second_order = true}},
      {"prelu",
       {normal({2, 3, 5}), normal({3})},
       [](In in) { return prelu(in[0], in[1]); },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 5}, {5}}}}},
      {"where with a bool mask",
       {booleans({3, 1}), normal({3, 4}), normal({4})},
       [](In in) { return where(in[0], in[1], in[2]); },
       {.second_order = true}},
      {"pointwise, a user's function",
       {normal({2, 5}), normal({5})},
       [](In in) {
         return pointwise([c = 0.5](auto a, auto b) { return c * exp(a) * b + a; }, in[0], in[1]);
       },
       {.second_order = true,
        .batch = 1,
        .cpu_only = "a kernel of a user's function is compiled where the function is, on the host",
        .refuses = {{{2, 5}, {4}}}}},
      {"add of images",
       {normal({2, 3, 4, 4}), normal({3, 1, 1})},
       [](In in) { return in[0] + in[1]; },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 4, 4}, {2, 1, 1}}}}},
      {"mul of integers",
       {integers({3, 4}, -9, 9), integers({4}, -9, 9)},
       [](In in) { return in[0] * in[1]; }},
      {"exp of nothing", {normal({0, 3})}, [](In in) { return exp(in[0]); }},
      {"exp of one number", {normal({})}, [](In in) { return exp(in[0]); }, {.second_order = true}},
  };
}

}  // namespace

Rows pointwise_rows() {
  Rows all = listed_rows(math::AllPointwiseFns{}), more = other_rows();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace brume::op_table
