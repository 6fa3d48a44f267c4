#pragma once
// Bytes that can be read at any offset: a file, a part of one, or a text. What is packed inside
// something else is read through this, without unpacking it first.

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <brume/core/error.h>
#include <brume/core/io/fs.h>

namespace brume::io {

/// Several threads may read at once. `who` names the bytes in errors, usually a path.
class ByteSource {
 public:
  ByteSource(std::string who, uint64_t size) : who_(std::move(who)), size_(size) {}
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  const std::string& who() const { return who_; }
  uint64_t size() const { return size_; }
  /// Fills `out` from `offset` on. @throws FormatError if fewer bytes are there; IoError
  void read(uint64_t offset, std::span<std::byte> out) const {
    check<FormatError>(offset <= size_ && out.size() <= size_ - offset, who_, ": wanted ",
                       out.size(), " bytes at offset ", offset, ", but it has ", size_);
    fill(offset, out);
  }

 private:
  virtual void fill(uint64_t offset, std::span<std::byte> out) const = 0;
  std::string who_;
  uint64_t size_;
};

/// A whole file.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : FileSource(File::open(path)) {}
  explicit FileSource(File file) : ByteSource(file.path(), file.size()), file_(std::move(file)) {}

 private:
  void fill(uint64_t offset, std::span<std::byte> out) const override { file_.read(offset, out); }
  File file_;
};

/// A range of another source.
class SourcePart final : public ByteSource {
 public:
  /// @throws FormatError on reading, if it reaches beyond the whole
  SourcePart(std::shared_ptr<const ByteSource> whole, std::string who, uint64_t begin,
             uint64_t size)
      : ByteSource(std::move(who), size), whole_(std::move(whole)), begin_(begin) {}

 private:
  void fill(uint64_t offset, std::span<std::byte> out) const override {
    whole_->read(begin_ + offset, out);
  }
  std::shared_ptr<const ByteSource> whole_;
  uint64_t begin_;
};

/// Bytes in memory.
class TextSource final : public ByteSource {
 public:
  TextSource(std::string who, std::string text)
      : ByteSource(std::move(who), text.size()), text_(std::move(text)) {}

 private:
  void fill(uint64_t offset, std::span<std::byte> out) const override {
    if (!out.empty()) std::memcpy(out.data(), text_.data() + offset, out.size());
  }
  std::string text_;
};

/// A whole source, or a part. @throws FormatError if it has more than `limit` bytes
inline std::string read_text(const ByteSource& source, uint64_t limit) {
  check<FormatError>(source.size() <= limit, source.who(), ": ", source.size(),
                     " bytes, and at most ", limit, " are allowed here");
  std::string text(static_cast<size_t>(source.size()), '\0');
  source.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace brume::io
