#include <brume/diffusion/foreign.h>

#include <memory>
#include <string>
#include <vector>

#include <brume/autograd/node.h>

namespace brume::diffusion {
namespace {

std::vector<std::string> input_names(const Condition& condition) {
  std::vector<std::string> names = {"x", "t"};
  for (const auto& [name, tensor] : condition.entries())
    names.push_back(name.empty() ? "condition" : name);
  return names;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.push_back(text.c_str());
  return out;
}

using Managed = std::unique_ptr<DLManagedTensor, decltype(&io::delete_dlpack)>;

Managed managed(DLManagedTensor* t) { return {t, io::delete_dlpack}; }

// What the other side is given to keep: exported whole before anything is handed over.
std::vector<DLManagedTensor*> exported(const Tensors& tensors) {
  std::vector<Managed> held;
  held.reserve(tensors.size());
  for (const Tensor& x : tensors) held.push_back(managed(io::to_dlpack(x)));
  std::vector<DLManagedTensor*> out;
  out.reserve(held.size());
  for (Managed& x : held) out.push_back(x.release());
  return out;
}

void check_success(const ForeignFunctions& f, int code, const char* what) {
  if (code == 0) return;
  const char* text = f.error != nullptr ? f.error(f.context) : nullptr;
  throw Error(cat("Foreign: the model's ", what, " failed with ", code,
                  text != nullptr ? cat(": ", text) : ""));
}

Tensor predict(const ForeignFunctions& f, const std::vector<std::string>& names,
               const Tensors& inputs) {
  const std::vector<const char*> texts = pointers(names);
  std::vector<DLManagedTensor*> handed = exported(inputs);
  DLManagedTensor* result = nullptr;
  const int code =
      f.predict(f.context, static_cast<int>(handed.size()), texts.data(), handed.data(), &result);
  Managed owned = managed(result);
  check_success(f, code, "prediction");
  check<Error>(owned != nullptr, "Foreign: the model reported success and gave no prediction");
  Tensor y = io::from_dlpack(owned.release());
  const int64_t batch = inputs[0].size(0);
  check(y.rank() >= 1 && y.size(0) == batch, "Foreign: wants a prediction [", batch,
        ", ...], the model gave ", y.shape());
  return y;
}

Grads gradients(const ForeignFunctions& f, const std::vector<std::string>& names,
                const Tensors& inputs, const Tensor& cotangent) {
  check<GradError>(f.gradient != nullptr,
                   "Foreign: the model has no gradient function, so nothing can be trained "
                   "through it");
  const std::vector<const char*> texts = pointers(names);
  std::vector<DLManagedTensor*> out(inputs.size(), nullptr);
  Tensors given = inputs;
  given.push_back(cotangent);
  std::vector<DLManagedTensor*> handed = exported(given);
  const int code = f.gradient(f.context, static_cast<int>(inputs.size()), texts.data(),
                              handed.data(), handed.back(), out.data());
  std::vector<Managed> owned;
  owned.reserve(out.size());
  for (DLManagedTensor* g : out) owned.push_back(managed(g));
  check_success(f, code, "gradient");
  Grads grads;
  for (Managed& g : owned) grads.push_back(g ? io::from_dlpack(g.release()) : Tensor());
  for (size_t i = 0; i < grads.size(); ++i)
    check(!grads[i].defined() || grads[i].shape() == inputs[i].shape(), "Foreign: the gradient of ",
          names[i], " must be ", inputs[i].shape(), ", but is ",
          grads[i].defined() ? grads[i].shape() : Shape());
  return grads;
}

}  // namespace

Foreign::Foreign(const ForeignFunctions& functions) {
  check<Error>(functions.predict != nullptr, "Foreign: the function that predicts is missing");
  functions_ = {new ForeignFunctions(functions), [](const ForeignFunctions* f) {
                  if (f->release != nullptr) f->release(f->context);
                  delete f;
                }};
}

Tensor Foreign::operator()(const Tensor& x, const Tensor& t, const Condition& condition) const {
  check(x.rank() >= 1, "Foreign: x must be [B, ...], but is ", x.shape());
  Tensors inputs = {x, t};
  for (const auto& [name, tensor] : condition.entries()) inputs.push_back(tensor);
  const std::vector<std::string> names = input_names(condition);
  const Tensor y = predict(*functions_, names, inputs);
  if (!needs_grad(inputs)) return y;
  const std::vector<Saved> saved(inputs.begin(), inputs.end());
  return record_all("foreign", {y}, inputs,
                    [f = functions_, names, saved](const Tensors& g, Wanted) -> Grads {
                      Tensors again;
                      for (const Saved& s : saved) again.push_back(s.get());
                      Grads grads = gradients(*f, names, again, g[0]);
                      again.push_back(g[0]);
                      return record_all("foreign_gradient", std::move(grads), again,
                                        [](const Tensors&, Wanted) -> Grads {
                                          throw GradError(
                                              "Foreign: no second derivative; the model gives "
                                              "the first alone");
                                        });
                    })[0];
}

}  // namespace brume::diffusion
