// Stands in for png.cpp where BRUME_PNG=OFF.
#include <brume/core/error.h>
#include <brume/core/io/png.h>

namespace brume::io {
namespace {

[[noreturn]] void refuse(const std::string& path) {
  throw Error(cat("'", path, "': this build has no PNG; configure with -DBRUME_PNG=ON"));
}

}  // namespace

Tensor read_png(const std::string& path, const PngOptions&) { refuse(path); }
void write_png(const std::string& path, const Tensor&) { refuse(path); }
bool has_png() { return false; }

}  // namespace brume::io
