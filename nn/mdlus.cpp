#include <brume/nn/mdlus.h>

#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/core/io/tar.h>
#include <brume/core/io/zip.h>
#include <brume/core/json.h>
#include <brume/nn/reference_classes.h>

namespace brume::nn {
namespace {

constexpr const char *kState = "model.pt", *kArguments = "args.json", *kMetadata = "metadata.json";
constexpr const char* kVersion = "mdlus_file_version";
// An argument that is a module: this, a dot, and the names of the arguments on the way to it.
constexpr std::string_view kPlaceholder = "__physicsnemo.Module__";
constexpr const char* kModule = "__module__";

// A fact about the module of that placeholder, among those of the whole file.
std::string key_of(const std::string& path, const char* fact) {
  return path.empty() ? fact : cat(path, ".", fact);
}

// The members, whichever archive they lie in.
class Members {
 public:
  explicit Members(const std::shared_ptr<const io::ByteSource>& archive) : archive_(archive) {
    if (io::is_tar(*archive))  // asked first: with a zip inside, a tar looks like a zip at its end
      tar_ = io::read_tar(*archive);
    else
      zip_.emplace(archive);
  }

  std::string text(const char* name) const {
    if (zip_) return zip_->read_text(zip_->at(name), kMaxJsonBytes);
    return io::read_text(*part(name), kMaxJsonBytes);
  }
  // A stored state that is itself a zip has checksums of its own.
  std::shared_ptr<const io::ByteSource> state() const {
    if (!zip_) return part(kState);
    const io::ZipEntry& entry = zip_->at(kState);
    auto source = zip_->open(entry);
    char first[2] = {};
    if (source->size() >= sizeof first) source->read(0, std::as_writable_bytes(std::span(first)));
    if (entry.compressed || std::string_view(first, sizeof first) == "PK") return source;
    return std::make_shared<io::TextSource>(source->who(), zip_->read_text(entry, entry.bytes));
  }

 private:
  std::shared_ptr<const io::ByteSource> part(std::string_view name) const {
    for (const io::TarEntry& e : tar_)
      if (e.name == name || e.name == cat("./", name))
        return std::make_shared<io::SourcePart>(archive_, cat(archive_->who(), ": ", name),
                                                e.offset, e.bytes);
    throw FormatError(cat(archive_->who(), ": there is no member ", io::quote(name)));
  }
  std::shared_ptr<const io::ByteSource> archive_;
  std::optional<io::ZipFile> zip_;
  std::vector<io::TarEntry> tar_;
};

// Python writes numbers that JSON does not have; ours are {"float": "inf"}.
struct PythonNumber {
  std::string_view python;
  const char* name;
};
constexpr PythonNumber kNumbers[] = {{"-Infinity", "-inf"}, {"Infinity", "inf"}, {"NaN", "nan"}};

std::string from_python_json(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (size_t i = 0; i < text.size();) {
    if (!in_string) {
      const PythonNumber* found = nullptr;
      for (const PythonNumber& n : kNumbers)
        if (text.substr(i, n.python.size()) == n.python) found = &n;
      if (found) {
        out += cat(R"({"float": ")", found->name, R"("})");
        i += found->python.size();
        continue;
      }
    }
    const size_t taken = in_string && text[i] == '\\' && i + 1 < text.size() ? 2 : 1;
    if (taken == 1 && text[i] == '"') in_string = !in_string;
    out += text.substr(i, taken);
    i += taken;
  }
  return out;
}

std::string to_python_json(const Json& value) {
  if (value.is_object() && value.size() == 1 && value.contains("float"))
    for (const PythonNumber& n : kNumbers)
      if (value["float"] == n.name) return std::string(n.python);
  if (!value.is_structured()) return dump_json(value);
  std::string out;
  for (const auto& item : value.items()) {
    if (!out.empty()) out += ", ";
    if (value.is_object()) out += cat(json_string(item.key()), ": ");
    out += to_python_json(item.value());
  }
  return value.is_object() ? cat("{", out, "}") : cat("[", out, "]");
}

const std::string& text_at(const Json& object, const std::string& key, const std::string& who) {
  const auto found = object.find(key);
  check<FormatError>(found != object.end() && found->is_string(), who, ": the text ",
                     io::quote(key), " is missing");
  return found->get_ref<const std::string&>();
}

// {"__name__", "__module__", "__args__"} as {"module": our class, "args": {...}}, with what it
// nests. `path` is its placeholder; that of the whole is "".
class NestedReader {
 public:
  NestedReader(Json arguments, io::Metadata& notes, std::string who)
      : all_(std::move(arguments)), notes_(notes), who_(std::move(who)) {}

  Json read(const Json& described, const std::string& path, int depth) const {
    constexpr int kDeepest = 16;
    check<FormatError>(depth <= kDeepest, who_, ": modules nested deeper than ", kDeepest);
    const std::string& python_name = text_at(described, "__name__", who_);
    const std::string& module = text_at(described, kModule, who_);
    const ReferenceClass its_class = reference_class(python_name, module);
    const auto found = described.find("__args__");
    check<FormatError>(found != described.end() && found->is_object(), who_, ": ",
                       io::quote(python_name), " has no __args__");
    Json arguments = *found;
    if (reference_class(its_class.name).module != its_class.module)
      notes_[key_of(path, kModule)] = module;  // somebody's own: its versions are not ours to judge
    else if (const auto version = notes_.find(key_of(path, kVersion)); version != notes_.end())
      update_arguments(its_class, version->second, who_, arguments);
    for (const auto& argument : arguments.items()) {
      Json& value = argument.value();
      if (!value.is_string() || !value.get_ref<const std::string&>().starts_with(kPlaceholder))
        continue;
      const std::string wanted =
          cat(path.empty() ? kPlaceholder : std::string_view(path), ".", argument.key());
      const auto nested = all_.find(wanted);
      check<FormatError>(value == wanted && nested != all_.end(), who_, ": the argument ",
                         io::quote(argument.key()), " is the module ",
                         io::quote(value.get_ref<const std::string&>()), ", wanted ",
                         io::quote(wanted), " and its description");
      value = read(*nested, wanted, depth + 1);
    }
    return {{"module", its_class.name}, {"args", std::move(arguments)}};
  }
  Json read() const { return read(all_, "", 1); }

 private:
  Json all_;
  io::Metadata& notes_;
  std::string who_;
};

// The other way round: describes `module`, and what it nests beside the whole's description.
Json write_nested(const Json& module, const std::string& path, const io::Metadata& notes, Json& all,
                  Json& metadata) {
  auto its_class = reference_class(module.at("module").get_ref<const std::string&>());
  if (const auto own = notes.find(key_of(path, kModule)); own != notes.end()) {
    its_class.python_name = its_class.name;
    its_class.module = own->second;
    if (const auto version = notes.find(key_of(path, kVersion)); version != notes.end())
      its_class.version = version->second;
  }
  metadata[key_of(path, kVersion)] = its_class.version;
  Json arguments = module.at("args");
  Json described{{"__name__", its_class.python_name}, {kModule, its_class.module}};
  for (const auto& argument : arguments.items()) {
    Json& value = argument.value();
    if (!value.is_object() || !value.contains("module") || !value.contains("args")) continue;
    const std::string nested =
        cat(path.empty() ? kPlaceholder : std::string_view(path), ".", argument.key());
    Json inner = write_nested(value, nested, notes, all, metadata);
    all[nested] = std::move(inner);
    value = nested;
  }
  described["__args__"] = std::move(arguments);
  return described;
}

}  // namespace

Mdlus open_mdlus(const std::shared_ptr<const io::ByteSource>& archive) {
  const Members members(archive);
  const auto parse = [&](const char* name) {
    const std::string who = cat(archive->who(), ": ", name);
    Json value = parse_json(from_python_json(members.text(name)), who);
    check<FormatError>(value.is_object(), who, ": wanted an object");
    return value;
  };
  const Json metadata = parse(kMetadata);
  io::Metadata notes;
  for (const auto& entry : metadata.items())
    if (entry.value().is_string()) notes[entry.key()] = entry.value().get<std::string>();
  const NestedReader reader(parse(kArguments), notes, cat(archive->who(), ": ", kArguments));
  const Json module = reader.read();
  return {.class_name = module["module"].get<std::string>(),
          .config = dump_json(module["args"]),
          .notes = std::move(notes),
          .state = io::TorchFile(members.state())};
}

void save_mdlus(const std::string& path, const std::string& class_name, const std::string& config,
                std::span<const std::pair<std::string, Tensor>> state, const io::Metadata& notes) {
  Json nested = Json::object(), metadata{{"physicsnemo_version", nullptr}};
  Json arguments = write_nested({{"module", class_name}, {"args", parse_json(config, class_name)}},
                                "", notes, nested, metadata);
  arguments.update(nested);
  for (const auto& [key, value] : notes)
    if (!metadata.contains(key) && !key.ends_with(kModule)) metadata[key] = value;
  // An array: a vector would copy the state out of its list.
  const io::ZipMember members[] = {{kState, io::torch_bytes(state)},
                                   {kArguments, to_python_json(arguments)},
                                   {kMetadata, to_python_json(metadata)}};
  io::AtomicFile file(path);
  io::write_zip(file, members);
  file.commit();
}

}  // namespace brume::nn
