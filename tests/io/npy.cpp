#include <brume/core/io/npy.h>

#include <doctest/doctest.h>

#include "tests/io/files.h"

namespace brume::test {
namespace {

std::string header(const std::string& descr, const std::string& order, const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

Tensor load(const std::string& bytes, const io::NpyOptions& options = {}) {
  const TemporaryFolder folder;
  put(folder / "x.npy", bytes);
  return io::read_npy(folder / "x.npy", options);
}
std::string refusal(const std::string& bytes, const io::NpyOptions& options = {}) {
  return error_of<FormatError>([&] { load(bytes, options); });
}
std::string refusal_of(const std::string& text, const std::string& data = std::string(8, '\0')) {
  return refusal(npy_bytes(text, data));
}

}  // namespace

TEST_CASE("npy: every dtype that it has comes back with the same bytes, in any rank") {
  const TemporaryFolder folder;
  for (const DType dtype : kAllDTypes)
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{2, 0, 3}, Shape{1, 2, 3, 4}}) {
      if (dtype == DType::bf16) continue;
      const Tensor x = empty(shape, {.dtype = dtype});
      for (int64_t i = 0; i < x.numel() * item_size(dtype); ++i)
        static_cast<uint8_t*>(x.data())[i] =
            static_cast<uint8_t>(dtype == DType::boolean ? i % 2 : 37 * i + 11);
      io::write_npy(folder / "x.npy", x);
      const Tensor y = io::read_npy(folder / "x.npy");
      CHECK(y.dtype() == dtype);
      CHECK(y.shape() == shape);
      CHECK(bytes_of(y) == bytes_of(x));
      CHECK((get(folder / "x.npy").size() - bytes_of(x).size()) % 64 == 0);
    }
  CHECK(contains(error_of<DTypeError>(
                     [&] { io::write_npy(folder / "b", empty({1}, {.dtype = DType::bf16})); }),
                 "convert to f32"));
}

TEST_CASE("npy: the header written is the one that NumPy writes") {
  const TemporaryFolder folder;
  io::write_npy(folder / "x.npy", from_vector<float>({1, 2}, {2}));
  const std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  const std::string padded = text + std::string(118 - text.size() - 1, ' ') + "\n";
  CHECK(get(folder / "x.npy") == npy_bytes(padded, std::string("\0\0\x80\x3f\0\0\0\x40", 8)));
}

TEST_CASE("npy: versions 1, 2 and 3 and both byte orders are read") {
  for (const int version : {1, 2, 3})
    CHECK(load(npy_bytes(header("'<i4'", "False", "(2,)"), std::string("\1\0\0\0\0\1\0\0", 8),
                         version))
              .to_vector<int32_t>() == std::vector<int32_t>{1, 256});
  CHECK(load(npy_bytes(header("'>i4'", "False", "(2,)"), std::string("\0\0\0\1\0\0\1\0", 8)))
            .to_vector<int32_t>() == std::vector<int32_t>{1, 256});
  CHECK(load(npy_bytes(header("'>f8'", "False", "()"), std::string("\x3f\xf8\0\0\0\0\0\0", 8)))
            .to_vector<double>() == std::vector<double>{1.5});
  CHECK(
      load(npy_bytes(header("'>u2'", "False", "(2,)"), "\xff\xfe\x01\x02")).to_vector<int32_t>() ==
      std::vector<int32_t>{0xfffe, 0x0102});
}

TEST_CASE("npy: small integers widen") {
  CHECK(load(npy_bytes(header("'|i1'", "False", "(2,)"), "\x80\x7f")).to_vector<int32_t>() ==
        std::vector<int32_t>{-128, 127});
  CHECK(
      load(npy_bytes(header("'<u4'", "False", "(1,)"), "\xff\xff\xff\xff")).to_vector<int64_t>() ==
      std::vector<int64_t>{4294967295});
}

TEST_CASE("npy: column-major arrays load in row-major order") {
  // [[0 1 2] [3 4 5]] by columns, and by columns of bytes in the other order.
  const std::string columns = std::string("\0\3\1\4\2\5", 6);
  const Tensor x = load(npy_bytes(header("'|u1'", "True", "(2, 3)"), columns));
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.is_row_major());
  CHECK(bytes_of(x) == std::string("\0\1\2\3\4\5", 6));
  std::string wide;
  for (const char c : columns) wide += std::string(1, '\0') + c;
  const Tensor y = load(npy_bytes(header("'>i2'", "True", "(2, 3)"), wide));
  CHECK(y.to_vector<int32_t>() == std::vector<int32_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("npy: the header is read without the elements") {
  const TemporaryFolder folder;
  // An array that read_npy refuses: 7 is no boolean.
  put(folder / "x.npy", npy_bytes(header("'|b1'", "True", "(2, 4)"), std::string(8, '\7')));
  CHECK_THROWS_AS(io::read_npy(folder / "x.npy"), FormatError);
  const io::NpyHeader of = io::read_npy_header(folder / "x.npy");
  CHECK(of.dtype == DType::boolean);
  CHECK(of.shape == Shape{2, 4});
  put(folder / "x.npy", npy_bytes(header("'<f4'", "False", "(2, 4)"), std::string(31, '\0')));
  CHECK_THROWS_AS(io::read_npy_header(folder / "x.npy"), FormatError);
}

TEST_CASE("npy: the header may be spaced and ordered as it likes") {
  const std::string data("\7");
  for (const std::string text :
       {"{'shape':(1,),'fortran_order':False,'descr':'|u1'}",
        "  {\"descr\" : \"|u1\" ,\n\t'shape': ( 1 , ), 'fortran_order' : False }  \n",
        "{'descr': '<u1', 'fortran_order': True, 'shape': (1, 1, 1)}"})
    CHECK(bytes_of(load(npy_bytes(text, data))) == data);
}

TEST_CASE("npy: the digits that ship with the project load") {
  const Tensor images = io::read_npy(BRUME_SOURCE_DIR "/data/digits_images.npy");
  CHECK(images.shape() == Shape{1797, 1, 8, 8});
  CHECK(images.dtype() == DType::u8);
}

TEST_CASE("npy: lengths that the file does not hold are refused") {
  CHECK(contains(refusal(""), "wanted 6 bytes at offset 0, but only 0 are left"));
  CHECK(contains(refusal("PK\3\4 and more bytes"), "not an npy file"));
  CHECK(contains(refusal(std::string("\x93NUMPY\1\0\xff\xff{}", 12)),
                 "claims 65535 bytes, but only 2 follow"));
  CHECK(contains(refusal(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12)),
                 "claims 4294967295 bytes, but only 0 follow"));
  CHECK(contains(refusal(std::string("\x93NUMPY\4\0\0\0\0\0", 12)), "npy version 4.0 is unknown"));
  CHECK(contains(refusal(std::string("\x93NUMPY\1\1\0\0\0\0", 12)), "npy version 1.1 is unknown"));
  CHECK(contains(refusal(npy_bytes(std::string(2000, ' '), "", 2), {.max_header_bytes = 1999}),
                 "max_header_bytes allows 1999"));
  CHECK(
      contains(refusal_of(header("'<f4'", "False", "(3,)")), "takes 12 bytes, but only 8 follow"));
  const std::string longer = npy_bytes(header("'<f4'", "False", "(1,)"), std::string(8, '\0'));
  CHECK(contains(refusal(longer), "4 bytes follow the array; allow_trailing_bytes"));
  CHECK(load(longer, {.allow_trailing_bytes = true}).shape() == Shape{1});
}

TEST_CASE("npy: elements that are no numbers of ours are refused by name") {
  for (const std::string type : {"|O", "O", "<c8", "<U3", "|S1", "|V2", "<u8", "<f16", "<i3", "=f4",
                                 "f4", "<", "", "|f4", "?"})
    CHECK_MESSAGE(contains(refusal_of(header("'" + type + "'", "False", "(1,)")),
                           "elements of type '" + type + "' are not supported"),
                  type);
  CHECK(contains(refusal_of(header("[('a', '<f4')]", "False", "(1,)")), "records"));
  CHECK(contains(refusal_of(header("'|b1'", "False", "(2,)"), "\1\2"), "neither 0 nor 1"));
}

TEST_CASE("npy: a header that is not the dictionary it should be is refused") {
  const std::string good = header("'<f4'", "False", "(2,)");
  CHECK(load(npy_bytes(good, std::string(8, '\0'))).shape() == Shape{2});
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[]"), std::string("{'descr'}"),
        std::string("{'descr': '<f4"), good + "{}", good + '\0', '\0' + good,
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}"),
        std::string("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}"),
        std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}"),
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os')}")})
    CHECK_MESSAGE(contains(refusal_of(text), "in the npy header: "), text);
  for (const std::string shape : {"2", "(2)", "(2", "[2]", "(-2,)", "(2.0,)", "('2',)", "(,)",
                                  "(2,,)", "(99999999999999999999,)", "(1,1,1,1,1,1,1,1,2)"})
    CHECK_MESSAGE(contains(refusal_of(header("'<f4'", "False", shape)), "in the npy header: "),
                  shape);
  for (const std::string shape :
       {"(4294967296, 4294967296)", "(9223372036854775807, 3)", "(0, 4611686018427387904, 4)"})
    CHECK_MESSAGE(contains(refusal_of(header("'<f4'", "False", shape)), "is too large"), shape);
}

TEST_CASE("npy: an array written part by part is the one written at once, or nothing") {
  const TemporaryFolder folder;
  const Tensor whole = alias(arange(0, 30), {5, 3, 2}, {6, 2, 1});
  io::write_npy(folder / "whole.npy", whole);
  {
    io::NpyWriter file(folder / "parts.npy", {5, 3, 2});
    file.append(alias(whole, {2, 3, 2}, {6, 2, 1}));
    file.append(alias(whole, {3, 3, 2}, {6, 2, 1}, 12));
    CHECK(file.rows() == 5);
    CHECK(contains(error_of<ShapeError>([&] {
                     file.append(empty({1, 3, 2}));
                   }),
                   "of f32 [5, 3, 2], 5 rows are written; got f32 [1, 3, 2]"));
    CHECK(io::file_status(folder / "parts.npy").kind == io::FileKind::missing);
    file.commit();
  }
  CHECK(get(folder / "parts.npy") == get(folder / "whole.npy"));
  {
    io::NpyWriter file(folder / "some.npy", {5});
    file.append(empty({4}));
    CHECK(contains(error_of<ShapeError>([&] { file.commit(); }), "has 4 of 5 rows"));
    CHECK(contains(error_of<ShapeError>([&] { file.append(empty({1}, {.dtype = DType::f64})); }),
                   "got f64 [1]"));
  }
  CHECK(io::list_folder(folder.path()) == std::vector<std::string>{"parts.npy", "whole.npy"});
}

}  // namespace brume::test
