#include "convert.h"

#include <cstdio>

#include <brume/core/io/atomic_file.h>
#include <brume/nn/model_file.h>
#include <brume/nn/serialize.h>
#include <brume/nn/training/checkpoint.h>

#include "run_folder.h"
#include "task.h"

namespace brume::tools {
namespace {

io::Metadata sampling_notes(const io::Metadata& notes) {
  const auto found = notes.find(kSamplingKey);
  return found == notes.end() ? io::Metadata{} : io::Metadata{*found};
}

// The weights of `in` in a module such as `like` holds.
void convert_as(const ConvertArguments& a, const std::string& in, const nn::ModelFile& file) {
  check<Error>(file.class_name.empty(), "--as: '", in, "' holds a ", file.class_name,
               " already; leave it out");
  const nn::ModelFile like = nn::open_model_file(model_of(a.like));
  const nn::Ref<nn::Module> module = load_model(like);
  nn::load_state(*module, in);
  nn::save(*module, a.out, sampling_notes(like.notes));
}

}  // namespace

int convert_file(const ConvertArguments& a) {
  io::check_can_write(a.out);
  const std::string in = model_of(a.in);
  const nn::ModelFile file = nn::open_model_file(in);
  if (!a.like.empty()) {
    convert_as(a, in, file);
  } else if (nn::is_checkpoint(file)) {
    nn::save(*load_model(file), a.out, sampling_notes(file.notes));
  } else {
    std::vector<std::pair<std::string, Tensor>> state;
    for (const nn::StoredTensor& t : file.tensors) state.emplace_back(t.name, t.read());
    nn::write_model_file(a.out, file.class_name, file.config, state, file.notes);
  }
  const nn::ModelFile written = nn::open_model_file(a.out);
  const char* lacks = nn::holds_state_alone(a.out) ? "the state alone" : "no class; --as gives one";
  std::printf("%s: %s, %zu tensors\n", a.out.c_str(),
              written.class_name.empty() ? lacks : written.class_name.c_str(),
              written.tensors.size());
  return 0;
}

}  // namespace brume::tools
