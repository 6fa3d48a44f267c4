#include "examples/advection/scene.h"

#include <cmath>
#include <set>

#include <brume/autograd/ops/random.h>

#include "examples/advection/transport.h"

namespace brume::advection {
namespace {

class Dice {
 public:
  explicit Dice(Generator& rng) : rng_(rng) {}
  double between(double low, double high) {
    return low + (high - low) * uniform({1}, rng_, {.dtype = DType::f64}).item();
  }

 private:
  Generator& rng_;
};

Flow random_flow(Dice& dice) {  // speeds up to about 1.5
  return {{dice.between(-0.3, 0.3), dice.between(-0.1, 0.1), dice.between(-0.1, 0.1)}};
}

std::vector<double> random_blobs(const Mesh& mesh, Dice& dice) {
  std::vector<double> c(mesh.points.size());
  for (int blob = 0; blob < 3; ++blob) {
    const Point at{dice.between(0.15, 0.85), dice.between(0.15, 0.85)};
    const double width = dice.between(0.08, 0.15), height = dice.between(0.3, 1);
    for (size_t i = 0; i < c.size(); ++i) {
      const double r = std::hypot(mesh.points[i][0] - at[0], mesh.points[i][1] - at[1]) / width;
      c[i] += height * std::exp(-r * r / 2);
    }
  }
  return c;
}

}  // namespace

Scene random_scene(const SceneOptions& o, Generator& rng) {
  Dice dice(rng);
  Scene scene{.mesh = irregular_mesh(o.side, rng)};
  const Mesh& mesh = scene.mesh;
  std::set<std::pair<int64_t, int64_t>> edges;
  for (const auto& [a, b, c] : mesh.triangles)
    edges.insert({{a, b}, {b, a}, {b, c}, {c, b}, {c, a}, {a, c}});
  std::vector<int64_t> ends[2];
  std::vector<float> ways;
  for (const auto& [from, to] : edges) {
    ends[0].push_back(from), ends[1].push_back(to);
    const Point &a = mesh.points[static_cast<size_t>(from)],
                &b = mesh.points[static_cast<size_t>(to)];
    const double dx = (b[0] - a[0]) / mesh.spacing, dy = (b[1] - a[1]) / mesh.spacing;
    for (double number : {dx, dy, std::hypot(dx, dy)}) ways.push_back(static_cast<float>(number));
  }
  const auto E = static_cast<int64_t>(edges.size());
  ends[0].insert(ends[0].end(), ends[1].begin(), ends[1].end());
  scene.edge_index = from_vector(ends[0], {2, E});
  scene.edge_features = from_vector(ways, {E, 3});

  const Flow flow = random_flow(dice);
  std::vector<float> nodes;
  for (size_t i = 0; i < mesh.points.size(); ++i) {
    const auto [u, v] = flow.velocity(mesh.points[i]);
    nodes.insert(nodes.end(),
                 {static_cast<float>(u), static_cast<float>(v), mesh.on_edge[i] ? 1.0F : 0.0F});
  }
  scene.node_features = from_vector(nodes, {mesh.size(), 3});

  const Transport transport(mesh, flow, o.diffusivity);
  std::vector<double> c = random_blobs(mesh, dice), film = c;
  for (int64_t frame = 0; frame < o.frames; ++frame) {
    for (int64_t i = 0; i < o.solver_steps; ++i)
      transport.step(c, o.frame_time / static_cast<double>(o.solver_steps));
    film.insert(film.end(), c.begin(), c.end());
  }
  scene.concentration = convert(from_vector(film, {o.frames + 1, mesh.size()}), DType::f32);
  return scene;
}

}  // namespace brume::advection
