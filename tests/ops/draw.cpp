#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

// Own numbers, so that the table does not lean on the random numbers it proves: splitmix64.
class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U) {}
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double normal() {
    const double r = std::sqrt(-2 * std::log(1 - uniform()));
    return r * std::cos(2 * std::numbers::pi * uniform());
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }

 private:
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

std::vector<double> distinct_values(size_t count, double low, double high, Draws& draws) {
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = low + (high - low) * (static_cast<double>(i) + 0.5) / static_cast<double>(count);
  for (size_t i = count; i > 1; --i)
    std::swap(values[i - 1], values[static_cast<size_t>(draws.below(static_cast<int64_t>(i)))]);
  return values;
}

}  // namespace

Tensor draw(const Operand& operand, DType floating, uint64_t seed) {
  Draws draws(seed);
  const auto count = static_cast<size_t>(numel(operand.shape));
  const double low = operand.low, high = operand.high;
  using Kind = Operand::Kind;
  if (operand.kind == Kind::integers || operand.kind == Kind::booleans) {
    std::vector<int64_t> values(count);
    for (int64_t& v : values)
      v = static_cast<int64_t>(low) +
          draws.below(static_cast<int64_t>(high - low) + (operand.kind == Kind::booleans ? 1 : 0));
    const Tensor x = from_vector(values, operand.shape);
    return operand.kind == Kind::booleans ? convert(x, DType::boolean) : x;
  }
  std::vector<double> values(count);
  if (operand.kind == Kind::distinct)
    values = distinct_values(count, low, high, draws);
  else if (operand.kind == Kind::uniform)
    for (double& v : values) v = low + (high - low) * draws.uniform();
  else
    for (double& v : values) v = draws.normal();
  return convert(from_vector(values, operand.shape), floating);
}

}  // namespace brume::op_table
