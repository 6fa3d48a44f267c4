#include "tests/conformance/gradients.h"

#include <algorithm>
#include <map>
#include <set>

#include <brume/autograd/backward.h>

namespace brume::conformance {
namespace {

std::vector<std::string> names(const Value& grads, std::string_view what) {
  std::vector<std::string> out;
  if (const Value* found = grads.find(what))
    for (const Value& name : found->list(what)) out.push_back(name.text(what));
  return out;
}

// "12/cotangent/0" -> "12/out/0"
std::string replaced(std::string key, std::string_view from, std::string_view to) {
  const size_t at = key.find(from);
  check<Error>(at != key.npos, "the case names '", key, "', which lacks ", from);
  return key.replace(at, from.size(), to);
}

// Gradients of sum(result * cotangent) with respect to `leaves`; undefined where nothing flows.
Tensors gradients(const CaseFile& file, const Value& grads, const Tensors& results,
                  const Value& keys, const Tensors& leaves) {
  Tensors outputs, cotangents;
  for (const std::string& name : names(grads, "cotangents")) {
    const std::string key = replaced(name, "cotangent/", "out/");
    const List& list = keys.list("outputs");
    size_t n = 0;
    while (n < list.size() && list[n].text("outputs") != key) ++n;
    check<Error>(n < results.size(), "a cotangent for ", key, ", which is no result");
    if (!requires_grad(results[n])) continue;
    outputs.push_back(results[n]);
    cotangents.push_back(file.tensor(name).tensor);
  }
  return outputs.empty() ? Tensors(leaves.size()) : grad(outputs, leaves, cotangents);
}

// The norm and two projections of every named gradient.
Tensor statistics_of(const std::vector<std::string>& wanted,
                     const std::map<std::string, Tensor>& found) {
  std::vector<double> rows;
  for (const std::string& name : wanted) {
    const std::vector<double> row = statistics(found.at(name));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return from_vector(rows, {static_cast<int64_t>(wanted.size()), 3});
}

}  // namespace

void want_gradients(const CaseFile& file, const Value& grads) {
  for (const std::string& name : names(grads, "inputs"))
    set_requires_grad(file.tensor(replaced(name, "grad/", "")).tensor);
}

void check_outputs(Findings& findings, const Tensors& results, const Value& keys) {
  const List& wanted = keys.list("outputs");
  findings.require(results.size() == wanted.size(), "outputs",
                   cat(results.size(), " results, wanted ", wanted.size()));
  for (size_t i = 0; i < std::min(results.size(), wanted.size()); ++i)
    findings.compare(results[i], wanted[i].text("outputs"));
}

void check_gradients(Findings& findings, const CaseFile& file, const Value& grads,
                     const Tensors& results, const Value& keys,
                     const nn::NamedTensors& parameters) {
  const std::vector<std::string> inputs = names(grads, "inputs");
  Tensors leaves;
  for (const std::string& name : inputs)
    leaves.push_back(file.tensor(replaced(name, "grad/", "")).tensor);
  std::vector<std::string> trained;
  for (const auto& [name, parameter] : parameters) {
    if (!requires_grad(parameter)) continue;
    trained.push_back(name);
    leaves.push_back(parameter);
  }
  const Tensors g = gradients(file, grads, results, keys, leaves);
  // An input to which nothing flows has a zero gradient.
  for (size_t i = 0; i < inputs.size(); ++i)
    findings.compare(g[i].defined() ? g[i] : zeros_like(leaves[i]), inputs[i]);

  std::map<std::string, Tensor> received;
  for (size_t i = 0; i < trained.size(); ++i)
    if (const Tensor& gradient = g[inputs.size() + i]; gradient.defined())
      received[trained[i]] = gradient;
  const Value* stats = grads.find("stats");
  const std::vector<std::string> wanted =
      stats ? names(*stats, "names") : std::vector<std::string>();
  for (const std::string& name : wanted) {
    findings.require(received.count(name) != 0, cat("grad/param/", name),
                     "the parameter received no gradient");
    if (received.count(name) == 0) return;
  }
  const std::set<std::string> expected(wanted.begin(), wanted.end());
  for (const auto& [name, gradient] : received)
    findings.require(expected.count(name) != 0, cat("grad/param/", name),
                     "the parameter received a gradient, and should not");
  for (const std::string& key : names(grads, "params"))
    findings.compare(received.at(replaced(key, "grad/param/", "")), key);
  if (!wanted.empty())
    findings.compare_statistics(statistics_of(wanted, received), stats->at("tensor").text("stats"));
}

}  // namespace brume::conformance
