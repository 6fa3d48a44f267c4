#include <map>
#include <set>
#include <tuple>

#include <brume/core/io/quote.h>
#include <brume/core/io/torch_objects.h>

namespace brume::io {
namespace {

using NamedTensor = std::pair<std::string, Tensor>;

// The pickle of an ordered dict, and the storages that it refers to.
class StateDict {
 public:
  explicit StateDict(std::span<const NamedTensor> tensors) {
    std::set<std::string_view> names;
    ordered_dict();
    pickle_.mark();
    for (const auto& [name, x] : tensors) {
      check<FormatError>(names.insert(name).second, "save_torch: tensor ", quote(name),
                         " is given twice");
      pickle_.text(name);
      add(x);
    }
    pickle_.set_items();
  }

  std::vector<ZipMember> members() && {
    // Where torch looks for each, below a folder of any name.
    std::vector<ZipMember> out{{"archive/data.pkl", pickle_.finish()},
                               {"archive/byteorder", "little"}};
    for (size_t i = 0; i < storages_.size(); ++i)
      out.push_back({cat("archive/data/", i), std::move(storages_[i])});
    out.push_back({"archive/version", "3\n"});
    return out;
  }

 private:
  void ordered_dict() {
    pickle_.global("collections", "OrderedDict");
    pickle_.empty_tuple();
    pickle_.call();
  }

  void add(const Tensor& x) {
    pickle_.global("torch._utils", "_rebuild_tensor_v2");
    pickle_.mark();
    {
      pickle_.mark();
      pickle_.text("storage");
      pickle_.global("torch", torch_storage_name(x.dtype()));
      pickle_.text(cat(storage_of(x)));
      pickle_.text("cpu");
      pickle_.integer(x.numel());
      pickle_.tuple();
      pickle_.persistent();
    }
    pickle_.integer(0);
    dims(x.shape());
    dims(dense_strides(x.shape()));
    pickle_.boolean(false);
    ordered_dict();
    pickle_.tuple();
    pickle_.call();
  }

  void dims(const Dims& values) {
    pickle_.mark();
    for (const int64_t value : values) pickle_.integer(value);
    pickle_.tuple();
  }

  // Tied parameters stay tied: the same elements in the same order are written once.
  size_t storage_of(const Tensor& x) {
    std::vector<int64_t> view(x.shape().begin(), x.shape().end());
    view.insert(view.end(), x.strides().begin(), x.strides().end());
    const auto key = std::tuple(x.numel() > 0 ? x.data() : nullptr, x.dtype(), std::move(view));
    const auto [at, is_new] = written_.try_emplace(key, storages_.size());
    if (is_new) storages_.push_back(x);
    return at->second;
  }

  PickleWriter pickle_;
  std::vector<Tensor> storages_;
  std::map<std::tuple<const void*, DType, std::vector<int64_t>>, size_t> written_;
};

constexpr uint64_t kMemberAlignment = 64;  // the reference's

}  // namespace

void save_torch(const std::string& path, std::span<const NamedTensor> tensors) {
  const std::vector<ZipMember> members = StateDict(tensors).members();
  AtomicFile file(path);
  write_zip(file, members, kMemberAlignment);
  file.commit();
}

std::string torch_bytes(std::span<const NamedTensor> tensors) {
  return zip_bytes(StateDict(tensors).members(), kMemberAlignment);
}

}  // namespace brume::io
