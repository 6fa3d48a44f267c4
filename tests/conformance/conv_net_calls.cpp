// Plain convolutional networks, and layers of networks for points.

#include <brume/nn/layers/conv_blocks.h>
#include <brume/nn/layers/coordinate_layers.h>
#include <brume/nn/models/pix2pix.h>
#include <brume/nn/models/sr_resnet.h>
#include <brume/nn/models/unet3d.h>

#include "tests/conformance/module_calls.h"

namespace brume::conformance {
namespace {

Value pix2pix(const Object& self, Arguments& a) { return of<nn::Pix2Pix>(self)(a.tensor("input")); }

Value sr_resnet(const Object& self, Arguments& a) {
  return of<nn::SRResNet>(self)(a.tensor("in_vars"));
}

Value conv_gru(const Object& self, Arguments& a) {
  return of<nn::ConvGRULayer>(self)(a.tensor("x"), a.tensor("hidden"));
}
Value dgm(const Object& self, Arguments& a) {
  return of<nn::DGMLayer>(self)(a.tensor("input_1"), a.tensor("input_2"));
}

}  // namespace

void add_conv_net_calls(ModuleCalls& calls) {
  calls["UNet3D"] = {{"", of_x<nn::UNet3D>}};
  calls["Pix2Pix"] = {{"", pix2pix}};
  calls["SRResNet"] = {{"", sr_resnet}};
  calls["ConvLayer"] = {{"", of_x<nn::ConvLayer>}};
  calls["TransposeConvLayer"] = {{"", of_x<nn::TransposeConvLayer>}};
  calls["ConvGRULayer"] = {{"", conv_gru}};
  calls["Conv1dFCLayer"] = {{"", of_x<nn::Conv1dFCLayer>}};
  calls["SirenLayer"] = {{"", of_x<nn::SirenLayer>}};
  calls["DGMLayer"] = {{"", dgm}};
  calls["KolmogorovArnoldNetwork"] = {{"", of_x<nn::KolmogorovArnoldNetwork>}};
}

}  // namespace brume::conformance
