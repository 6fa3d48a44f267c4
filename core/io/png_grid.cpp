#include <algorithm>

#include <brume/core/error.h>
#include <brume/core/io/png.h>

namespace brume::io {
namespace {

uint8_t to_pixel(float x) {
  const float value = (x + 1) * 127.5F;
  return value > 0 ? static_cast<uint8_t>(std::min(value, 255.0F) + 0.5F) : uint8_t{0};
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
  const auto [columns_wanted, padding, scale] = options;
  check(columns_wanted >= 0 && padding >= 0 && scale >= 1 && padding <= 4096 && scale <= 4096,
        "write_png_grid: columns ", columns_wanted, ", padding ", padding, " or scale ", scale,
        " is out of range");
  const int64_t B = x.size(0), C = x.size(1), H = x.size(2), W = x.size(3);
  const int64_t columns = columns_wanted ? std::min(columns_wanted, B) : square_root_up(B);
  const int64_t rows = (B + columns - 1) / columns;
  const int64_t height = rows * (H * scale + padding) + padding;
  const int64_t width = columns * (W * scale + padding) + padding;
  const Tensor grid = zeros({C, height, width}, {.dtype = DType::u8});
  auto* pixels = static_cast<uint8_t*>(grid.data());
  const Tensor plain = transfer(relayout(convert(x, DType::f32), Layout::row_major), kCpu);
  const auto* values = static_cast<const float*>(plain.data());
  for (int64_t b = 0; b < B; ++b) {
    const int64_t top = padding + b / columns * (H * scale + padding);
    const int64_t left = padding + b % columns * (W * scale + padding);
    for (int64_t c = 0; c < C; ++c)
      for (int64_t i = 0; i < H * scale; ++i)
        for (int64_t j = 0; j < W * scale; ++j)
          pixels[(c * height + top + i) * width + left + j] =
              to_pixel(values[((b * C + c) * H + i / scale) * W + j / scale]);
  }
  write_png(path, grid);
}

}  // namespace brume::io
