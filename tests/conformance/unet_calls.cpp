#include <brume/nn/models/regression_unet.h>

#include "tests/conformance/module_calls.h"

namespace brume::conformance {
namespace {

template <class M>
Value unet(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("x"), a.tensor("noise_labels"), a.optional_tensor("class_labels"),
                     a.optional_tensor("augment_labels"));
}
template <class M>
Value unet_on_grid(const Object& self, Arguments& a) {
  return of<M>(self)(a.tensor("x"), a.tensor("noise_labels"), a.optional_tensor("class_labels"),
                     {.global_index = a.optional_tensor("global_index"),
                      .lead_time_label = a.optional_tensor("lead_time_label")},
                     a.optional_tensor("augment_labels"));
}
Value corrdiff_unet(const Object& self, Arguments& a) {
  return of<nn::CorrDiffRegressionUNet>(self)(a.tensor("x"), a.optional_tensor("img_lr"));
}

}  // namespace

void add_unet_calls(ModuleCalls& calls) {
  calls["SongUNet"] = {{"", unet<nn::SongUNet>}};
  calls["SongUNetPosEmbd"] = {{"", unet_on_grid<nn::SongUNetPosEmbd>}};
  calls["SongUNetPosLtEmbd"] = {{"", unet_on_grid<nn::SongUNetPosLtEmbd>}};
  calls["DhariwalUNet"] = {{"", unet<nn::DhariwalUNet>}};
  calls["CorrDiffRegressionUNet"] = {{"", corrdiff_unet}};
  calls["StormCastUNet"] = {{"", of_x<nn::StormCastUNet>}};
}

}  // namespace brume::conformance
