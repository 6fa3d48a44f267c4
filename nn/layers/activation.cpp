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
    {"identity", nullptr},
};

}  // namespace

Activation activation_by_name(std::string_view name) {
  std::string lower(name), known;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const Entry& entry : kEntries) {
    if (lower == entry.name) return entry.function;
    known += cat(known.empty() ? "" : ", ", entry.name);
  }
  throw Error(cat("activation_by_name: '", name, "' is not known; known are ", known));
}

}  // namespace brume::nn
