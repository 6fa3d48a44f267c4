// Loading a model of 1 GB from a file beside reading the file's bytes. Files lie in the temporary
// folder while a row runs; the system has them in memory by then.

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <brume/autograd/mode.h>
#include <brume/core/io/fs.h>
#include <brume/nn/layers/linear.h>
#include <brume/nn/registry.h>
#include <brume/nn/serialize.h>

#include "bench/row.h"

namespace brume::bench {
namespace {

struct StackConfig {
  int64_t layers = 0, width = 0;
  template <class V>
  void fields(V& v) {
    v("layers", layers, nn::required);
    v("width", width, nn::required);
  }
};

struct Stack : nn::Module {
  using Config = StackConfig;
  explicit Stack(const Config& c) {
    for (int64_t i = 0; i < c.layers; ++i)
      child<nn::Linear>(cat("layers.", i), nn::LinearConfig::torch_default(c.width, c.width));
  }
};

// A file that is there as long as this is.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name)
      : path_(
            (std::filesystem::temp_directory_path() / cat(io::process_id(), "_", name)).string()) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void read_bytes(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  check<IoError>(file != nullptr, "read_bytes: ", path, " cannot be opened");
  const size_t size = std::filesystem::file_size(path);
  const auto bytes = std::make_unique_for_overwrite<char[]>(size);
  const size_t got = std::fread(bytes.get(), 1, size, file);
  std::fclose(file);
  check<IoError>(got == size, "read_bytes: ", path, " is shorter than it was");
}

Row loading(const std::string& end) {
  return {.name = "load_" + end + "_1GB",
          .set_up =
              [end] {
                nn::register_class<Stack>("bench.Stack");
                const auto file = std::make_shared<TemporaryFile>("brume_bench_1gb." + end);
                {
                  const nn::Construction unwritten(nn::Construction::Mode::allocate);
                  const auto net = nn::make<Stack>({.layers = 64, .width = 2000});
                  const NoGrad no_grad;
                  for (const nn::NamedTensor& t : net->parameters()) fill_(t.tensor, 0.5);
                  nn::save(*net, file->path());
                }
                return Work{.step = [file] { read_bytes(file->path()); },
                            .beside = [file] { nn::load(file->path()); },
                            .beside_name = "load"};
              },
          .on_request = true};
}

}  // namespace

void add_file_rows(Rows& rows) {
  for (const char* end : {"safetensors", "mdlus"}) rows.push_back(loading(end));
}

}  // namespace brume::bench
