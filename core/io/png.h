#pragma once
// PNG pictures, through libpng.

#include <cstdint>
#include <string>

#include <brume/core/tensor.h>

namespace brume::io {

/// Whether this build has PNG; with BRUME_PNG=OFF the functions below raise Error.
bool has_png();

struct PngOptions {
  /// Keep transparency as a last channel; otherwise it is left out, not blended.
  bool keep_alpha = false;
  /// A picture of 16 bits a sample is an error instead of being rounded to 8.
  bool refuse_16_bits = false;
  /// Largest pixel data, in bytes; 0: twice the file and 48 MB, which a picture of one colour may
  /// exceed.
  uint64_t max_pixel_bytes = 0;
};

/// A picture as it is stored, without colour management; 16 bits a sample are rounded to 8,
/// palettes become colours.
/// @shape  u8 [C, H, W]: C = 1 grey, 3 RGB; with keep_alpha also 2 and 4
/// @throws IoError; FormatError with libpng's reason
Tensor read_png(const std::string& path, const PngOptions& options = {});

/// Writes one picture through AtomicFile; the same pixels give the same bytes.
/// @shape  image u8 [H, W] or [C, H, W], C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
/// @throws IoError; ShapeError, DTypeError
void write_png(const std::string& path, const Tensor& image);

/// From numbers to colours: -1 black to 1 white, or -1 dark blue over 0 white to 1 dark red.
enum class Colours { plain, blue_red };

struct PngGridOptions {
  int64_t columns = 0;  // 0: about as many as rows
  int64_t padding = 2;  // black pixels between pictures and around them
  int64_t scale = 1;    // each pixel becomes a square of this side
  Colours colours = Colours::plain;
};

/// Writes a batch as one picture, filled row by row.
/// @shape  x floating [B, C, H, W], C = 1, or 3 for RGB as it is
/// @units  [-1, 1] (see Colours); values beyond are clamped, NaN is black
void write_png_grid(const std::string& path, const Tensor& x, const PngGridOptions& options = {});

}  // namespace brume::io
