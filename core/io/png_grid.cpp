#include <algorithm>
#include <array>
#include <cmath>

#include <brume/core/error.h>
#include <brume/core/io/png.h>

namespace brume::io {
namespace {

uint8_t to_pixel(float x) {
  const float value = (x + 1) * 127.5F;
  return value > 0 ? static_cast<uint8_t>(std::lround(std::min(value, 255.0F))) : uint8_t{0};
}

// Linear between five colours; the ends differ in hue and the middle in lightness, so the sign is
// seen by colour-blind readers too.
std::array<uint8_t, 3> blue_red(float x) {
  static constexpr std::array<std::array<float, 3>, 5> kStops{
      {{20, 40, 110}, {90, 150, 210}, {245, 245, 245}, {220, 100, 80}, {110, 10, 30}}};
  if (std::isnan(x)) return {0, 0, 0};
  const float place = (std::clamp(x, -1.0F, 1.0F) + 1) * 2;  // 0 to 4
  const auto below = static_cast<size_t>(std::min(place, 3.0F));
  const float share = place - static_cast<float>(below);
  std::array<uint8_t, 3> out{};
  for (size_t c = 0; c < 3; ++c)
    out[c] = static_cast<uint8_t>(
        std::lround((1 - share) * kStops[below][c] + share * kStops[below + 1][c]));
  return out;
}

int64_t square_root_up(int64_t n) {
  int64_t root = 0;
  while (root * root < n) ++root;
  return root;
}

}  // namespace

void write_png_grid(const std::string& path, const Tensor& x, const PngGridOptions& options) {
  check(x.rank() == 4 && (x.size(1) == 1 || x.size(1) == 3) && x.numel() > 0,
        "write_png_grid: wanted [B, C, H, W] with C = 1 or 3, got ", x.shape());
  check<DTypeError>(is_floating(x.dtype()), "write_png_grid: wanted a floating type, got ",
                    x.dtype());
  const auto [columns_wanted, padding, scale, colours] = options;
  check(colours == Colours::plain || x.size(1) == 1,
        "write_png_grid: blue_red colours one channel, got ", x.shape());
  check(columns_wanted >= 0 && padding >= 0 && scale >= 1 && padding <= 4096 && scale <= 4096,
        "write_png_grid: columns ", columns_wanted, ", padding ", padding, " or scale ", scale,
        " is out of range");
  const int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const int64_t planes = colours == Colours::blue_red ? 3 : C;
  const int64_t columns = columns_wanted ? std::min(columns_wanted, B) : square_root_up(B);
  const int64_t rows = (B + columns - 1) / columns;
  const int64_t height = rows * (H * scale + padding) + padding;
  const int64_t width = columns * (W * scale + padding) + padding;
  const Tensor grid = zeros({planes, height, width}, {.dtype = DType::u8});
  auto* pixels = static_cast<uint8_t*>(grid.data());
  const Tensor plain = transfer(relayout(convert(x, DType::f32), Layout::row_major), kCpu);
  const auto* values = static_cast<const float*>(plain.data());
  for (int64_t b = 0; b < B; ++b) {
    const int64_t top = padding + b / columns * (H * scale + padding);
    const int64_t left = padding + b % columns * (W * scale + padding);
    for (int64_t c = 0; c < planes; ++c)
      for (int64_t i = 0; i < H * scale; ++i)
        for (int64_t j = 0; j < W * scale; ++j) {
          const int64_t channel = std::min(c, C - 1);
          const float value = values[((b * C + channel) * H + i / scale) * W + j / scale];
          pixels[(c * height + top + i) * width + left + j] =
              colours == Colours::blue_red ? blue_red(value)[static_cast<size_t>(c)]
                                           : to_pixel(value);
        }
  }
  write_png(path, grid);
}

}  // namespace brume::io
