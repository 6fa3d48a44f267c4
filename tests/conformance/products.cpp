// Products of matrices, convolutions, attention.

#include <cmath>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/einsum.h"
#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

Value matrix_product(Arguments& a, std::string_view right) {
  const Array &x = a.array("input"), &y = a.array(right);
  if (!x.complex && !y.complex) return matmul(x.tensor, y.tensor);
  const Tensor xr = real(x), yr = real(y), xi = imaginary(x), yi = imaginary(y);
  if (!yi.defined()) return make_complex(matmul(xr, yr), matmul(xi, yr));
  if (!xi.defined()) return make_complex(matmul(xr, yr), matmul(xr, yi));
  return make_complex(matmul(xr, yr) - matmul(xi, yi), matmul(xr, yi) + matmul(xi, yr));
}

// beta * input + alpha * (left @ right)
Value added_product(Arguments& a, std::string_view left, std::string_view right) {
  const Tensor product = matmul(a.tensor(left), a.tensor(right));
  const double alpha = a.number("alpha", 1), beta = a.number("beta", 1);
  if (beta == 0) {  // then the input does not even pass on its NaN
    a.ignore("input");
    return product * alpha;
  }
  return product * alpha + a.tensor("input") * beta;
}

Value distances(Arguments& a) {
  a.ignore("compute_mode");
  const Tensor x = unsqueeze(a.tensor("x1"), -2), y = unsqueeze(a.tensor("x2"), -3);
  return vector_norm(x - y, a.number("p", 2), -1);
}

// Up to three numbers, one per axis behind the channels, as PerAxis wants them.
PerAxis per_axis(const std::vector<int64_t>& values) {
  switch (values.size()) {
    case 1:
      return values[0];
    case 2:
      return {values[0], values[1]};
    case 3:
      return {values[0], values[1], values[2]};
    default:
      throw Error("convolution: wanted one to three numbers");
  }
}

// A sample without a batch axis gets one for the time of the call.
template <class F>
Tensor batched(const Tensor& x, int rank, F&& f) {
  return x.rank() == rank ? f(x) : squeeze(f(unsqueeze(x, 0)), 0);
}

Value convolution(Arguments& a, int spatial) {
  Tensor x = a.tensor("input");
  const Tensor weight = a.tensor("weight"), bias = a.optional_tensor("bias");
  ConvOptions options{.stride = per_axis(a.integers("stride", {1})),
                      .dilation = per_axis(a.integers("dilation", {1})),
                      .groups = a.integer("groups", 1)};
  const Value* padding = a.find("padding");
  if (padding && padding->get_if<std::string>()) {  // "valid", or "same": the odd cell goes last
    std::vector<int64_t> amounts;
    for (int i = spatial - 1; i >= 0; --i) {
      const int64_t total = options.dilation.values[i] * (weight.size(2 + i) - 1);
      amounts.insert(amounts.end(), {total / 2, total - total / 2});
    }
    if (*padding->get_if<std::string>() == "same") x = pad(x, amounts);
  } else if (padding) {
    options.padding = per_axis(padding->integers("padding"));
  }
  return batched(x, spatial + 2, [&](const Tensor& b) { return conv(b, weight, bias, options); });
}

Value transposed_convolution(Arguments& a, int spatial) {
  const Tensor weight = a.tensor("weight"), bias = a.optional_tensor("bias");
  const ConvTransposeOptions options{.stride = per_axis(a.integers("stride", {1})),
                                     .padding = per_axis(a.integers("padding", {0})),
                                     .output_padding = per_axis(a.integers("output_padding", {0})),
                                     .dilation = per_axis(a.integers("dilation", {1})),
                                     .groups = a.integer("groups", 1)};
  return batched(a.tensor("input"), spatial + 2,
                 [&](const Tensor& b) { return conv_transpose(b, weight, bias, options); });
}

// Every key and value head serves `times` neighbouring query heads.
Tensor shared_heads(const Tensor& x, int64_t times) {
  Shape shape = x.shape();
  shape.insert(x.rank() - 2, times);
  const Tensor y = expand(unsqueeze(x, -3), shape);
  shape.erase(x.rank() - 2);
  shape[x.rank() - 3] *= times;
  return reshape(y, shape);
}

// All axes but the last two.
Shape leading(const Tensor& x) {
  return Dims(std::span(x.shape().begin(), static_cast<size_t>(x.rank() - 2)));
}
Tensor expand_leading(Tensor x, Shape to) {
  to.push_back(x.size(-2));
  to.push_back(x.size(-1));
  while (x.rank() < to.rank()) x = unsqueeze(x, 0);
  return expand(x, to);
}

Value scaled_attention(Arguments& a) {
  Tensor q = a.tensor("query"), k = a.tensor("key"), v = a.tensor("value");
  check<Error>(a.number("dropout_p", 0) == 0, "attention: dropout_p draws, which is not served");
  if (a.flag("enable_gqa", false)) {
    const int64_t times = q.size(-3) / k.size(-3);
    k = shared_heads(k, times);
    v = shared_heads(v, times);
  }
  AttentionOptions options{.scale = a.number("scale", 0),
                           .causal = a.flag("is_causal", false),
                           .mask = a.optional_tensor("attn_mask")};
  // Leading axes broadcast in the reference; ours are batch and heads, the same in q, k and v.
  Shape common = broadcast_shapes(leading(q), leading(k), "attention");
  common = broadcast_shapes(common, leading(v), "attention");
  if (common.rank() == 2 && leading(q) == common && leading(k) == common && leading(v) == common)
    return attention(q, k, v, options);
  if (options.mask.defined()) common = broadcast_shapes(common, leading(options.mask), "attention");
  const auto joined = [&](const Tensor& x) {
    const Tensor y = expand_leading(x, common);
    return reshape(y, {numel(common), 1, x.size(-2), x.size(-1)});
  };
  if (options.mask.defined()) options.mask = joined(options.mask);
  Shape shape = common;
  shape.push_back(q.size(-2));
  shape.push_back(v.size(-1));
  return reshape(attention(joined(q), joined(k), joined(v), options), shape);
}

}  // namespace

void add_products(Functions& t) {
  t["torch.matmul"] = [](Arguments& a) { return matrix_product(a, "other"); };
  t["torch.mm"] = [](Arguments& a) { return matrix_product(a, "mat2"); };
  t["torch.bmm"] = [](Arguments& a) { return matrix_product(a, "mat2"); };
  t["torch.addmm"] = [](Arguments& a) { return added_product(a, "mat1", "mat2"); };
  t["torch.baddbmm"] = [](Arguments& a) { return added_product(a, "batch1", "batch2"); };
  t["torch.outer"] = [](Arguments& a) -> Value {
    return unsqueeze(a.tensor("input"), 1) * a.tensor("vec2");
  };
  t["torch.einsum"] = [](Arguments& a) {
    std::vector<Array> operands;
    for (const Value& operand : a.at("operands").list("operands"))
      operands.push_back(operand.array("operands"));
    return einsum(a.text("equation", ""), operands);
  };
  t["torch.cdist"] = distances;
  t["torch.nn.functional.linear"] = [](Arguments& a) -> Value {
    return linear(a.tensor("input"), a.tensor("weight"), a.optional_tensor("bias"));
  };
  t["torch.nn.functional.conv1d"] = [](Arguments& a) { return convolution(a, 1); };
  t["torch.nn.functional.conv2d"] = [](Arguments& a) { return convolution(a, 2); };
  t["torch.nn.functional.conv3d"] = [](Arguments& a) { return convolution(a, 3); };
  t["torch.nn.functional.conv_transpose1d"] = [](Arguments& a) {
    return transposed_convolution(a, 1);
  };
  t["torch.nn.functional.conv_transpose2d"] = [](Arguments& a) {
    return transposed_convolution(a, 2);
  };
  t["torch.nn.functional.conv_transpose3d"] = [](Arguments& a) {
    return transposed_convolution(a, 3);
  };
  t["torch.nn.functional.scaled_dot_product_attention"] = scaled_attention;
}

}  // namespace brume::conformance
