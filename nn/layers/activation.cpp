#include <brume/nn/layers/activation.h>

#include <cctype>
#include <string>

namespace brume::nn {
namespace {

// What an activation has of its own, for which it must be a module.
enum class Own { nothing, weight, beta, cap };

struct Entry {
  std::string_view name;
  Activation function;
  Own own = Own::nothing;
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
    {"prelu", nullptr, Own::weight},
    {"stan", nullptr, Own::beta},
    {"capped_gelu", gelu, Own::cap},
    // Spelled so in the reference.
    {"cappek_leaky_relu", [](Tensor x) { return leaky_relu(std::move(x), 0.01); }, Own::cap},
};

std::string lower(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const Entry& entry_of(const char* who, std::string_view name, bool as_module) {
  std::string known;
  for (const Entry& entry : kEntries) {
    if (entry.own != Own::nothing && !as_module) continue;
    if (lower(name) == entry.name) return entry;
    known += cat(known.empty() ? "" : ", ", entry.name);
  }
  throw Error(cat(who, ": '", name, "' is not known; known are ", known));
}

}  // namespace

Activation activation_by_name(std::string_view name) {
  return entry_of("activation_by_name", name, false).function;
}

NamedActivation::NamedActivation(const Config& c) {
  const Entry& entry = entry_of("NamedActivation", c.name, true);
  function_ = entry.function;
  if (entry.own == Own::weight) weight_ = param("weight", {1}, Init::constant(0.25));
  if (entry.own == Own::beta) beta_ = param("beta", {1}, Init::constant(1));
  if (entry.own == Own::cap) cap_ = buffer("cap", full({}, 1));
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
