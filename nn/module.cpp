#include <brume/nn/module.h>

#include <unordered_set>

#include <brume/autograd/node.h>
#include <brume/autograd/ops/shape.h>
#include <brume/nn/key_patterns.h>
#include <brume/nn/registry.h>

namespace brume::nn {
namespace {

constexpr size_t kMaxDepth = 64;

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

// "brume::nn::Linear" -> "Linear"
std::string unqualified_name(const std::type_info& type) {
  const std::string name = qualified_name(type);
  const size_t colon = name.substr(0, name.find('<')).rfind(':');
  return colon == std::string::npos ? name : name.substr(colon + 1);
}

// Walks over the arguments of a module and replaces modules among them by clones.
class CloneModules final : public Fields {
  void scalar(Ref<Module>& x) override {
    if (x) x = clone_module(*x);
  }
};

}  // namespace

Tensor as_dtype(const Tensor& weight, const Tensor& x) {
  if (!weight.defined() || weight.dtype() == x.dtype()) return weight;
  return to(weight, x.dtype());
}

void detail::replace_memory(const Tensor& x, const Tensor& y) {
  TensorImpl& impl = x.impl();
  const TensorImpl& from = y.impl();
  impl.storage = from.storage;
  impl.dtype = from.dtype;
  impl.offset = from.offset;
  impl.strides = from.strides;
}

Module::~Module() = default;

std::vector<Module::Named> Module::modules() const {
  struct Pending {
    std::string path;
    Module* module;
    size_t depth;
  };
  std::vector<Named> all;
  std::vector<Pending> stack{{"", const_cast<Module*>(this), 0}};
  while (!stack.empty()) {
    const Pending top = std::move(stack.back());
    stack.pop_back();
    if (top.depth > kMaxDepth)
      throw Error(cat(class_name(), ": modules are nested deeper than ", kMaxDepth, " at '",
                      top.path, "'"));
    all.push_back({top.path, top.module});
    const auto& children = top.module->children_;
    for (auto c = children.rbegin(); c != children.rend(); ++c)
      stack.push_back({join(top.path, c->name), c->module.get(), top.depth + 1});
  }
  return all;
}

NamedTensors Module::parameters() const {
  NamedTensors out;
  std::unordered_set<const TensorImpl*> seen;
  for (const Named& m : modules())
    for (const Slot& s : m.module->parameters_)
      if (seen.insert(s.tensor.handle().get()).second)
        out.push_back({join(m.path, s.name), s.tensor});
  return out;
}

NamedTensors Module::fixed_buffers() const {
  NamedTensors out;
  for (const Named& m : modules())
    for (const Slot& s : m.module->buffers_)
      if (s.persistence == fixed) out.push_back({join(m.path, s.name), s.tensor});
  return out;
}

NamedTensors Module::buffers() const {
  NamedTensors out;
  std::unordered_set<const TensorImpl*> seen;
  for (const Named& m : modules())
    for (const Slot& s : m.module->buffers_)
      if (seen.insert(s.tensor.handle().get()).second)
        out.push_back({join(m.path, s.name), s.tensor});
  return out;
}

NamedTensors Module::state() const {
  NamedTensors out;
  for (const Named& m : modules()) {
    for (const Slot& s : m.module->parameters_) out.push_back({join(m.path, s.name), s.tensor});
    for (const Slot& s : m.module->buffers_)
      if (s.persistence != transient) out.push_back({join(m.path, s.name), s.tensor});
  }
  return out;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const NamedTensor& p : parameters()) count += p.tensor.numel();
  return count;
}

void Module::train(bool on) {
  for (const Named& m : modules()) m.module->training_ = on;
}

template <class F>
void Module::convert_all(F&& f) {
  // All conversions first: if memory runs out the module is as it was.
  NamedTensors tensors = parameters();
  for (NamedTensor& b : buffers()) tensors.push_back(std::move(b));
  std::vector<Tensor> converted;
  for (const NamedTensor& t : tensors) converted.push_back(f(t.tensor));
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (converted[i].handle() == tensors[i].tensor.handle()) continue;
    set_grad(tensors[i].tensor, {});
    detail::replace_memory(tensors[i].tensor, converted[i]);
  }
}

void Module::to(Device device) {
  convert_all([&](const Tensor& x) { return transfer(x, device); });
}

void Module::to(DType dtype) {
  check<DTypeError>(is_floating(dtype), class_name(), ": to() wants a floating dtype, got ", dtype);
  convert_all([&](const Tensor& x) { return is_floating(x.dtype()) ? convert(x, dtype) : x; });
}

int64_t Module::set_frozen(std::string_view pattern, bool frozen) {
  int64_t count = 0;
  for (const NamedTensor& p : parameters()) {
    if (!fits_pattern(p.name, pattern)) continue;
    set_requires_grad(p.tensor, !frozen);
    if (frozen) set_grad(p.tensor, {});
    ++count;
  }
  check<Error>(count > 0, class_name(), ": no parameter's name matches '", pattern, "'");
  return count;
}

int64_t Module::freeze(std::string_view pattern) { return set_frozen(pattern, true); }
int64_t Module::unfreeze(std::string_view pattern) { return set_frozen(pattern, false); }

void Module::set_generator(std::shared_ptr<Generator> rng) {
  for (const Named& m : modules()) m.module->rng_ = rng;
}

void Module::seed(uint64_t seed) { set_generator(std::make_shared<Generator>(seed)); }

std::string Module::class_name() const {
  const std::string name = registered_name(typeid(*this));
  return name.empty() ? unqualified_name(typeid(*this)) : name;
}

void Module::check_recipe() const {
  if (recipe_) return;
  check<Error>(no_config_.empty(), class_name(), ": ", no_config_);
  throw Error(cat(class_name(),
                  ": its arguments are not known; give its Config a method fields() and construct "
                  "it with nn::make"));
}

void Module::visit_config(Fields& v) const {
  check_recipe();
  recipe_->visit(v);
}

std::string Module::config_json(int indent) const {
  return write_config([this](Fields& v) { visit_config(v); }, indent);
}

void Module::take_name(const std::string& name) {
  // Not by check(): the class's name costs more than all else here.
  if (name.empty()) throw Error(cat(class_name(), ": a registered name must not be empty"));
  if (!names_.insert(name).second)
    throw Error(cat(class_name(), ": the name '", name, "' is registered already"));
}

Tensor Module::param(std::string name, const Shape& shape, const Init& init) {
  return param(std::move(name), set_requires_grad(detail::initial_tensor(shape, init)));
}

Tensor Module::param(std::string name, Tensor shared) {
  take_name(name);
  parameters_.push_back({std::move(name), shared, persistent, nullptr});
  return shared;
}

Tensor Module::buffer(std::string name, Tensor value, Persistence persistence) {
  take_name(name);
  buffers_.push_back({std::move(name), value, persistence, nullptr});
  return value;
}

Tensor Module::buffer(std::string name, const Shape& shape, std::function<Tensor()> compute,
                      Persistence persistence, DType dtype) {
  detail::count_elements(shape);
  check(persistence != transient || numel(shape) <= kMaxComputed, name, ": a table of ", shape,
        " has more than ", kMaxComputed, " elements, which no file holds");
  take_name(name);
  const bool later = detail::shapes_alone();
  Tensor value = later ? detail::without_memory(shape, dtype) : compute();
  if (!later) compute = nullptr;
  buffers_.push_back({std::move(name), value, persistence, std::move(compute)});
  return value;
}

void Module::compute_buffers(const std::function<bool(const Tensor&)>& wanted) {
  for (const Named& m : modules())
    for (Slot& s : m.module->buffers_)
      if (const auto compute = std::exchange(s.compute, nullptr); compute && wanted(s.tensor))
        detail::replace_memory(s.tensor, compute());
}

Tensor Module::buffer(std::string name, const Shape& shape, const Init& init) {
  return buffer(std::move(name), detail::initial_tensor(shape, init));
}

void Module::add_child(std::string name, Ref<Module> module) {
  if (!module) throw Error(cat(class_name(), ": child '", name, "' is an empty Ref"));
  for (const Named& m : module->modules())
    if (m.module == this)
      throw Error(cat(class_name(), ": child '", name, "' contains its parent"));
  take_name(name);
  children_.push_back({std::move(name), std::move(module)});
}

Ref<Module> clone_module(const Module& module) {
  module.check_recipe();
  CloneModules edit;
  const Construction allocate(Construction::Mode::allocate);
  const Ref<Module> copy = module.recipe_->build(edit);

  const auto from = module.modules(), to = copy->modules();
  check<Error>(from.size() == to.size(), module.class_name(),
               ": cannot be cloned, children were added after its construction");
  const NoGrad no_grad;
  const auto copy_slots = [&](const std::vector<Module::Slot>& a, std::vector<Module::Slot>& b) {
    check<Error>(a.size() == b.size(), module.class_name(),
                 ": cannot be cloned, tensors were registered after its construction");
    for (size_t i = 0; i < a.size(); ++i) {
      const Tensor &x = a[i].tensor, &y = b[i].tensor;
      Tensor value = empty_like(x);
      copy_(value, x);
      detail::replace_memory(y, value);
      if (is_floating(x.dtype())) set_requires_grad(y, requires_grad(x));
    }
  };
  for (size_t m = 0; m < from.size(); ++m) {
    copy_slots(from[m].module->parameters_, to[m].module->parameters_);
    copy_slots(from[m].module->buffers_, to[m].module->buffers_);
    to[m].module->training_ = from[m].module->training_;
  }
  return copy;
}

}  // namespace brume::nn
