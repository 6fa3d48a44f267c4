#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/tensor.h>

namespace brume::diffusion {

/// What a model is conditioned on: nothing, one tensor, or named tensors in order. All share the
/// batch as their first axis.
class Condition {
 public:
  Condition() = default;
  Condition(Tensor x) {
    if (x.defined()) entries_.emplace_back("", std::move(x));
  }
  /// @throws ShapeError if a name is empty or stands twice
  Condition(std::vector<std::pair<std::string, Tensor>> entries);
  Condition(std::initializer_list<std::pair<std::string, Tensor>> entries)
      : Condition(std::vector(entries)) {}

  bool empty() const { return entries_.empty(); }
  bool is_tensor() const { return entries_.size() == 1 && entries_[0].first.empty(); }
  /// The one tensor; undefined if there is no condition.
  /// @throws ShapeError naming `who` if tensors are named
  Tensor tensor(const char* who = "Condition") const;
  /// @throws ShapeError listing the names there are
  const Tensor& at(std::string_view name) const;
  /// Undefined if there is none of that name.
  Tensor find(std::string_view name) const;
  const std::vector<std::pair<std::string, Tensor>>& entries() const { return entries_; }
  /// Named tensors with one more, or one exchanged; itself if x is undefined.
  /// @throws ShapeError if this is a tensor without a name
  Condition with(std::string name, Tensor x) const;
  Condition without(std::string_view name) const;
  /// A tensor without a name gets this one.
  Condition named(std::string name) const;
  /// The same names with f of each tensor; a tensor without a name has the name "".
  Condition each(const std::function<Tensor(const std::string& name, const Tensor& x)>& f) const;

  /// @throws ShapeError naming `who` and the entry if one has another batch size
  void check_batch(int64_t batch, const char* who) const;
  /// @throws ShapeError naming `who` and an entry that has none of these names
  void check_names(std::initializer_list<std::string_view> known, std::string_view who) const;

 private:
  std::vector<std::pair<std::string, Tensor>> entries_;
};

}  // namespace brume::diffusion
