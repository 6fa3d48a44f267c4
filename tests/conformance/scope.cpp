#include "tests/conformance/scope.h"

#include <algorithm>

#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"
#include "tests/conformance/modules.h"

namespace brume::conformance {
namespace {

// f with some arguments filled in.
struct Partial {
  Value callable;
  Map filled;
};
Value call_partial(const Object& self, Arguments& a) {
  const Partial& p = self.as<Partial>();
  Map arguments = a.take_rest();
  arguments.insert(arguments.end(), p.filled.begin(), p.filled.end());
  return invoke(p.callable, std::move(arguments));
}

// A method together with its object.
struct Bound {
  Object object;
  std::string method;
};
Value call_bound(const Object& self, Arguments& a) {
  const Bound& b = self.as<Bound>();
  return invoke(b.object, b.method, a.take_rest());
}

const Methods kPartialMethods = {{"", call_partial}};
const Methods kBoundMethods = {{"", call_bound}};

Tensor viewed(Tensor x, const List& operations) {
  for (const Value& operation : operations) {
    const List& words = operation.list("view");
    const std::string& name = words.at(0).text("view");
    Dims numbers;
    for (size_t i = 1; i < words.size(); ++i) numbers.push_back(words[i].integer("view"));
    if (name == "transpose" && numbers.rank() == 2) {
      x = transpose(x, numbers[0], numbers[1]);
    } else if (name == "permute") {
      x = permute(x, numbers);
    } else {
      check<Error>(name == "expand", "view: unknown operation ", name);
      x = expand(x, numbers);
    }
  }
  return x;
}

}  // namespace

Value Scope::decode(const Value& form) const {
  if (const List* list = form.get_if<List>()) {
    List out;
    for (const Value& item : *list) out.push_back(decode(item));
    return out;
  }
  const Map* map = form.get_if<Map>();
  if (!map) return form;
  // A form has its own keys and no others.
  const auto member = [&](const char* key, const char* companion = nullptr) -> const Value* {
    const Value* found = form.find(key);
    const bool accompanied = companion && map->size() == 2 && form.find(companion);
    return found && (map->size() == 1 || accompanied) ? found : nullptr;
  };
  if (const Value* inner = member("value")) return decode(*inner);
  if (const Value* name = member("dtype")) return *name;
  if (const Value* name = member("ref")) return resolve(name->text("ref"));
  if (const Value* graph = member("graph"))
    return Map{{"edge_index", file_.tensor(graph->at("edge_index").text("edge_index"))},
               {"num_nodes", graph->at("num_nodes")}};
  if (const Value* key = member("per_step"))
    return Array{select(file_.tensor(key->text("per_step")).tensor, 0, step_), false};
  if (const Value* key = member("tensor", "view")) {
    Array array = file_.tensor(key->text("tensor"));
    if (const Value* view = form.find("view"))
      array.tensor = viewed(array.tensor, view->list("view"));
    return array;
  }
  if (const Value* keys = member("tensors")) {
    List out;
    for (const Value& key : keys->list("tensors")) out.push_back(file_.tensor(key.text("tensors")));
    return out;
  }
  if (const Value* entries = member("tensordict", "batch")) {
    Map out;
    for (const auto& [name, key] : entries->map("tensordict"))
      out.emplace_back(name, file_.tensor(key.text("tensordict")));
    return out;
  }
  if (const Value* name = member("fn")) return named_function(name->text("fn"));
  if (const Value* callable = member("partial", "kwargs"))
    return Object{Partial{decode(*callable), decode(form.at("kwargs")).map("kwargs")}, "a partial",
                  &kPartialMethods};
  Map out;
  for (const auto& [name, value] : *map) out.emplace_back(name, decode(value));
  return out;
}

Map Scope::decode_call(const Value& call) const {
  Map out;
  for (const Value& item : call.list("call")) {
    Map form = item.map("call");
    const std::string name = item.at("name").text("name");
    std::erase_if(form, [](const auto& m) { return m.first == "name" || m.first == "positional"; });
    out.emplace_back(name, decode(Value(std::move(form))));
  }
  return out;
}

Value Scope::resolve(const std::string& reference) const {
  const size_t dot = reference.find('.');
  const auto found = objects_.find(reference.substr(0, dot));
  check<Error>(found != objects_.end(), "nothing was made under the name ", reference);
  if (dot == reference.npos) return found->second;
  Object object = found->second.object(reference);
  return Object{Bound{std::move(object), reference.substr(dot + 1)}, reference, &kBoundMethods};
}

Value Scope::call(const std::string& target, Map arguments) const {
  if (objects_.count(target.substr(0, target.find('.'))) != 0)
    return invoke(resolve(target), std::move(arguments));
  if (const auto found = functions().find(target); found != functions().end()) {
    Arguments a(target, std::move(arguments));
    Value result = found->second(a);
    a.finish();
    return result;
  }
  if (is_module(target)) return make_module(target, std::move(arguments));
  throw UnknownTarget(target);
}

Value invoke(const Value& callable, Map arguments) {
  return invoke(callable.object("call"), "", std::move(arguments));
}

Value invoke(const Object& object, std::string_view method, Map arguments) {
  const auto found = object.methods ? object.methods->find(method) : Methods::const_iterator();
  if (!object.methods || found == object.methods->end())
    throw UnknownTarget(method.empty() ? object.type : cat(object.type, '.', method));
  Arguments a(method.empty() ? object.type : cat(object.type, '.', method), std::move(arguments));
  Value result = found->second(object, a);
  a.finish();
  return result;
}

Tensors flatten(const Value& result) {
  if (const Array* array = result.get_if<Array>()) return {array->tensor};
  Tensors out;
  const auto append = [&out](const Value& value) {
    const Tensors inner = flatten(value);
    out.insert(out.end(), inner.begin(), inner.end());
  };
  if (const List* list = result.get_if<List>()) {
    for (const Value& value : *list) append(value);
  } else if (const Map* map = result.get_if<Map>()) {
    Map sorted = *map;
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [key, value] : sorted) append(value);
  } else {
    throw Error(cat("result: wanted tensors, got ", describe(result)));
  }
  return out;
}

}  // namespace brume::conformance
