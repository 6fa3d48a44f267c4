#include <brume/diffusion/ensemble.h>

#include <algorithm>
#include <optional>

#include <brume/autograd/mode.h>
#include <brume/core/io/npy.h>

namespace brume::diffusion {

bool write_ensemble(const std::string& path, std::span<const uint64_t> seeds,
                    const DrawMembers& draw, const EnsembleOptions& options) {
  const auto members = static_cast<int64_t>(seeds.size());
  check(members > 0, "write_ensemble: wants at least one seed");
  check<Error>(static_cast<bool>(draw), "write_ensemble: draw is empty");
  check<Error>(path.ends_with(".npy"), "write_ensemble: writes .npy, got '", path, "'");
  check(options.batch > 0, "write_ensemble: batch must be positive, got ", options.batch);
  const NoGrad guard;
  std::optional<io::NpyWriter> file;  // its shape is that of the first members
  for (int64_t first = 0; first < members; first += options.batch) {
    const int64_t count = std::min(options.batch, members - first);
    const Tensor x =
        draw(first, seeds.subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
    check(x.defined(), "write_ensemble: draw returned an empty handle");
    check(x.rank() >= 1 && x.size(0) == count, "write_ensemble: asked for ", count,
          " members, got ", x.shape());
    if (!file) {
      Shape shape = x.shape();
      shape[0] = members;
      file.emplace(path, shape, x.dtype());
    }
    file->append(x);
    if (options.on_batch && !options.on_batch(first + count, members)) return false;
  }
  file->commit();
  return true;
}

}  // namespace brume::diffusion
