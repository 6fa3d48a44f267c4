#include "data_summary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <brume/nn/config_json.h>

namespace brume::tools {
namespace {

// Tells data apart that differ by accident; no defence against design.
class Digest {
 public:
  void add(uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15U;
    state_ ^= state_ >> 32;
  }
  std::string text() const {
    std::string out;
    for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[state_ >> shift & 15];
    return out;
  }

 private:
  uint64_t state_ = 1;
};

struct Sums {
  double count = 0, x = 0, squares = 0;
  void add(const Sums& other) {
    count += other.count;
    x += other.x;
    squares += other.squares;
  }
  Moments moments() const {
    const double mean = x / count;
    return {mean, std::sqrt(std::max(squares / count - mean * mean, 0.0))};
  }
};

}  // namespace

DataSummary summary_of(const nn::Dataset& data) {
  constexpr int64_t kAtOnce = int64_t{1} << 20;  // numbers
  DataSummary out;
  Digest digest;
  std::vector<Sums> sums;
  int64_t each = 1;
  for (int64_t begin = 0, count = 1; begin < data.size(); begin += count) {
    count = std::min(std::max<int64_t>(kAtOnce / each, 1), data.size() - begin);
    if (begin == 0) count = 1;  // whose shape is that of all
    std::vector<int64_t> indices(static_cast<size_t>(count));
    std::iota(indices.begin(), indices.end(), begin);
    const nn::Batch batch = data.gather(indices);
    const Shape& shape = batch.x.shape();
    if (begin == 0) {
      out.identity.shape.assign(shape.begin() + 1, shape.end());
      sums.resize(static_cast<size_t>(shape.rank() > 1 ? shape[1] : 1));
      each = std::max<int64_t>(batch.x.numel(), 1);
    }
    const std::span<const float> x = batch.x.host<const float>();
    const size_t channels = std::max<size_t>(sums.size(), 1);
    const size_t points = x.size() / static_cast<size_t>(count) / channels;
    for (size_t i = 0; i < x.size(); i += points) {
      Sums some{.count = static_cast<double>(points)};
      for (const float value : x.subspan(i, points)) {
        digest.add(std::bit_cast<uint32_t>(value));
        some.x += value;
        some.squares += static_cast<double>(value) * value;
      }
      sums[i / points % channels].add(some);
    }
    if (batch.label.defined())
      for (const int64_t label : batch.label.to_vector<int64_t>())
        digest.add(static_cast<uint64_t>(label));
  }
  out.identity.samples = data.size();
  out.identity.classes = data.classes();
  out.identity.digest = digest.text();
  Sums all;
  for (const Sums& channel : sums) {
    out.channels.push_back(channel.moments());
    all.add(channel);
  }
  out.all = all.moments();
  return out;
}

void check_same_data(const nn::ModelFile& file, const DataIdentity& now, const char* who,
                     const char* otherwise) {
  const auto before = file.notes.find(kDataKey);
  check<FormatError>(before != file.notes.end(), who, ": '", file.path,
                     "' does not say on which data it was trained; ", otherwise);
  const auto differences = nn::config_differences(before->second, nn::config_to_json(now));
  check<Error>(differences.empty(), who, ": the data are not those that '", file.path,
               "' was trained on: ", to_string(differences),
               "; --data and --labels say where these lie now, or ", otherwise);
}

}  // namespace brume::tools
