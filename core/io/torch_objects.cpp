#include <brume/core/io/torch_objects.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include <brume/core/io/quote.h>

namespace brume::io {
namespace {

using Index = Pickle::Index;

struct StorageName {
  const char *storage, *dtype;  // of module torch; null where there is none
  StoredType type;
  bool is_complex = false;
};
constexpr StorageName kTypes[] = {{"FloatStorage", "float32", StoredType::f32},
                                  {"DoubleStorage", "float64", StoredType::f64},
                                  {"HalfStorage", "float16", StoredType::f16},
                                  {"BFloat16Storage", "bfloat16", StoredType::bf16},
                                  {"LongStorage", "int64", StoredType::i64},
                                  {"IntStorage", "int32", StoredType::i32},
                                  {"ShortStorage", "int16", StoredType::i16},
                                  {"CharStorage", "int8", StoredType::i8},
                                  {"ByteStorage", "uint8", StoredType::u8},
                                  {"BoolStorage", "bool", StoredType::boolean},
                                  {nullptr, "uint16", StoredType::u16},
                                  {nullptr, "uint32", StoredType::u32},
                                  {"ComplexFloatStorage", "complex64", StoredType::f32, true},
                                  {"ComplexDoubleStorage", "complex128", StoredType::f64, true}};

// Everything else that may be named.
constexpr std::string_view kTensorV1 = "torch._utils\n_rebuild_tensor",
                           kTensorV2 = "torch._utils\n_rebuild_tensor_v2",
                           kTensorV3 = "torch._utils\n_rebuild_tensor_v3",
                           kParameter = "torch._utils\n_rebuild_parameter",
                           kFromType = "torch._tensor\n_rebuild_from_type_v2",
                           kTensorClass = "torch\nTensor", kSize = "torch\nSize",
                           kUntyped = "torch.storage\nUntypedStorage",
                           kOrderedDict = "collections\nOrderedDict";
constexpr std::array kNames = {kTensorV1, kTensorV2,    kTensorV3, kParameter,  kFromType,
                               kSize,     kTensorClass, kUntyped,  kOrderedDict};

bool is_named(const char* name, std::string_view global) {
  constexpr std::string_view kModule = "torch\n";
  return name && global.starts_with(kModule) && global.substr(kModule.size()) == name;
}

std::string shown(std::string_view global) {
  std::string text(global);
  std::replace(text.begin(), text.end(), '\n', '.');
  return quote(text);
}

// One pass over the values: each stands after what it is made of.
class Resolver {
 public:
  Resolver(const Pickle& pickle, uint64_t max_bytes) : pickle_(pickle), bytes_left_(max_bytes) {}

  TorchObjects run() {
    out_.of_value.resize(pickle_.size());
    for (Index i = 0; i < pickle_.size(); ++i) {
      if (pickle_.kind(i) == PickleKind::global) out_.of_value[i] = name(i);
      if (pickle_.kind(i) == PickleKind::persistent) out_.of_value[i] = storage(i);
      if (pickle_.kind(i) == PickleKind::call) out_.of_value[i] = call(i);
    }
    return std::move(out_);
  }

 private:
  std::string_view global(Index i) const {
    return pickle_.kind(i) == PickleKind::global ? pickle_.text(i, "a name") : "";
  }

  TorchObject name(Index i) const {
    const std::string_view global = pickle_.text(i, "a name");
    for (uint32_t t = 0; t < std::size(kTypes); ++t) {
      if (is_named(kTypes[t].storage, global)) return {TorchObject::type, t};
      if (is_named(kTypes[t].dtype, global)) return {TorchObject::dtype, t};
    }
    if (std::find(kNames.begin(), kNames.end(), global) == kNames.end())
      pickle_.fail(i,
                   cat("the name ", shown(global), " is not in the list of those that are read"));
    return {};
  }

  // ("storage", type, key, device, count), and in older files None behind it.
  TorchObject storage(Index i) {
    const auto& id = pickle_.tuple(pickle_.items(i, "a reference")[0], "a reference");
    const bool sound =
        id.size() == 5 || (id.size() == 6 && pickle_.kind(id[5]) == PickleKind::none);
    if (!sound || pickle_.text(id[0], "the kind of a reference") != "storage")
      pickle_.fail(i, "a reference to something that is no storage");
    TorchStorage s{.key = std::string(pickle_.text(id[2], "the key of a storage")),
                   .type = {},
                   .is_complex = false,
                   .count = pickle_.integer(id[4], "the size of a storage")};
    const TorchObject type = out_.of_value[id[1]];
    if (type.kind == TorchObject::type) {
      s.type = kTypes[type.number].type;
      s.is_complex = kTypes[type.number].is_complex;
    } else if (global(id[1]) != kUntyped) {
      pickle_.fail(id[1], "this is no type of a storage");
    }
    constexpr int64_t kMost = int64_t{1} << 58;  // times 16 fits 64 bits
    if (s.count < 0 || s.count > kMost)
      pickle_.fail(id[4], cat("a storage of ", s.count, " elements"));
    if (s.is_complex) s.count *= 2;
    const auto [at, is_new] =
        by_key_.try_emplace(s.key, static_cast<uint32_t>(out_.storages.size()));
    if (is_new) {
      out_.storages.push_back(std::move(s));
    } else {
      const TorchStorage& first = out_.storages[at->second];
      if (first.type != s.type || first.count != s.count || first.is_complex != s.is_complex)
        pickle_.fail(i, cat("the storage ", quote(s.key), " is described twice, differently"));
    }
    return {TorchObject::storage, at->second};
  }

  TorchObject call(Index i) {
    const auto& function_and_arguments = pickle_.items(i, "a call");
    const std::string_view function = global(function_and_arguments[0]);
    const auto& arguments = pickle_.tuple(function_and_arguments[1], "what a name is called with");
    const auto takes = [&](size_t least, size_t most) {
      if (arguments.size() < least || arguments.size() > most)
        pickle_.fail(i, cat(shown(function), " is called with ", arguments.size(), " arguments"));
    };
    if (function == kTensorV1) return takes(4, 4), tensor(i, arguments);
    if (function == kTensorV2) return takes(6, 7), tensor(i, arguments);
    if (function == kTensorV3) return takes(7, 8), tensor(i, arguments, arguments[6]);
    if (function == kParameter) {
      takes(3, 3);
      TorchTensor t = tensor_of(arguments[0]);
      t.is_parameter = true;
      t.requires_grad = pickle_.boolean(arguments[1], "requires_grad");
      return add(t);
    }
    if (function == kFromType) {  // (function, Tensor, arguments, state)
      takes(4, 4);
      if (global(arguments[0]) != kTensorV2 || global(arguments[1]) != kTensorClass)
        pickle_.fail(i, "a tensor of a class that is not read");
      const auto& inner = pickle_.tuple(arguments[2], "what a tensor is made of");
      if (inner.size() < 6 || inner.size() > 7)
        pickle_.fail(i, cat("a tensor is made of ", inner.size(), " values"));
      return tensor(i, inner);
    }
    if (function == kSize) {
      takes(1, 1);
      dims(arguments[0], "a size", kNoLimit);
      return {TorchObject::size, arguments[0]};
    }
    pickle_.fail(i, cat("a call of ", shown(function), " is not read"));
  }

  static constexpr size_t kNoLimit = ~size_t{0};
  std::vector<int64_t> dims(Index i, std::string_view what, size_t most) const {
    const auto& items = pickle_.tuple(i, what);
    if (items.size() > most) pickle_.fail(i, cat(what, " of rank ", items.size()));
    std::vector<int64_t> out;
    for (const Index item : items) {
      out.push_back(pickle_.integer(item, what));
      if (out.back() < 0) pickle_.fail(item, cat(what, " with ", out.back(), " in it"));
    }
    return out;
  }

  // (storage, offset, size, strides, requires_grad, hooks)
  TorchObject tensor(Index i, const PickleValue::Items& a, std::optional<Index> dtype = {}) {
    const TorchObject object = out_.of_value[a[0]];
    if (object.kind != TorchObject::storage) pickle_.fail(i, "a tensor without a storage");
    const TorchStorage& s = out_.storages[object.number];
    TorchTensor t{};
    t.storage = object.number;
    t.offset = pickle_.integer(a[1], "the offset of a tensor");
    t.requires_grad = a.size() > 4 && pickle_.boolean(a[4], "requires_grad");
    if (dtype) {
      const TorchObject named = out_.of_value[*dtype];
      if (named.kind != TorchObject::dtype) pickle_.fail(*dtype, "this is no dtype");
      t.type = kTypes[named.number].type;
      t.is_complex = kTypes[named.number].is_complex;
    } else {
      if (!s.type) pickle_.fail(i, "a tensor of unknown dtype");
      t.type = *s.type;
      t.is_complex = s.is_complex;
    }
    const size_t most = static_cast<size_t>(kMaxRank - (t.is_complex ? 1 : 0));
    t.shape = Shape(dims(a[2], "a tensor's shape", most));
    t.strides = Strides(dims(a[3], "a tensor's strides", most));
    if (t.shape.rank() != t.strides.rank())
      pickle_.fail(i, cat("a tensor of shape ", t.shape, " and strides ", t.strides));
    check_inside(i, t, s);
    return add(t);
  }

  void check_inside(Index i, const TorchTensor& t, const TorchStorage& s) const {
    const auto item = static_cast<uint64_t>(item_size(t.type)) * (t.is_complex ? 2 : 1);
    const auto count = static_cast<int64_t>(s.bytes() / item);
    const auto bytes = stored_bytes(t.type, t.loaded_shape());
    int64_t last = t.offset;  // of the elements that it reaches
    bool inside = bytes.has_value() && t.offset >= 0 && t.offset <= count;
    for (int axis = 0; inside && *bytes > 0 && axis < t.shape.rank(); ++axis) {
      const int64_t steps = t.shape[axis] - 1, stride = t.strides[axis];
      inside = steps == 0 || stride <= (count - 1 - last) / steps;
      if (inside) last += steps * stride;
    }
    if (!inside || (*bytes > 0 && last >= count))
      pickle_.fail(i, cat("a tensor of shape ", t.shape, ", strides ", t.strides, " and offset ",
                          t.offset, " leaves its storage of ", count, " elements"));
  }

  TorchTensor tensor_of(Index i) const {
    if (out_.of_value[i].kind != TorchObject::tensor) pickle_.fail(i, "this is no tensor");
    return out_.tensors[out_.of_value[i].number];
  }

  // Views that differ count each, since each is read into memory of its own.
  TorchObject add(const TorchTensor& t) {
    std::vector<int64_t> view{static_cast<int64_t>(t.storage), t.offset};
    view.insert(view.end(), t.shape.begin(), t.shape.end());
    view.insert(view.end(), t.strides.begin(), t.strides.end());
    if (seen_.insert(std::move(view)).second) {
      const uint64_t bytes = *stored_bytes(t.type, t.loaded_shape());
      check<FormatError>(bytes <= bytes_left_, pickle_.who(),
                         ": the tensors have more bytes together than the file and max_expansion "
                         "allow");
      bytes_left_ -= bytes;
    }
    out_.tensors.push_back(t);
    return {TorchObject::tensor, static_cast<uint32_t>(out_.tensors.size() - 1)};
  }

  const Pickle& pickle_;
  uint64_t bytes_left_;
  TorchObjects out_;
  std::map<std::string, uint32_t, std::less<>> by_key_;
  std::set<std::vector<int64_t>> seen_;
};

}  // namespace

uint64_t TorchStorage::bytes() const {
  return static_cast<uint64_t>(count) * static_cast<uint64_t>(type ? item_size(*type) : 1);
}

Shape TorchTensor::loaded_shape() const {
  Shape out = shape;
  if (is_complex) out.push_back(2);
  return out;
}

TorchObjects resolve_torch(const Pickle& pickle, uint64_t max_bytes) {
  return Resolver(pickle, max_bytes).run();
}

const char* torch_storage_name(DType dtype) {
  for (const StorageName& t : kTypes)
    if (!t.is_complex && t.storage && is_stored_as(dtype, t.type)) return t.storage;
  throw FormatError(cat("torch has no storage for ", dtype));
}

}  // namespace brume::io
