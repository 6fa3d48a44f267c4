#include <brume/nn/models/fully_connected.h>
#include <brume/nn/models/song_unet.h>
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
      class_entry<SongUNet>("SongUNet"),
      class_entry<FullyConnected>("FullyConnected"),
  };
}

}  // namespace brume::nn
