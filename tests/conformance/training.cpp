// The kinds optim and training.

#include <map>

#include <brume/autograd/mode.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/kinds.h"
#include "tests/conformance/trainer.h"

namespace brume::conformance {
namespace {

// The small problems of kind optim.

Tensor quadratic(const CaseFile& file, const nn::NamedTensors& parameters) {
  Tensor total;
  for (const auto& [name, p] : parameters) {
    const Tensor target = file.tensor(cat("in/target.", name)).tensor;
    const Tensor scale = file.tensor(cat("in/scale.", name)).tensor;
    const Tensor term = sum(scale * square(p - target)) * 0.5;
    total = total.defined() ? total + term : term;
  }
  return total;
}

Tensor perceptron(const CaseFile& file, const nn::NamedTensors& parameters) {
  std::map<std::string, Tensor> p;
  for (const auto& [name, parameter] : parameters) p[name] = parameter;
  const Tensor hidden = tanh(linear(file.tensor("in/x").tensor, p["w1"], p["b1"]));
  return mse_loss(linear(hidden, p["w2"], p["b2"]), file.tensor("in/y").tensor);
}

// Mean square of the network's error.
Tensor supervised(const Scope& scope, const Value& call) {
  Map arguments = scope.decode_call(call);
  Tensor target;
  std::erase_if(arguments, [&target](const auto& argument) {
    if (argument.first != "target") return false;
    target = argument.second.array("target").tensor;
    return true;
  });
  return mse_loss(flatten(scope.call("net", std::move(arguments))).at(0), target);
}

Tensor copy_of(const Tensor& x) {
  const NoGrad guard;
  const Tensor y = empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  copy_(y, x);
  return y;
}

// The parameters' statistics, in the order of stats.names.
Tensor statistics_of(const Value& stats, const std::map<std::string, Tensor>& parameters) {
  std::vector<double> rows;
  const List& names = stats.at("names").list("names");
  for (const Value& name : names) {
    const std::vector<double> row = statistics(parameters.at(name.text("names")));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return from_vector(rows, {static_cast<int64_t>(names.size()), 3});
}

}  // namespace

void run_optim(const CaseFile& file, Findings& findings) {
  const Value& description = file.description();
  nn::NamedTensors parameters;
  for (const Value& name : description.at("params").list("params"))
    parameters.push_back(
        {name.text("params"),
         set_requires_grad(copy_of(file.tensor(cat("param/", name.text("params"))).tensor))});
  const std::string& problem = description.at("problem").text("problem");
  if (problem != "quadratic" && problem != "mlp") throw UnknownTarget(problem);

  Trainer trainer(description, parameters);
  std::map<std::string, Tensors> history;
  for (int64_t i = 0; i < description.at("steps").integer("steps"); ++i) {
    trainer.step([&] {
      return problem == "mlp" ? perceptron(file, parameters) : quadratic(file, parameters);
    });
    for (const auto& [name, p] : parameters) history["out/param." + name].push_back(copy_of(p));
  }
  for (const Value& output : description.at("outputs").list("outputs")) {
    const std::string& key = output.text("outputs");
    if (trainer.compare(findings, file, key)) continue;
    findings.compare(history.count(key) != 0 ? stack(history.at(key), 0) : Tensor(), key);
  }
}

void run_training(const CaseFile& file, Findings& findings) {
  const Value& description = file.description();
  Built built(file);
  const Draws draws(file);
  const bool is_supervised = description.at("target").text("target") == "supervised_mse";
  built.make_objects(description);
  if (!is_supervised) built.make_target(description);

  Trainer trainer(description, built.parameters);
  for (int64_t i = 0; i < description.at("steps").integer("steps"); ++i) {
    built.scope.set_step(i);
    trainer.step([&] {
      const Value& call = description.at("call");
      if (is_supervised) return supervised(built.scope, call);
      return flatten(built.scope.call(built.target, built.scope.decode_call(call))).at(0);
    });
  }

  std::map<std::string, Tensor> parameters;
  for (const auto& [name, p] : built.parameters) parameters[name] = p;
  const Value& stats = description.at("stats");
  for (const Value& output : description.at("outputs").list("outputs")) {
    const std::string& key = output.text("outputs");
    if (trainer.compare(findings, file, key)) continue;
    if (key == stats.at("tensor").text("stats")) {
      findings.compare_statistics(statistics_of(stats, parameters), key);
    } else {
      check<Error>(key.starts_with("out/param."), "unknown output ", key);
      findings.compare(parameters[key.substr(10)], key);
    }
  }
  draws.check_used(findings);
}

}  // namespace brume::conformance
