#pragma once

#include "examples/advection/mesh.h"

namespace brume::advection {

struct SceneOptions {
  int64_t side = 20;         // points along a side of the mesh
  int64_t frames = 20;       // after the first one
  double frame_time = 0.05;  // fluid at speed 1 moves about one spacing
  int64_t solver_steps = 4;  // in a frame
  double diffusivity = 0.005;
};

/// Blobs of dye in random eddies on a random mesh, and what becomes of them.
struct Scene {
  Mesh mesh{};
  Tensor edge_index{};     // i64 [2, E], each edge of the mesh in both directions
  Tensor edge_features{};  // f32 [E, 3]: from source to destination, and how far, in spacings
  Tensor node_features{};  // f32 [N, 3]: velocity, and 1 on the edge of the square
  Tensor concentration{};  // f32 [frames + 1, N]
};
Scene random_scene(const SceneOptions& options, Generator& rng);

}  // namespace brume::advection
