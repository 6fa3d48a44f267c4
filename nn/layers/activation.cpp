#include <brume/nn/layers/activation.h>

#include <cctype>
#include <string>

namespace brume::nn {
namespace {

struct Entry {
  std::string_view name;
  Activation function;
};

constexpr Entry kEntries[] = {
    {"relu", relu},
    {"leaky_relu", [](Tensor x) { return leaky_relu(std::move(x), 0.1); }},
    {"relu6", relu6},
    {"elu", [](Tensor x) { return elu(std::move(x)); }},
    {"celu", [](Tensor x) { return celu(std::move(x)); }},
    {"selu", selu},
    {"silu", silu},
    {"gelu", gelu},
    {"gelu_tanh", gelu_tanh},
    {"sin", sin},
    {"sigmoid", sigmoid},
    {"logsigmoid", logsigmoid},
    {"softplus", [](Tensor x) { return softplus(std::move(x)); }},
    {"softshrink", [](Tensor x) { return softshrink(std::move(x)); }},
    {"softsign", softsign},
    {"tanh", tanh},
    {"tanhshrink", tanhshrink},
    {"threshold", [](Tensor x) { return threshold(std::move(x), 1, 1); }},
    {"hardtanh", [](Tensor x) { return hardtanh(std::move(x)); }},
    {"squareplus", [](Tensor x) { return 0.5 * (x + sqrt(square(x) + 4)); }},
    {"identity", nullptr},
};

std::string lower(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

Activation activation_by_name(std::string_view name) {
  std::string known;
  for (const Entry& entry : kEntries) {
    if (lower(name) == entry.name) return entry.function;
    known += cat(known.empty() ? "" : ", ", entry.name);
  }
  throw Error(cat("activation_by_name: '", name, "' is not known; known are ", known));
}

NamedActivation::NamedActivation(const Config& c) {
  const std::string name = lower(c.name);
  const auto cap_at_one = [this] { cap_ = buffer("cap", full({}, 1)); };
  if (name == "prelu") {
    weight_ = param("weight", {1}, Init::constant(0.25));
  } else if (name == "stan") {
    beta_ = param("beta", {1}, Init::constant(1));
  } else if (name == "capped_gelu") {
    function_ = gelu;
    cap_at_one();
  } else if (name == "cappek_leaky_relu") {  // spelled so in the reference
    function_ = [](Tensor x) { return leaky_relu(std::move(x), 0.01); };
    cap_at_one();
  } else {
    function_ = activation_by_name(name);
  }
}

Tensor NamedActivation::operator()(Tensor x) const {
  if (weight_.defined()) {
    const Tensor slope = as_dtype(weight_, x);
    return prelu(std::move(x), slope);
  }
  if (beta_.defined()) {
    check(x.size(-1) == 1, "NamedActivation: stan is for layers of width 1, got ", x.shape());
    return tanh(x) * (1 + as_dtype(beta_, x) * x);
  }
  Tensor y = function_ ? function_(std::move(x)) : std::move(x);
  if (!cap_.defined()) return y;
  const Tensor cap = as_dtype(cap_, y);
  return minimum(std::move(y), cap);
}

}  // namespace brume::nn
