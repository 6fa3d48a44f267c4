#include <brume/core/io/zip.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <utility>

#include <brume/core/io/byte_reader.h>
#include <brume/core/io/member_name.h>
#include <brume/core/io/zip_callbacks.h>

namespace brume::io {
namespace {

// Pieces in which a member is read: they stay in the cache between reading and summing up.
constexpr uint64_t kPieceBytes = uint64_t{1} << 17;

// The archive's bytes as libzip reads them.
struct Cursor {
  std::shared_ptr<const ByteSource> archive;
  uint64_t position = 0;
  ZipFailure failure{};
};

zip_int64_t serve(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto& c = *static_cast<Cursor*>(user);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      c.position = 0;
      return 0;
    case ZIP_SOURCE_READ:
      return c.failure.guard([&] {
        const uint64_t count = std::min<uint64_t>(length, c.archive->size() - c.position);
        c.archive->read(c.position, {static_cast<std::byte*>(data), static_cast<size_t>(count)});
        c.position += count;
        return static_cast<zip_int64_t>(count);
      });
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t to = zip_source_seek_compute_offset(c.position, c.archive->size(), data,
                                                            length, c.failure.error());
      if (to < 0) return -1;
      c.position = static_cast<uint64_t>(to);
      return 0;
    }
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(c.position);
    case ZIP_SOURCE_STAT: {
      auto* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->size = c.archive->size();
      stat->valid = ZIP_STAT_SIZE;
      return sizeof(zip_stat_t);
    }
    case ZIP_SOURCE_SUPPORTS:
      return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(c.failure.error(), data, length);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
      return 0;
    default:
      zip_error_set(c.failure.error(), ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

// One archive as one thread sees it.
class Handle {
 public:
  explicit Handle(std::shared_ptr<const ByteSource> archive, int checks = 0)
      : cursor_{.archive = std::move(archive)} {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_function_create(serve, &cursor_, &error);
    zip_ = source ? zip_open_from_source(source, ZIP_RDONLY | checks, &error) : nullptr;
    if (zip_) return;
    zip_source_free(source);
    throw_zip_error(cat(cursor_.archive->who(), ": not a sound zip archive"), &error,
                    cursor_.failure);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { zip_discard(zip_); }

  zip_t* zip() const { return zip_; }
  [[noreturn]] void fail(const std::string& member, zip_error_t* error) const {
    throw_zip_error(cat(cursor_.archive->who(), ": member ", quote(member)), error,
                    cursor_.failure);
  }

 private:
  Cursor cursor_;
  zip_t* zip_ = nullptr;
};

// A member being read.
class OpenMember {
 public:
  OpenMember(const Handle& handle, uint64_t index, const std::string& name, zip_flags_t flags)
      : handle_(handle), name_(name), file_(zip_fopen_index(handle.zip(), index, flags)) {
    if (!file_) handle.fail(name, zip_get_error(handle.zip()));
  }
  OpenMember(const OpenMember&) = delete;
  OpenMember& operator=(const OpenMember&) = delete;
  ~OpenMember() { zip_fclose(file_); }

  void seek(uint64_t offset) {
    if (zip_fseek(file_, static_cast<zip_int64_t>(offset), SEEK_SET) < 0) fail();
  }
  void read(std::span<std::byte> out) {
    while (!out.empty()) {
      const zip_int64_t count =
          zip_fread(file_, out.data(), std::min<uint64_t>(out.size(), kPieceBytes));
      if (count < 0) fail();
      check<FormatError>(count > 0, who(), " ends early");
      out = out.subspan(static_cast<size_t>(count));
    }
  }
  // libzip verifies the checksum when it meets the end.
  void read_end() {
    char more = 0;
    const zip_int64_t count = zip_fread(file_, &more, 1);
    if (count < 0) fail();
    check<FormatError>(count == 0, who(), " is longer than the archive's list says");
  }

 private:
  std::string who() const { return cat("zip: member ", quote(name_)); }
  [[noreturn]] void fail() const { handle_.fail(name_, zip_file_get_error(file_)); }
  const Handle& handle_;
  const std::string& name_;
  zip_file_t* file_;
};

// The number of members in the record at `end`, or in the larger one before it that it points to.
// It may be the end of an archive within this one, whose offsets do not count from here.
uint64_t claimed_at(const ByteSource& archive, uint64_t end) {
  constexpr uint64_t kLocator = 20, kEnd64 = 56;
  const auto number = [&](uint64_t offset, size_t bytes) {
    uint64_t value = 0;
    archive.read(offset, std::as_writable_bytes(std::span(&value, 1)).first(bytes));
    return value;
  };
  const uint64_t count = number(end + 10, 2);
  if (end < kLocator + kEnd64 || number(end - kLocator, 4) != 0x07064b50) return count;
  const uint64_t record = number(end - kLocator + 8, 8);
  if (record > archive.size() - kEnd64 || number(record, 4) != 0x06064b50) return count;
  return std::max(count, number(record + 32, 8));
}

// libzip makes a record of some hundred bytes for each of 46 in the list of members, so their
// number is looked at first: the largest of all that libzip may take for the end, as a comment may
// follow it. 0 if there is none.
uint64_t claimed_entries(const ByteSource& archive) {
  constexpr uint64_t kEnd = 22, kLongestComment = 65535;
  constexpr std::string_view kSignature = "PK\5\6";
  std::string tail(static_cast<size_t>(std::min(archive.size(), kEnd + kLongestComment)), '\0');
  const uint64_t first = archive.size() - tail.size();
  archive.read(first, std::as_writable_bytes(std::span(tail)));
  uint64_t claimed = 0;
  for (size_t i = 0; (i = tail.find(kSignature, i)) < tail.size() && i + kEnd <= tail.size(); ++i)
    claimed = std::max(claimed, claimed_at(archive, first + i));
  return claimed;
}

ZipEntry entry_at(const Handle& handle, uint64_t index, const std::string& who,
                  uint64_t& packed_bytes) {
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(handle.zip(), index, 0, &stat) < 0)
    handle.fail(cat(index), zip_get_error(handle.zip()));
  const std::string name = stat.name;
  const std::string member = cat(who, ": member ", quote(name));
  check_member_name(name, who);
  check<FormatError>(stat.encryption_method == ZIP_EM_NONE, member, " is encrypted");
  check<FormatError>(stat.comp_method == ZIP_CM_STORE || stat.comp_method == ZIP_CM_DEFLATE, member,
                     " is compressed by method ", stat.comp_method,
                     "; stored and deflated ones are read");
  const bool compressed = stat.comp_method == ZIP_CM_DEFLATE;
  check<FormatError>(compressed || stat.size == stat.comp_size, member, " is stored as ",
                     stat.comp_size, " bytes and said to have ", stat.size);
  packed_bytes = stat.comp_size;
  return {name, stat.size, compressed, index};
}

}  // namespace

// One handle for each thread that reads at the same time; libzip's are for one thread only.
class ZipFile::Handles {
 public:
  Handles(std::shared_ptr<const ByteSource> archive, std::unique_ptr<Handle> first)
      : archive_(std::move(archive)) {
    idle_.push_back(std::move(first));
  }
  const std::shared_ptr<const ByteSource>& archive() const { return archive_; }

  std::unique_ptr<Handle> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto handle = std::move(idle_.back());
        idle_.pop_back();
        return handle;
      }
    }
    return std::make_unique<Handle>(archive_);
  }
  void give_back(std::unique_ptr<Handle> handle) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(handle));
  }

 private:
  std::shared_ptr<const ByteSource> archive_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Handle>> idle_;
};

// A stored member, read where it lies. Its position moves, so one thread reads at a time.
class StoredMember final : public ByteSource {
 public:
  StoredMember(std::string who, const ZipEntry& entry, std::shared_ptr<const ByteSource> archive)
      : ByteSource(std::move(who), entry.bytes),
        name_(entry.name),
        handle_(std::move(archive)),
        member_(handle_, entry.index, name_, ZIP_FL_COMPRESSED) {}

 private:
  void fill(uint64_t offset, std::span<std::byte> out) const override {
    const std::lock_guard lock(mutex_);
    member_.seek(offset);
    member_.read(out);
  }
  std::string name_;
  Handle handle_;
  mutable std::mutex mutex_;
  mutable OpenMember member_;
};

bool has_zip() { return true; }

ZipFile::ZipFile(std::shared_ptr<const ByteSource> archive, const ZipOptions& options) {
  const std::string& name = archive->who();
  const uint64_t claimed = claimed_entries(*archive);
  check<FormatError>(claimed <= options.max_entries, name, ": ", claimed,
                     " members; max_entries allows ", options.max_entries);
  auto handle = std::make_unique<Handle>(archive, ZIP_CHECKCONS);
  const auto count = static_cast<uint64_t>(zip_get_num_entries(handle->zip(), 0));
  constexpr uint64_t kLocalHeader = 30, kListHeader = 46;
  uint64_t occupied = 0, unpacked = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t packed = 0;
    entries_.push_back(entry_at(*handle, i, name, packed));
    const uint64_t headers = kLocalHeader + kListHeader + 2 * entries_.back().name.size();
    occupied = add_size(occupied, add_size(packed, headers, name), name);
    unpacked = add_size(unpacked, entries_.back().bytes, name);
  }
  check<FormatError>(occupied <= archive->size(), name, ": members overlap: together they take ",
                     occupied, " bytes of an archive of ", archive->size());
  check<FormatError>(unpacked <= add_size(archive->size(), options.max_inflation, name), name, ": ",
                     archive->size(), " bytes unpack to ", unpacked, "; max_inflation allows ",
                     options.max_inflation, " more");
  by_name_.resize(entries_.size());
  std::iota(by_name_.begin(), by_name_.end(), 0U);
  const auto name_of = [&](uint32_t i) -> const std::string& { return entries_[i].name; };
  std::sort(by_name_.begin(), by_name_.end(),
            [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
  for (size_t i = 1; i < by_name_.size(); ++i)
    check<FormatError>(name_of(by_name_[i - 1]) != name_of(by_name_[i]), name, ": the member ",
                       quote(name_of(by_name_[i])), " is there twice");
  handles_ = std::make_shared<Handles>(std::move(archive), std::move(handle));
}

const std::string& ZipFile::who() const { return handles_->archive()->who(); }

const ZipEntry* ZipFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](uint32_t i, std::string_view n) { return entries_[i].name < n; });
  return found != by_name_.end() && entries_[*found].name == name ? &entries_[*found] : nullptr;
}

const ZipEntry& ZipFile::at(std::string_view name) const {
  const ZipEntry* entry = find(name);
  check<FormatError>(entry != nullptr, who(), ": there is no member ", quote(name));
  return *entry;
}

void ZipFile::read(const ZipEntry& entry, std::span<std::byte> out) const {
  check<FormatError>(out.size() == entry.bytes, who(), ": member ", quote(entry.name), " has ",
                     entry.bytes, " bytes, wanted ", out.size());
  std::unique_ptr<Handle> handle = handles_->take();
  {
    OpenMember member(*handle, entry.index, entry.name, 0);
    member.read(out);
    member.read_end();
  }
  handles_->give_back(std::move(handle));
}

std::string ZipFile::read_text(const ZipEntry& entry, uint64_t limit) const {
  check<FormatError>(entry.bytes <= limit, who(), ": member ", quote(entry.name), " has ",
                     entry.bytes, " bytes, and at most ", limit, " are allowed here");
  std::string text(static_cast<size_t>(entry.bytes), '\0');
  read(entry, std::as_writable_bytes(std::span(text)));
  return text;
}

std::shared_ptr<const ByteSource> ZipFile::open(const ZipEntry& entry) const {
  std::string name = cat(who(), ": ", printable(entry.name));
  if (entry.compressed)
    return std::make_shared<TextSource>(std::move(name), read_text(entry, entry.bytes));
  return std::make_shared<StoredMember>(std::move(name), entry, handles_->archive());
}

}  // namespace brume::io
