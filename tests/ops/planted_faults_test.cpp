// The op table finds what it is there to find: each row here has one fault.

#include <algorithm>

#include <doctest/doctest.h>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>

#include "tests/ops/checks.h"

using namespace brume;
using namespace brume::op_table;

namespace {

using In = const Tensors&;

bool finds(const OpRow& row, const std::string& check) {
  const auto failures = check_row(row);
  return std::any_of(failures.begin(), failures.end(),
                     [&](const Failure& failure) { return failure.check == check; });
}

Tensor squared(const Tensor& x) { return square(detach(x)); }

}  // namespace

TEST_CASE("the table finds nothing wrong with a right operation") {
  const OpRow row{"square",
                  {op_table::normal({2, 3})},
                  [](In in) {
                    return record(
                        "square", squared(in[0]), {in[0]},
                        [x = Saved(in[0])](const Tensor& g) { return Grads{2 * x.get() * g}; });
                  },
                  {.second_order = true, .batch = 1}};
  CHECK(check_row(row).empty());
}

TEST_CASE("the table finds a batch that may not be empty") {
  CHECK(finds({"square",
               {op_table::normal({2, 3})},
               [](In in) {
                 check(in[0].numel() > 0, "square: nothing, ", in[0].shape());
                 return square(in[0]);
               },
               {.batch = 1}},
              "empty batch"));
}

TEST_CASE("the table finds a wrong gradient") {
  CHECK(finds({"square",
               {op_table::normal({2, 3})},
               [](In in) {
                 return record("square", squared(in[0]), {in[0]},
                               [x = Saved(in[0])](const Tensor& g) { return Grads{x.get() * g}; });
               }},
              "finite differences"));
}

TEST_CASE("the table finds a second derivative that is lost") {
  CHECK(finds({"square",
               {op_table::normal({2, 3})},
               [](In in) {
                 return record("square", squared(in[0]), {in[0]},
                               [x = Saved(in[0])](const Tensor& g) {
                                 return Grads{2 * detach(x.get()) * g};
                               });
               },
               {.second_order = true}},
              "finite differences"));
}

TEST_CASE("the table finds a value that is kept without its version") {
  CHECK(finds({"square",
               {op_table::normal({2, 3})},
               [](In in) {
                 return record("square", squared(in[0]), {in[0]},
                               [x = detach(in[0])](const Tensor& g) { return Grads{2 * x * g}; });
               }},
              "changed values"));
}

TEST_CASE("the table finds an operation that changes its operand") {
  CHECK(finds({"square",
               {constant(op_table::normal({2, 3}))},
               [](In in) {
                 const Tensor y = squared(in[0]);
                 fill_(in[0], 0);
                 return y;
               }},
              "changed values"));
}

TEST_CASE("the table finds an operation that takes its operand for row-major") {
  CHECK(finds(
      {"square",
       {constant(op_table::normal({2, 3}))},
       [](In in) { return squared(alias(in[0], in[0].shape(), dense_strides(in[0].shape()))); }},
      "strides"));
}

TEST_CASE("the table finds f32 arithmetic that is too coarse") {
  CHECK(finds({"square",
               {constant(op_table::normal({2, 3}))},
               [](In in) {
                 const bool coarse = in[0].dtype() == DType::f32;
                 return squared(coarse ? convert(convert(in[0], DType::bf16), DType::f32) : in[0]);
               }},
              "f32 against f64"));
}

TEST_CASE("the table finds a sample that depends on its batch") {
  CHECK(finds({"centered",
               {op_table::normal({3, 2})},
               [](In in) { return in[0] - mean(in[0], 0, keep_axis); },
               {.batch = 1}},
              "batch"));
}

TEST_CASE("the table finds a wrong shape that is taken, and an error that names nothing") {
  const OpRow taken{
      "sum", {op_table::normal({2, 3})}, [](In in) { return sum(in[0]); }, {.refuses = {{{4}}}}};
  CHECK(finds(taken, "shape errors"));
  const OpRow nameless{"sum",
                       {op_table::normal({2, 3})},
                       [](In in) {
                         check(in[0].rank() == 2, "wrong shape");
                         return sum(in[0]);
                       },
                       {.refuses = {{{4}}}}};
  CHECK(finds(nameless, "shape errors"));
}

TEST_CASE("the table finds an operation that has no row") {
  const std::string header =
      "Tensor sum(const Tensor& x);\n"
      "std::pair<Tensor, Tensor> twist(const Tensor& x,\n"
      "                                int64_t n);\n"
      "struct TensorOptions {};\n"
      "Tensor operator+(Tensor x, Tensor y);\n";
  const OpRow row{"sum of rows", {}, [](In) { return Tensors{}; }};
  CHECK(without_row(header, {row}) == std::vector<std::string>{"twist"});
}
