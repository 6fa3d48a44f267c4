#include "tests/conformance/kinds.h"

#include <optional>

#include <brume/autograd/mode.h>
#include <brume/core/replay.h>
#include <brume/nn/serialize.h>

#include "tests/conformance/gradients.h"
#include "tests/conformance/load.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {
namespace {

Distribution distribution(const std::string& op) {
  if (op == "randn" || op == "randn_like") return Distribution::normal;
  if (op == "rand" || op == "rand_like") return Distribution::uniform;
  if (op == "randint") return Distribution::integers;
  check<Error>(op == "standard_gamma", "unknown draw ", op);
  return Distribution::gamma;
}

const Value& or_empty(const Value* value) {
  static const Value empty{Map()};
  return value ? *value : empty;
}

bool without_gradients(const Value& description) {
  const Value* off = description.find("no_grad");
  return off && off->boolean("no_grad");
}

void set_mode(nn::Module& module, const Value& description) {
  const std::string& mode = description.at("mode").text("mode");
  check<Error>(mode == "train" || mode == "eval", "unknown mode ", mode);
  module.train(mode == "train");
}

// Further calls of the same object, each with outputs of its own.
void run_calls(const Scope& scope, const std::string& id, const Value& description,
               Findings& findings) {
  if (const Value* calls = description.find("calls"))
    for (const Value& call : calls->list("calls"))
      check_outputs(findings,
                    flatten(scope.call(cat(id, '.', call.at("method").text("method")),
                                       scope.decode_call(call.at("call")))),
                    call.at("outputs"));
}

}  // namespace

Draws::Draws(const CaseFile& file) {
  std::vector<RecordedDraw> draws;
  if (const Value* listed = file.description().find("draws"))
    for (const Value& draw : listed->list("draws"))
      draws.push_back({distribution(draw.at("op").text("op")),
                       file.tensor(draw.at("tensor").text("tensor")).tensor});
  count_ = draws.size();
  default_generator() = replay(std::move(draws));
}
Draws::~Draws() { default_generator() = Generator(); }

void Draws::check_used(Findings& findings) const {
  const uint64_t used = default_generator().offset();
  findings.require(used == count_, "draw", cat(used, " of ", count_, " draws were made"));
}

void run_op(const CaseFile& file, const Value& description, Findings& findings) {
  const Value& grads = or_empty(description.find("grads"));
  want_gradients(file, grads);
  const Scope scope(file);
  const Tensors results = flatten(scope.call(description.at("target").text("target"),
                                             scope.decode_call(description.at("call"))));
  check_outputs(findings, results, description.at("outputs"));
  check_gradients(findings, file, grads, results, description.at("outputs"), {});
}

void run_module(const CaseFile& file, const std::string& save_to, Findings& findings) {
  const Value& description = file.description();
  const Value& grads = or_empty(description.find("grads"));
  const std::string& target = description.at("target").text("target");
  want_gradients(file, grads);
  Scope scope(file);
  if (!is_module(target)) throw UnknownTarget(target);
  const Value module = make_module(target, scope.decode(description.at("args")).map("args"));
  nn::Module& m = *module_of(module);
  m.to(file.device());
  load(file, m);
  if (!save_to.empty())
    nn::save(m, io::join_path(save_to, description.at("name").text("name") + ".mdlus"));
  set_mode(m, description);
  scope.define("module", module);

  const Draws draws(file);
  std::optional<NoGrad> guard;
  if (without_gradients(description)) guard.emplace();
  std::string called = "module";
  if (const Value* method = description.find("method")) called += "." + method->text("method");
  const Tensors results = flatten(scope.call(called, scope.decode_call(description.at("call"))));
  check_outputs(findings, results, description.at("outputs"));
  check_gradients(findings, file, grads, results, description.at("outputs"), m.parameters());
  run_calls(scope, "module", description, findings);
  draws.check_used(findings);
}

void run_scheduler(const CaseFile& file, Findings& findings) {
  const Value& description = file.description();
  Scope scope(file);
  scope.define("scheduler", scope.call(description.at("target").text("target"),
                                       scope.decode(description.at("args")).map("args")));
  const Draws draws(file);
  std::optional<NoGrad> guard;
  if (without_gradients(description)) guard.emplace();
  run_calls(scope, "scheduler", description, findings);
  draws.check_used(findings);
}

Built::Built(const CaseFile& file) : scope(file) {
  for (const auto& [id, made] : file.description().at("modules").map("modules")) {
    const std::string& name = made.at("target").text("target");
    if (!is_module(name)) throw UnknownTarget(name);
    const Value module = make_module(name, scope.decode(made.at("args")).map("args"));
    nn::Module& m = *module_of(module);
    m.to(file.device());
    load(file, m, id + ".");
    set_mode(m, made);
    for (const auto& [key, parameter] : m.parameters())
      parameters.push_back({cat(id, '.', key), parameter});
    scope.define(id, module);
  }
}

void Built::make_objects(const Value& description) {
  for (const Value& object : description.at("objects").list("objects")) {
    Value made =
        scope.call(object.at("target").text("target"), scope.decode(object.at("args")).map("args"));
    if (const Value* id = object.find("id")) scope.define(id->text("id"), std::move(made));
  }
}

void Built::make_target(const Value& description) {
  target = description.at("target").text("target");
  const Value* arguments = description.find("target_args");
  if (!arguments) return;
  scope.define("target", scope.call(target, scope.decode(*arguments).map("target_args")));
  target = "target";
}

void run_objects(const CaseFile& file, Findings& findings) {
  const Value& description = file.description();
  const Value& grads = or_empty(description.find("grads"));
  want_gradients(file, grads);
  Built built(file);
  const Draws draws(file);
  std::optional<NoGrad> guard;
  if (without_gradients(description)) guard.emplace();
  built.make_objects(description);
  built.make_target(description);
  const Tensors results =
      flatten(built.scope.call(built.target, built.scope.decode_call(description.at("call"))));
  check_outputs(findings, results, description.at("outputs"));
  check_gradients(findings, file, grads, results, description.at("outputs"), built.parameters);
  draws.check_used(findings);
}

}  // namespace brume::conformance
