#include <brume/autograd/ops/attention.h>

#include <cmath>

#include <brume/autograd/ops/first_order.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/backend.h>

namespace brume {
namespace {

const char* const kUseUnfused = "use attention({.fused = false})";

AttentionParams params_of(const Tensor& q, const AttentionOptions& o) {
  const double scale = o.scale != 0 ? o.scale : 1 / std::sqrt(static_cast<double>(q.size(3)));
  return {.scale = scale, .causal = o.causal};
}

void check_operands(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  for (const Tensor& x : {q, k, v}) {
    check(x.rank() == 4, "attention: wants q, k, v of rank 4 [B, heads, L, D], got ", q.shape(),
          ", ", k.shape(), ", ", v.shape());
    check<DTypeError>(x.dtype() == q.dtype(), "attention: q, k, v are ", q.dtype(), ", ", k.dtype(),
                      ", ", v.dtype());
    check<DeviceError>(x.device() == q.device(), "attention: q, k, v are on different devices");
  }
  check(k.size(0) == q.size(0) && v.size(0) == q.size(0) && k.size(1) == q.size(1) &&
            v.size(1) == q.size(1) && k.size(2) == v.size(2) && k.size(3) == q.size(3),
        "attention: q ", q.shape(), ", k ", k.shape(), " and v ", v.shape(), " do not fit");
  if (!mask.defined()) return;
  const Shape scores{q.size(0), q.size(1), q.size(2), k.size(2)};
  check(broadcast_shapes(mask.shape(), scores, "attention") == scores, "attention: the mask ",
        mask.shape(), " does not broadcast to the scores ", scores);
  check<DTypeError>(mask.dtype() == q.dtype() || mask.dtype() == DType::boolean,
                    "attention: the mask is ", mask.dtype(), ", wanted bool or ", q.dtype());
  check<DeviceError>(mask.device() == q.device(), "attention: the mask is on ", mask.device());
}

View mask_view(const Tensor& mask, const Tensor& q, const Tensor& k) {
  if (!mask.defined()) return {};
  const Shape scores{q.size(0), q.size(1), q.size(2), k.size(2)};
  View view = mask.view();
  view.strides = broadcast_strides(mask.shape(), mask.strides(), scores);
  view.shape = scores;
  return view;
}

AttentionOperands operands(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask) {
  return {.q = q.view(), .k = k.view(), .v = v.view(), .mask = mask_view(mask, q, k)};
}

// [B, heads, L, D] in the memory order [B, L, heads, D].
Tensor empty_heads(const Tensor& q, int64_t width) {
  const int64_t heads = q.size(1), length = q.size(2);
  const Tensor y =
      empty({q.size(0), length, heads, width}, {.dtype = q.dtype(), .device = q.device()});
  return alias(y, {q.size(0), heads, length, width},
               {length * heads * width, width, heads * width, 1});
}

Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  constexpr double kHidden = -INFINITY;
  Tensor scores = matmul(q, transpose(k, 2, 3)) * params_of(q, o).scale;  // [B, heads, L, S]
  if (o.causal) {
    const TensorOptions integers{.dtype = DType::i64, .device = q.device()};
    const Tensor rows = reshape(arange(0, q.size(2), 1, integers), {q.size(2), 1});
    scores = where(ge(rows, arange(0, k.size(2), 1, integers)), scores, kHidden);
  }
  if (!o.mask.defined()) return matmul(softmax(scores), v);
  scores = o.mask.dtype() == DType::boolean ? where(o.mask, scores, kHidden) : scores + o.mask;
  const Tensor sees = gt(max(detach(scores), -1, keep_axis), kHidden);
  return matmul(where(sees, softmax(where(sees, scores, 0)), 0), v);
}

struct Attended {
  Tensor y, lse;
};

Attended attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                const AttentionParams& params) {
  const DType statistics = q.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Attended out{empty_heads(q, v.size(3)), empty({q.size(0), q.size(1), q.size(2)},
                                                      {.dtype = statistics, .device = q.device()})};
  kernels(q).attention.attention(operands(q, k, v, mask), params, out.y.view(), out.lse.view());
  return out;
}

// Position i of the first axis, without a record.
Tensor slab(const Tensor& x, int64_t i) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(0), strides.erase(0);
  return alias(x, shape, strides, i * x.strides()[0]);
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  check_operands(q, k, v, o.mask);
  if (!o.fused) return composed(q, k, v, o);
  const AttentionParams params = params_of(q, o);
  const auto [y, lse] = attend(q, k, v, o.mask, params);
  const auto backward = [params, lse = lse, q = Saved(q), k = Saved(k), v = Saved(v),
                         mask = Saved(o.mask), y = SavedResult(y)](const Tensor& g, Wanted wanted) {
    const Tensor qs = q.get(), ks = k.get(), vs = v.get(), ms = mask.get();
    Tensor gq = empty_like(qs), gk = empty_like(ks), gv = empty_like(vs), gm;
    AttentionOperands grads = operands(gq, gk, gv, {});
    if (wanted[3]) {
      gm = empty({qs.size(0), qs.size(1), qs.size(2), ks.size(2)},
                 {.dtype = qs.dtype(), .device = qs.device()});
      grads.mask = gm.view();
    }
    kernels(qs).attention.attention_backward(operands(qs, ks, vs, ms), params, y.get().view(),
                                             lse.view(), g.view(), grads);
    return first_order("attention_backward", kUseUnfused, {gq, gk, gv, gm}, {g, qs, ks, vs, ms});
  };
  return record("attention", y, {q, k, v, o.mask}, backward);
}

Tensor self_attention(const Tensor& qkv, const AttentionOptions& o) {
  check(qkv.rank() == 5 && qkv.size(0) == 3, "self_attention: wants qkv [3, B, heads, L, D], got ",
        qkv.shape());
  check_operands(slab(qkv, 0), slab(qkv, 1), slab(qkv, 2), o.mask);
  if (!o.fused) return composed(select(qkv, 0, 0), select(qkv, 0, 1), select(qkv, 0, 2), o);
  check<GradError>(!requires_grad(o.mask),
                   "self_attention: gives no gradient to its mask; use attention(q, k, v)");
  const AttentionParams params = params_of(slab(qkv, 0), o);
  const auto [y, lse] = attend(slab(qkv, 0), slab(qkv, 1), slab(qkv, 2), o.mask, params);
  const auto backward = [params, lse = lse, qkv = Saved(qkv), mask = Saved(o.mask),
                         y = SavedResult(y)](const Tensor& g) {
    const Tensor x = qkv.get(), gx = empty_like(x);
    kernels(x).attention.attention_backward(
        operands(slab(x, 0), slab(x, 1), slab(x, 2), mask.get()), params, y.get().view(),
        lse.view(), g.view(), operands(slab(gx, 0), slab(gx, 1), slab(gx, 2), {}));
    return first_order("attention_backward", kUseUnfused, {gx}, {g, x});
  };
  return record("self_attention", y, {qkv}, backward);
}

}  // namespace brume
