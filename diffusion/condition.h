#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <brume/core/tensor.h>

namespace brume::diffusion {

/// What a model is conditioned on: nothing, one tensor, or named tensors in order. All share the
/// batch as their first axis, but for arguments of the network that are no sample's.
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
  /// Named tensors with one more; itself if x is undefined.
  /// @throws ShapeError if this is a tensor without a name, or there is one of that name
  Condition with(std::string name, Tensor x) const;
  /// The same with an argument of the network that is no sample's, such as a mask that serves all,
  /// or the places of patches: whatever the batch, it reaches the network as it is.
  Condition with_argument(std::string name, Tensor x) const;
  Condition without(std::string_view name) const;
  /// A tensor without a name gets this one.
  Condition named(std::string name) const;
  /// The same names with f of each tensor of samples; a tensor without a name has the name "".
  Condition each(const std::function<Tensor(const std::string& name, const Tensor& x)>& f) const;

  /// @throws ShapeError naming `who` and the entry if one of samples has another batch size
  void check_batch(int64_t batch, const char* who) const;
  /// The same where one row serves all samples. @throws ShapeError as check_batch
  Condition for_batch(int64_t batch, const char* who) const;
  /// That of the first tensor of samples; nothing if there is none.
  std::optional<int64_t> batch() const;
  /// @throws ShapeError naming `who` and an entry that has none of these names
  void check_names(std::initializer_list<std::string_view> known, std::string_view who) const;

 private:
  bool is_of_samples(std::string_view name) const;
  std::vector<std::pair<std::string, Tensor>> entries_;
  std::vector<std::string> arguments_;  // names of entries that are no sample's
};

}  // namespace brume::diffusion
