#include <brume/nn/config.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include <brume/core/io/quote.h>
#include <brume/nn/config_json.h>
#include <brume/nn/module.h>
#include <brume/nn/nearest.h>

namespace brume::nn {
namespace {

std::string list_of(Names names) {
  std::string out;
  for (const char* name : names) out += cat(out.empty() ? "" : ", ", name);
  return out;
}

class Reader final : public Fields {
 public:
  Reader(const Json& json, std::string who, int64_t largest)
      : who_(std::move(who)), largest_(largest) {
    at_.push_back(&json);
  }

  void ignored(Ignored& values, std::initializer_list<const char*> keys) override {
    open_.back().known.insert(open_.back().known.end(), keys);
    for (const char* key : keys)
      if (const auto entry = here().find(key); entry != here().end())
        values.emplace_back(key, dump_json(*entry));
  }
  void also_ignored(Ignored& values, std::initializer_list<const char*> keys) override {
    ignored(values, keys);
  }

 private:
  bool begin_field(const char* key, bool is_required) override {
    open_.back().known.push_back(key);
    const auto entry = here().find(key);
    if (entry == here().end()) {
      if (is_required) open_.back().missing.push_back(key);
      return false;
    }
    path_.emplace_back(key);
    at_.push_back(&*entry);
    return true;
  }
  bool begin_also(const char* key) override { return begin_field(key, false); }
  void end_field() override {
    path_.pop_back();
    at_.pop_back();
  }

  void begin_object() override {
    wants(here().is_object(), "an object");
    open_.emplace_back();
  }
  // An unknown key says more than a missing one: it may be that key, misspelt.
  void end_object() override {
    for (const auto& entry : here().items()) check_known(entry.key());
    for (const char* key : open_.back().missing)
      throw FormatError(cat(who_, ": ", path(key), " is missing"));
    open_.pop_back();
  }
  void check_known(const std::string& key) const {
    const std::vector<const char*>& known = open_.back().known;
    if (std::find(known.begin(), known.end(), key) != known.end()) return;
    const std::string shown = io::printable(key);
    const std::vector<std::string_view> names(known.begin(), known.end());
    throw FormatError(cat(who_, ": unknown argument ", path(shown), suggestion(shown, names)));
  }

  size_t begin_list(size_t) override {
    wants(here().is_array(), "a list");
    return here().size();
  }
  void begin_item(size_t index) override {
    path_.push_back(cat("[", index, "]"));
    at_.push_back(&here()[index]);
  }
  void end_item() override { end_field(); }
  bool is_list(bool) override { return here().is_array(); }
  bool is_name(bool) override { return here().is_string(); }
  bool names(bool, std::vector<std::pair<std::string, bool>>& named) override {
    if (!here().is_object()) return false;
    named.clear();
    for (const auto& entry : here().items()) named.emplace_back(entry.key(), false);
    return true;
  }
  bool present(bool) override { return !here().is_null(); }

  void scalar(bool& x) override {
    wants(here().is_boolean(), "true or false");
    x = here().get<bool>();
  }
  void scalar(int64_t& x) override {
    const bool fits = here().is_number_unsigned()
                          ? here().get<uint64_t>() <= static_cast<uint64_t>(largest_)
                          : here().is_number_integer() && here().get<int64_t>() >= -largest_;
    wants(here().is_number_integer(), "an integer");
    wants(fits, cat("an integer up to ", largest_));
    x = here().get<int64_t>();
  }
  void scalar(double& x) override {
    if (here().is_object()) {
      x = special_number();
    } else {
      wants(here().is_number(), "a number");
      x = here().get<double>();
    }
  }
  double special_number() const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const auto entry = here().find("float");
    const std::string text = here().size() == 1 && entry != here().end() && entry->is_string()
                                 ? entry->get<std::string>()
                                 : "";
    if (text == "inf") return kInfinity;
    if (text == "-inf") return -kInfinity;
    wants(text == "nan", "a number");
    return std::numeric_limits<double>::quiet_NaN();
  }
  void scalar(std::string& x) override {
    wants(here().is_string(), "a string");
    x = here().get<std::string>();
  }
  void scalar(Ref<Module>& x) override {
    if (here().is_null()) return x = nullptr, void();
    const auto name = here().find("module"), arguments = here().find("args");
    wants(here().is_object() && name != here().end() && name->is_string() &&
              arguments != here().end() && here().size() == 2,
          "a module {\"module\": class, \"args\": {...}}");
    x = construct_once(name->get<std::string>(), *arguments);
  }
  void choice(int& index, Names names) override {
    wants(here().is_string(), "a string");
    const auto found = std::find(names.begin(), names.end(), here().get<std::string>());
    wants(found != names.end(), cat("one of ", list_of(names)));
    index = static_cast<int>(found - names.begin());
  }

  const Json& here() const { return *at_.back(); }
  std::string path(std::string_view key = "") const {
    std::string out;
    for (const std::string& part : path_) out += (out.empty() || part[0] == '[' ? "" : ".") + part;
    if (!key.empty()) out += cat(out.empty() ? "" : ".", key);
    return cat("'", out, "'");
  }
  void wants(bool ok, std::string_view what) const {
    if (ok) return;
    const bool is_small = here().is_primitive();
    throw FormatError(cat(who_, ":", path_.empty() ? "" : cat(" ", path()), " wants ", what,
                          ", got ",
                          is_small ? io::printable(dump_json(here())) : here().type_name()));
  }

  std::string who_;
  int64_t largest_;
  struct Object {
    std::vector<const char*> known, missing;  // keys asked for so far; the required ones not there
  };
  std::vector<const Json*> at_;  // from the whole text to the value being read
  std::vector<Object> open_;
  std::vector<std::string> path_;
};

class Writer final : public Fields {
 public:
  Writer() { at_.push_back(&root_); }
  Json take() { return std::move(root_); }
  void ignored(Ignored& values, std::initializer_list<const char*> /*keys*/) override {
    for (const auto& [key, text] : values) here()[key] = parse_json(text, key);
  }

 private:
  bool begin_field(const char* key, bool) override {
    at_.push_back(&here()[key]);
    return true;
  }
  void end_field() override { at_.pop_back(); }
  void begin_object() override { here() = Json::object(); }
  size_t begin_list(size_t size) override {
    here() = Json::array();
    return size;
  }
  void begin_item(size_t) override { at_.push_back(&here().emplace_back()); }
  void end_item() override { at_.pop_back(); }
  bool present(bool now) override {
    if (!now) here() = nullptr;
    return now;
  }
  void scalar(bool& x) override { here() = x; }
  void scalar(int64_t& x) override { here() = x; }
  void scalar(double& x) override {
    if (std::isfinite(x))
      here() = x;
    else
      here() = {{"float", std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf"}};
  }
  void scalar(std::string& x) override { here() = x; }
  void scalar(Ref<Module>& x) override {
    if (!x) return here() = nullptr, void();
    here() = {{"module", x->class_name()},
              {"args", write_config_json([&](Fields& v) { x->visit_config(v); })}};
  }
  void choice(int& index, Names names) override { here() = names[static_cast<size_t>(index)]; }

  Json& here() { return *at_.back(); }
  Json root_;
  std::vector<Json*> at_;
};

// Lists are compared whole.
void add_differences(std::vector<Difference>& out, const std::string& field, const Json& before,
                     const Json& after) {
  if (!before.is_object() || !after.is_object()) {
    if (before != after) out.push_back({field, dump_json(before), dump_json(after)});
    return;
  }
  const auto member = [](const Json& object, const std::string& key) {
    const auto found = object.find(key);
    return found == object.end() ? Json() : *found;
  };
  std::vector<std::string> keys;
  for (const auto& entry : before.items()) keys.push_back(entry.key());
  for (const auto& entry : after.items())
    if (!before.contains(entry.key())) keys.push_back(entry.key());
  const bool other_class = member(before, "module") != member(after, "module");
  for (const std::string& key : keys)
    if (!other_class || key == "module")
      add_differences(out, field.empty() ? key : cat(field, ".", key), member(before, key),
                      member(after, key));
}

}  // namespace

void check_range(std::string_view who, std::string_view name, int64_t value, int64_t low,
                 int64_t high) {
  const bool is_open = high == std::numeric_limits<int64_t>::max();
  check(value >= low && value <= high, who, ": ", name, " must be ",
        is_open ? cat("at least ", low) : cat("from ", low, " to ", high), ", got ", value);
}

std::vector<Difference> config_differences(std::string_view before, std::string_view after) {
  std::vector<Difference> out;
  add_differences(out, "", parse_json(before, "config"), parse_json(after, "config"));
  return out;
}

std::string to_string(const std::vector<Difference>& differences) {
  std::string out;
  for (const Difference& d : differences)
    out += cat(out.empty() ? "" : "; ", io::quote(d.field), " was ", io::printable(d.before),
               ", is ", io::printable(d.after));
  return out;
}

void read_config(const Json& json, const std::string& who,
                 const std::function<void(Fields&)>& visit, int64_t largest) {
  Reader reader(json, who, largest);
  visit(reader);
}

void read_config(std::string_view json, const std::string& who,
                 const std::function<void(Fields&)>& visit) {
  read_config(parse_json(json, who), who, visit);
}

Json write_config_json(const std::function<void(Fields&)>& visit) {
  Writer writer;
  visit(writer);
  return writer.take();
}

std::string write_config(const std::function<void(Fields&)>& visit, int indent) {
  return dump_json(write_config_json(visit), indent);
}

}  // namespace brume::nn
