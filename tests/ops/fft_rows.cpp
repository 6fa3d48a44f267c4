// Rows of autograd/ops/fft.h.

#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/shape.h>

#include "tests/ops/op_row.h"

namespace brume::op_table {
namespace {

using In = const Tensors&;

// Lengths with code of their own, mixed ones, and primes that become a convolution.
Rows lengths() {
  Rows rows;
  for (const int64_t n : {1, 2, 3, 4, 5, 7, 8, 12, 13, 17, 30, 34, 64, 77}) {
    rows.push_back(
        {cat("fft of ", n), {normal({3, n, 2})}, [](In in) { return fft(in[0]); }, {.batch = 1}});
    rows.push_back(
        {cat("rfft of ", n), {normal({3, n})}, [](In in) { return rfft(in[0]); }, {.batch = 1}});
    rows.push_back({cat("irfft to ", n),
                    {normal({3, n / 2 + 1, 2})},
                    [n](In in) { return irfft(in[0], {-1}, {.sizes = {n}}); },
                    {.batch = 1}});
  }
  return rows;
}

}  // namespace

Rows fft_rows() {
  Rows rows = lengths();
  const Rows more = {
      {"fft of the first axis, ortho",
       {normal({6, 5, 2})},
       [](In in) { return fft(in[0], {0}, {.norm = FftNorm::ortho}); },
       {.second_order = true, .refuses = {{{6, 5, 3}}, {{2}}}}},
      {"ifft of two axes, cut and filled up",
       {normal({2, 6, 5, 2})},
       [](In in) {
         return ifft(in[0], {1, 2}, {.sizes = {4, 7}});
       },
       {.second_order = true, .batch = 1}},
      {"rfft of two axes",
       {normal({2, 4, 6})},
       [](In in) {
         return rfft(in[0], {1, 2}, {.norm = FftNorm::forward});
       },
       {.second_order = true, .batch = 1}},
      {"rfft of axes that are not the last",
       {normal({2, 4, 5, 3})},
       [](In in) {
         return rfft(in[0], {1, 2});
       },
       {.second_order = true, .batch = 1}},
      {"irfft of three axes",
       {normal({2, 3, 4, 4, 2})},
       [](In in) {
         return irfft(in[0], {1, 2, 3});
       },
       {.second_order = true, .batch = 1, .refuses = {{{2, 3, 4, 4, 1}}}}},
      {"complex_multiply, broadcast",
       {normal({2, 3, 2}), normal({3, 2})},
       [](In in) { return complex_multiply(in[0], in[1]); },
       {.second_order = true, .refuses = {{{2, 3}, {3, 2}}}}},
      {"complex_matmul",
       {normal({2, 4, 3, 2}), normal({2, 3, 5, 2})},
       [](In in) { return complex_matmul(in[0], in[1]); },
       {.second_order = true, .refuses = {{{2, 4, 3, 2}, {2, 4, 5, 2}}}}},
      {"mode_matmul",
       {normal({5, 3, 19, 2}), normal({3, 3, 19, 2})},
       [](In in) { return mode_matmul(in[0], in[1]); },
       {.second_order = true, .batch = 1, .refuses = {{{5, 3, 4, 2}, {2, 3, 4, 2}}}}},
      {"mode_matmul, parts in lines",
       {normal({2, 4, 2, 3}), normal({4, 1, 2, 3})},
       [](In in) { return mode_matmul(transpose(in[0], 2, 3), transpose(in[1], 2, 3)); },
       {.second_order = true, .batch = 1}},
      {"low_modes of an even axis",
       {normal({3, 8, 1, 19})},
       [](In in) { return low_modes(in[0], 5, {.single = 2, .paired = 3}); },
       {.second_order = true, .batch = 1, .refuses = {{{3, 7, 1, 19}}, {{3, 8, 3, 2}}}}},
      {"low_modes of an odd axis, columns apart",
       {normal({2, 3, 1, 7})},
       [](In in) { return low_modes(transpose(in[0], 1, 3), 3); },
       {.second_order = true, .batch = 1}},
      {"low_modes of a complex axis, some kept twice",
       {normal({2, 9, 2, 17})},
       [](In in) { return low_modes(in[0], 7, {.single = 2, .paired = 3}); },
       {.second_order = true, .batch = 1, .refuses = {{{2, 6, 2, 17}}}}},
      {"from_low_modes to an odd axis",
       {normal({3, 2, 4, 35})},
       [](In in) { return from_low_modes(in[0], 7, 1, {.single = 2, .paired = 3}); },
       {.second_order = true, .batch = 1, .refuses = {{{3, 2, 5, 35}}, {{3, 1, 4, 35}}}}},
      {"from_low_modes to a complex axis",
       {normal({2, 2, 16, 3})},
       [](In in) { return from_low_modes(in[0], 8, 2, {.single = 2, .paired = 3}); },
       {.second_order = true, .batch = 1, .refuses = {{{2, 2, 18, 3}}, {{2, 2, 15, 3}}}}},
  };
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

}  // namespace brume::op_table
