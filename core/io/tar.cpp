#include <brume/core/io/tar.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>

#include <brume/core/io/byte_reader.h>
#include <brume/core/io/member_name.h>

namespace brume::io {
namespace {

constexpr uint64_t kBlock = 512, kMagicOffset = 257, kLargestExtra = uint64_t{1} << 16;

using Block = std::array<std::byte, kBlock>;

// A field of a header: up to its first NUL.
std::string_view field(const Block& block, size_t offset, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(block.data()) + offset, size);
  return text.substr(0, text.find('\0'));
}

uint64_t parse_number(std::string_view text, int base, const std::string& who) {
  const size_t begin = std::min(text.find_first_not_of(' '), text.size());
  const size_t end = text.find_last_not_of(' ') + 1;
  const std::string_view digits = text.substr(begin, end > begin ? end - begin : 0);
  uint64_t value = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  check<FormatError>(
      error == std::errc() && stop == digits.data() + digits.size() && !digits.empty(), who, ": ",
      quote(text), " is no number");
  return value;
}

void check_header(const Block& block, const std::string& who) {
  constexpr size_t kSum = 148, kSumBytes = 8;
  uint64_t sum = kSumBytes * ' ';  // its own field counts as blanks
  for (size_t i = 0; i < kBlock; ++i)
    if (i < kSum || i >= kSum + kSumBytes) sum += std::to_integer<uint64_t>(block[i]);
  check<FormatError>(sum == parse_number(field(block, kSum, kSumBytes), 8, who), who,
                     ": the checksum is wrong");
}

// What a record before a member says about it.
struct Extra {
  std::optional<std::string> name;
  std::optional<uint64_t> bytes;
};

// "27 path=some/long/name\n", repeated; each begins with its own length.
void read_pax(std::string_view text, const std::string& who, Extra& extra) {
  while (!text.empty()) {
    const size_t blank = text.find(' ');
    check<FormatError>(blank != text.npos, who, ": a broken record of attributes");
    const uint64_t length = parse_number(text.substr(0, blank), 10, who);
    check<FormatError>(length > blank + 1 && length <= text.size(), who,
                       ": a record of attributes of ", length, " bytes, where ", text.size(),
                       " are left");
    std::string_view record = text.substr(blank + 1, static_cast<size_t>(length) - blank - 1);
    if (!record.empty() && record.back() == '\n') record.remove_suffix(1);
    const std::string_view key = record.substr(0, record.find('='));
    const std::string_view value = record.substr(std::min(key.size() + 1, record.size()));
    if (key == "path") extra.name = value;
    if (key == "size") extra.bytes = parse_number(value, 10, who);
    text.remove_prefix(static_cast<size_t>(length));
  }
}

std::string name_of(const Block& block) {
  const std::string_view prefix =
      field(block, kMagicOffset, 6) == "ustar" ? field(block, 345, 155) : std::string_view();
  std::string name(field(block, 0, 100));
  return prefix.empty() ? name : cat(prefix, "/", name);
}

}  // namespace

bool is_tar(const ByteSource& archive) {
  if (archive.size() < kBlock) return false;
  Block block;
  archive.read(0, block);
  return std::string_view(reinterpret_cast<const char*>(&block[kMagicOffset]), 5) == "ustar";
}

std::vector<TarEntry> read_tar(const ByteSource& archive, const TarOptions& options) {
  std::vector<TarEntry> entries;
  std::set<std::string> names;
  Extra extra;
  Block block;
  int blank_blocks = 0;  // two of them are the end
  for (uint64_t at = 0; blank_blocks < 2;) {
    check<FormatError>(at + kBlock <= archive.size(), archive.who(),
                       ": the tar archive ends early");
    archive.read(at, block);
    if (std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{}; })) {
      ++blank_blocks;
      at += kBlock;
      continue;
    }
    blank_blocks = 0;
    const std::string who = cat(archive.who(), ": tar header at offset ", at);
    check_header(block, who);
    const auto type = static_cast<char>(block[156]);
    const uint64_t bytes = extra.bytes ? *extra.bytes : parse_number(field(block, 124, 12), 8, who);
    at += kBlock;
    check<FormatError>(bytes <= archive.size() - at, who, ": a member of ", bytes,
                       " bytes, but only ", archive.size() - at, " follow");
    if (type == 'x' || type == 'g' || type == 'L') {
      check<FormatError>(bytes <= kLargestExtra, who, ": ", bytes, " bytes of attributes; at most ",
                         kLargestExtra, " are read");
      std::string text(static_cast<size_t>(bytes), '\0');
      archive.read(at, std::as_writable_bytes(std::span(text)));
      if (type == 'x') read_pax(text, who, extra);
      if (type == 'L') extra.name = text.substr(0, text.find('\0'));
    } else {
      check<FormatError>(type == '0' || type == '\0' || type == '5', who, ": members of type ",
                         quote(std::string_view(&type, 1)),
                         " are not read, only files and folders");
      std::string name = extra.name ? *extra.name : name_of(block);
      check_member_name(name, who);
      check<FormatError>(names.insert(name).second, who, ": the member ", quote(name),
                         " is there twice");
      check<FormatError>(names.size() <= options.max_entries, who,
                         ": more than max_entries = ", options.max_entries, " members");
      if (type != '5') entries.push_back({std::move(name), at, bytes});
      extra = {};
    }
    at = std::min(archive.size(), add_size(at, (bytes + kBlock - 1) / kBlock * kBlock, who));
  }
  return entries;
}

}  // namespace brume::io
