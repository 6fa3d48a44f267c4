#pragma once
// Constructor arguments as data. A config is a plain struct with one method,
//
//   template <class V> void fields(V& v) { v("in_features", in_features, required);
//                                          v("bias", bias); }
//
// from which JSON, printing, comparison and copying follow. Members are bool, int64_t, double,
// std::string, enums with names, Ref<Module>, NameOrModule, Switches, other configs, and
// std::optional, std::vector, OneOrMany and NameOr of these; each has a default initialiser (at
// least {}), so that designated initialisers may leave it out.

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <brume/nn/ref.h>

namespace brume::nn {

class Module;

/// Marks a field that JSON must contain.
struct Required {};
inline constexpr Required required{};

/// One number for all, or a list with one for each: what the reference writes as 3 or [3, 5].
template <class T>
class OneOrMany {
 public:
  OneOrMany(T one = T{}) : values_{std::move(one)} {}
  OneOrMany(std::initializer_list<T> many) : values_(many), many_(true) {}
  OneOrMany(std::vector<T> many) : values_(std::move(many)), many_(true) {}

  bool is_list() const { return many_; }
  const std::vector<T>& values() const { return values_; }
  /// `count` values. @throws ShapeError naming `who` if it is a list of another length
  std::vector<T> expand(size_t count, std::string_view who) const {
    if (!many_) return std::vector<T>(count, values_[0]);
    check(values_.size() == count, who, ": takes one value or a list of ", count,
          ", got a list of ", values_.size(),
          values_.size() == 1 ? "; without its brackets it is one value for all" : "");
    return values_;
  }

 private:
  std::vector<T> values_;
  bool many_ = false;
};

/// A part that is chosen by its name, or supplied.
struct NameOrModule {
  NameOrModule(std::string_view n = {}) : name(n) {}
  NameOrModule(const char* n) : name(n) {}
  NameOrModule(Ref<Module> m) : module(std::move(m)) {}
  std::string name{};    // "" if supplied
  Ref<Module> module{};  // empty if named
};

/// A name, or a value of another kind: what a list of both is made of.
template <class T>
struct NameOr {
  NameOr(std::string n = {}) : name(std::move(n)), is_name(true) {}
  NameOr(T v) : value(std::move(v)) {}
  std::string name{};
  T value{};
  bool is_name = false;
};

/// One switch for everything, or one for each name: what the reference writes as true or
/// {"image": true, "label": false}.
class Switches {
 public:
  Switches(bool all = false) : all_(all) {}
  Switches(std::initializer_list<std::pair<std::string, bool>> named)
      : Switches(std::vector(named)) {}
  Switches(std::vector<std::pair<std::string, bool>> named)
      : named_(std::move(named)), is_named_(true) {}

  bool is_named() const { return is_named_; }
  const std::vector<std::pair<std::string, bool>>& named() const { return named_; }
  /// The switch of that name; off if the named ones lack it.
  bool operator[](std::string_view name) const {
    for (const auto& [key, on] : named_)
      if (key == name) return on;
    return all_;
  }

 private:
  std::vector<std::pair<std::string, bool>> named_;
  bool all_ = false, is_named_ = false;
};

/// Arguments of the reference that steer its runtime only, by name, as JSON text: kept to be
/// written again.
using Ignored = std::vector<std::pair<std::string, std::string>>;

class Fields;

template <class C>
concept HasFields = std::copyable<C> && requires(C& c, Fields& v) {
  c.fields(v);
};

/// Names of an enum's values 0, 1, ...; found beside the enum: `names_of(Fruit)`.
using Names = std::span<const char* const>;
template <class E>
concept NamedEnum = std::is_enum_v<E> && requires(E e) {
  { names_of(e) } -> std::convertible_to<Names>;
};

/// A walk over the fields of a config. What happens at each is decided by a subclass; without one
/// every value stays as it is.
class Fields {
 public:
  virtual ~Fields() = default;

  template <class T>
  void operator()(const char* key, T& member) {
    field(key, false, member);
  }
  template <class T>
  void operator()(const char* key, T& member, Required) {
    field(key, true, member);
  }
  /// A field of another object that may stand here as well: read, but not written again.
  template <class T>
  void also(const char* key, T& member) {
    if (begin_also(key)) {
      value(member);
      end_field();
    }
  }
  /// Arguments of those names, which play no part here: `values` become those that JSON has.
  virtual void ignored(Ignored& /*values*/, std::initializer_list<const char*> /*keys*/) {}
  /// The same of a field of another object.
  virtual void also_ignored(Ignored& /*values*/, std::initializer_list<const char*> /*keys*/) {}

  /// Visits a value that is no field of its own: the whole config.
  template <class T>
  void value(T& x) {
    if constexpr (NamedEnum<T>) {
      int index = static_cast<int>(x);
      choice(index, names_of(x));
      x = static_cast<T>(index);
    } else if constexpr (HasFields<T>) {
      begin_object();
      x.fields(*this);
      end_object();
    } else {
      scalar(x);
    }
  }
  template <class T>
  void value(std::optional<T>& x) {
    if (!present(x.has_value())) {
      x.reset();
    } else {
      if (!x) x.emplace();
      value(*x);
    }
  }
  template <class T>
  void value(std::vector<T>& x) {
    x.resize(begin_list(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      begin_item(i);
      value(x[i]);
      end_item();
    }
  }
  template <class T>
  void value(OneOrMany<T>& x) {
    std::vector<T> values = x.values();
    if (is_list(x.is_list())) {
      value(values);
      x = OneOrMany<T>(std::move(values));
    } else {
      T one = values.empty() ? T{} : std::move(values[0]);
      value(one);
      x = OneOrMany<T>(std::move(one));
    }
  }
  template <class T>
  void value(NameOr<T>& x) {
    x.is_name = is_name(x.is_name);
    if (x.is_name)
      scalar(x.name);
    else
      value(x.value);
  }
  void value(NameOrModule& x) {
    if (is_name(!x.module)) {
      x.module = {};
      scalar(x.name);
    } else {
      x.name.clear();
      scalar(x.module);
    }
  }

  void value(Switches& x) {
    std::vector<std::pair<std::string, bool>> named = x.named();
    bool all = x[""];
    if (!names(x.is_named(), named)) {
      scalar(all);
      x = all;
      return;
    }
    begin_object();
    for (auto& [name, on] : named) (*this)(name.c_str(), on, required);
    end_object();
    x = std::move(named);
  }

 protected:
  virtual bool begin_field(const char* /*key*/, bool /*required*/) { return true; }
  virtual bool begin_also(const char* /*key*/) { return false; }
  virtual void end_field() {}
  virtual void begin_object() {}
  virtual void end_object() {}
  virtual size_t begin_list(size_t size) { return size; }
  virtual void begin_item(size_t /*index*/) {}
  virtual void end_item() {}
  virtual bool is_list(bool now) { return now; }
  virtual bool is_name(bool now) { return now; }
  /// Whether the switches here are named; the names become those that stand here.
  virtual bool names(bool now, std::vector<std::pair<std::string, bool>>& /*named*/) { return now; }
  virtual bool present(bool now) { return now; }
  virtual void scalar(bool& /*x*/) {}
  virtual void scalar(int64_t& /*x*/) {}
  virtual void scalar(double& /*x*/) {}
  virtual void scalar(std::string& /*x*/) {}
  virtual void scalar(Ref<Module>& /*x*/) {}
  virtual void choice(int& /*index*/, Names /*names*/) {}

 private:
  template <class T>
  void field(const char* key, bool is_required, T& member) {
    if (!begin_field(key, is_required)) return;
    value(member);
    end_field();
  }
};

/// Shows `visit` a walk that reads a JSON object; fields that it lacks keep their value. `who`
/// begins every message.
/// @throws FormatError on an unknown key (the nearest known one is suggested), a missing required
///         one, a value of another type, a module argument whose class is not known
void read_config(std::string_view json, const std::string& who,
                 const std::function<void(Fields&)>& visit);
/// JSON text of every field that `visit` shows to the walk, in order, on one line or indented. A
/// number that is not finite becomes {"float": "inf"}, a module {"module": class, "args": {...}}.
std::string write_config(const std::function<void(Fields&)>& visit, int indent = -1);

template <HasFields C>
std::string config_to_json(const C& config, int indent = -1) {
  return write_config([copy = config](Fields& v) mutable { v.value(copy); }, indent);
}
template <HasFields C>
C config_from_json(std::string_view text, const std::string& who = "config") {
  C config;
  read_config(text, who, [&](Fields& v) { v.value(config); });
  return config;
}
template <HasFields C>
std::string to_string(const C& config) {
  return config_to_json(config);
}
/// A field that two configs have with different values, as JSON text; null if one lacks it.
struct Difference {
  std::string field;  // "optimizer.lr"
  std::string before, after;
};
/// What differs between two configs given as JSON objects, in the order of their fields; of modules
/// of different classes the class alone.
std::vector<Difference> config_differences(std::string_view before, std::string_view after);
/// "'steps' was 10, is 20; 'optimizer.lr' was 0.1, is 0.01"
std::string to_string(const std::vector<Difference>& differences);

/// @throws ShapeError naming both unless low <= value <= high
void check_range(std::string_view who, std::string_view name, int64_t value, int64_t low,
                 int64_t high = std::numeric_limits<int64_t>::max());

/// Whether all fields are equal.
template <HasFields C>
bool same_config(const C& a, const C& b) {
  return config_to_json(a) == config_to_json(b);
}

}  // namespace brume::nn
