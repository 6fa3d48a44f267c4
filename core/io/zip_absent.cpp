// Stands in for zip.cpp and zip_writer.cpp where BRUME_ZIP=OFF.
#include <brume/core/error.h>
#include <brume/core/io/zip.h>

namespace brume::io {
namespace {

[[noreturn]] void refuse(const std::string& who) {
  throw Error(cat("'", who, "': this build has no zip; configure with -DBRUME_ZIP=ON"));
}

}  // namespace

class ZipFile::Handles {};

bool has_zip() { return false; }
ZipFile::ZipFile(std::shared_ptr<const ByteSource> archive, const ZipOptions&) {
  refuse(archive->who());
}
const std::string& ZipFile::who() const { refuse("zip"); }
const ZipEntry* ZipFile::find(std::string_view) const { refuse("zip"); }
const ZipEntry& ZipFile::at(std::string_view) const { refuse("zip"); }
void ZipFile::read(const ZipEntry&, std::span<std::byte>) const { refuse("zip"); }
std::string ZipFile::read_text(const ZipEntry&, uint64_t) const { refuse("zip"); }
std::shared_ptr<const ByteSource> ZipFile::open(const ZipEntry&) const { refuse("zip"); }
void write_zip(AtomicFile&, std::span<const ZipMember>, uint64_t) { refuse("zip"); }
std::string zip_bytes(std::span<const ZipMember>, uint64_t) { refuse("zip"); }

}  // namespace brume::io
