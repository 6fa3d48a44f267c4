#include <brume/nn/layers/mlp.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/regression_unet.h>
#include <brume/nn/registry.h>

namespace brume::nn {

std::vector<RegisteredClass> builtin_classes() {
  return {
      class_entry<Linear>("Linear"),
      class_entry<Conv2d>("Conv2d"),
      class_entry<GroupNorm>("GroupNorm"),
      class_entry<UNetAttention>("UNetAttention"),
      class_entry<UNetBlock>("UNetBlock"),
      class_entry<PositionalEmbedding>("PositionalEmbedding"),
      class_entry<FourierEmbedding>("FourierEmbedding"),
      class_entry<Mlp>("Mlp"),
      class_entry<SongUNet>("SongUNet"),
      class_entry<SongUNetPosEmbd>("SongUNetPosEmbd"),
      class_entry<SongUNetPosLtEmbd>("SongUNetPosLtEmbd"),
      class_entry<DhariwalUNet>("DhariwalUNet"),
      class_entry<CorrDiffRegressionUNet>("CorrDiffRegressionUNet"),
      class_entry<StormCastUNet>("StormCastUNet"),
      class_entry<FullyConnected>("FullyConnected"),
  };
}

}  // namespace brume::nn
