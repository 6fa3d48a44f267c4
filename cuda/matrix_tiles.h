#pragma once
// The launch of a tiled product.

#include <type_traits>

#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/matrix_tile.cuh>

namespace brume::cuda {

template <int kSide, class Problems>
__global__ void __launch_bounds__(kTileThreads,
                                  sizeof(Wide<typename Problems::Element>) == 4 && kSide == 4 ? 2
                                                                                              : 1)
    multiply_tiles(Problems problems, uint32_t row_tiles, uint32_t column_tiles) {
  multiply_tile<kSide>(problems, row_tiles, column_tiles);
}

/// `products` results of rows x columns.
template <class Problems>
void launch_tiles(const char* op, const Problems& problems, int64_t products, int64_t rows,
                  int64_t columns) {
  const auto go = [&]<int kSide>(std::integral_constant<int, kSide>) {
    const int64_t row_tiles = ceil_div(rows, 16 * kSide),
                  column_tiles = ceil_div(columns, 16 * kSide);
    launch(multiply_tiles<kSide, Problems>, count32(op, products * row_tiles * column_tiles),
           kTileThreads, 0, stream(op), problems, count32(op, row_tiles),
           count32(op, column_tiles));
  };
  // Wide tiles from 128 x 128 on. The choice does not show in the bits: a sum has one order.
  constexpr bool kMayBeWide = std::is_same_v<typename Problems::Element, float>;
  if constexpr (kMayBeWide)
    if (rows >= 128 && columns >= 96) return go(std::integral_constant<int, 8>{});
  go(std::integral_constant<int, 4>{});
}

}  // namespace brume::cuda
