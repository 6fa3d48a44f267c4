// A denoiser that LibTorch computes, sampled and differentiated by brume. Tensors pass between the
// two as DLPack, without a copy.

#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/DLConvertor.h>
#include <torch/csrc/autograd/autograd.h>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/diffusion/foreign.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/sample.h>
#include <brume/diffusion/schedulers/edm.h>

namespace {

using namespace brume;

// The best denoiser of a set of points: their mean, weighted by how likely each became x.
struct TorchDenoiser {
  at::Tensor points;  // [P, D]
  std::string error;

  at::Tensor operator()(const at::Tensor& x, const at::Tensor& sigma) const {
    const at::Tensor distances = (x.unsqueeze(1) - points).square().sum(2);  // [B, P]
    const at::Tensor weights = at::softmax(-distances / (2 * sigma.square().unsqueeze(1)), 1);
    return at::matmul(weights, points);
  }
};

// One that is not taken, because an earlier one was refused, is given back all the same.
struct Released {
  void operator()(DLManagedTensor* x) const {
    if (x->deleter) x->deleter(x);
  }
};
using Given = std::unique_ptr<DLManagedTensor, Released>;

at::Tensor taken(Given& given) {
  const at::Tensor x = at::fromDLPack(given.get());
  given.release();  // x has it now
  return x;
}

std::vector<Given> all_given(int count, DLManagedTensor** inputs) {
  return {inputs, inputs + count};
}

// No exception leaves a C function.
template <class F>
int guarded(void* context, F f) {
  auto& model = *static_cast<TorchDenoiser*>(context);
  try {
    f(model);
    return 0;
  } catch (const std::exception& e) {
    model.error = e.what();
    return 1;
  }
}

int predict(void* context, int count, const char* const*, DLManagedTensor** inputs,
            DLManagedTensor** result) {
  return guarded(context, [&](const TorchDenoiser& model) {
    std::vector<Given> in = all_given(count, inputs);
    const at::NoGradGuard no_grad;
    *result = at::toDLPack(model(taken(in[0]), taken(in[1])));
  });
}

int gradient(void* context, int count, const char* const*, DLManagedTensor** inputs,
             DLManagedTensor* cotangent, DLManagedTensor** gradients) {
  return guarded(context, [&](const TorchDenoiser& model) {
    std::vector<Given> in = all_given(count, inputs);
    Given given(cotangent);
    const at::Tensor g = taken(given), sigma = taken(in[1]);
    const at::AutoGradMode on(true);
    const at::Tensor x = taken(in[0]).detach().requires_grad_();
    const auto gx = torch::autograd::grad({model(x, sigma)}, {x}, {g});
    gradients[0] = at::toDLPack(gx[0]);
  });
}

}  // namespace

int main() {
  TorchDenoiser torch_model{at::tensor({-1.0F, 0.0F, 0.5F, 0.8F, 0.5F, -0.8F}).view({3, 2}), ""};
  const diffusion::Foreign model(
      {.context = &torch_model, .predict = predict, .gradient = gradient, .error = [](void* c) {
         return static_cast<const char*>(static_cast<TorchDenoiser*>(c)->error.c_str());
       }});

  // A gradient through it, against a difference of two predictions.
  Generator rng(1);
  const Tensor x = set_requires_grad(normal({4, 2}, rng)), sigma = full({4}, 0.7);
  backward(sum(square(model(x, sigma))));
  const Tensor along = normal({4, 2}, rng);
  const auto value = [&](double step) {
    const NoGrad no_grad;
    return sum(square(model(x + step * along, sigma))).item();
  };
  const double expected = (value(1e-2) - value(-1e-2)) / 2e-2;
  const double found = sum(grad_of(x) * along).item();
  std::printf("derivative along a direction: %.5f by backward, %.5f by differences\n", found,
              expected);

  const NoGrad no_grad;
  const diffusion::EDMNoiseScheduler scheduler;
  const auto denoise = diffusion::denoiser(scheduler, {.x0 = diffusion::bind(model)});
  const Tensor samples = diffusion::sample(denoise, 80 * normal({64, 2}, rng), scheduler);
  const Tensor points = diffusion::AnyModel(model)(samples, full({64}, 1e-3));  // the nearest
  const double farthest = max(abs(samples - points)).item();
  std::printf("64 samples lie within %.1e of a point of the data\n", farthest);
  return std::abs(found - expected) < 1e-2 && farthest < 1e-3 ? 0 : 1;
}
