#include <brume/core/cpu/copy.h>

#include <algorithm>
#include <cstring>

#include <brume/core/cpu/element.h>
#include <brume/core/cpu/element_walk.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/kernels/pointwise.h>

namespace brume::cpu {
namespace {

// Rows of a walk, shared out in pieces of about kWalkGrain elements: f(first row's position, rows).
template <class F>
void for_rows(const Walk& walk, F&& f) {
  if (walk.count == 0) return;
  const int64_t length = walk.inner_size(), rows = walk.count / length;
  const int64_t grain = std::max<int64_t>(kWalkGrain / length, 1);
  parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
    Position position(walk, begin * length);
    for (int64_t row = begin; row < end; ++row) {
      f(position);
      position.advance(walk, length);
    }
  });
}

template <class T>
void fill_row(T* y, int64_t stride, int64_t n, T value) {
  if (stride == 1) {
    // In vectors by hand: at -O2 GCC 12 stores one by one.
    constexpr int64_t kLanes = 16 / sizeof(T);
    T lanes[kLanes];
    std::fill(lanes, lanes + kLanes, value);
    for (; n >= kLanes; n -= kLanes, y += kLanes) std::memcpy(y, lanes, sizeof lanes);
    std::copy(lanes, lanes + n, y);
  } else
    for (int64_t i = 0; i < n; ++i) y[i * stride] = value;
}

// Elements of one size are moved as integers of that size.
template <class Word>
void copy_row(const Word* x, int64_t x_stride, Word* y, int64_t y_stride, int64_t n) {
  if (x_stride == 0)
    fill_row(y, y_stride, n, *x);
  else if (x_stride == 1 && y_stride == 1)
    std::memcpy(y, x, static_cast<size_t>(n) * sizeof(Word));
  else
    for (int64_t i = 0; i < n; ++i) y[i * y_stride] = x[i * x_stride];
}

typedef uint32_t Quad __attribute__((vector_size(16)));

// 4 x 4 elements: rows of x become columns of y.
void transpose_4x4(const uint32_t* x, int64_t x_row, uint32_t* y, int64_t y_row) {
  Quad a, b, c, d;
  std::memcpy(&a, x, 16);
  std::memcpy(&b, x + x_row, 16);
  std::memcpy(&c, x + 2 * x_row, 16);
  std::memcpy(&d, x + 3 * x_row, 16);
  const Quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const Quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const Quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Quad rows[] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                       __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                       __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                       __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(y + i * y_row, &rows[i], 16);
}

// y[j, i] = x[i, j] for i < rows, j < columns, both contiguous along their second index.
template <class Word>
void transpose(const Word* x, int64_t x_row, Word* y, int64_t y_row, int64_t rows,
               int64_t columns) {
  int64_t square_rows = 0, square_columns = 0;
  if constexpr (sizeof(Word) == 4) {
    square_rows = rows / 4 * 4;
    square_columns = columns / 4 * 4;
    // The side with the longer stride is finished line by line: with 4 KiB between its rows they
    // share one set of the cache, which holds only some of them.
    if (y_row > x_row) {
      for (int64_t j = 0; j < square_columns; j += 4)
        for (int64_t i = 0; i < square_rows; i += 4)
          transpose_4x4(x + i * x_row + j, x_row, y + j * y_row + i, y_row);
    } else {
      for (int64_t i = 0; i < square_rows; i += 4)
        for (int64_t j = 0; j < square_columns; j += 4)
          transpose_4x4(x + i * x_row + j, x_row, y + j * y_row + i, y_row);
    }
  }
  for (int64_t i = square_rows; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) y[j * y_row + i] = x[i * x_row + j];
  for (int64_t j = square_columns; j < columns; ++j)
    for (int64_t i = 0; i < square_rows; ++i) y[j * y_row + i] = x[i * x_row + j];
}

// The axis along which x lies contiguous, if it is another than y's; -1 otherwise.
int transposed_axis(const Walk& walk) {
  if (walk.rank < 2 || walk.strides[1][walk.rank - 1] != 1) return -1;
  for (int axis = 0; axis < walk.rank - 1; ++axis)
    if (walk.strides[0][axis] == 1) return axis;
  return -1;
}

// Between row-major and channels-last, and the like: tiles of two axes, of which one is contiguous
// in x and the other in y. 32 rows of 32 elements fill whole cache lines on both sides.
template <class Word>
void copy_transposed(const Walk& walk, int x_axis, const Word* x, Word* y) {
  constexpr int64_t kTile = 32;
  const int y_axis = walk.rank - 1;
  const int64_t columns = walk.sizes[x_axis], rows = walk.sizes[y_axis];
  const int64_t tiles_down = (rows + kTile - 1) / kTile;
  const int64_t tiles_across = (columns + kTile - 1) / kTile;
  int64_t planes = 1;
  for (int i = 0; i < walk.rank; ++i) planes *= i == x_axis || i == y_axis ? 1 : walk.sizes[i];
  const int64_t tiles = planes * tiles_down * tiles_across;
  parallel_for(tiles, kWalkGrain / (kTile * kTile), [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t i = tile % tiles_down * kTile, j = tile / tiles_down % tiles_across * kTile;
      int64_t plane = tile / (tiles_down * tiles_across);
      int64_t from = i * walk.strides[0][y_axis] + j, to = i + j * walk.strides[1][x_axis];
      for (int axis = y_axis - 1; axis >= 0; --axis) {
        if (axis == x_axis) continue;
        from += plane % walk.sizes[axis] * walk.strides[0][axis];
        to += plane % walk.sizes[axis] * walk.strides[1][axis];
        plane /= walk.sizes[axis];
      }
      transpose(x + from, walk.strides[0][y_axis], y + to, walk.strides[1][x_axis],
                std::min(kTile, rows - i), std::min(kTile, columns - j));
    }
  });
}

template <class Word>
void copy_words(const Walk& walk, const Word* x, Word* y) {
  if (walk.linear[0] && walk.linear[1]) {
    parallel_for(walk.count, kWalkGrain, [&](int64_t begin, int64_t end) {
      copy_row(x + begin, 1, y + begin, 1, end - begin);
    });
  } else if (const int axis = transposed_axis(walk); axis >= 0) {
    copy_transposed(walk, axis, x, y);
  } else {
    for_rows(walk, [&](const Position& row) {
      copy_row(x + row.offset(walk, 0), walk.inner_stride(0), y + row.offset(walk, 1),
               walk.inner_stride(1), walk.inner_size());
    });
  }
}

template <class T>
void convert_as(const View& x, const View& y) {
  const View* views[] = {&x, &y};
  walk_blocks<T>(
      views, 1, y,
      [](const void*, int64_t n, T* const* p) {
        std::memcpy(p[1], p[0], static_cast<size_t>(n) * sizeof(T));
      },
      nullptr);
}

}  // namespace

void copy(const View& x, const View& y) {
  if (x.dtype != y.dtype) {
    fits_f32(x.dtype) && fits_f32(y.dtype) ? convert_as<float>(x, y) : convert_as<double>(x, y);
    return;
  }
  const View* views[] = {&x, &y};
  const Walk walk(views, y);
  if (walk.count == 0) return;
  switch (item_size(x.dtype)) {
    case 1:
      return copy_words(walk, x.as<const uint8_t>(), y.as<uint8_t>());
    case 2:
      return copy_words(walk, x.as<const uint16_t>(), y.as<uint16_t>());
    case 4:
      return copy_words(walk, x.as<const uint32_t>(), y.as<uint32_t>());
    default:
      return copy_words(walk, x.as<const uint64_t>(), y.as<uint64_t>());
  }
}

void fill(double value, const View& y) {
  const View* views[] = {&y};
  const Walk walk(views, y);
  dispatch<float, double, bf16, f16, int32_t, int64_t, uint8_t, bool>(
      y.dtype, "fill", [&]<class T>(Type<T>) {
        const T filling = element<T>(value);
        for_rows(walk, [&](const Position& row) {
          fill_row(y.as<T>() + row.offset(walk, 0), walk.inner_stride(0), walk.inner_size(),
                   filling);
        });
      });
}

}  // namespace brume::cpu
