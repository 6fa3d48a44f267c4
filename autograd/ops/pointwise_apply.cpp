// Applying a pointwise function to tensors, and its gradients.

#include <cstring>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/pointwise_call.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

// A function with its constants, as closures keep it.
class OwnedFn {
 public:
  explicit OwnedFn(const PointwiseFn& fn) : fn_(fn) {
    std::memcpy(constants_, fn.functor, fn.functor_bytes);
  }
  PointwiseFn get() const {
    PointwiseFn fn = fn_;
    fn.functor = constants_;
    return fn;
  }

 private:
  PointwiseFn fn_;
  alignas(16) std::byte constants_[kMaxFunctorBytes];
};

// Operands as a kernel reads them: broadcast to the result's shape by stride 0.
class OperandViews {
 public:
  explicit OperandViews(const Shape& shape) : shape_(shape) {}

  /// Operand k. A large one that lies in another order than `model` is read from a copy in that
  /// order, which costs a third of reading it across.
  void set(int k, const Tensor& x, const Tensor* model) {
    if (model && x.numel() >= kWorthACopy && differs_in_order(x, *model)) {
      copies_[k] = empty_like(*model, x.dtype());
      kernels(x).pointwise.copy(x.view(), copies_[k].view());
      views_[k] = copies_[k].view();
      return;
    }
    View& view = views_[k];
    view.data = x.data();
    view.dtype = x.dtype();
    view.shape = shape_;
    view.strides =
        x.shape() == shape_ ? x.strides() : broadcast_strides(x.shape(), x.strides(), shape_);
  }
  const View* data() const { return views_; }

 private:
  static constexpr int64_t kWorthACopy = 1 << 14;

  static bool differs_in_order(const Tensor& x, const Tensor& model) {
    return x.shape() == model.shape() && !(x.strides() == model.strides()) && x.is_dense() &&
           !(dense_strides_like(x.shape(), x.strides()) ==
             dense_strides_like(x.shape(), model.strides()));
  }

  const Shape& shape_;
  View views_[kMaxOperands];
  Tensor copies_[kMaxOperands];
};

Shape result_shape(const PointwiseFn& fn, const Tensor* x) {
  Shape shape = x[0].shape();
  for (int k = 1; k < fn.arity; ++k) {
    check<DeviceError>(x[k].device() == x[0].device(), fn.name, ": operands are on ", x[0].device(),
                       " and ", x[k].device());
    if (!(x[k].shape() == shape)) shape = broadcast_shapes(shape, x[k].shape(), fn.name);
  }
  return shape;
}

DType result_dtype(const PointwiseFn& fn, const Tensor* x) {
  DType dtype = DType::boolean;
  for (int k = 0; k < fn.arity; ++k) {
    if (x[k].dtype() == DType::boolean) continue;
    check<DTypeError>(dtype == DType::boolean || dtype == x[k].dtype(), fn.name, ": operands are ",
                      dtype, " and ", x[k].dtype(), "; convert one of them");
    dtype = x[k].dtype();
  }
  if (fn.predicate) return DType::boolean;
  check<DTypeError>(is_floating(dtype) || fn.takes_integers, fn.name,
                    ": wants a floating dtype, got ", dtype);
  return dtype;
}

// The first operand of that shape decides how a result lies in memory.
const Tensor* model_of_result(const Tensor* x, int count, const Shape& shape) {
  for (int k = 0; k < count; ++k)
    if (x[k].defined() && x[k].shape() == shape) return &x[k];
  return nullptr;
}

Tensor empty_result(const Tensor* model, const Shape& shape, DType dtype, Device device) {
  return model ? empty_like(*model, dtype) : empty(shape, {.dtype = dtype, .device = device});
}

// An operand that nobody else can see, so that the result may take its memory.
bool is_dying(const Tensor& x) {
  const TensorImpl& impl = x.impl();
  return impl.use_count() == 1 && !impl.grad && impl.storage->use_count() == 1 &&
         !impl.storage->is_foreign();
}

Tensor take_dying(const Tensor* model, Tensor* x, int count, DType dtype) {
  if (!model || !model->is_dense()) return {};
  const Strides strides = model->strides();
  for (int k = 0; k < count; ++k)
    if (is_dying(x[k]) && x[k].dtype() == dtype && x[k].shape() == model->shape() &&
        x[k].strides() == strides)
      return x[k];
  return {};
}

// Operands kept for backward: only those that a wanted derivative depends on.
struct Operands {
  Operands(const PointwiseFn& fn, const Tensor* x) : count(fn.arity) {
    unsigned needed = 0;
    for (int k = 0; k < count; ++k)
      if (requires_grad(x[k])) needed |= fn.needs[k];
    for (int k = 0; k < count; ++k)
      if (needed >> k & 1U) saved[k] = Saved(x[k]);
  }
  int count;
  Saved saved[kMaxOperands];
};

Grads pointwise_grad(const OwnedFn& owned, const Tensor& g, const Operands& operands,
                     Wanted wanted);

// The gradient of pointwise_grad: h are the cotangents of its gradients along operand k.
Grads pointwise_grad2(const OwnedFn& owned, const Tensor& g, const Tensor* x, const Tensor* h,
                      Wanted wanted) {
  const PointwiseFn fn = owned.get();
  const Shape& shape = g.shape();
  const DType dtype = g.dtype();
  const Tensor* model = model_of_result(x, fn.arity, shape);
  if (!model) model = &g;
  Grads results(static_cast<size_t>(fn.arity) + 1);  // along g, x[0], ...
  OperandViews views(shape), cotangents(shape);
  View gradients[kMaxOperands];
  for (int k = 0; k < fn.arity; ++k) {
    views.set(k, x[k].defined() ? x[k] : g, model);
    if (h[k].defined()) cotangents.set(k, h[k], model);
  }
  for (size_t i = 0; i < results.size(); ++i)
    if (wanted[i] && (i == 0 || x[i - 1].defined()))
      results[i] = empty_result(model, shape, dtype, g.device());
  for (int k = 0; k < fn.arity; ++k)
    if (const Tensor& gx = results[static_cast<size_t>(k) + 1]; gx.defined())
      gradients[k] = gx.view();
  kernels(g).pointwise.backward2(fn, g.view(), views.data(), cotangents.data(),
                                 results[0].defined() ? results[0].view() : View{}, gradients);
  Tensors inputs{g};
  inputs.insert(inputs.end(), x, x + fn.arity);
  inputs.insert(inputs.end(), h, h + fn.arity);
  return record_all(fn.name, std::move(results), inputs,
                    [name = fn.name](const Tensors&, Wanted) -> Grads {
                      throw GradError(cat(name, ": no third derivative"));
                    });
}

Grads pointwise_grad(const OwnedFn& owned, const Tensor& g, const Operands& operands,
                     Wanted wanted) {
  const PointwiseFn fn = owned.get();
  const int arity = fn.arity;
  const Shape& shape = g.shape();
  // What was not kept has no influence: g stands in for it.
  Tensor x[kMaxOperands];
  for (int k = 0; k < arity; ++k) x[k] = operands.saved[k].get();
  const Tensor* model = model_of_result(x, arity, shape);
  if (!model) model = &g;
  OperandViews views(shape), cotangent(shape);
  cotangent.set(0, g, model);
  for (int k = 0; k < arity; ++k) views.set(k, x[k].defined() ? x[k] : g, model);
  View gradients[kMaxOperands];
  Grads results(static_cast<size_t>(arity));
  bool any = false;
  for (int k = 0; k < arity; ++k) {
    if (!wanted[static_cast<size_t>(k)] || fn.unit_partials >> k & 1U) continue;
    results[static_cast<size_t>(k)] = empty_result(model, shape, g.dtype(), g.device());
    gradients[k] = results[static_cast<size_t>(k)].view();
    any = true;
  }
  if (any) {
    kernels(g).pointwise.backward(fn, *cotangent.data(), views.data(), gradients);
    Tensors inputs{g};
    inputs.insert(inputs.end(), x, x + arity);
    if (needs_grad(inputs))
      results =
          record_all(fn.name, std::move(results), inputs,
                     [owned, arity, g = Saved(g), kept = operands](const Tensors& h, Wanted asked) {
                       Tensor values[kMaxOperands];
                       for (int k = 0; k < arity; ++k) values[k] = kept.saved[k].get();
                       return pointwise_grad2(owned, g.get(), values, h.data(), asked);
                     });
  }
  for (int k = 0; k < arity; ++k)
    if (wanted[static_cast<size_t>(k)] && fn.unit_partials >> k & 1U)
      results[static_cast<size_t>(k)] = g;
  return results;
}

}  // namespace

Tensor detail::pointwise(const PointwiseFn& fn, Tensor* x) {
  for (int k = 0; k < fn.arity; ++k)
    check<Error>(x[k].defined(), fn.name, ": operand ", k, " is an empty handle");
  const Shape shape = result_shape(fn, x);
  const DType dtype = result_dtype(fn, x);
  const std::span<const Tensor> inputs(x, static_cast<size_t>(fn.arity));
  const bool recorded = !fn.predicate && needs_grad(inputs);
  const Tensor* model = model_of_result(x, fn.arity, shape);
  OperandViews views(shape);
  for (int k = 0; k < fn.arity; ++k) views.set(k, x[k], model);
  Tensor y;
  if (!recorded) y = take_dying(model, x, fn.arity, dtype);
  if (!y.defined()) y = empty_result(model, shape, dtype, x[0].device());
  kernels(y).pointwise.forward(fn, views.data(), y.view());
  if (!recorded) return y;
  return record_one(
      fn.name, std::move(y), inputs,
      [owned = OwnedFn(fn), operands = Operands(fn, x)](const Tensors& g, Wanted wanted) {
        return pointwise_grad(owned, g[0], operands, wanted);
      });
}

}  // namespace brume
