#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/io/dlpack_layout.h>
#include <brume/diffusion/foreign.h>
#include <brume/diffusion/model.h>

#include "tests/error_of.h"
#include "tests/noise.h"

using namespace brume;

namespace {

// A runtime without tensors of its own: 3 x + t per sample, on the memory it is given.
struct Runtime {
  int predictions = 0, gradients = 0, released = 0;
  std::vector<std::string> names;
  const void* x = nullptr;
  bool fails = false;
};

DLManagedTensor* new_floats(const DLTensor& like, float*& values) {
  struct Owned {
    DLManagedTensor managed;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  auto* out = new Owned{{}, {like.shape, like.shape + like.ndim}, {}};
  int64_t count = 1;
  for (const int64_t n : out->shape) count *= n;
  out->values.resize(static_cast<size_t>(count));
  values = out->values.data();
  out->managed.dl_tensor = like;
  out->managed.dl_tensor.data = values;
  out->managed.dl_tensor.shape = out->shape.data();
  out->managed.dl_tensor.strides = nullptr;
  out->managed.manager_ctx = out;
  out->managed.deleter = [](DLManagedTensor* self) {
    delete static_cast<Owned*>(self->manager_ctx);
  };
  return &out->managed;
}

void release_all(int count, DLManagedTensor** inputs) {
  for (int i = 0; i < count; ++i) inputs[i]->deleter(inputs[i]);
}

int predict(void* context, int count, const char* const* names, DLManagedTensor** inputs,
            DLManagedTensor** result) {
  auto& runtime = *static_cast<Runtime*>(context);
  ++runtime.predictions;
  runtime.names.assign(names, names + count);
  if (runtime.fails) return release_all(count, inputs), 7;
  const DLTensor& x = inputs[0]->dl_tensor;
  runtime.x = x.data;
  float* y = nullptr;
  *result = new_floats(x, y);
  const int64_t batch = x.shape[0], width = x.shape[1];
  const auto* t = static_cast<const float*>(inputs[1]->dl_tensor.data);
  for (int64_t i = 0; i < batch * width; ++i)
    y[i] = 3 * static_cast<const float*>(x.data)[i] + t[i / width];
  release_all(count, inputs);
  return 0;
}

int gradient(void* context, int count, const char* const*, DLManagedTensor** inputs,
             DLManagedTensor* cotangent, DLManagedTensor** gradients) {
  ++static_cast<Runtime*>(context)->gradients;
  const DLTensor& g = cotangent->dl_tensor;
  float* gx = nullptr;
  gradients[0] = new_floats(g, gx);
  for (int64_t i = 0; i < g.shape[0] * g.shape[1]; ++i)
    gx[i] = 3 * static_cast<const float*>(g.data)[i];
  release_all(count, inputs);
  cotangent->deleter(cotangent);
  return 0;
}

diffusion::ForeignFunctions functions(Runtime& runtime) {
  return {.context = &runtime,
          .predict = predict,
          .gradient = gradient,
          .error = [](void*) { return "out of ink"; },
          .release = [](void* c) { ++static_cast<Runtime*>(c)->released; }};
}

}  // namespace

TEST_CASE("a foreign model reads and writes memory without a copy, and knows its inputs by name") {
  Runtime runtime;
  {
    const diffusion::AnyModel model = diffusion::Foreign(functions(runtime));
    const Tensor x = noise({2, 3}), t = noise({2}, 2);
    const Tensor y = model(x, t, {{"image", noise({2, 1})}, {"labels", noise({2, 4})}});
    CHECK(distance(y, 3 * x + diffusion::per_sample(t, x)) < 1e-6);
    CHECK(runtime.x == x.data());
    CHECK(runtime.names == std::vector<std::string>{"x", "t", "image", "labels"});
    model(x, t, noise({2, 1}));
    CHECK(runtime.names == std::vector<std::string>{"x", "t", "condition"});
    CHECK(runtime.released == 0);
  }
  CHECK(runtime.released == 1);
}

TEST_CASE("gradients pass through a foreign model that has them, and are refused where not") {
  Runtime runtime;
  diffusion::ForeignFunctions f = functions(runtime);
  const Tensor x = set_requires_grad(noise({2, 3})), t = zeros({2});
  backward(sum(square(diffusion::Foreign(f)(x, t))));
  CHECK(distance(grad_of(x), 18 * detach(x)) < 1e-5);
  CHECK(runtime.gradients == 1);

  f.gradient = nullptr;
  const Tensor y = diffusion::Foreign(f)(x, t);
  CHECK_THROWS_WITH_AS(backward(sum(y)), doctest::Contains("has no gradient function"), GradError);
}

TEST_CASE("what a foreign model reports is an error with its text") {
  Runtime runtime;
  runtime.fails = true;
  const diffusion::Foreign model(functions(runtime));
  CHECK(error_of([&] {
          model(noise({2, 3}), zeros({2}));
        }) == "Foreign: the model's prediction failed with 7: out of ink");
  CHECK(error_of([] { diffusion::Foreign({}); }).find("is missing") != std::string::npos);
}

TEST_CASE("a lambda is a model without a module") {
  const diffusion::AnyModel model = [](const Tensor& x, const Tensor& t,
                                       const diffusion::Condition&) {
    return x * diffusion::per_sample(t, x);
  };
  const Tensor x = noise({2, 3}), t = noise({2}, 2);
  CHECK(distance(model(x, t), x * diffusion::per_sample(t, x)) == 0);
  CHECK(!model.module());
}
