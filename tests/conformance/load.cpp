#include "tests/conformance/load.h"

#include <map>
#include <set>

#include <brume/autograd/node.h>

#include "tests/conformance/compare.h"

namespace brume::conformance {
namespace {

std::set<std::string> listed(const CaseFile& file, std::string_view field) {
  std::set<std::string> out;
  if (const Value* names = file.description().find(field))
    for (const Value& name : names->list(field)) out.insert(name.text(field));
  return out;
}

// The keys of the file under `kind` that the module is to have, without the prefix.
std::set<std::string> keys(const CaseFile& file, const std::string& kind,
                           const std::string& prefix) {
  const std::vector<std::string> found = file.keys(kind + prefix);
  return {found.begin(), found.end()};
}

void put(const CaseFile& file, const std::string& key, const Tensor& into) {
  const Tensor value = file.tensor(key).tensor;
  check<Error>(value.shape() == into.shape(), key, " is ", value.shape(), ", the module's is ",
               into.shape());
  const NoGrad guard;
  copy_(into, value);
}

void load_parameters(const CaseFile& file, const nn::Module& module, const std::string& prefix) {
  const std::set<std::string> frozen = listed(file, "frozen");
  std::set<std::string> left = keys(file, "param/", prefix);
  std::map<std::string, Tensor> under_name;
  for (const auto& [name, tensor] : module.state()) under_name[name] = tensor;
  if (const Value* tied = file.description().find("tied")) {
    for (const auto& [alias, value] : tied->map("tied")) {
      const std::string& first = value.text("tied");
      if (!alias.starts_with(prefix)) continue;
      const Tensor one = under_name[alias.substr(prefix.size())];
      const Tensor other = under_name[first.substr(prefix.size())];
      check<Error>(one.defined() && one.handle() == other.handle(), alias, " is not the tensor of ",
                   first);
      left.erase(alias.substr(prefix.size()));
    }
  }
  for (const auto& [name, parameter] : module.parameters()) {
    check<Error>(left.erase(name) == 1, "the case has no parameter '", prefix, name, "'");
    check<Error>(requires_grad(parameter) == (frozen.count(prefix + name) == 0), "parameter '",
                 prefix, name, "' ", requires_grad(parameter) ? "is not frozen" : "is frozen");
    put(file, cat("param/", prefix, name), parameter);
  }
  check<Error>(left.empty(), "the module has no parameter '", left.empty() ? "" : *left.begin(),
               "'");
}

void load_buffers(const CaseFile& file, const nn::Module& module, const std::string& prefix) {
  const std::set<std::string> derived = listed(file, "derived_buffers");
  std::set<std::string> left = keys(file, "buffer/", prefix);
  for (const auto& [name, buffer] : module.buffers()) {
    const std::string key = cat("buffer/", prefix, name);
    if (derived.count(prefix + name) != 0) {
      const Agreement agreement = compare(buffer, file.tensor(key).tensor, List{1e-5, 1e-6});
      check<Error>(static_cast<bool>(agreement), key, ": ", agreement.text);
    } else if (left.count(name) != 0) {
      put(file, key, buffer);
    }
    left.erase(name);
  }
  for (const auto& [name, tensor] : module.state())
    check<Error>(file.has(cat("param/", prefix, name)) || file.has(cat("buffer/", prefix, name)),
                 "the case has no '", prefix, name, "'");
  for (const std::string& name : left)  // what the module computes where it needs it
    check<Error>(derived.count(prefix + name) != 0, "the module has no buffer '", prefix, name,
                 "'");
}

}  // namespace

void load(const CaseFile& file, const nn::Module& module, const std::string& prefix) {
  load_parameters(file, module, prefix);
  load_buffers(file, module, prefix);
}

}  // namespace brume::conformance
