// The op table's rows are small: most of their work is one piece. Here each way in which kernels
// share out work has operands that really are.

#include <doctest/doctest.h>

#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/cpu/element_walk.h>
#include <brume/core/cpu/parallel.h>

#include "tests/ops/checks.h"

using namespace brume;
using namespace brume::op_table;

namespace {

using In = const Tensors&;

Rows large_rows() {
  const Operand line = op_table::normal({70001}), matrix = op_table::normal({251, 300});
  const Operand image = op_table::normal({2, 36, 40, 40});
  return {
      {"mul flat", {line, line}, [](In in) { return in[0] * in[1]; }},
      {"mul strided",
       {matrix, op_table::normal({300, 251})},
       [](In in) { return in[0] * transpose(in[1], 0, 1); }},
      {"mul broadcast",
       {matrix, op_table::normal({300})},
       [](In in) { return tanh(in[0] * in[1]); }},
      {"contiguous turned", {matrix}, [](In in) { return contiguous(transpose(in[0], 0, 1)); }},
      {"slice", {matrix}, [](In in) { return contiguous(slice(in[0], 1, 1, 300, 2)); }},
      {"to bf16", {line}, [](In in) { return to(in[0], DType::bf16); }},
      {"sum all", {matrix}, [](In in) { return sum(in[0] * in[0]); }},
      {"sum rows", {matrix}, [](In in) { return sum(in[0] * in[0], {1}); }},
      {"sum columns", {matrix}, [](In in) { return sum(in[0] * in[0], {0}); }},
      {"sum of few long lines",
       {op_table::normal({2, 70001})},
       [](In in) { return sum(in[0], {1}); }},
      {"max", {distinct({251, 300})}, [](In in) { return max(in[0], {0}); }},
      {"cumsum", {matrix}, [](In in) { return cumsum(in[0], 0); }},
      {"index_select",
       {matrix, integers({400}, 0, 251)},
       [](In in) { return index_select(in[0], 0, in[1]); }},
      {"softmax", {matrix}, [](In in) { return softmax(in[0]); }},
      {"layer_norm",
       {matrix, op_table::normal({300}), op_table::normal({300})},
       [](In in) { return layer_norm(in[0], in[1], in[2]); }},
      {"group_norm",
       {image, op_table::normal({36}), op_table::normal({36})},
       [](In in) { return group_norm(in[0], in[1], in[2], 6); }},
      {"matmul",
       {matrix, op_table::normal({300, 130})},
       [](In in) { return matmul(in[0], in[1]); }},
      {"matmul of a long sum",
       {op_table::normal({3, 30000}), op_table::normal({30000, 5})},
       [](In in) { return matmul(in[0], in[1]); }},
      {"conv direct",
       {image, op_table::normal({40, 36, 3, 3}), op_table::normal({40})},
       [](In in) {
         return conv(in[0], in[1], in[2], {.padding = 1, .algorithm = ConvAlgorithm::direct});
       }},
      {"conv winograd",
       {image, op_table::normal({40, 36, 3, 3}), op_table::normal({40})},
       [](In in) {
         return conv(in[0], in[1], in[2], {.padding = 1, .algorithm = ConvAlgorithm::winograd_f4});
       }},
      {"conv depthwise",
       {image, op_table::normal({36, 1, 3, 3}), op_table::normal({36})},
       [](In in) { return conv(in[0], in[1], in[2], {.padding = 1, .groups = 36}); }},
  };
}

}  // namespace

TEST_CASE("work that is shared out gives the same bits on any number of threads") {
  for (const OpRow& row : large_rows()) {
    REQUIRE(numel(row.operands[0].shape) > 2 * cpu::kWalkGrain);
    for (const Failure& failure : check_threads(row))
      FAIL_CHECK((failure.row + ": " + failure.text));
  }
}

TEST_CASE("a sum that follows the number of threads is found") {
  const OpRow row{"sum", {op_table::normal({70001})}, [](In in) {
                    const int64_t n = in[0].numel(), half = n / num_threads();
                    return sum(slice(in[0], 0, 0, half)) + sum(slice(in[0], 0, half, n));
                  }};
  CHECK_FALSE(check_threads(row).empty());
}
