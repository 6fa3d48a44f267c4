#include "tests/conformance/arguments.h"

namespace brume::conformance {

Arguments::Arguments(std::string target, Map values)
    : target_(std::move(target)), values_(std::move(values)), read_(values_.size()) {}

std::string Arguments::who(std::string_view name) const { return cat(target_, ": ", name); }

const Value* Arguments::find(std::string_view name) {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].first != name) continue;
    read_[i] = true;
    return values_[i].second.is_null() ? nullptr : &values_[i].second;
  }
  return nullptr;
}

bool Arguments::has(std::string_view name) { return find(name) != nullptr; }

const Value& Arguments::at(std::string_view name) {
  const Value* value = find(name);
  check<Error>(value, who(name), " is missing");
  return *value;
}

const Array& Arguments::array(std::string_view name) { return at(name).array(who(name)); }
bool Arguments::is_complex(std::string_view name) { return is_tensor(name) && array(name).complex; }
bool Arguments::is_tensor(std::string_view name) {
  const Value* value = find(name);
  return value && value->get_if<Array>();
}
Tensor Arguments::tensor(std::string_view name) {
  const Array& x = array(name);
  check<Error>(!x.complex, who(name), " is complex, which is not served");
  return x.tensor;
}
Tensor Arguments::optional_tensor(std::string_view name) {
  return has(name) ? tensor(name) : Tensor();
}
Tensors Arguments::tensors(std::string_view name) {
  Tensors out;
  for (const Value& value : at(name).list(who(name))) {
    const Array& array = value.array(who(name));
    check<Error>(!array.complex, who(name), " is complex, which is not served");
    out.push_back(array.tensor);
  }
  return out;
}

double Arguments::number(std::string_view name) { return at(name).number(who(name)); }
double Arguments::number(std::string_view name, double otherwise) {
  return has(name) ? number(name) : otherwise;
}
int64_t Arguments::integer(std::string_view name) { return at(name).integer(who(name)); }
int64_t Arguments::integer(std::string_view name, int64_t otherwise) {
  return has(name) ? integer(name) : otherwise;
}
bool Arguments::flag(std::string_view name, bool otherwise) {
  return has(name) ? at(name).boolean(who(name)) : otherwise;
}
std::string Arguments::text(std::string_view name, std::string_view otherwise) {
  return has(name) ? at(name).text(who(name)) : std::string(otherwise);
}
DType Arguments::dtype(std::string_view name, DType otherwise) {
  if (!has(name)) return otherwise;
  constexpr std::pair<std::string_view, DType> names[] = {
      {"float32", DType::f32}, {"float64", DType::f64}, {"bfloat16", DType::bf16},
      {"float16", DType::f16}, {"int32", DType::i32},   {"int64", DType::i64},
      {"uint8", DType::u8},    {"bool", DType::boolean}};
  const std::string& wanted = at(name).text(who(name));
  for (const auto& [known, dtype] : names)
    if (known == wanted) return dtype;
  throw Error(cat(who(name), ": there is no dtype ", wanted));
}
std::vector<int64_t> Arguments::integers(std::string_view name) {
  return at(name).integers(who(name));
}
std::vector<int64_t> Arguments::integers(std::string_view name, std::vector<int64_t> otherwise) {
  return has(name) ? integers(name) : otherwise;
}

Map Arguments::take_rest() {
  Map rest;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (read_[i]) continue;
    read_[i] = true;
    rest.push_back(values_[i]);
  }
  return rest;
}

void Arguments::finish() const {
  for (size_t i = 0; i < values_.size(); ++i)
    check<Error>(read_[i], who(values_[i].first), " is an argument that is not served");
}

}  // namespace brume::conformance
