#include <brume/core/cpu/conv_pointwise.h>

#include <algorithm>

#include <brume/core/cpu/gemm_driver.h>
#include <brume/core/cpu/scratch.h>

namespace brume::cpu {
namespace {

// to = from matrix, pixel by pixel.
template <class T>
void multiply(const ConvShape& s, const Image<const T>& from, int64_t from_channels,
              const Matrix<T>& matrix, int64_t to_channels, const ConvTerms<T>& terms,
              const Image<T>& to) {
  Scratch scratch;
  Gemm<T> g{};
  g.batch = s.batch;
  g.m = s.pixels();
  g.n = to_channels;
  g.k = from_channels;
  g.a = {from.data, from.space[2], 1};
  g.a_batch = from.batch;
  g.b = matrix;
  g.c = to.data;
  g.c_batch = to.batch;
  g.c_row = to.space[2];
  g.epilogue = {terms.bias, terms.residual.data, terms.residual.space[2], terms.scale};
  g.residual_batch = terms.residual.batch;
  if (terms.per_sample) {
    T* shift = scratch.take<T>(s.batch * to_channels);
    for (int64_t b = 0; b < s.batch; ++b)
      shift_of(terms, b, 0, to_channels, shift + b * to_channels);
    g.epilogue.bias = shift;
    g.bias_batch = to_channels;
  } else if (samples_continue(s, from) && samples_continue(s, to) &&
             (!terms.residual.data || samples_continue(s, terms.residual))) {
    g.m *= g.batch;
    g.batch = 1;
  }
  run(g);
}

}  // namespace

bool is_pointwise(const ConvShape& s) {
  bool plain = s.taps() == 1 && s.groups == 1;
  for (int i = 0; i < 3; ++i) plain = plain && s.stride[i] == 1 && s.padding[i] == 0;
  return plain;
}

template <class T>
void pointwise_forward(const ConvShape& s, const Image<const T>& x, const Filter<T>& w,
                       const ConvTerms<T>& terms, const Image<T>& y) {
  multiply(s, x, s.ci, Matrix<T>{w.data, w.ci, w.co}, s.co, terms, y);
}

template <class T>
void pointwise_input_gradient(const ConvShape& s, const Image<const T>& gy, const Filter<T>& w,
                              const ConvTerms<T>& terms, const Image<T>& gx) {
  multiply(s, gy, s.co, Matrix<T>{w.data, w.co, w.ci}, s.ci, terms, gx);
}

template <class T>
void pointwise_weight_gradient(const ConvShape& s, const Image<const T>& x,
                               const Image<const T>& gy, T* gw) {
  Gemm<T> g{};
  g.batch = 1;
  g.m = s.co;
  g.n = s.ci;
  g.k = s.batch * s.pixels();
  g.a = {gy.data, 1, gy.space[2]};
  g.b = {x.data, x.space[2], 1};
  g.c = gw;
  g.c_row = s.ci;
  g.epilogue.scale = 1;
  run(g);
}

template void pointwise_forward(const ConvShape&, const Image<const float>&, const Filter<float>&,
                                const ConvTerms<float>&, const Image<float>&);
template void pointwise_forward(const ConvShape&, const Image<const double>&, const Filter<double>&,
                                const ConvTerms<double>&, const Image<double>&);
template void pointwise_input_gradient(const ConvShape&, const Image<const float>&,
                                       const Filter<float>&, const ConvTerms<float>&,
                                       const Image<float>&);
template void pointwise_input_gradient(const ConvShape&, const Image<const double>&,
                                       const Filter<double>&, const ConvTerms<double>&,
                                       const Image<double>&);
template void pointwise_weight_gradient(const ConvShape&, const Image<const float>&,
                                        const Image<const float>&, float*);
template void pointwise_weight_gradient(const ConvShape&, const Image<const double>&,
                                        const Image<const double>&, double*);

}  // namespace brume::cpu
