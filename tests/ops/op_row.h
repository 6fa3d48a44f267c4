#pragma once
// One row of the op table proves one operation: which operands, which call, which bounds. What is
// checked follows from the row (checks.h).

#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include <brume/autograd/node.h>
#include <brume/core/tensor.h>

namespace brume::op_table {

/// An operand, drawn as a function of (kind, shape, range, seed): the same numbers in f32 and f64
/// up to rounding.
struct Operand {
  enum class Kind { uniform, normal, distinct, integers, booleans };
  Kind kind = Kind::normal;
  Shape shape;
  double low = -1, high = 1;
  bool gradient = true;
};

inline Operand normal(const Shape& shape) { return {Operand::Kind::normal, shape}; }
inline Operand uniform(const Shape& shape, double low, double high) {
  return {Operand::Kind::uniform, shape, low, high};
}
/// Evenly spaced values in random order: no ties, so extrema and sorting are differentiable.
inline Operand distinct(const Shape& shape) { return {Operand::Kind::distinct, shape}; }
/// i64 in [low, high).
inline Operand integers(const Shape& shape, int64_t low, int64_t high) {
  return {Operand::Kind::integers, shape, static_cast<double>(low), static_cast<double>(high),
          false};
}
inline Operand booleans(const Shape& shape) {
  return {Operand::Kind::booleans, shape, 0, 1, false};
}
/// A floating operand that the operation has no gradient for; all are, if only integers or booleans
/// come out.
inline Operand constant(Operand operand) {
  operand.gradient = false;
  return operand;
}

Tensor draw(const Operand& operand, DType floating, uint64_t seed);

/// A callable from operands to one tensor or several.
class Call {
 public:
  template <class F>
  Call(F f) {
    if constexpr (std::is_convertible_v<std::invoke_result_t<F, const Tensors&>, Tensor>)
      f_ = [f](const Tensors& in) { return Tensors{f(in)}; };
    else
      f_ = f;
  }
  Tensors operator()(const Tensors& in) const { return f_(in); }

 private:
  std::function<Tensors(const Tensors&)> f_;
};

struct OpFlags {
  /// Gradients of the gradients are checked too.
  bool second_order = false;
  /// |f32 - f64| <= bound * max(1, largest |f64|) for results, and for gradients.
  double bound = 2e-6, gradient_bound = 1e-5;
  /// The same for bf16 and f16, against f64 at the rounded operands; 0 if it does not take them.
  double half_bound = 0;
  /// Results and gradients are sums of products of one operand's elements with another's, so that
  /// the row also holds in every f32_mode() of a GPU, each within its own error.
  bool products = false;
  /// Axis 0 of the first so many operands and of the results counts samples: a sample alone gives
  /// the same bits.
  int batch = 0;
  /// Why the operation runs on the CPU alone; without a reason every device must have its kernels.
  std::string cpu_only = {};
  /// Operand shapes that must raise a ShapeError that names the operation.
  std::vector<std::vector<Shape>> refuses = {};
};

/// `name`: the operation as declared in autograd/ops, then what this row is about ("sum axis 1").
struct OpRow {
  std::string name;
  std::vector<Operand> operands;
  Call call;
  OpFlags flags = {};
};
using Rows = std::vector<OpRow>;

// One function per file of rows; all_rows() joins them.
Rows pointwise_rows();
Rows shape_rows();
Rows reduce_rows();
Rows index_rows();
Rows random_rows();
Rows loss_rows();
Rows matmul_rows();
Rows norm_rows();
Rows fft_rows();
Rows resample_rows();

Rows all_rows();
inline std::string operation(const OpRow& row) {
  return row.name.substr(0, row.name.find_first_of(" ,"));
}

}  // namespace brume::op_table
