// Sums, products, comparisons: two operands that broadcast, either of them a number, either of them
// complex.

#include <variant>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

using Operand = std::variant<Tensor, double>;

bool is_fraction(const Value& v) { return v.get_if<double>() != nullptr; }

Tensor as_tensor(double number, const Tensor& like) {
  return scalar(number, {.dtype = like.dtype(), .device = like.device()});
}

// Two real operands in one dtype, at least one of them a tensor.
std::pair<Operand, Operand> operands(Arguments& a, std::string_view left, std::string_view right) {
  const auto fit = [](const Tensor& x, const Value& number) -> Tensor {
    if (is_fraction(number)) return floating(x);
    return x.dtype() == DType::boolean ? convert(x, DType::i64) : x;
  };
  if (!a.is_tensor(left)) return {a.number(left), fit(a.tensor(right), a.at(left))};
  if (!a.is_tensor(right)) return {fit(a.tensor(left), a.at(right)), a.number(right)};
  const Tensor x = a.tensor(left), y = a.tensor(right);
  const DType t = promoted(x.dtype(), y.dtype());
  return {cast(x, t), cast(y, t)};
}

// Calls f with the operands as they are; a number becomes a tensor where f takes none.
template <class F>
Tensor evaluate(const std::pair<Operand, Operand>& pair, F f) {
  const auto& [left, right] = pair;
  if (const double* x = std::get_if<double>(&left)) {
    const Tensor& y = std::get<Tensor>(right);
    if constexpr (std::is_invocable_v<F, double, Tensor>) return f(*x, y);
    return f(as_tensor(*x, y), y);
  }
  const Tensor& x = std::get<Tensor>(left);
  if (const double* y = std::get_if<double>(&right)) {
    if constexpr (std::is_invocable_v<F, Tensor, double>) return f(x, *y);
    return f(x, as_tensor(*y, x));
  }
  return f(x, std::get<Tensor>(right));
}

template <class F>
Tensor binary(Arguments& a, F f, std::string_view left = "input",
              std::string_view right = "other") {
  return evaluate(operands(a, left, right), f);
}

std::pair<Operand, Operand> both_floating(std::pair<Operand, Operand> pair) {
  for (Operand* x : {&pair.first, &pair.second})
    if (Tensor* t = std::get_if<Tensor>(x)) *t = floating(*t);
  return pair;
}

// Complex operands, as two real tensors each; a real one has an undefined imaginary part.

struct Complex {
  Tensor re, im;
};

Complex complex_operand(Arguments& a, std::string_view name, const Tensor& like) {
  if (!a.is_tensor(name)) return {as_tensor(a.number(name), like), {}};
  return {real(a.array(name)), imaginary(a.array(name))};
}

bool any_complex(Arguments& a) { return a.is_complex("input") || a.is_complex("other"); }

std::pair<Complex, Complex> complex_operands(Arguments& a) {
  const Tensor like = a.is_complex("input") ? a.array("input").tensor : a.array("other").tensor;
  return {complex_operand(a, "input", like), complex_operand(a, "other", like)};
}

Value complex_add(Arguments& a, double c) {
  const auto [x, y] = complex_operands(a);
  const Tensor re = add_scaled(x.re, y.re, c);
  Tensor im = !x.im.defined() ? y.im * c : !y.im.defined() ? x.im : add_scaled(x.im, y.im, c);
  return make_complex(re, expand(im, re.shape()));
}

Complex multiply(const Complex& x, const Complex& y) {
  if (!x.im.defined()) return {x.re * y.re, x.re * y.im};
  if (!y.im.defined()) return {x.re * y.re, x.im * y.re};
  return {x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re};
}

Value complex_multiply(Arguments& a) {
  const auto [x, y] = complex_operands(a);
  const Complex z = multiply(x, y);
  return make_complex(z.re, z.im);
}

Value complex_divide(Arguments& a) {
  const auto [x, y] = complex_operands(a);
  if (!y.im.defined()) return make_complex(x.re / y.re, x.im / y.re);
  const Tensor size = square(y.re) + square(y.im);
  const Complex z = multiply(x, {y.re / size, -y.im / size});
  return make_complex(z.re, z.im);
}

// x + alpha * y
Value add(Arguments& a, double sign) {
  const double c = sign * a.number("alpha", 1);
  if (any_complex(a)) return complex_add(a, c);
  const auto pair = operands(a, "input", "other");
  if (c == 1)
    return evaluate(pair, [](const auto& x, const auto& y) -> decltype(x + y) { return x + y; });
  if (c == -1)
    return evaluate(pair, [](const auto& x, const auto& y) -> decltype(x - y) { return x - y; });
  return evaluate(pair, [c](const Tensor& x, const Tensor& y) {
    return is_floating(x.dtype()) ? add_scaled(x, y, c) : x + y * c;
  });
}

Value plus(Arguments& a) { return add(a, 1); }
Value minus(Arguments& a) { return add(a, -1); }

Value multiply(Arguments& a) {
  if (any_complex(a)) return complex_multiply(a);
  return binary(a, [](const auto& x, const auto& y) -> decltype(x * y) { return x * y; });
}

Value divide(Arguments& a) {
  const auto quotient = [](const auto& x, const auto& y) -> decltype(x / y) { return x / y; };
  const std::string rounding = a.text("rounding_mode", "");
  if (any_complex(a)) return complex_divide(a);
  const auto pair = operands(a, "input", "other");
  if (rounding.empty()) return evaluate(both_floating(pair), quotient);
  if (rounding == "floor")
    return evaluate(pair, [](const auto& x, const auto& y) -> decltype(floor_divide(x, y)) {
      return floor_divide(x, y);
    });
  check<Error>(rounding == "trunc", "torch.div: rounding_mode ", rounding, " is not served");
  const Tensor& any = std::get_if<Tensor>(&pair.first) ? std::get<Tensor>(pair.first)
                                                       : std::get<Tensor>(pair.second);
  if (is_floating(any.dtype())) return trunc(evaluate(pair, quotient));
  return evaluate(pair, [](const Tensor& x, const Tensor& y) {
    return convert(trunc(convert(x, DType::f64) / convert(y, DType::f64)), x.dtype());
  });
}

// Our powers are real: integers take a way through f64.
Value power(Arguments& a) {
  const auto raised = [](const auto& x, const auto& y) -> decltype(pow(x, y)) { return pow(x, y); };
  auto pair = operands(a, "input", "exponent");
  DType wanted = DType::f32;
  for (Operand* x : {&pair.first, &pair.second}) {
    Tensor* t = std::get_if<Tensor>(x);
    if (!t) continue;
    wanted = t->dtype();
    if (!is_floating(wanted)) *t = convert(*t, DType::f64);
  }
  return cast(evaluate(pair, raised), wanted);
}

// other - alpha * input
Value reversed_subtract(Arguments& a) {
  const double c = a.number("alpha", 1);
  const auto [x, y] = operands(a, "input", "other");
  return evaluate({y, x}, [c](const auto& left, const auto& right) -> decltype(left - right * c) {
    return left - right * c;
  });
}

// The in-place forms: the result keeps the shape and dtype of the first operand.
template <Value (*f)(Arguments&)>
Value in_place(Arguments& a) {
  const Tensor self = a.tensor("self");
  Map values = {{"input", self}, {"other", a.at("other")}};
  if (a.has("alpha")) values.push_back({"alpha", a.at("alpha")});
  Arguments inner(a.target(), std::move(values));
  const Tensor result = f(inner).array(a.target()).tensor;
  check<Error>(result.shape() == self.shape(), a.target(), ": the result does not fit in place");
  return cast(result, self.dtype());
}

Value weighted_mean(Arguments& a) {
  const Tensor x = a.tensor("input"), y = a.tensor("end");
  if (a.is_tensor("weight")) return lerp(x, y, a.tensor("weight"));
  return lerp(x, y, a.number("weight"));
}

Value choose(Arguments& a) {
  const Tensor mask = a.tensor("condition");
  const auto [x, y] = operands(a, "input", "other");
  return evaluate(
      {x, y},
      [&mask](const auto& left, const auto& right) -> decltype(where(Tensor(), left, right)) {
        return where(mask, left, right);
      });
}

// The logical value of any dtype.
Tensor truth(const Tensor& x) { return x.dtype() == DType::boolean ? x : ne(x, 0.0); }

void add_operations(Functions& t) {
  t["torch.add"] = plus;
  t["torch.sub"] = minus;
  t["torch.rsub"] = reversed_subtract;
  t["torch.mul"] = multiply;
  t["torch.div"] = divide;
  t["torch.Tensor.add_"] = in_place<plus>;
  t["torch.Tensor.sub_"] = in_place<minus>;
  t["torch.Tensor.mul_"] = in_place<multiply>;
  t["torch.Tensor.div_"] = in_place<divide>;

  t["torch.pow"] = power;
  t["torch.floor_divide"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(floor_divide(x, y)) {
      return floor_divide(x, y);
    });
  };
  t["torch.fmod"] = [](Arguments& a) -> Value {
    return binary(a,
                  [](const auto& x, const auto& y) -> decltype(fmod(x, y)) { return fmod(x, y); });
  };
  t["torch.remainder"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(remainder(x, y)) {
      return remainder(x, y);
    });
  };
  t["torch.maximum"] = [](Arguments& a) -> Value {
    return binary(a, [](const Tensor& x, const Tensor& y) { return maximum(x, y); });
  };
  t["torch.minimum"] = [](Arguments& a) -> Value {
    return binary(a, [](const Tensor& x, const Tensor& y) { return minimum(x, y); });
  };
  t["torch.atan2"] = [](Arguments& a) -> Value {
    return evaluate(both_floating(operands(a, "input", "other")),
                    [](const Tensor& y, const Tensor& x) { return atan2(y, x); });
  };
  t["torch.addcmul"] = [](Arguments& a) -> Value {
    const Tensor x = a.tensor("input"), y = a.tensor("tensor1"), z = a.tensor("tensor2");
    const double c = a.number("value", 1);
    return is_floating(x.dtype()) ? addcmul(x, y, z, c) : x + y * z * c;
  };
  t["torch.addcdiv"] = [](Arguments& a) -> Value {
    return addcdiv(a.tensor("input"), a.tensor("tensor1"), a.tensor("tensor2"),
                   a.number("value", 1));
  };
  t["torch.lerp"] = weighted_mean;
  t["torch.where"] = choose;
}

void add_comparisons(Functions& t) {
  t["torch.eq"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(eq(x, y)) { return eq(x, y); });
  };
  t["torch.ne"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(ne(x, y)) { return ne(x, y); });
  };
  t["torch.lt"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(lt(x, y)) { return lt(x, y); });
  };
  t["torch.le"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(le(x, y)) { return le(x, y); });
  };
  t["torch.gt"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(gt(x, y)) { return gt(x, y); });
  };
  t["torch.ge"] = [](Arguments& a) -> Value {
    return binary(a, [](const auto& x, const auto& y) -> decltype(ge(x, y)) { return ge(x, y); });
  };
  t["torch.logical_and"] = [](Arguments& a) -> Value {
    return logical_and(truth(a.tensor("input")), truth(a.tensor("other")));
  };
  t["torch.logical_or"] = [](Arguments& a) -> Value {
    return logical_or(truth(a.tensor("input")), truth(a.tensor("other")));
  };
  t["torch.logical_xor"] = [](Arguments& a) -> Value {
    return ne(truth(a.tensor("input")), truth(a.tensor("other")));
  };
  t["torch.logical_not"] = [](Arguments& a) -> Value {
    return logical_not(truth(a.tensor("input")));
  };
}

void add_complex_parts(Functions& t) {
  t["torch.real"] = [](Arguments& a) -> Value { return real(a.array("input")); };
  t["torch.imag"] = [](Arguments& a) -> Value { return imaginary(a.array("input")); };
  t["torch.conj_physical"] = [](Arguments& a) -> Value {
    const Array& x = a.array("input");
    if (!x.complex) return x;
    return make_complex(real(x), -imaginary(x));
  };
  t["torch.conj"] = t["torch.conj_physical"];
  t["torch.complex"] = [](Arguments& a) {
    return make_complex(a.tensor("real"), a.tensor("imag"));
  };
  t["torch.view_as_complex"] = [](Arguments& a) -> Value { return Array{a.tensor("input"), true}; };
  t["torch.view_as_real"] = [](Arguments& a) -> Value { return a.array("input").tensor; };
  t["torch.angle"] = [](Arguments& a) -> Value {
    const Array& x = a.array("input");
    return atan2(imaginary(x), real(x));
  };
}

}  // namespace

void add_arithmetic(Functions& table) {
  add_operations(table);
  add_comparisons(table);
  add_complex_parts(table);
}

}  // namespace brume::conformance
