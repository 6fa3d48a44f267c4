#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <brume/autograd/backward.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>
#include <brume/core/io/safetensors.h>
#include <brume/nn/models/afno.h>
#include <brume/nn/models/fno.h>
#include <brume/nn/models/mesh_graph_net.h>
#include <brume/nn/models/transolver.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "tests/error_of.h"
#include "tests/noise.h"
#include "tests/thread_count.h"

using namespace brume;

namespace {

nn::MeshGraphNetConfig small_net() {
  return {.input_dim_nodes = 3,
          .input_dim_edges = 2,
          .output_dim = 2,
          .processor_size = 2,
          .hidden_dim_processor = 8,
          .hidden_dim_node_encoder = 8,
          .hidden_dim_edge_encoder = 8,
          .hidden_dim_node_decoder = 8};
}
nn::Graph ring(int64_t n) {
  std::vector<int64_t> nodes;
  for (int64_t i = 0; i < n; ++i) nodes.push_back(i);
  for (int64_t i = 0; i < n; ++i) nodes.push_back((i + 1) % n);
  return nn::Graph(from_vector(nodes, {2, n}), n);
}

}  // namespace

TEST_CASE("an FNO drawn from a seed of PyTorch has the reference's weights") {
  Generator rng = Generator::torch_cpu(0);
  const nn::Construction from_seed(rng);
  const auto net = nn::make<nn::FNO>({.in_channels = 2,
                                      .out_channels = 2,
                                      .decoder_layer_size = 8,
                                      .num_fno_modes = 4,
                                      .padding = 0});
  const auto wanted = io::open_safetensors(
      BRUME_SOURCE_DIR "/tests/conformance/data/module/pn_fno2d_output.safetensors");
  for (const auto& [name, value] : net->parameters()) {
    CAPTURE(name);
    CHECK(distance(value, wanted.read("param/" + name)) < 1e-7);
  }
}

TEST_CASE("an FNO takes grids of other sizes than it was made with") {
  const auto net = nn::make<nn::FNO>({.in_channels = 1,
                                      .out_channels = 1,
                                      .latent_channels = 4,
                                      .num_fno_layers = 1,
                                      .num_fno_modes = 3,
                                      .padding = 1});
  CHECK(net(noise({1, 1, 7, 10})).shape() == Shape{1, 1, 7, 10});
  CHECK(error_of([&] { net(noise({1, 1, 2, 2})); }).find("frequencies") != std::string::npos);
}

TEST_CASE("a graph refuses nodes that do not exist, and isolated nodes receive zeros") {
  CHECK(error_of([] {
          nn::Graph(from_vector<int64_t>({0, 3}, {2, 1}), 3);
        }).find("names node 3") != std::string::npos);
  const nn::Graph graph(from_vector<int64_t>({0, 0, 1, 1}, {2, 2}), 3);
  const Tensor messages = from_vector<float>({2, 4}, {2, 1});
  CHECK(distance(graph.aggregate(messages, nn::Aggregation::mean),
                 from_vector<float>({0, 3, 0}, {3, 1})) == 0);
}

TEST_CASE("a graph knows the edges of each node, in their order") {
  // 0 -> 1, 2 -> 1, 1 -> 3, 0 -> 1
  const nn::Graph graph(from_vector<int64_t>({0, 2, 1, 0, 1, 1, 3, 1}, {2, 4}), 4);
  using Numbers = std::vector<int64_t>;
  CHECK(graph.arriving().offsets.to_vector<int64_t>() == Numbers{0, 0, 3, 3, 4});
  CHECK(graph.arriving().members.to_vector<int64_t>() == Numbers{0, 1, 3, 2});
  CHECK(graph.leaving().offsets.to_vector<int64_t>() == Numbers{0, 2, 3, 4, 4});
  CHECK(graph.leaving().members.to_vector<int64_t>() == Numbers{0, 3, 2, 1});
  const Tensor messages = from_vector<float>({1, 2, 4, 8}, {4, 1});
  CHECK(graph.aggregate(messages, nn::Aggregation::sum).to_vector<float>() ==
        std::vector<float>{0, 11, 0, 4});
  CHECK(graph.aggregate(messages, nn::Aggregation::mean).to_vector<float>() ==
        std::vector<float>{0, 11.0F / 3, 0, 4});
}

TEST_CASE("a MeshGraphNet gives the same bits for any number of threads and beside other graphs") {
  const auto net = nn::make<nn::MeshGraphNet>(small_net());
  const Tensor nodes = noise({40, 3}), edges = noise({40, 2}, 2);
  Tensor one;
  {
    const Threads threads(1);
    one = net(nodes, edges, ring(40));
  }
  const Threads threads(3);
  CHECK(distance(net(nodes, edges, ring(40)), one) == 0);
}

TEST_CASE(
    "the concat trick stores the first layer of edge updates in parts and gives the same numbers") {
  nn::MeshGraphNetConfig c = small_net();
  const auto joined = nn::make<nn::MeshGraphNet>(c);
  c.do_concat_trick = true;
  const auto parts = nn::make<nn::MeshGraphNet>(c);
  nn::NamedTensors state;
  for (const auto& [name, x] : joined->state()) {
    const size_t at = name.find(".edge_mlp.model.");
    const std::string prefix = name.substr(0, at) + ".edge_mlp.";
    const std::string rest = at == name.npos ? "" : name.substr(at + 16);
    if (rest == "0.weight") {
      const char* const names[] = {"lin_efeat", "lin_src", "lin_dst"};
      for (int64_t i = 0; i < 3; ++i)
        state.push_back({prefix + names[i], slice(x, 1, 8 * i, 8 * (i + 1))});
    } else if (rest == "0.bias") {
      state.push_back({prefix + "bias", x});
    } else if (at != name.npos) {
      state.push_back({cat(prefix, "model.", std::stoi(rest) - 1, rest.substr(rest.find('.'))), x});
    } else {
      state.push_back({name, x});
    }
  }
  nn::load_state(*parts, state);
  const Tensor nodes = noise({9, 3}), edges = noise({9, 2}, 2);
  CHECK(distance(joined(nodes, edges, ring(9)), parts(nodes, edges, ring(9))) < 1e-6);
}

TEST_CASE("checkpoints of a MeshGraphNet change neither results nor gradients") {
  nn::MeshGraphNetConfig c = small_net();
  const auto run = [&](int64_t segments) {
    c.num_processor_checkpoint_segments = segments;
    Generator rng(7);
    const nn::Construction from_seed(rng);
    const auto net = nn::make<nn::MeshGraphNet>(c);
    const Tensor y = net(noise({9, 3}), noise({9, 2}, 2), ring(9));
    backward(sum(square(y)));
    return std::pair(y, grad_of(net->parameters()[0].tensor));
  };
  const auto [y, g] = run(0);
  const auto [z, h] = run(2);
  CHECK(distance(y, z) == 0);
  CHECK(distance(g, h) < 1e-6 * max(abs(g)).item());
}

TEST_CASE("a Transolver wants an embedding, and a time where it was told of one") {
  const auto net = nn::make<nn::Transolver>({.functional_dim = 1,
                                             .out_dim = 1,
                                             .embedding_dim = 2,
                                             .n_layers = 1,
                                             .n_hidden = 16,
                                             .n_head = 2,
                                             .slice_num = 4,
                                             .time_input = true});
  CHECK(net(noise({2, 5, 1}), noise({2, 5, 2}), noise({2})).shape() == Shape{2, 5, 1});
  CHECK(error_of([&] { net(noise({2, 5, 1})); }).find("embedding is missing") != std::string::npos);
  const auto other = nn::make<nn::Transolver>({.functional_dim = 1,
                                               .out_dim = 1,
                                               .embedding_dim = 2,
                                               .n_layers = 1,
                                               .n_hidden = 16,
                                               .n_head = 2});
  CHECK(error_of([&] {
          other(noise({2, 5, 1}), noise({2, 5, 2}), noise({2}));
        }).find("has no time_input") != std::string::npos);
}

TEST_CASE("a MeshGraphNet computes again in backward what the reference does") {
  nn::MeshGraphNetConfig c{.input_dim_nodes = 1, .input_dim_edges = 1, .output_dim = 1};
  c.processor_size = 1, c.recompute_activation = true;
  CHECK(error_of([&] { nn::make<nn::MeshGraphNet>(c); }).find("is for mlp_activation_fn silu") !=
        std::string::npos);
  c.mlp_activation_fn = "silu";
  CHECK(nn::make<nn::MeshGraphNet>(c)->parameter_count() > 0);
}

TEST_CASE("a refused argument is named with its range") {
  const auto says = [](const char* name, const char* arguments, const char* text) {
    CHECK(error_of([&] { nn::construct(name, arguments); }).find(text) != std::string::npos);
  };
  says("FNO", R"({"in_channels": 1, "out_channels": 1, "num_fno_layers": -1})",
       "num_fno_layers must be at least 0, got -1");
  says("DiT", R"({"input_size": 8, "in_channels": 1, "depth": -1})",
       "depth must be at least 0, got -1");
  says("Pix2Pix", R"({"in_channels": 1, "out_channels": 1, "dimension": 2, "n_blocks": -1})",
       "n_blocks must be at least 0, got -1");
  says("PositionalEmbedding", R"({"num_channels": 100000000})",
       "num_channels must be from 2 to 16777216, got 100000000");
  says("AFNO", R"({"inp_shape": [0, 8], "in_channels": 1, "out_channels": 1})",
       "inp_shape must be from 1 to 16777216, got 0");
}

TEST_CASE("an AFNO keeps only the frequencies it is told to") {
  const auto filter = nn::make<nn::AFNO2DLayer>(
      {.hidden_size = 4, .num_blocks = 2, .hard_thresholding_fraction = 0});
  const Tensor x = noise({1, 4, 6, 4});
  CHECK(distance(filter(x), x) == 0);
}
