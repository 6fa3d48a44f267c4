#include <brume/nn/layers/conv_blocks.h>
#include <brume/nn/layers/coordinate_layers.h>
#include <brume/nn/layers/mlp.h>
#include <brume/nn/models/afno.h>
#include <brume/nn/models/diffusion_unet_3d.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/models/pix2pix.h>
#include <brume/nn/models/regression_unet.h>
#include <brume/nn/models/sr_resnet.h>
#include <brume/nn/models/transolver.h>
#include <brume/nn/models/unet3d.h>
#include <brume/nn/registry.h>

namespace brume::nn {

std::vector<RegisteredClass> builtin_classes() {
  return {
      class_entry<Linear>("Linear"),
      class_entry<Conv2d>("Conv2d"),
      class_entry<GroupNorm>("GroupNorm"),
      class_entry<GroupNorm3D>("GroupNorm3D"),
      class_entry<Conv3D>("Conv3D"),
      class_entry<UNetAttention3D>("UNetAttention3D"),
      class_entry<UNetBlock3D>("UNetBlock3D"),
      class_entry<UNetAttention>("UNetAttention"),
      class_entry<UNetBlock>("UNetBlock"),
      class_entry<PositionalEmbedding>("PositionalEmbedding"),
      class_entry<FourierEmbedding>("FourierEmbedding"),
      class_entry<Mlp>("Mlp"),
      class_entry<SongUNet>("SongUNet"),
      class_entry<SongUNetPosEmbd>("SongUNetPosEmbd"),
      class_entry<SongUNetPosLtEmbd>("SongUNetPosLtEmbd"),
      class_entry<DhariwalUNet>("DhariwalUNet"),
      class_entry<DiffusionUNet3D>("DiffusionUNet3D"),
      class_entry<CorrDiffRegressionUNet>("CorrDiffRegressionUNet"),
      class_entry<StormCastUNet>("StormCastUNet"),
      class_entry<TimmSelfAttention>("TimmSelfAttention"),
      class_entry<Natten2DSelfAttention>("Natten2DSelfAttention"),
      class_entry<RotaryEmbedding2DTables>("RotaryEmbedding2DTables"),
      class_entry<PerSampleDropout>("PerSampleDropout"),
      class_entry<DiTConditionEmbedder>("DiTConditionEmbedder"),
      class_entry<EDMConditionEmbedder>("EDMConditionEmbedder"),
      class_entry<ZeroConditioningEmbedder>("ZeroConditioningEmbedder"),
      class_entry<PatchEmbed2DTokenizer>("PatchEmbed2DTokenizer"),
      class_entry<ProjLayer>("ProjLayer"),
      class_entry<ProjReshape2DDetokenizer>("ProjReshape2DDetokenizer"),
      class_entry<ConvDetokenizer>("ConvDetokenizer"),
      class_entry<DiTBlock>("DiTBlock"),
      class_entry<DiT>("DiT"),
      class_entry<SinusoidalTimestepEmbedding>("SinusoidalTimestepEmbedding"),
      class_entry<OneHotEmbedding>("OneHotEmbedding"),
      class_entry<FourierPositionalEmbedding>("FourierPositionalEmbedding"),
      class_entry<FourierLayer>("FourierLayer"),
      class_entry<SpectralConv1d>("SpectralConv1d"),
      class_entry<SpectralConv2d>("SpectralConv2d"),
      class_entry<SpectralConv3d>("SpectralConv3d"),
      class_entry<SpectralConv4d>("SpectralConv4d"),
      class_entry<FNO>("FNO"),
      class_entry<AFNO2DLayer>("AFNO2DLayer"),
      class_entry<AFNO>("AFNO"),
      class_entry<ModAFNO>("ModAFNO"),
      class_entry<MeshGraphNet>("MeshGraphNet"),
      class_entry<Transolver>("Transolver"),
      class_entry<UNet3D>("UNet3D"),
      class_entry<Pix2Pix>("Pix2Pix"),
      class_entry<SRResNet>("SRResNet"),
      class_entry<ConvLayer>("ConvLayer"),
      class_entry<TransposeConvLayer>("TransposeConvLayer"),
      class_entry<ConvGRULayer>("ConvGRULayer"),
      class_entry<Conv1dFCLayer>("Conv1dFCLayer"),
      class_entry<Conv2dFCLayer>("Conv2dFCLayer"),
      class_entry<Conv3dFCLayer>("Conv3dFCLayer"),
      class_entry<ConvNdFCLayer>("ConvNdFCLayer"),
      class_entry<SirenLayer>("SirenLayer"),
      class_entry<DGMLayer>("DGMLayer"),
      class_entry<KolmogorovArnoldNetwork>("KolmogorovArnoldNetwork"),
      class_entry<FullyConnected>("FullyConnected"),
  };
}

}  // namespace brume::nn
