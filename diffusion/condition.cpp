#include <brume/diffusion/condition.h>

#include <algorithm>

#include <brume/autograd/ops/shape.h>

namespace brume::diffusion {

Condition::Condition(std::vector<std::pair<std::string, Tensor>> entries)
    : entries_(std::move(entries)) {
  for (size_t i = 0; i < entries_.size(); ++i) {
    check(!entries_[i].first.empty(), "Condition: a named tensor wants a name");
    for (size_t j = 0; j < i; ++j)
      check(entries_[i].first != entries_[j].first, "Condition: '", entries_[i].first,
            "' stands twice");
  }
}

Tensor Condition::tensor(const char* who) const {
  if (entries_.empty()) return {};
  check(is_tensor(), who, ": wants one tensor without a name as condition, got ", entries_.size(),
        " named ones, the first is '", entries_[0].first, "'");
  return entries_[0].second;
}

const Tensor& Condition::at(std::string_view name) const {
  std::string known;
  for (const auto& [key, value] : entries_) {
    if (key == name) return value;
    known += cat(known.empty() ? "" : ", ", "'", key, "'");
  }
  throw ShapeError(cat("Condition: has no '", name, "'; ",
                       known.empty() ? "it is empty" : cat("there is ", known)));
}

Tensor Condition::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return value;
  return {};
}

Condition Condition::with(std::string name, Tensor x) const {
  if (!x.defined()) return *this;
  check(!is_tensor(), "Condition: a tensor without a name cannot stand beside '", name,
        "'; name it, such as {{\"class_labels\", x}}");
  check(!find(name).defined(), "Condition: has '", name,
        "' already, which another argument brings; leave one of them out");
  Condition out = *this;
  out.entries_.emplace_back(std::move(name), std::move(x));
  return out;
}

Condition Condition::with_argument(std::string name, Tensor x) const {
  if (!x.defined()) return *this;
  Condition out = with(name, std::move(x));
  out.arguments_.push_back(std::move(name));
  return out;
}

bool Condition::is_of_samples(std::string_view name) const {
  return std::find(arguments_.begin(), arguments_.end(), name) == arguments_.end();
}

std::optional<int64_t> Condition::batch() const {
  for (const auto& [name, x] : entries_)
    if (is_of_samples(name) && x.rank() >= 1) return x.size(0);
  return {};
}

Condition Condition::without(std::string_view name) const {
  Condition out = *this;
  std::erase_if(out.entries_, [&](const auto& entry) { return entry.first == name; });
  std::erase(out.arguments_, name);
  return out;
}

Condition Condition::named(std::string name) const {
  Condition out = *this;
  if (is_tensor()) out.entries_[0].first = std::move(name);
  return out;
}

Condition Condition::each(
    const std::function<Tensor(const std::string& name, const Tensor& x)>& f) const {
  Condition out = *this;
  for (auto& [name, x] : out.entries_)
    if (is_of_samples(name)) x = f(name, x);
  return out;
}

void Condition::check_names(std::initializer_list<std::string_view> known,
                            std::string_view who) const {
  for (const auto& [key, value] : entries_) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string names;
    for (std::string_view name : known) names += cat(names.empty() ? "" : ", ", "'", name, "'");
    throw ShapeError(cat(who, ": takes no condition '", key, "'; it takes ", names));
  }
}

void Condition::check_batch(int64_t batch, const char* who) const {
  for (const auto& [key, value] : entries_)
    check(!is_of_samples(key) || (value.rank() >= 1 && value.size(0) == batch), who,
          ": the condition", key.empty() ? "" : cat(" '", key, "'"), " is ", value.shape(),
          ", but the batch size of x is ", batch,
          key.empty() ? "" : "; what is no sample's joins by with_argument");
}

Condition Condition::for_batch(int64_t batch, const char* who) const {
  Condition out = each([batch](const std::string&, const Tensor& x) {
    if (x.rank() == 0 || x.size(0) != 1 || batch == 1) return x;
    Shape shape = x.shape();
    shape[0] = batch;
    return expand(x, shape);
  });
  out.check_batch(batch, who);
  return out;
}

}  // namespace brume::diffusion
