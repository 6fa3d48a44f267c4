#pragma once
// A run of a network of a few weights on a few numbers.

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <brume/autograd/ops/random.h>
#include <brume/core/io/npy.h>

#include "tests/temporary_folder.h"
#include "tools/sample.h"
#include "tools/train.h"

namespace brume::test {

inline const WorkingFolder working_folder;

inline std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline constexpr const char* kConfig = R"({
  "data": {"x": "tool_fields.npy", "labels": "tool_labels.npy", "colours": "blue_red"},
  "model": {"module": "EDMPreconditioner", "args": {"model": {"module": "SongUNetAdapter", "args": {
    "img_resolution": 4, "in_channels": 1, "out_channels": 1, "label_dim": 2, "model_channels": 4,
    "channel_mult": [1], "num_blocks": 1, "attn_resolutions": []}}}},
  "batch_size": 2, "steps": 4, "report_steps": 2, "checkpoint_steps": 1
})";

inline void check_says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  }
}

/// Trains into an emptied folder unless `resume`.
inline int train(const std::string& folder, std::vector<std::string> changes, bool resume = false) {
  Generator rng(1);
  io::write_npy("tool_fields.npy", normal({6, 1, 4, 4}, rng));
  io::write_npy("tool_labels.npy", from_vector<int64_t>({0, 1, 0, 1, 0, 1}, {6}));
  std::ofstream("tool_config.json") << kConfig;
  if (!resume) std::filesystem::remove_all(folder);
  return tools::train({.config = "tool_config.json",
                       .resume = resume ? folder : "",
                       .out = folder,
                       .changes = std::move(changes),
                       .seed = {},
                       .quiet = true});
}

inline std::string sampled(const std::string& path) {
  REQUIRE(tools::sample({.path = path,
                         .out = "tool_samples.npy",
                         .num = 4,
                         .classes = "0-1",
                         .seeds = "",
                         .shape = {},
                         .draw = {.steps = 3}}) == 0);
  return bytes_of("tool_samples.npy");
}

}  // namespace brume::test
