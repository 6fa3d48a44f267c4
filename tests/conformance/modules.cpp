#include "tests/conformance/modules.h"

#include <algorithm>
#include <map>

#include <brume/nn/models/song_unet.h>
#include <brume/nn/registry.h>

namespace brume::conformance {
namespace {

template <class M>
M& of(const Object& self) {
  return *module_of(self).as<M>();
}

// The many modules that take one tensor.
template <class M>
Value of_x(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("x"));
}

Value unet_block(const Object& self, Arguments& a) {
  return of<nn::UNetBlock>(self)(a.tensor("x"), a.tensor("emb"));
}

Value song_unet(const Object& self, Arguments& a) {
  return of<nn::SongUNet>(self)(a.tensor("x"), a.tensor("noise_labels"),
                                a.optional_tensor("class_labels"),
                                a.optional_tensor("augment_labels"));
}

// How the classes are called; a class without an entry is an unknown target.
const std::map<std::string, Methods, std::less<>>& calls() {
  static const std::map<std::string, Methods, std::less<>> table = {
      {"Linear", {{"", of_x<nn::Linear>}}},
      {"Conv2d", {{"", of_x<nn::Conv2d>}}},
      {"GroupNorm", {{"", of_x<nn::GroupNorm>}}},
      {"UNetAttention", {{"", of_x<nn::UNetAttention>}}},
      {"UNetBlock", {{"", unet_block}}},
      {"PositionalEmbedding", {{"", of_x<nn::PositionalEmbedding>}}},
      {"FourierEmbedding", {{"", of_x<nn::FourierEmbedding>}}},
      {"SongUNet", {{"", song_unet}}},
  };
  return table;
}

}  // namespace

bool is_module(const std::string& class_name) { return calls().count(class_name) != 0; }

Value make_module(const std::string& class_name, Map arguments) {
  const nn::Construction unwritten(nn::Construction::Mode::allocate);
  return Object{nn::construct(class_name, arguments_json(Value(std::move(arguments)))), class_name,
                &calls().at(class_name)};
}

nn::Ref<nn::Module> module_of(const Value& value) {
  return value.object("module").as<nn::Ref<nn::Module>>();
}

}  // namespace brume::conformance
