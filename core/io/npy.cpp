#include <brume/core/io/npy.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include <brume/core/error.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/byte_reader.h>
#include <brume/core/io/quote.h>
#include <brume/core/io/stored_array.h>

namespace brume::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kPreambleBytes = 8;  // magic, major and minor version
constexpr size_t kAlignment = 64;     // of the data, as NumPy writes them

struct TypeCode {
  std::string_view code;  // behind the byte order
  StoredType type;
};
constexpr TypeCode kTypeCodes[] = {
    {"f8", StoredType::f64}, {"f4", StoredType::f32},    {"f2", StoredType::f16},
    {"i8", StoredType::i64}, {"i4", StoredType::i32},    {"i2", StoredType::i16},
    {"i1", StoredType::i8},  {"u4", StoredType::u32},    {"u2", StoredType::u16},
    {"u1", StoredType::u8},  {"b1", StoredType::boolean}};

struct Header {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

// The header is a Python dictionary; only the three keys and the literals that NumPy writes there
// are understood, in any order and spacing.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& path) : rest_(text), path_(path) {}

  Header parse() {
    Header header;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !header.descr)
        header.descr = descr();
      else if (key == "fortran_order" && !header.fortran_order)
        header.fortran_order = boolean();
      else if (key == "shape" && !header.shape)
        header.shape = tuple();
      else
        fail(cat("key ", quote(key), " is unknown or stands twice"));
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) fail("text follows the dictionary");
    if (!header.descr || !header.fortran_order || !header.shape)
      fail("descr, fortran_order or shape is missing");
    return header;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw FormatError(cat(path_, ": in the npy header: ", what));
  }
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t'))
      rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(cat("wanted '", c, "' at ", quote(rest_.substr(0, 20))));
  }
  std::string_view string() {
    const char mark = accept('"') ? '"' : '\'';
    if (mark == '\'') expect('\'');
    const size_t end = rest_.find(mark);
    if (end == rest_.npos) fail("a string does not end");
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return out;
  }
  std::string descr() {
    skip_space();
    if (rest_.starts_with('[')) fail("records (a list as descr) are not supported");
    return std::string(string());
  }
  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"})
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    fail("fortran_order is neither True nor False");
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      if (shape.rank() == kMaxRank) fail(cat("more than ", kMaxRank, " axes are not supported"));
      skip_space();
      int64_t size = -1;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc() || size < 0) fail(cat("no size at ", quote(rest_.substr(0, 20))));
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      shape.push_back(size);
      if (!accept(',')) {
        if (shape.rank() == 1) fail("a shape of one axis needs a comma");
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view rest_;
  const std::string& path_;
};

StoredArray parse_descr(const Header& header, const std::string& path) {
  const std::string_view descr = *header.descr;
  const char order = descr.empty() ? ' ' : descr[0];
  const auto found = std::find_if(std::begin(kTypeCodes), std::end(kTypeCodes), [&](auto& t) {
    return !descr.empty() && t.code == descr.substr(1);
  });
  // One byte has no order ('|'); '=' is the order of the machine that wrote it and cannot be known.
  const bool known =
      found != std::end(kTypeCodes) &&
      (order == '<' || order == '>' || (order == '|' && item_size(found->type) == 1));
  if (!known) {
    std::string codes;
    for (const TypeCode& t : kTypeCodes) codes += cat(" ", t.code);
    throw FormatError(cat(path, ": elements of type ", quote(descr), " are not supported; wanted",
                          codes, ", such as '<f4'"));
  }
  return {.type = found->type, .shape = *header.shape, .big_endian = order == '>'};
}

std::string read_header(const File& file, uint64_t file_bytes, uint64_t limit, uint64_t* end) {
  const std::string& path = file.path();
  const auto preamble_bytes = static_cast<size_t>(std::min<uint64_t>(file_bytes, 12));
  std::byte preamble[12];
  file.read(0, {preamble, preamble_bytes});
  ByteReader reader(std::span<const std::byte>(preamble, preamble_bytes), path);
  check<FormatError>(reader.take_text(kMagic.size()) == kMagic, path, ": not an npy file");
  const int major = reader.take_little<uint8_t>(), minor = reader.take_little<uint8_t>();
  check<FormatError>(major >= 1 && major <= 3 && minor == 0, path, ": npy version ", major, ".",
                     minor, " is unknown");
  const uint64_t length =
      major == 1 ? reader.take_little<uint16_t>() : reader.take_little<uint32_t>();
  const uint64_t left = file_bytes - reader.position();
  check<FormatError>(length <= left, path, ": the header claims ", length, " bytes, but only ",
                     left, " follow");
  check<FormatError>(length <= limit, path, ": the header has ", length,
                     " bytes; max_header_bytes allows ", limit);
  std::string text(static_cast<size_t>(length), '\0');
  file.read(reader.position(), std::as_writable_bytes(std::span(text)));
  *end = reader.position() + length;
  return text;
}

// Column-major elements are a row-major tensor of the axes reversed.
Shape reversed(const Shape& shape) {
  Shape out = shape;
  std::reverse(out.begin(), out.end());
  return out;
}

// An open file whose header has been found to fit what follows it.
struct NpyFile {
  File file;
  StoredArray array;
  bool fortran_order;
};

NpyFile open_npy(const std::string& path, const NpyOptions& options) {
  File file = File::open(path);
  const uint64_t file_bytes = file.size();
  uint64_t data_begin = 0;
  const std::string text = read_header(file, file_bytes, options.max_header_bytes, &data_begin);
  const Header header = HeaderParser(text, path).parse();
  StoredArray array = parse_descr(header, path);
  array.offset = data_begin;
  const auto counted = stored_bytes(array.type, array.shape);
  check<FormatError>(counted.has_value(), path, ": shape ", array.shape, " is too large");
  const uint64_t bytes = *counted, left = file_bytes - data_begin;
  check<FormatError>(bytes <= left, path, ": shape ", array.shape, " takes ", bytes,
                     " bytes, but only ", left, " follow the header");
  check<FormatError>(options.allow_trailing_bytes || bytes == left, path, ": ", left - bytes,
                     " bytes follow the array; allow_trailing_bytes accepts them");
  return {std::move(file), array, *header.fortran_order};
}

}  // namespace

NpyHeader read_npy_header(const std::string& path, const NpyOptions& options) {
  const StoredArray array = open_npy(path, options).array;
  return {array.dtype(), array.shape};
}

Tensor read_npy(const std::string& path, const NpyOptions& options) {
  auto [file, array, fortran_order] = open_npy(path, options);
  if (fortran_order) array.shape = reversed(array.shape);
  const Tensor x = empty(array.shape, {.dtype = array.dtype()});
  read_elements(file, array, path, x.data());
  if (!fortran_order) return x;
  return relayout(alias(x, reversed(x.shape()), reversed(x.strides())), Layout::row_major);
}

namespace {

// Everything before the elements, which begin at a multiple of kAlignment.
std::string preamble(const std::string& path, DType dtype, const Shape& of) {
  const auto type = std::find_if(std::begin(kTypeCodes), std::end(kTypeCodes),
                                 [&](auto& t) { return is_stored_as(dtype, t.type); });
  check<DTypeError>(type != std::end(kTypeCodes), "write_npy: '", path, "': .npy has no ", dtype,
                    "; convert to f32");
  std::string shape;
  for (const int64_t size : of) shape += cat(size, ", ");
  if (of.rank() > 1) shape.resize(shape.size() - 2);
  if (of.rank() == 1) shape.resize(shape.size() - 1);
  std::string text = cat("{'descr': '", item_size(type->type) == 1 ? '|' : '<', type->code,
                         "', 'fortran_order': False, 'shape': (", shape, "), }");
  const size_t begin = kPreambleBytes + sizeof(uint16_t);
  const size_t end = (begin + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  text.resize(end - begin - 1, ' ');
  text += '\n';
  const auto length = static_cast<uint16_t>(text.size());
  std::string out(kMagic);
  out += std::string_view("\x01\x00", 2);
  out.append(reinterpret_cast<const char*>(&length), sizeof(length));
  return out + text;
}

void write_elements(AtomicFile& file, const Tensor& x) {
  const Tensor plain = transfer(relayout(x, Layout::row_major), kCpu);
  file.write({static_cast<const std::byte*>(plain.data()),
              static_cast<size_t>(plain.numel() * item_size(plain.dtype()))});
}

}  // namespace

void write_npy(const std::string& path, const Tensor& x) {
  const std::string before = preamble(path, x.dtype(), x.shape());
  AtomicFile file(path);
  file.write(before);
  write_elements(file, x);
  file.commit();
}

NpyWriter::NpyWriter(const std::string& path, const Shape& shape, DType dtype)
    : file_(path), path_(path), shape_(shape), dtype_(dtype) {
  check(shape.rank() >= 1, "NpyWriter: '", path, "': an array of rank 0 has no rows");
  file_.write(preamble(path, dtype, shape));
}

void NpyWriter::append(const Tensor& x) {
  Shape wanted = shape_;
  if (x.rank() > 0) wanted[0] = x.size(0);
  check(x.shape() == wanted && x.dtype() == dtype_ && rows_ + wanted[0] <= shape_[0],
        "NpyWriter: '", path_, "': of ", dtype_, " ", shape_, ", ", rows_,
        " rows are written; got ", x.dtype(), " ", x.shape());
  write_elements(file_, x);
  rows_ += wanted[0];
}

void NpyWriter::commit() {
  check(rows_ == shape_[0], "NpyWriter: '", path_, "': has ", rows_, " of ", shape_[0], " rows");
  file_.commit();
}

}  // namespace brume::io
