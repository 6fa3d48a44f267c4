#pragma once
// What a data set is, in a few numbers.

#include <cstdint>
#include <string>
#include <vector>

#include <brume/nn/config.h>
#include <brume/nn/data/dataset.h>
#include <brume/nn/model_file.h>

namespace brume::tools {

/// By which data are known again, wherever they lie.
struct DataIdentity {
  int64_t samples = 0, classes = 0;
  std::vector<int64_t> shape;  // of one sample
  std::string digest;          // of all values and labels, in order
  template <class V>
  void fields(V& v) {
    v("samples", samples);
    v("shape", shape);
    v("classes", classes);
    v("digest", digest);
  }
};

struct Moments {
  double mean = 0, deviation = 0;
};

struct DataSummary {
  DataIdentity identity;
  std::vector<Moments> channels;  // axis 1 of [N, C, ...]
  Moments all;
};

/// Reads the data once.
DataSummary summary_of(const nn::Dataset& data);

/// Where a model's file keeps the identity of the data that it was trained on.
inline constexpr const char* kDataKey = "brume.data";

/// Data may be moved, but not exchanged. `otherwise`: what else there is to do.
/// @throws FormatError naming `who` if the file does not say its data; Error if they are others
void check_same_data(const nn::ModelFile& file, const DataIdentity& now, const char* who,
                     const char* otherwise);

}  // namespace brume::tools
