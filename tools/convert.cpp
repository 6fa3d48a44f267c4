#include "convert.h"

#include <cstdio>

#include <brume/nn/model_file.h>

namespace brume::tools {

int convert_file(const std::string& in, const std::string& out) {
  const nn::ModelFile file = nn::open_model_file(in);
  std::vector<std::pair<std::string, Tensor>> state;
  for (const nn::StoredTensor& t : file.tensors) state.emplace_back(t.name, t.read());
  nn::write_model_file(out, file.class_name, file.config, state, file.notes);
  std::printf("%s: %s%s%zu tensors\n", out.c_str(), file.class_name.c_str(),
              file.class_name.empty() ? "" : ", ", state.size());
  return 0;
}

}  // namespace brume::tools
