#pragma once
// The launch of a tiled product: bf16 and f16 on the matrix unit, f64 on CUDA cores, f32 as
// f32_mode() says.

#include <cstdint>
#include <type_traits>

#include <brume/core/f32_mode.h>
#include <brume/core/math/ceil_div.h>
#include <brume/cuda/launch.h>
#include <brume/cuda/steps.h>
#include <brume/cuda/device/matrix_tile.cuh>
#include <brume/cuda/device/tensor_tile.cuh>

namespace brume::cuda {

template <int kSide, class Problems>
__global__ void __launch_bounds__(kTileThreads,
                                  sizeof(Wide<typename Problems::Element>) == 4 && kSide == 4 ? 2
                                                                                              : 1)
    multiply_tiles(Problems problems, uint32_t row_tiles, uint32_t column_tiles) {
  multiply_tile<kSide>(problems, row_tiles, column_tiles);
}

template <class Form, int kTile, class Problems>
__global__ void __launch_bounds__(kTensorThreads<kTile>,
                                  kTile == 128 ? 1 : (sizeof(typename Form::Element) == 4 ? 3 : 4))
    multiply_tensor_tiles(Problems problems, uint32_t row_tiles, uint32_t column_tiles) {
  multiply_tensor_tile<Form, kTile>(problems, row_tiles, column_tiles);
}

/// `products` results of rows x columns.
template <class Problems>
void launch_tiles(const char* op, const Problems& problems, int64_t products, int64_t rows,
                  int64_t columns) {
  const auto go = [&](auto kernel, int tile, int threads, size_t shared_bytes) {
    const int64_t row_tiles = ceil_div(rows, tile), column_tiles = ceil_div(columns, tile);
    launch(kernel, count32(op, products * row_tiles * column_tiles), threads, shared_bytes,
           stream(op), problems, count32(op, row_tiles), count32(op, column_tiles));
  };
  using T = typename Problems::Element;
  // The choice of a tile does not show in the bits: a sum has one order.
  const auto go_in_form = [&]<class Form>(Form) {
    // Wide tiles if they are enough to fill a GPU of 132 multiprocessors.
    if (products * ceil_div(rows, 128) * ceil_div(columns, 128) >= 132)
      go(multiply_tensor_tiles<Form, 128, Problems>, 128, kTensorThreads<128>, kTensorBytes<128>);
    else
      go(multiply_tensor_tiles<Form, 64, Problems>, 64, kTensorThreads<64>, kTensorBytes<64>);
  };
  if constexpr (kOnMatrixUnit<T>) {
    go_in_form(Halves<T>{});
  } else {
    if constexpr (std::is_same_v<T, float>) {
      if (f32_mode() == F32Mode::tf32) return go_in_form(Tf32{});
      if (f32_mode() == F32Mode::bf16x3) return go_in_form(Bf16x3{});
      if (rows >= 128 && columns >= 96)
        return go(multiply_tiles<8, Problems>, 128, kTileThreads, 0);
    }
    go(multiply_tiles<4, Problems>, 64, kTileThreads, 0);
  }
}

}  // namespace brume::cuda
