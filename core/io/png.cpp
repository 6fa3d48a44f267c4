#include <brume/core/io/png.h>

#include <png.h>

#include <csetjmp>
#include <cstring>
#include <exception>
#include <vector>

#include <brume/core/error.h>
#include <brume/core/io/atomic_file.h>
#include <brume/core/io/fs.h>
#include <brume/core/io/quote.h>

namespace brume::io {
namespace {

// What libpng's callbacks reach. libpng leaves a call that fails by longjmp, which runs no
// destructor: callbacks and the steps between setjmp and a call own nothing.
struct Context {
  const File* source = nullptr;
  uint64_t position = 0, end = 0;
  AtomicFile* target = nullptr;
  std::exception_ptr failure{};  // what a callback of ours threw
  char message[200] = "";
};

Context& context_of(png_structp png) { return *static_cast<Context*>(png_get_error_ptr(png)); }

void on_error(png_structp png, png_const_charp message) {
  Context& context = context_of(png);
  std::strncpy(context.message, message, sizeof context.message - 1);
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

// The exception is caught and kept before libpng is told, so that no C frame sees it.
template <class F>
void call_back(png_structp png, F&& work) {
  Context& context = context_of(png);
  try {
    work(context);
  } catch (...) {
    context.failure = std::current_exception();
  }
  if (context.failure) png_error(png, "");
}

void on_read(png_structp png, png_bytep out, size_t count) {
  if (const Context& c = context_of(png); count > c.end - c.position)
    png_error(png, "the file ends early");
  call_back(png, [&](Context& c) {
    c.source->read(c.position, std::as_writable_bytes(std::span(out, count)));
    c.position += count;
  });
}
void on_write(png_structp png, png_bytep bytes, size_t count) {
  call_back(png, [&](Context& c) { c.target->write(std::as_bytes(std::span(bytes, count))); });
}
void on_flush(png_structp) {}

struct PngHandle {
  PngHandle(bool is_reader, Context& context) : reads(is_reader) {
    png = reads ? png_create_read_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning)
                : png_create_write_struct(PNG_LIBPNG_VER_STRING, &context, on_error, on_warning);
    info = png ? png_create_info_struct(png) : nullptr;
    if (!info) {
      destroy();
      throw Error(cat("png: libpng does not start: ", context.message));
    }
  }
  PngHandle(const PngHandle&) = delete;
  PngHandle& operator=(const PngHandle&) = delete;
  ~PngHandle() { destroy(); }

  void destroy() {
    if (reads)
      png_destroy_read_struct(&png, &info, nullptr);
    else
      png_destroy_write_struct(&png, &info);
  }

  const bool reads;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

// Runs calls into libpng; an error there becomes an exception here. `step` owns nothing.
template <class Step>
void guarded(PngHandle& handle, Context& context, const std::string& path, Step&& step) {
  if (setjmp(png_jmpbuf(handle.png)) == 0) {
    step(handle.png, handle.info);
    return;
  }
  if (context.failure) std::rethrow_exception(context.failure);
  throw FormatError(cat(path, handle.reads ? ": not a sound PNG: " : ": libpng refuses: ",
                        printable(context.message)));
}

// Grey or RGB with 8 bits a sample, alpha only if wanted; nothing else is even looked at, so that
// texts and colour profiles cannot unpack into memory.
void start_reading(png_structp png, png_infop info, bool keep_alpha) {
  png_set_read_fn(png, nullptr, on_read);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  if (png_get_color_type(png, info) == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  if (png_get_bit_depth(png, info) == 16) png_set_scale_16(png);
  if (!keep_alpha)
    png_set_strip_alpha(png);
  else if (png_get_valid(png, info, PNG_INFO_tRNS))
    png_set_tRNS_to_alpha(png);
}

// Planes of a [C, H, W] picture to a row of interleaved samples, and back.
void gather_row(const uint8_t* planes, int64_t C, int64_t plane, uint8_t* row, int64_t W) {
  for (int64_t x = 0; x < W; ++x)
    for (int64_t c = 0; c < C; ++c) row[x * C + c] = planes[c * plane + x];
}
void scatter_row(const uint8_t* row, int64_t C, int64_t plane, uint8_t* planes, int64_t W) {
  for (int64_t x = 0; x < W; ++x)
    for (int64_t c = 0; c < C; ++c) planes[c * plane + x] = row[x * C + c];
}

}  // namespace

Tensor read_png(const std::string& path, const PngOptions& options) {
  const File file = File::open(path);
  Context context{.source = &file, .end = file.size()};
  PngHandle handle(true, context);
  int passes = 1, bits = 0;
  guarded(handle, context, path, [&](png_structp png, png_infop info) {
    start_reading(png, info, options.keep_alpha);
    bits = png_get_bit_depth(png, info);
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
  });
  check<FormatError>(bits < 16 || !options.refuse_16_bits, path,
                     ": a picture of 16 bits a sample, of which 8 would be lost; write the numbers "
                     "as floats into a .npy file");
  const int64_t C = png_get_channels(handle.png, handle.info);
  const int64_t H = png_get_image_height(handle.png, handle.info);
  const int64_t W = png_get_image_width(handle.png, handle.info);
  const uint64_t limit =
      options.max_pixel_bytes ? options.max_pixel_bytes : 2 * context.end + (uint64_t{48} << 20);
  // An interlaced picture arrives in seven passes and needs a second copy to collect them.
  const int64_t kept_rows = passes > 1 ? H : 1;
  check<FormatError>(static_cast<uint64_t>(C * W * (H + kept_rows - 1)) <= limit, path,
                     ": a picture of ", W, " x ", H, " pixels needs more memory than the ", limit,
                     " bytes that max_pixel_bytes allows");
  const Tensor image = empty({C, H, W}, {.dtype = DType::u8});  // [C, H, W]
  std::vector<uint8_t> rows(static_cast<size_t>(kept_rows * W * C));
  uint8_t *pixels = static_cast<uint8_t*>(image.data()), *kept = rows.data();
  guarded(handle, context, path, [&](png_structp png, png_infop) {
    for (int pass = 1; pass <= passes; ++pass)
      for (int64_t y = 0; y < H; ++y) {
        uint8_t* row = kept + y % kept_rows * W * C;
        png_read_row(png, row, nullptr);
        if (pass == passes) scatter_row(row, C, H * W, pixels + y * W, W);
      }
    png_read_end(png, nullptr);
  });
  return image;
}

void write_png(const std::string& path, const Tensor& image) {
  check<DTypeError>(image.dtype() == DType::u8, "write_png: '", path, "': wanted u8, got ",
                    image.dtype(), "; write_png_grid takes floating pictures");
  const bool fits =
      (image.rank() == 2 || (image.rank() == 3 && image.size(0) <= 4)) && image.numel() > 0;
  check(fits, "write_png: '", path, "': wanted [H, W] or [C, H, W] with C from 1 to 4, got ",
        image.shape());
  const int64_t C = image.rank() == 2 ? 1 : image.size(0), H = image.size(-2), W = image.size(-1);
  constexpr int kColours[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                              PNG_COLOR_TYPE_RGBA};
  const Tensor plain = transfer(relayout(image, Layout::row_major), kCpu);
  const auto* pixels = static_cast<const uint8_t*>(plain.data());
  std::vector<uint8_t> interleaved(static_cast<size_t>(W * C));
  uint8_t* row = interleaved.data();
  AtomicFile file(path);
  Context context{.target = &file};
  PngHandle handle(false, context);
  guarded(handle, context, path, [&](png_structp png, png_infop info) {
    png_set_write_fn(png, nullptr, on_write, on_flush);
    png_set_IHDR(png, info, static_cast<png_uint_32>(W), static_cast<png_uint_32>(H), 8,
                 kColours[C - 1], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int64_t y = 0; y < H; ++y) {
      gather_row(pixels + y * W, C, H * W, row, W);
      png_write_row(png, row);
    }
    png_write_end(png, info);
  });
  file.commit();
}

bool has_png() { return true; }

}  // namespace brume::io
