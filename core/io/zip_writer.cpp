#include <ctime>
#include <deque>

#include <brume/core/io/zip.h>
#include <brume/core/io/zip_callbacks.h>

namespace brume::io {
namespace {

// Where the archive goes. libzip comes back to each member's header when it knows its checksum.
class Target {
 public:
  virtual ~Target() = default;
  void write(std::span<const std::byte> bytes) {
    if (position == size) {
      append(bytes);
      size += bytes.size();
    } else {
      check<FormatError>(bytes.size() <= size - position, "write_zip: a header has grown");
      overwrite(bytes);
    }
    position += bytes.size();
  }
  uint64_t position = 0, size = 0;
  ZipFailure failure;

 private:
  virtual void append(std::span<const std::byte> bytes) = 0;
  virtual void overwrite(std::span<const std::byte> bytes) = 0;
};

class FileTarget final : public Target {
 public:
  explicit FileTarget(AtomicFile& file) : file_(file) {}

 private:
  void append(std::span<const std::byte> bytes) override { file_.write(bytes); }
  void overwrite(std::span<const std::byte> bytes) override { file_.write_at(position, bytes); }
  AtomicFile& file_;
};

class TextTarget final : public Target {
 public:
  std::string text;

 private:
  void append(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void overwrite(std::span<const std::byte> bytes) override {
    text.replace(static_cast<size_t>(position), bytes.size(),
                 reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
};

zip_int64_t take(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto& t = *static_cast<Target*>(user);
  switch (command) {
    case ZIP_SOURCE_STAT:  // there is nothing yet
      zip_error_set(t.failure.error(), ZIP_ER_READ, ENOENT);
      return -1;
    case ZIP_SOURCE_WRITE:
      return t.failure.guard([&] {
        t.write({static_cast<const std::byte*>(data), static_cast<size_t>(length)});
        return static_cast<zip_int64_t>(length);
      });
    case ZIP_SOURCE_SEEK_WRITE: {
      const zip_int64_t to =
          zip_source_seek_compute_offset(t.position, t.size, data, length, t.failure.error());
      if (to < 0) return -1;
      t.position = static_cast<uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL_WRITE:
      return static_cast<zip_int64_t>(t.position);
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_WRITABLE;
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(t.failure.error(), data, length);
    case ZIP_SOURCE_BEGIN_WRITE:
    case ZIP_SOURCE_COMMIT_WRITE:
    case ZIP_SOURCE_ROLLBACK_WRITE:
    case ZIP_SOURCE_REMOVE:
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      zip_error_set(t.failure.error(), ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

uint64_t content_bytes(const ZipMember& member) {
  if (const auto* x = std::get_if<Tensor>(&member.content))
    return static_cast<uint64_t>(x->numel() * item_size(x->dtype()));
  return std::get<std::string>(member.content).size();
}

// A member's bytes as libzip fetches them. A tensor is made plain when its turn has come.
struct Content {
  const ZipMember* member;
  ZipFailure* failure;
  Tensor plain{};
  uint64_t position = 0;

  uint64_t size() const { return content_bytes(*member); }
  void open() {
    position = 0;
    if (const auto* x = std::get_if<Tensor>(&member->content))
      plain = transfer(relayout(*x, Layout::row_major), kCpu);
  }
  const std::byte* bytes() const {
    return plain.defined()
               ? static_cast<const std::byte*>(plain.data())
               : reinterpret_cast<const std::byte*>(std::get<std::string>(member->content).data());
  }
};

zip_int64_t provide(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto& c = *static_cast<Content*>(user);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      return c.failure->guard([&] { return c.open(), zip_int64_t{0}; });
    case ZIP_SOURCE_READ: {
      const uint64_t count = std::min<uint64_t>(length, c.size() - c.position);
      if (count > 0) std::memcpy(data, c.bytes() + c.position, static_cast<size_t>(count));
      c.position += count;
      return static_cast<zip_int64_t>(count);
    }
    case ZIP_SOURCE_CLOSE:
      c.plain = {};
      return 0;
    case ZIP_SOURCE_STAT: {
      auto* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->size = c.size();
      stat->valid = ZIP_STAT_SIZE;
      return sizeof(zip_stat_t);
    }
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_READABLE;
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(c.failure->error(), data, length);
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      zip_error_set(c.failure->error(), ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

// An archive being written; without close() it is given up.
class Writer {
 public:
  explicit Writer(Target& target) : target_(target) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_function_create(take, &target, &error);
    zip_ = source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error) : nullptr;
    if (zip_) return;
    zip_source_free(source);
    throw_zip_error("write_zip", &error, target_.failure);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (zip_) zip_discard(zip_);
  }

  void add(const ZipMember& member, uint64_t alignment) {
    Content& content = contents_.emplace_back(Content{&member, &target_.failure});
    zip_source_t* source = zip_source_function(zip_, provide, &content);
    const zip_int64_t added =
        source ? zip_file_add(zip_, member.name.c_str(), source, ZIP_FL_ENC_UTF_8) : -1;
    if (added < 0) {
      zip_source_free(source);
      fail();
    }
    const auto index = static_cast<zip_uint64_t>(added);
    constexpr zip_uint16_t kFirstDay = (1 << 5) | 1;  // 1980-01-01: the same bytes every time
    demand(zip_set_file_compression(zip_, index, ZIP_CM_STORE, 0));
    demand(zip_file_set_dostime(zip_, index, 0, kFirstDay, 0));
    pad(index, member.name, alignment);
    offset_ += content.size();
  }
  void close() {
    if (zip_close(zip_) < 0) fail();
    zip_ = nullptr;
  }

 private:
  // A record of zeros in the member's header, as the reference pads it.
  void pad(zip_uint64_t index, const std::string& name, uint64_t alignment) {
    constexpr uint64_t kHeader = 30, kRecord = 4;
    constexpr zip_uint16_t kPadding = 0x4246;
    offset_ += kHeader + name.size();
    if (alignment <= 1) return;
    const uint64_t zeros = (alignment - (offset_ + kRecord) % alignment) % alignment;
    const std::vector<zip_uint8_t> record(static_cast<size_t>(zeros));
    demand(zip_file_extra_field_set(zip_, index, kPadding, ZIP_EXTRA_FIELD_NEW, record.data(),
                                    static_cast<zip_uint16_t>(zeros), ZIP_FL_LOCAL));
    offset_ += kRecord + zeros;
  }
  void demand(int result) {
    if (result < 0) fail();
  }
  [[noreturn]] void fail() { throw_zip_error("write_zip", zip_get_error(zip_), target_.failure); }

  Target& target_;
  zip_t* zip_ = nullptr;
  std::deque<Content> contents_;  // libzip holds their addresses
  uint64_t offset_ = 0;           // where the next member begins
};

// At least as many as the archive will have.
size_t archive_bytes(std::span<const ZipMember> members, uint64_t alignment) {
  constexpr uint64_t kHeaders = 256, kEnd = 256;  // a member's two and the archive's, with zip64's
  uint64_t bytes = kEnd;
  for (const ZipMember& m : members)
    bytes += kHeaders + 2 * m.name.size() + alignment + content_bytes(m);
  return static_cast<size_t>(bytes);
}

void write(Target& target, std::span<const ZipMember> members, uint64_t alignment) {
  Writer writer(target);
  for (const ZipMember& member : members) writer.add(member, alignment);
  writer.close();
}

}  // namespace

void write_zip(AtomicFile& file, std::span<const ZipMember> members, uint64_t alignment) {
  FileTarget target(file);
  write(target, members, alignment);
}

std::string zip_bytes(std::span<const ZipMember> members, uint64_t alignment) {
  TextTarget target;
  target.text.reserve(archive_bytes(members, alignment));  // growing would hold it twice
  write(target, members, alignment);
  return std::move(target.text);
}

}  // namespace brume::io
