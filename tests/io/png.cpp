#include <brume/core/io/png.h>

#include <cmath>

#include <doctest/doctest.h>

#include "tests/io/files.h"
#include "tests/io/png_bytes.h"

namespace brume::test {
namespace {

Tensor load(const std::string& bytes, const io::PngOptions& options = {}) {
  const TemporaryFolder folder;
  put(folder / "x.png", bytes);
  return io::read_png(folder / "x.png", options);
}
std::string refusal(const std::string& bytes, const io::PngOptions& options = {}) {
  return error_of<FormatError>([&] { load(bytes, options); });
}
std::string text(std::initializer_list<int> bytes) {
  std::string out;
  for (const int b : bytes) out += static_cast<char>(b);
  return out;
}
Tensor image(const Shape& shape) {
  const Tensor x = empty(shape, {.dtype = DType::u8});
  for (int64_t i = 0; i < x.numel(); ++i)
    static_cast<uint8_t*>(x.data())[i] = static_cast<uint8_t>(i * 41 + 7);
  return x;
}

}  // namespace

TEST_CASE("PNG: a build without it says so" * doctest::skip(io::has_png())) {
  CHECK(contains(error_of<Error>([] { io::read_png("x.png"); }), "this build has no PNG"));
  CHECK(contains(error_of<Error>([] { io::write_png("x.png", Tensor()); }), "BRUME_PNG=ON"));
}

TEST_SUITE_BEGIN("PNG" * doctest::skip(!io::has_png()));

TEST_CASE("PNG: grey, RGB and alpha pictures come back with the same pixels") {
  const TemporaryFolder folder;
  for (const int64_t channels : {1, 2, 3, 4}) {
    const Tensor x = image({channels, 5, 7});
    io::write_png(folder / "x.png", x);
    const Tensor y = io::read_png(folder / "x.png", {.keep_alpha = true});
    CHECK(y.shape() == x.shape());
    CHECK(bytes_of(y) == bytes_of(x));
    const int64_t colours = channels < 3 ? 1 : 3;
    const Tensor opaque = io::read_png(folder / "x.png");
    CHECK(opaque.shape() == Shape{colours, 5, 7});
    CHECK(bytes_of(opaque) == bytes_of(x).substr(0, static_cast<size_t>(colours) * 35));
  }
  const Tensor last = relayout(image({3, 5, 7}), Layout::channels_last);
  io::write_png(folder / "x.png", last);
  CHECK(bytes_of(io::read_png(folder / "x.png")) == bytes_of(image({3, 5, 7})));
  io::write_png(folder / "x.png", image({4, 6}));
  CHECK(io::read_png(folder / "x.png").shape() == Shape{1, 4, 6});
}

TEST_CASE("PNG: the same pixels give the same bytes, with no time in them") {
  const TemporaryFolder folder;
  io::write_png(folder / "a.png", image({3, 20, 20}));
  io::write_png(folder / "b.png", image({3, 20, 20}));
  CHECK(get(folder / "a.png") == get(folder / "b.png"));
  CHECK(!contains(get(folder / "a.png"), "tIME"));
}

TEST_CASE("PNG: 16 bits are rounded to 8, or refused if they matter, and fewer are stretched") {
  const std::string deep = png_bytes({.width = 1, .depth = 16}, {text({0x01, 0x02})});
  CHECK(contains(refusal(deep, {.refuse_16_bits = true}),
                 "x.png: a picture of 16 bits a sample, of which 8 would be lost"));
  const std::string shallow = png_bytes({.width = 2, .depth = 4}, {text({0x5f})});
  CHECK(bytes_of(load(shallow, {.refuse_16_bits = true})) == text({85, 255}));
  CHECK(bytes_of(load(
            png_bytes({.width = 3, .depth = 16}, {text({0xff, 0xff, 0x01, 0x00, 0x00, 0x80})}))) ==
        text({0xff, 0x01, 0x00}));
  CHECK(bytes_of(load(png_bytes({.width = 3, .depth = 1}, {text({0xa0})}))) == text({255, 0, 255}));
  CHECK(bytes_of(load(png_bytes({.width = 2, .depth = 4}, {text({0x1f})}))) == text({17, 255}));
}

TEST_CASE("PNG: palettes become colours, and transparency is left out or kept") {
  const std::string palette = png_chunk("PLTE", text({10, 20, 30, 40, 50, 60}));
  const std::string alpha = png_chunk("tRNS", text({128}));
  const std::string file = png_bytes({.width = 2, .colour = 3}, {text({1, 0})}, palette + alpha);
  CHECK(bytes_of(load(file)) == text({40, 10, 50, 20, 60, 30}));
  CHECK(bytes_of(load(file, {.keep_alpha = true})) == text({40, 10, 50, 20, 60, 30, 255, 128}));
  const std::string grey = png_bytes({.width = 2}, {text({7, 9})}, png_chunk("tRNS", text({0, 9})));
  CHECK(bytes_of(load(grey)) == text({7, 9}));
  CHECK(bytes_of(load(grey, {.keep_alpha = true})) == text({7, 9, 255, 0}));
}

TEST_CASE("PNG: interlaced pictures are put together") {
  std::vector<std::string> rows;
  for (int y = 0; y < 11; ++y) {
    rows.emplace_back();
    for (int x = 0; x < 9; ++x) rows.back() += static_cast<char>(16 * y + x);
  }
  const Tensor x = load(png_bytes({.width = 9, .height = 11, .interlace = 1}, interlaced(rows)));
  std::string wanted;
  for (const std::string& row : rows) wanted += row;
  CHECK(bytes_of(x) == wanted);
}

TEST_CASE("PNG: gamma, profiles, texts and unknown chunks do not matter, sound or not") {
  const std::string extra = png_chunk("gAMA", text({0, 0, 0x10, 0})) +
                            png_chunk("iCCP", "name\1not compressed") +
                            png_chunk("zTXt", std::string("key\0\0broken", 11)) +
                            png_chunk("eXIf", "xx") + png_chunk("abCd", "own");
  CHECK(bytes_of(load(png_bytes({.width = 2}, {text({7, 9})}, extra))) == text({7, 9}));
}

TEST_CASE("PNG: what libpng reports comes as our error, with its reason") {
  const std::string good = png_bytes({.width = 2}, {text({7, 9})});
  CHECK(contains(refusal(""), "not a sound PNG: the file ends early"));
  CHECK(contains(refusal("GIF89a and more bytes"), "not a sound PNG: Not a PNG file"));
  CHECK(contains(refusal(good.substr(0, good.size() - 1)), "the file ends early"));
  std::string changed = good;
  changed[20] ^= 1;
  CHECK(contains(refusal(changed), "IHDR: CRC error"));
  CHECK(contains(refusal(png_bytes({.width = 0}, {""})), "Invalid IHDR"));
  CHECK(contains(refusal(png_bytes({.depth = 3}, {"x"})), "Invalid IHDR"));
  CHECK(contains(refusal(png_bytes({.colour = 3}, {"x"})), "Missing PLTE"));
  CHECK(contains(refusal(png_bytes({.width = 9}, {"x"})), "not a sound PNG"));
  CHECK(contains(refusal(png_bytes({.height = 2}, {"x"})), "not a sound PNG"));
}

TEST_CASE("PNG: a picture far larger than its file is refused before memory is taken") {
  const std::string grey = png_bytes({.width = 8000, .height = 8000}, {"x"});
  CHECK(contains(refusal(grey), "a picture of 8000 x 8000 pixels needs more memory"));
  CHECK(contains(refusal(grey), "max_pixel_bytes"));
  const std::string twice = png_bytes({.width = 6000, .height = 6000, .interlace = 1}, {"x"});
  CHECK(contains(refusal(twice), "needs more memory"));
  CHECK(contains(refusal(png_bytes({.width = 0x7fffffff, .height = 0x7fffffff}, {"x"})),
                 "not a sound PNG"));
  const std::string small = png_bytes({.width = 2, .height = 1}, {"xy"});
  CHECK(contains(refusal(small, {.max_pixel_bytes = 1}), "the 1 bytes that max_pixel_bytes"));
  CHECK(load(small, {.max_pixel_bytes = 2}).numel() == 2);
}

TEST_CASE("PNG: pictures that cannot be written are refused by shape and dtype") {
  const TemporaryFolder folder;
  const auto refuse = [&](const Shape& shape) {
    return error_of<ShapeError>(
        [&] { io::write_png(folder / "x.png", zeros(shape, {.dtype = DType::u8})); });
  };
  for (const Shape& shape :
       {Shape{}, Shape{3}, Shape{5, 2, 2}, Shape{1, 1, 2, 2}, Shape{0, 2, 2}, Shape{3, 0, 2}})
    CHECK(contains(refuse(shape), "wanted [H, W] or [C, H, W]"));
  CHECK(contains(error_of<DTypeError>([&] {
                   io::write_png(folder / "x.png", zeros({2, 2}));
                 }),
                 "wanted u8, got f32; write_png_grid"));
  CHECK(contains(error_of<FormatError>([&] {
                   io::write_png(folder / "x.png", zeros({1, 2000000}, {.dtype = DType::u8}));
                 }),
                 "libpng refuses: "));
  CHECK(error_of<IoError>([&] { io::write_png(folder / "no/x.png", image({2, 2})); }) != "");
}

TEST_CASE("PNG: a batch becomes a grid, filled row by row, clamped to black and white") {
  const TemporaryFolder folder;
  const Tensor x = from_vector<float>({-1, 1, 0, -3, 5, std::nanf("")}, {3, 1, 1, 2});
  io::write_png_grid(folder / "x.png", x, {.columns = 2, .padding = 1, .scale = 2});
  const Tensor y = io::read_png(folder / "x.png");
  CHECK(y.shape() == Shape{1, 7, 11});
  const std::string bytes = bytes_of(y), blank(11, '\0');
  const std::string first = text({0, 0, 0, 255, 255, 0, 128, 128, 0, 0, 0});
  const std::string second = text({0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(bytes == blank + first + first + blank + second + second + blank);

  io::write_png_grid(folder / "x.png", zeros({5, 3, 4, 4}));
  CHECK(io::read_png(folder / "x.png").shape() == Shape{3, 2 * 6 + 2, 3 * 6 + 2});
  io::write_png_grid(folder / "x.png", zeros({2, 1, 4, 4}), {.columns = 9, .padding = 0});
  CHECK(io::read_png(folder / "x.png").shape() == Shape{1, 4, 8});
  CHECK_THROWS_AS(io::write_png_grid(folder / "x.png", zeros({1, 2, 4, 4})), ShapeError);
  CHECK_THROWS_AS(io::write_png_grid(folder / "x.png", zeros({1, 4, 4})), ShapeError);
  CHECK_THROWS_AS(io::write_png_grid(folder / "x.png", zeros({1, 1, 4, 4}), {.scale = 0}),
                  ShapeError);
  CHECK_THROWS_AS(io::write_png_grid(folder / "x.png", zeros({1, 1, 4, 4}, {.dtype = DType::u8})),
                  DTypeError);
}

TEST_CASE("PNG: signed values go from dark blue over white to dark red") {
  const TemporaryFolder folder;
  const Tensor x = from_vector<float>({-1, -0.75F, 0, 0.5F, 9, std::nanf("")}, {1, 1, 1, 6});
  io::write_png_grid(folder / "x.png", x, {.padding = 0, .colours = io::Colours::blue_red});
  const Tensor y = io::read_png(folder / "x.png");
  CHECK(y.shape() == Shape{3, 1, 6});
  CHECK(bytes_of(y) ==
        text({20, 55, 245, 220, 110, 0, 40, 95, 245, 100, 10, 0, 110, 160, 245, 80, 30, 0}));
  CHECK_THROWS_AS(
      io::write_png_grid(folder / "x.png", zeros({1, 3, 4, 4}), {.colours = io::Colours::blue_red}),
      ShapeError);
}

TEST_SUITE_END();

}  // namespace brume::test
