#include <brume/autograd/ops/conv.h>

#include <atomic>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/operands.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

std::atomic<ConvAlgorithm> default_algorithm{ConvAlgorithm::winograd_f2};

// "conv2d" for two spatial axes; `transpose` names the adjoint.
std::string op_name(const Tensor& x, bool transpose) {
  return cat(transpose ? "conv_transpose" : "conv", x.rank() - 2, "d");
}

ConvParams params_of(const PerAxis& stride, const PerAxis& padding, const PerAxis& dilation,
                     int64_t groups, ConvAlgorithm algorithm) {
  ConvParams p;
  for (int i = 0; i < 3; ++i) {
    p.stride[i] = stride.values[i];
    p.padding[i] = padding.values[i];
    p.dilation[i] = dilation.values[i];
  }
  p.groups = groups;
  p.algorithm = algorithm;
  return p;
}

void check_same(const std::string& op, const Tensor& x, const char* what, const Tensor& y) {
  check_same_dtype(op, x, what, y);
  check_same_device(op, x, what, y);
}

void check_operands(const std::string& op, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const ConvParams& p, int64_t result_channels) {
  check<DTypeError>(is_floating(x.dtype()), op, ": takes f32 f64 bf16 f16, got ", x.dtype());
  check_same(op, x, "weight", weight);
  constexpr int64_t kMost = int64_t{1} << 30;  // products of two stay below 2^63
  for (int i = 0; i < x.rank() - 2; ++i) {
    check(p.stride[i] >= 1 && p.stride[i] <= kMost && p.dilation[i] >= 1 && p.dilation[i] <= kMost,
          op, ": stride and dilation must be from 1 to 2^30, got ", p.stride[i], " and ",
          p.dilation[i]);
    check(p.padding[i] >= 0 && p.padding[i] <= kMost, op, ": padding must be from 0 to 2^30, got ",
          p.padding[i]);
    check(weight.size(i + 2) >= 1 && weight.size(i + 2) <= kMost && x.size(i + 2) <= kMost, op,
          ": an axis of weight ", weight.shape(), " or x ", x.shape(), " is empty or too long");
  }
  if (!bias.defined()) return;
  check(bias.shape() == Shape{result_channels}, op, ": bias must be [", result_channels, "], got ",
        bias.shape());
  check_same(op, x, "bias", bias);
}

void check_ranks(const char* op, const Tensor& x, const Tensor& weight) {
  check(x.rank() >= 3 && x.rank() <= 5, op, ": x must be [B, C, ...] with 1 to 3 axes behind, got ",
        x.shape());
  check(weight.rank() == x.rank(), op, ": weight must have the rank of x ", x.shape(), ", got ",
        weight.shape());
}

// Kernels want adjacent channels.
Tensor with_channels_adjacent(const Tensor& x) {
  return x.size(1) == 1 || x.strides()[1] == 1 ? x : relayout(x, Layout::channels_last);
}
View channels_view(const Tensor& x) {
  View v = x.view();
  if (x.size(1) == 1) v.strides[1] = 1;
  return v;
}

Tensor empty_image(const Shape& shape, const Tensor& like) {
  return empty(shape, {like.dtype(), like.device(), Layout::channels_last});
}

// Terms added in the store, laid out as kernels want them.
struct Terms {
  Tensor bias, per_sample, residual;
  double scale = 1;

  Terms(const Tensor& b, const Tensor& p, const Tensor& r, double s)
      : bias(b.defined() ? relayout(b, Layout::row_major) : b),
        per_sample(p.defined() ? relayout(p, Layout::row_major) : p),
        residual(r.defined() ? with_channels_adjacent(r) : r),
        scale(s) {}
  ConvEpilogue epilogue() const {
    return {.bias = bias.defined() ? bias.view() : View{},
            .per_sample = per_sample.defined() ? per_sample.view() : View{},
            .residual = residual.defined() ? channels_view(residual) : View{},
            .scale = scale};
  }
};

// The adjoint of the convolution in x, with a bias.
Tensor spread(const Tensor& g, const Tensor& w, const Tensor& bias, const ConvParams& p,
              const Shape& shape) {
  Tensor gx = empty_image(shape, g);
  const Tensor gc = with_channels_adjacent(g);
  kernels(g).conv.input_gradient(channels_view(gc), w.view(), p, Terms(bias, {}, {}, 1).epilogue(),
                                 channels_view(gx));
  return gx;
}

// The three products below are each other's gradients, so every order of derivative exists.

Tensor plain_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvParams& p,
                  const Shape& shape);
Tensor input_gradient(const Tensor& g, const Tensor& w, const ConvParams& p, const Shape& shape);

// {gw, gb}: gb undefined unless wanted.
Tensors weight_gradient(const Tensor& x, const Tensor& g, const ConvParams& p, const Shape& shape,
                        bool with_bias) {
  const TensorOptions options{x.dtype(), x.device()};
  Tensor gw = empty(shape, options);
  Tensor gb = with_bias ? empty({shape[0]}, options) : Tensor{};
  const Tensor xc = with_channels_adjacent(x), gc = with_channels_adjacent(g);
  kernels(x).conv.weight_gradient(channels_view(xc), channels_view(gc), p, gw.view(),
                                  with_bias ? gb.view() : View{});
  Tensors results{gw};
  if (with_bias) results.push_back(gb);
  results = record("conv_weight_gradient", results, {x, g},
                   [x = Saved(x), g = Saved(g), p](const Tensors& c, Wanted wanted) {
                     const Tensor cb = c.size() > 1 ? c[1] : Tensor{};
                     const Tensor x0 = x.get(), g0 = g.get();
                     Grads grads(2);
                     if (wanted[0] && c[0].defined())
                       grads[0] = input_gradient(g0, c[0], p, x0.shape());
                     if (wanted[1] && c[0].defined())
                       grads[1] = plain_conv(x0, c[0], cb, p, g0.shape());
                     else if (wanted[1] && cb.defined())
                       grads[1] = expand(reshape(cb, Dims::filled(g0.rank() - 1, 1)), g0.shape());
                     return grads;
                   });
  results.resize(2);
  return results;
}

std::vector<int64_t> behind_channels(const Tensor& x) {
  std::vector<int64_t> axes;
  for (int i = 2; i < x.rank(); ++i) axes.push_back(i);
  return axes;
}

// (x * w + bias + per_sample + residual) * scale
Tensor conv_with_terms(const Tensor& x, const Tensor& w, const Tensor& bias,
                       const Tensor& per_sample, const Tensor& residual, double scale,
                       const ConvParams& p, const Shape& shape) {
  Tensor y = empty_image(shape, x);
  const Tensor xc = with_channels_adjacent(x);
  const Terms terms(bias, per_sample, residual, scale);
  kernels(x).conv.forward(channels_view(xc), w.view(), p, terms.epilogue(), channels_view(y));
  return record("conv", y, {x, w, bias, per_sample, residual},
                [x = Saved(x), w = Saved(w), p, scale](const Tensor& g, Wanted wanted) {
                  const Tensor s = scale == 1 ? g : g * scale;
                  Grads grads(5);
                  if (wanted[0]) grads[0] = input_gradient(s, w.get(), p, x.get().shape());
                  if (wanted[1] || wanted[2]) {
                    Tensors both = weight_gradient(x.get(), s, p, w.get().shape(), wanted[2]);
                    grads[1] = both[0];
                    grads[2] = both[1];
                  }
                  if (wanted[3]) grads[3] = sum(s, behind_channels(s));
                  if (wanted[4]) grads[4] = s;
                  return grads;
                });
}

Tensor plain_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvParams& p,
                  const Shape& shape) {
  return conv_with_terms(x, w, bias, {}, {}, 1, p, shape);
}

Tensor input_gradient(const Tensor& g, const Tensor& w, const ConvParams& p, const Shape& shape) {
  Tensor gx = spread(g, w, {}, p, shape);
  return record("conv_input_gradient", gx, {g, w},
                [g = Saved(g), w = Saved(w), p](const Tensor& c, Wanted wanted) {
                  const Tensor g0 = g.get(), w0 = w.get();
                  Grads grads(2);
                  if (wanted[0]) grads[0] = plain_conv(c, w0, {}, p, g0.shape());
                  if (wanted[1]) grads[1] = weight_gradient(c, g0, p, w0.shape(), false)[0];
                  return grads;
                });
}

}  // namespace

ConvAlgorithm default_conv_algorithm() { return default_algorithm.load(); }
void set_default_conv_algorithm(ConvAlgorithm algorithm) { default_algorithm.store(algorithm); }

Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  check_ranks("conv", x, weight);
  const std::string op = op_name(x, false);
  const ConvParams p = params_of(options.stride, options.padding, options.dilation, options.groups,
                                 options.algorithm.value_or(default_conv_algorithm()));
  const int64_t co = weight.size(0);
  check(p.groups >= 1 && co % p.groups == 0, op, ": groups (", p.groups, ") must divide the ", co,
        " output channels of weight ", weight.shape());
  check(x.size(1) == weight.size(1) * p.groups, op, ": weight ", weight.shape(), " takes ",
        weight.size(1) * p.groups, " input channels",
        p.groups > 1 ? cat(" in ", p.groups, " groups") : "", ", but x is ", x.shape());
  check_operands(op, x, weight, bias, p, co);
  Shape shape{x.size(0), co};
  for (int i = 0; i < x.rank() - 2; ++i) {
    const int64_t reach = p.dilation[i] * (weight.size(i + 2) - 1) + 1;
    const int64_t room = x.size(i + 2) + 2 * p.padding[i] - reach;
    check(room >= 0, op, ": weight ", weight.shape(), " with dilation ", p.dilation[i], " spans ",
          reach, " along axis ", i + 2, ", but x is ", x.shape(), " with padding ", p.padding[i]);
    shape.push_back(room / p.stride[i] + 1);
  }
  const Tensor &per_sample = options.per_sample, &residual = options.residual;
  if (per_sample.defined()) {
    check(per_sample.shape() == Shape{x.size(0), co}, op, ": per_sample must be [", x.size(0), ", ",
          co, "], got ", per_sample.shape());
    check_same(op, x, "per_sample", per_sample);
  }
  if (residual.defined()) {
    check(residual.shape() == shape, op, ": residual must be ", shape, ", got ", residual.shape());
    check_same(op, x, "residual", residual);
  }
  return conv_with_terms(x, weight, bias, per_sample, residual, options.scale, p, shape);
}

Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const ConvTransposeOptions& options) {
  check_ranks("conv_transpose", x, weight);
  const std::string op = op_name(x, true);
  const ConvParams p = params_of(options.stride, options.padding, options.dilation, options.groups,
                                 default_conv_algorithm());
  check(x.size(1) == weight.size(0), op, ": weight ", weight.shape(), " takes ", weight.size(0),
        " input channels, but x is ", x.shape());
  check(p.groups >= 1 && x.size(1) % p.groups == 0, op, ": groups (", p.groups,
        ") must divide the ", x.size(1), " input channels");
  const int64_t co = weight.size(1) * p.groups;
  check_operands(op, x, weight, bias, p, co);
  Shape shape{x.size(0), co};
  for (int i = 0; i < x.rank() - 2; ++i) {
    const int64_t extra = options.output_padding.values[i];
    check(extra >= 0 && (extra < p.stride[i] || extra < p.dilation[i]), op,
          ": output_padding must be smaller than stride or dilation, got ", extra);
    const int64_t size = (x.size(i + 2) - 1) * p.stride[i] - 2 * p.padding[i] +
                         p.dilation[i] * (weight.size(i + 2) - 1) + extra + 1;
    check(x.size(i + 2) >= 1 && size >= 1, op, ": x ", x.shape(), " with padding ", p.padding[i],
          " leaves nothing along axis ", i + 2);
    shape.push_back(size);
  }
  Tensor y = spread(x, weight, bias, p, shape);
  return record("conv_transpose", y, {x, weight, bias},
                [x = Saved(x), w = Saved(weight), p](const Tensor& g, Wanted wanted) {
                  const Tensor x0 = x.get(), w0 = w.get();
                  Grads grads(3);
                  if (wanted[0]) grads[0] = plain_conv(g, w0, {}, p, x0.shape());
                  if (wanted[1]) grads[1] = weight_gradient(g, x0, p, w0.shape(), false)[0];
                  if (wanted[2]) {
                    std::vector<int64_t> axes = behind_channels(g);
                    axes.push_back(0);
                    grads[2] = sum(g, axes);
                  }
                  return grads;
                });
}

}  // namespace brume
