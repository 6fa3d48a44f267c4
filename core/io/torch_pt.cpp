#include <brume/core/io/torch_pt.h>

#include <map>
#include <mutex>
#include <optional>

#include <brume/core/io/quote.h>
#include <brume/core/io/torch_objects.h>

namespace brume::io {

struct TorchContent {
  std::shared_ptr<const ByteSource> source;
  std::string text;  // of the pickle, which its values point into
  Pickle pickle;
  TorchObjects objects;
  uint64_t max_values = 0;
  int max_depth = 0;
  bool big_endian = false;

  // Where the storages lie: members of an archive, or ranges of the stream.
  std::optional<ZipFile> zip;
  std::vector<const ZipEntry*> members;
  std::vector<uint64_t> offsets;

  std::mutex mutex;
  std::map<std::pair<uint32_t, StoredType>, Tensor> whole;  // storages with several views

  void open_zip(const TorchOptions& options);
  void open_stream(const TorchOptions& options);
  std::string who(uint32_t storage) const;
  void read_raw(uint32_t storage, std::span<std::byte> out) const;
  Tensor read_storage(uint32_t storage, StoredType type, const Shape& shape) const;
  Tensor whole_storage(uint32_t storage, StoredType type);
};

// "archive/data.pkl" holds the tree, "archive/data/0" a storage; the folder's name varies.
void TorchContent::open_zip(const TorchOptions& options) {
  zip.emplace(source, options.zip);
  constexpr std::string_view kTree = "/data.pkl";
  const ZipEntry* tree = nullptr;
  for (const ZipEntry& e : zip->entries())
    if (e.name.ends_with(kTree) && e.name.find('/') == e.name.size() - kTree.size()) tree = &e;
  check<FormatError>(tree != nullptr, source->who(), ": the archive has no data.pkl");
  const std::string folder = tree->name.substr(0, tree->name.find('/') + 1);
  text = zip->read_text(*tree, options.pickle.max_bytes);
  ByteReader reader(text, cat(source->who(), ": data.pkl"));
  pickle = read_pickle(reader, options.pickle);
  objects = resolve_torch(pickle, source->size() + options.max_expansion);
  if (const ZipEntry* order = zip->find(folder + "byteorder")) {
    const std::string name = zip->read_text(*order, 16);
    check<FormatError>(name == "little" || name == "big", source->who(), ": unknown byte order ",
                       quote(name));
    big_endian = name == "big";
  }
  for (uint32_t i = 0; i < objects.storages.size(); ++i) {
    const TorchStorage& s = objects.storages[i];
    members.push_back(&zip->at(cat(folder, "data/", s.key)));
    check<FormatError>(members.back()->bytes == s.bytes(), who(i), " has ", members.back()->bytes,
                       " bytes, wanted ", s.bytes());
  }
}

// Five pickles (a magic number, a version, facts about the writer's machine, the tree, the keys of
// the storages), then each storage behind its number of elements.
void TorchContent::open_stream(const TorchOptions& options) {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
  constexpr int64_t kVersion = 1001;
  text.resize(static_cast<size_t>(std::min(source->size(), options.pickle.max_bytes)));
  source->read(0, std::as_writable_bytes(std::span(text)));
  ByteReader reader(text, source->who());
  const auto next = [&] { return read_pickle(reader, options.pickle); };
  const Pickle magic = next();
  check<FormatError>(magic.kind(magic.root()) == PickleKind::big_integer &&
                         magic.text(magic.root(), "the magic number") == kMagic,
                     source->who(), ": a pickle, but not one of torch.save");
  const Pickle version = next();
  const int64_t number = version.integer(version.root(), "the version");
  check<FormatError>(number == kVersion, source->who(), ": version ", number,
                     " of torch's stream is not read, only ", kVersion);
  const Pickle facts = next();
  const auto& pairs = facts.items(facts.root(), "the facts");
  for (size_t i = 0; i + 1 < pairs.size(); i += 2)
    if (facts.kind(pairs[i]) == PickleKind::text && facts.text(pairs[i], "") == "little_endian")
      big_endian = !facts.boolean(pairs[i + 1], "little_endian");
  pickle = next();
  objects = resolve_torch(pickle, source->size() + options.max_expansion);
  const Pickle keys = next();

  std::map<std::string_view, uint32_t> by_key;
  for (uint32_t i = 0; i < objects.storages.size(); ++i) by_key[objects.storages[i].key] = i;
  constexpr uint64_t kUnset = ~uint64_t{0};
  offsets.assign(objects.storages.size(), kUnset);
  uint64_t at = reader.position();
  for (const Pickle::Index key : keys.items(keys.root(), "the list of storages")) {
    const auto found = by_key.find(keys.text(key, "the key of a storage"));
    if (found == by_key.end() || offsets[found->second] != kUnset)
      keys.fail(key, "a storage that no tensor has, or that is there twice");
    const TorchStorage& s = objects.storages[found->second];
    int64_t count = 0;
    source->read(at, std::as_writable_bytes(std::span(&count, 1)));
    at += sizeof count;
    const int64_t wanted = s.count / (s.is_complex ? 2 : 1);
    check<FormatError>(count == wanted && s.bytes() <= source->size() - at, who(found->second),
                       " of ", count, " elements, wanted ", wanted, "; ", source->size() - at,
                       " bytes follow");
    offsets[found->second] = at;
    at += s.bytes();
  }
  for (uint32_t i = 0; i < offsets.size(); ++i)
    check<FormatError>(offsets[i] != kUnset, who(i), " is missing");
}

std::string TorchContent::who(uint32_t storage) const {
  return cat(source->who(), ": storage ", quote(objects.storages[storage].key));
}

void TorchContent::read_raw(uint32_t storage, std::span<std::byte> out) const {
  if (zip)
    zip->read(*members[storage], out);
  else
    source->read(offsets[storage], out);
}

Tensor TorchContent::read_storage(uint32_t storage, StoredType type, const Shape& shape) const {
  const StoredArray array{.type = type, .shape = shape, .offset = 0, .big_endian = big_endian};
  Tensor x = empty(shape, {.dtype = array.dtype()});
  read_raw(storage, raw_part(array, x.data()));
  finish_elements(array, who(storage), x.data());
  return x;
}

Tensor TorchContent::whole_storage(uint32_t storage, StoredType type) {
  const std::lock_guard lock(mutex);
  Tensor& x = whole[{storage, type}];
  if (!x.defined()) {
    const auto count = static_cast<int64_t>(objects.storages[storage].bytes()) / item_size(type);
    x = read_storage(storage, type, {count});
  }
  return x;
}

TorchFile::TorchFile(std::shared_ptr<const ByteSource> source, const TorchOptions& options)
    : content_(std::make_shared<TorchContent>()) {
  content_->source = std::move(source);
  content_->max_values = options.pickle.max_values;
  content_->max_depth = options.pickle.max_depth;
  char first[2] = {};
  const ByteSource& s = *content_->source;
  check<FormatError>(s.size() >= sizeof first, s.who(), ": ", s.size(),
                     " bytes are too few for a file of torch.save");
  s.read(0, std::as_writable_bytes(std::span(first)));
  const std::string_view beginning(first, sizeof first);
  check<FormatError>(beginning == "PK" || first[0] == '\x80', s.who(),
                     ": neither a zip archive nor a pickle, so no file of torch.save");
  if (beginning == "PK")
    content_->open_zip(options);
  else
    content_->open_stream(options);
}

const std::string& TorchFile::who() const { return content_->source->who(); }
TorchValue TorchFile::root() const { return {content_, content_->pickle.root()}; }

Tensor TorchFile::read(const TorchTensor& t) const {
  const Shape shape = t.loaded_shape();
  const auto bytes = static_cast<int64_t>(content_->objects.storages[t.storage].bytes());
  const bool is_whole = is_row_major(t.shape, t.strides) && t.offset == 0 &&
                        numel(shape) * item_size(t.type) == bytes;
  if (is_whole) return content_->read_storage(t.storage, t.type, shape);
  Strides strides = t.strides;
  int64_t offset = t.offset;
  if (t.is_complex) {
    for (int axis = 0; axis < strides.rank(); ++axis) strides[axis] *= 2;
    strides.push_back(1);
    offset *= 2;
  }
  const Tensor whole = content_->whole_storage(t.storage, t.type);
  if (numel(shape) == 0) return empty(shape, {.dtype = whole.dtype()});
  const Tensor x = empty(shape, {.dtype = whole.dtype()});
  copy_(x, alias(whole, shape, strides, offset));
  return x;
}

std::vector<TorchEntry> TorchFile::entries() const {
  std::vector<TorchEntry> out;
  uint64_t left = content_->max_values;
  const auto join = [](const std::string& path, std::string_view part) {
    return path.empty() ? std::string(part) : cat(path, ".", part);
  };
  const auto walk = [&](const auto& self, const TorchValue& v, const std::string& path,
                        int depth) -> void {
    check<FormatError>(left-- > 0 && depth <= content_->max_depth, who(),
                       ": shared values unfold to more than max_values or deeper than max_depth");
    const TorchKind kind = v.kind();
    if (kind == TorchKind::tensor) out.push_back({path.empty() ? "tensor" : path, v.tensor()});
    if (kind == TorchKind::list || kind == TorchKind::tuple)
      for (size_t i = 0; i < v.size(); ++i) self(self, v.item(i), join(path, cat(i)), depth + 1);
    if (kind != TorchKind::dict) return;
    for (size_t i = 0; i < v.size(); ++i) {
      const TorchValue key = v.key(i);
      const bool is_number = key.kind() == TorchKind::integer;
      self(self, v.item(i), join(path, is_number ? cat(key.integer()) : cat(key.text())),
           depth + 1);
    }
  };
  walk(walk, root(), "", 1);
  return out;
}

TorchKind TorchValue::kind() const {
  const Pickle& p = content_->pickle;
  switch (content_->objects.of_value[index_].kind) {
    case TorchObject::tensor:
      return TorchKind::tensor;
    case TorchObject::size:
      return TorchKind::size;
    case TorchObject::dtype:
      return TorchKind::dtype;
    case TorchObject::storage:
    case TorchObject::type:
      p.fail(index_, "a storage stands where a value is wanted");
    case TorchObject::plain:
      break;
  }
  switch (p.kind(index_)) {
    case PickleKind::none:
      return TorchKind::none;
    case PickleKind::boolean:
      return TorchKind::boolean;
    case PickleKind::integer:
      return TorchKind::integer;
    case PickleKind::big_integer:
      return TorchKind::big_integer;
    case PickleKind::number:
      return TorchKind::number;
    case PickleKind::text:
      return TorchKind::text;
    case PickleKind::list:
      return TorchKind::list;
    case PickleKind::tuple:
      return TorchKind::tuple;
    case PickleKind::dict:
      return TorchKind::dict;
    default:
      p.fail(index_, "a name stands where a value is wanted");
  }
}

bool TorchValue::boolean() const { return content_->pickle.boolean(index_, "the value"); }
int64_t TorchValue::integer() const { return content_->pickle.integer(index_, "the value"); }
double TorchValue::number() const { return content_->pickle.number(index_, "the value"); }

std::string_view TorchValue::text() const {
  const std::string_view text = content_->pickle.text(index_, "the value");
  return kind() == TorchKind::dtype ? text.substr(text.find('\n') + 1) : text;
}

const TorchTensor& TorchValue::tensor() const {
  const TorchObjects& objects = content_->objects;
  if (objects.of_value[index_].kind != TorchObject::tensor)
    content_->pickle.fail(index_, "the value is no tensor");
  return objects.tensors[objects.of_value[index_].number];
}

const PickleValue::Items& TorchValue::items() const {
  const TorchObject object = content_->objects.of_value[index_];
  return content_->pickle.items(object.kind == TorchObject::size ? object.number : index_,
                                "the value");
}
size_t TorchValue::size() const { return items().size() / (kind() == TorchKind::dict ? 2 : 1); }
TorchValue TorchValue::item(size_t i) const {
  return {content_, items().at(kind() == TorchKind::dict ? 2 * i + 1 : i)};
}
TorchValue TorchValue::key(size_t i) const { return {content_, items().at(2 * i)}; }

TorchFile open_torch(const std::string& path, const TorchOptions& options) {
  return TorchFile(std::make_shared<FileSource>(path), options);
}

}  // namespace brume::io
