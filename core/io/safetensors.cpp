#include <brume/core/io/safetensors.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include <brume/core/backend.h>
#include <brume/core/error.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/quote.h>
#include <brume/core/io/safetensors_header.h>
#include <brume/core/json.h>

namespace brume::io {
namespace {

constexpr uint64_t kLengthBytes = 8;  // the header's length stands before it

std::string read_header(const File& file, uint64_t file_bytes, uint64_t limit) {
  const std::string& path = file.path();
  check<FormatError>(file_bytes >= kLengthBytes, path, ": ", file_bytes,
                     " bytes are too few for a safetensors file");
  uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  check<FormatError>(length <= file_bytes - kLengthBytes, path, ": the header claims ", length,
                     " bytes, but only ", file_bytes - kLengthBytes, " follow");
  check<FormatError>(length <= limit, path, ": the header has ", length,
                     " bytes; max_header_bytes allows ", limit);
  std::string text(static_cast<size_t>(length), '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  return text;
}

bool is_plain(const Tensor& x) { return x.device() == kCpu && x.is_row_major(); }

std::span<const std::byte> bytes_of(const Tensor& x) {
  return {static_cast<const std::byte*>(x.data()),
          static_cast<size_t>(x.numel() * item_size(x.dtype()))};
}

std::string header_text(std::span<const std::pair<std::string, Tensor>> tensors,
                        std::span<const uint64_t> offsets, const Metadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += cat(json_string(kSafetensorsMetadata), ":");
    for (char before = '{'; const auto& [key, value] : metadata) {
      text += cat(before, json_string(key), ":", json_string(value));
      before = ',';
    }
    text += "}";
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, x] = tensors[i];
    if (text.size() > 1) text += ",";
    text += cat(json_string(name), ":{\"dtype\":\"", safetensors_name(x.dtype()), "\",\"shape\":[");
    for (int axis = 0; axis < x.rank(); ++axis) text += cat(axis ? "," : "", x.shape()[axis]);
    text += cat("],\"data_offsets\":[", offsets[i], ",", offsets[i] + bytes_of(x).size(), "]}");
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin aligned
  return text;
}

void check_names(std::span<const std::pair<std::string, Tensor>> tensors, const std::string& path) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const auto& [name, x] : tensors) {
    check<FormatError>(x.defined(), path, ": tensor ", quote(name), " is empty (not defined)");
    check<FormatError>(name != kSafetensorsMetadata, path, ": the name ", name, " is reserved");
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    throw FormatError(cat(path, ": tensor ", quote(*twice), " is given twice"));
}

// Larger elements first: with a start that is a multiple of 8, everything is aligned without gaps,
// which the format forbids.
std::vector<size_t> data_order(std::span<const std::pair<std::string, Tensor>> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return item_size(tensors[a].second.dtype()) > item_size(tensors[b].second.dtype());
  });
  return order;
}

}  // namespace

SafetensorsFile open_safetensors(const std::string& path, const SafetensorsOptions& options) {
  SafetensorsFile out(File::open(path));
  const uint64_t file_bytes = out.file_.size();
  const std::string text = read_header(out.file_, file_bytes, options.max_header_bytes);
  const uint64_t data_begin = kLengthBytes + text.size();
  SafetensorsHeader header =
      parse_safetensors_header(text, path, data_begin, file_bytes - data_begin, options);
  out.metadata_ = std::move(header.metadata);
  out.entries_ = std::move(header.entries);
  out.by_name_ = std::move(header.by_name);
  if (options.map) out.mapping_ = std::make_shared<const Mapping>(out.file_, file_bytes);
  return out;
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](uint32_t i, std::string_view n) { return entries_[i].name < n; });
  return found != by_name_.end() && entries_[*found].name == name ? &entries_[*found] : nullptr;
}

const SafetensorsEntry& SafetensorsFile::at(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  check<FormatError>(entry != nullptr, path(), ": there is no tensor ", quote(name));
  return *entry;
}

std::string SafetensorsFile::who(const SafetensorsEntry& entry) const {
  return cat(path(), ": tensor ", quote(entry.name));
}

Tensor SafetensorsFile::read(std::string_view name) const { return read(at(name)); }

Tensor SafetensorsFile::read(const SafetensorsEntry& entry) const {
  const StoredArray& array = entry.array;
  if (mapping_) {
    const auto raw =
        mapping_->bytes().subspan(array.offset, *stored_bytes(array.type, array.shape));
    const auto address = reinterpret_cast<uintptr_t>(raw.data());
    if (item_size(array.type) == item_size(array.dtype()) && array.type != StoredType::boolean &&
        address % static_cast<uintptr_t>(item_size(array.type)) == 0)
      return from_memory(raw.data(), array.shape, array.dtype(), [keep = mapping_] {});
    Tensor x = empty(array.shape, {.dtype = array.dtype()});
    decode_elements(raw, array, who(entry), x.data());
    return x;
  }
  Tensor x = empty(array.shape, {.dtype = array.dtype()});
  read_elements(file_, array, who(entry), x.data());
  return x;
}

void SafetensorsFile::read_into(std::string_view name, const Tensor& x) const {
  const SafetensorsEntry& entry = at(name);
  check(entry.array.shape == x.shape(), who(entry), " is ", entry.array.shape,
        ", the tensor to fill is ", x.shape());
  if (is_plain(x) && x.dtype() == entry.array.dtype()) {
    check_writable(x, "read_into");
    x.impl().storage->bump_version();
    read_elements(file_, entry.array, who(entry), x.data());
  } else {
    copy_(x, read(entry));
  }
}

std::vector<std::pair<std::string, Tensor>> load_safetensors(const std::string& path,
                                                             const SafetensorsOptions& options) {
  const SafetensorsFile file = open_safetensors(path, options);
  std::vector<std::pair<std::string, Tensor>> out;
  out.reserve(file.entries().size());
  for (const SafetensorsEntry& entry : file.entries())
    out.emplace_back(entry.name, file.read(entry));
  return out;
}

void save_safetensors(const std::string& path,
                      std::span<const std::pair<std::string, Tensor>> tensors,
                      const Metadata& metadata) {
  check_names(tensors, path);
  const std::vector<size_t> order = data_order(tensors);
  std::vector<uint64_t> offsets(tensors.size());
  uint64_t end = 0;
  for (const size_t i : order) {
    offsets[i] = end;
    end += bytes_of(tensors[i].second).size();
  }
  const std::string text = header_text(tensors, offsets, metadata);
  const uint64_t length = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const size_t i : order)
    file.write(bytes_of(transfer(relayout(tensors[i].second, Layout::row_major), kCpu)));
  file.commit();
}

}  // namespace brume::io
