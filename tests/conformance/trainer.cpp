#include "tests/conformance/trainer.h"

#include <algorithm>
#include <cmath>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/nn/optim/adam.h>
#include <brume/nn/optim/clip.h>
#include <brume/nn/optim/lr_schedule.h>
#include <brume/nn/optim/sgd.h>

#include "tests/conformance/scope.h"

namespace brume::conformance {
namespace {

// Arguments that choose among equal implementations.
void ignore_implementation(Arguments& a) {
  for (const char* name : {"foreach", "fused", "capturable", "differentiable"}) a.ignore(name);
}

nn::SgdOptions sgd_options(Arguments& a) {
  ignore_implementation(a);
  const nn::SgdOptions options{.lr = a.number("lr", 1e-3),
                               .momentum = a.number("momentum", 0),
                               .dampening = a.number("dampening", 0),
                               .weight_decay = a.number("weight_decay", 0),
                               .nesterov = a.flag("nesterov", false),
                               .maximize = a.flag("maximize", false)};
  a.finish();
  return options;
}

template <class Options>
Options adam_options(Arguments& a) {
  Options o;
  o.lr = a.number("lr", o.lr);
  o.eps = a.number("eps", o.eps);
  o.weight_decay = a.number("weight_decay", o.weight_decay);
  o.amsgrad = a.flag("amsgrad", false);
  o.maximize = a.flag("maximize", false);
  if (a.has("betas")) {
    const List& betas = a.at("betas").list("betas");
    o.betas = {betas.at(0).number("betas"), betas.at(1).number("betas")};
  }
  if constexpr (requires { o.decoupled_weight_decay; })
    o.decoupled_weight_decay = a.flag("decoupled_weight_decay", false);
  ignore_implementation(a);
  a.finish();
  return o;
}

struct Group {
  nn::NamedTensors parameters;
  Map arguments;  // the optimizer's, overridden by the group's own
};

void set(Map& map, const std::string& name, const Value& value) {
  std::erase_if(map, [&](const auto& member) { return member.first == name; });
  map.emplace_back(name, value);
}

// A group names its parameters by index; without groups all are in one.
std::vector<Group> groups(const Value& optimizer, const nn::NamedTensors& parameters) {
  const Map common = optimizer.at("args").map("args");
  const Value* listed = optimizer.find("groups");
  if (!listed) return {{parameters, common}};
  std::vector<Group> out;
  for (const Value& description : listed->list("groups")) {
    Group group{{}, common};
    Map own = description.map("groups");
    if (const Value* args = description.find("args")) {
      const Map& inner = args->map("args");
      own.insert(own.end(), inner.begin(), inner.end());
    }
    for (const auto& [name, value] : own) {
      if (name == "params") {
        for (const int64_t i : value.integers("params"))
          group.parameters.push_back(parameters.at(static_cast<size_t>(i)));
      } else if (name != "args") {
        set(group.arguments, name, value);
      }
    }
    out.push_back(std::move(group));
  }
  return out;
}

template <class Optimizer, class ReadOptions>
std::unique_ptr<nn::Optimizer> make(const std::string& target, const std::vector<Group>& groups,
                                    ReadOptions&& read) {
  std::unique_ptr<Optimizer> out;
  for (const Group& group : groups) {
    Arguments a(target, group.arguments);
    const auto options = read(a);
    if (out) {
      out->add_group(group.parameters, options);
    } else {
      out = std::make_unique<Optimizer>(group.parameters, options);
    }
  }
  return out;
}

std::unique_ptr<nn::Optimizer> make_optimizer(const Value& description,
                                              const nn::NamedTensors& parameters) {
  const std::string& target = description.at("target").text("target");
  const std::vector<Group> g = groups(description, parameters);
  if (target == "torch.optim.SGD") return make<nn::Sgd>(target, g, sgd_options);
  if (target == "torch.optim.Adam") return make<nn::Adam>(target, g, adam_options<nn::AdamOptions>);
  if (target == "torch.optim.AdamW")
    return make<nn::AdamW>(target, g, adam_options<nn::AdamWOptions>);
  throw UnknownTarget(target);
}

// Rates that the library has no function for: closed forms of torch.optim.lr_scheduler.
std::optional<double> other_rate(const std::string& kind, double base, int64_t i, Arguments& a) {
  const auto part = [&](int64_t otherwise) {  // of total_iters that has passed
    const int64_t n = a.integer("total_iters", otherwise);
    return static_cast<double>(std::min(i, n)) / static_cast<double>(n);
  };
  if (kind == "MultiStepLR") {
    const std::vector<int64_t> milestones = a.integers("milestones");
    const auto passed = std::count_if(milestones.begin(), milestones.end(),
                                      [i](int64_t milestone) { return milestone <= i; });
    return base * std::pow(a.number("gamma", 0.1), static_cast<double>(passed));
  }
  if (kind == "ConstantLR") {
    const double factor = a.number("factor", 1.0 / 3);
    return part(5) < 1 ? base * factor : base;
  }
  if (kind == "LinearLR") {
    const double start = a.number("start_factor", 1.0 / 3), end = a.number("end_factor", 1);
    return base * (start + (end - start) * part(5));
  }
  if (kind == "PolynomialLR") return base * std::pow(1 - part(5), a.number("power", 1));
  if (kind != "CosineAnnealingWarmRestarts") return {};
  int64_t period = a.integer("T_0");
  for (const int64_t factor = a.integer("T_mult", 1); i >= period; period *= factor) i -= period;
  return nn::cosine_annealing_lr(base, i, period, a.number("eta_min", 0));
}

// The rate of step i.
double rate(const Value* schedule, double base, int64_t i) {
  if (!schedule) return base;
  std::string kind = schedule->at("kind").text("kind");
  Map given = schedule->map("schedule");
  if (const Value* args = schedule->find("args")) given = args->map("args");
  std::erase_if(given, [](const auto& m) { return m.first == "kind"; });
  Arguments a(kind, std::move(given));
  a.ignore("last_epoch");
  constexpr std::string_view torch = "torch.optim.lr_scheduler.";
  if (kind.starts_with(torch)) kind.erase(0, torch.size());
  const auto result = [&]() -> std::optional<double> {
    if (kind == "StepLR")
      return nn::step_lr(base, i, a.integer("step_size"), a.number("gamma", 0.1));
    if (kind == "ExponentialLR") return nn::exponential_lr(base, i, a.number("gamma"));
    if (kind == "CosineAnnealingLR")
      return nn::cosine_annealing_lr(base, i, a.integer("T_max"), a.number("eta_min", 0));
    if (kind == "warmup_linear") return nn::warmup_linear(base, i, a.integer("warmup"));
    if (kind == "warmup_cosine")
      return nn::warmup_cosine(base, i, a.integer("warmup"), a.integer("total"));
    if (kind == "edm_rampup")
      return nn::edm_rampup(base, i, a.integer("rampup"), a.integer("decay"));
    return other_rate(kind, base, i, a);
  }();
  if (!result) throw UnknownTarget(a.target());
  a.finish();
  return *result;
}

Tensor series(const std::vector<double>& values, const Tensor& like) {
  check<Error>(static_cast<int64_t>(values.size()) == like.numel(), values.size(),
               " values of a series, wanted ", like.shape());
  return convert(from_vector(values, like.shape()), like.dtype());
}

}  // namespace

Trainer::Trainer(const Value& description, const nn::NamedTensors& parameters)
    : description_(description) {
  for (const auto& named : parameters)
    if (requires_grad(named.tensor)) parameters_.push_back(named);
  optimizer_ = make_optimizer(description.at("optimizer"), parameters_);
  for (size_t group = 0; group < optimizer_->groups(); ++group)
    base_rates_.push_back(optimizer_->lr(group));
  if (const Value* ema = description.find("ema")) {
    Arguments a("ema", ema->map("ema"));
    ema_.emplace(parameters_, a.number("decay"), a.flag("warmup", false));
    a.finish();
  }
}

void Trainer::step(const std::function<Tensor()>& loss) {
  const auto i = static_cast<int64_t>(losses_.size());
  for (size_t group = 0; group < base_rates_.size(); ++group) {
    optimizer_->set_lr(group, rate(description_.find("schedule"), base_rates_[group], i));
    rates_.push_back(optimizer_->lr(group));
  }
  optimizer_->zero_grad();
  Tensor value = loss();
  if (value.numel() != 1) value = mean(value);
  losses_.push_back(value.item());
  backward(value);
  norms_.push_back(clip_and_step());
}

// Where the optimizer can clip and average in its own pass, it does.
double Trainer::clip_and_step() {
  nn::StepOptions options{.ema = ema_ ? &*ema_ : nullptr};
  const Value* clip = description_.find("clip");
  if (!clip) return optimizer_->step(options);
  Arguments a("clip", clip->map("clip"));
  double norm = 0;
  if (a.has("value")) {
    nn::clip_grad_value(parameters_, a.number("value"));
    norm = optimizer_->step(options);
  } else if (const double type = a.number("type", 2); type == 2) {
    options.clip_norm = a.number("norm");
    norm = optimizer_->step(options);
  } else {
    norm = nn::clip_grad_norm(parameters_, a.number("norm"), type);
    optimizer_->step(options);
  }
  a.finish();
  return norm;
}

bool Trainer::compare(Findings& findings, const CaseFile& file, const std::string& key) const {
  const auto compare_named = [&](const nn::NamedTensors& named, const std::string& name) {
    Tensor found;
    for (const auto& entry : named)
      if (entry.name == name) found = entry.tensor;
    findings.compare(found, key);
    return true;
  };
  if (key == "out/0") findings.compare(series(losses_, file.tensor(key).tensor), key);
  if (key == "out/1") findings.compare(series(rates_, file.tensor(key).tensor), key);
  if (key == "out/norms") findings.compare(series(norms_, file.tensor(key).tensor), key);
  if (key == "out/0" || key == "out/1" || key == "out/norms") return true;
  if (key.starts_with("out/state.")) return compare_named(optimizer_->state(), key.substr(4));
  if (key.starts_with("out/ema.")) {
    check<Error>(ema_.has_value(), key, " without an average");
    return compare_named(ema_->averages(), key.substr(8));
  }
  return false;
}

}  // namespace brume::conformance
