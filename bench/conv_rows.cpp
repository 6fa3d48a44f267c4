// Convolutions of the models, each in its three passes; rates count the direct algorithm's work,
// whatever the algorithm.

#include <brume/core/backend.h>
#include <brume/core/tensor.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

struct Size {
  int64_t batch, ci, co, side, kernel, stride, groups = 1;
};

std::string name_of(const Size& s) {
  std::string name = std::to_string(s.batch) + "x" + std::to_string(s.ci);
  if (s.co != s.ci) name += "to" + std::to_string(s.co);
  name += "x" + std::to_string(s.side);
  if (s.kernel != 3) name += "_k" + std::to_string(s.kernel);
  if (s.stride != 1) name += "_s" + std::to_string(s.stride);
  if (s.groups != 1) name += "_g" + std::to_string(s.groups);
  return name;
}

void add(Rows& rows, const Size& s, ConvAlgorithm algorithm, const std::string& suffix) {
  ConvParams p;
  p.algorithm = algorithm;
  p.groups = s.groups;
  for (int i = 0; i < 2; ++i) {
    p.stride[i] = s.stride;
    p.padding[i] = s.kernel / 2;
  }
  const int64_t side = (s.side + 2 * (s.kernel / 2) - s.kernel) / s.stride + 1;
  const double flops = 2.0 * static_cast<double>(s.batch * s.ci / s.groups * s.co * side * side *
                                                 s.kernel * s.kernel);
  const auto x = [=] { return values({s.batch, s.ci, s.side, s.side}, Layout::channels_last); };
  const auto y = [=] { return values({s.batch, s.co, side, side}, Layout::channels_last); };
  const auto w = [=] { return values({s.co, s.ci / s.groups, s.kernel, s.kernel}); };
  const std::string name = "conv_" + name_of(s);
  rows.push_back({name + "_forward" + suffix, [=] {
                    const Tensor x0 = x(), w0 = w(), y0 = y();
                    return Work{
                        [=] { kernels(x0).conv.forward(x0.view(), w0.view(), p, {}, y0.view()); },
                        flops};
                  }});
  rows.push_back(
      {name + "_data" + suffix, [=] {
         const Tensor x0 = x(), w0 = w(), y0 = y();
         return Work{
             [=] { kernels(x0).conv.input_gradient(y0.view(), w0.view(), p, {}, x0.view()); },
             flops};
       }});
  rows.push_back(
      {name + "_weight" + suffix, [=] {
         const Tensor x0 = x(), w0 = w(), y0 = y();
         return Work{
             [=] { kernels(x0).conv.weight_gradient(x0.view(), y0.view(), p, w0.view(), {}); },
             flops};
       }});
  rows.push_back({name + "_weight_bias" + suffix, [=] {
                    const Tensor x0 = x(), w0 = w(), y0 = y(), b0 = values({s.co});
                    return Work{[=] {
                                  kernels(x0).conv.weight_gradient(x0.view(), y0.view(), p,
                                                                   w0.view(), b0.view());
                                },
                                flops};
                  }});
}

}  // namespace

void add_conv_rows(Rows& rows) {
  const Size squares[] = {
      {8, 64, 64, 64, 3, 1},   {8, 128, 128, 32, 3, 1}, {8, 256, 256, 16, 3, 1},
      {16, 32, 32, 32, 3, 1},  {16, 64, 64, 32, 3, 1},  {16, 128, 128, 16, 3, 1},
      {16, 128, 128, 8, 3, 1}, {16, 64, 64, 16, 3, 1},  {16, 64, 64, 8, 3, 1},
      {16, 128, 64, 16, 3, 1}, {1, 32, 32, 32, 3, 1},   {1, 64, 64, 32, 3, 1},
      {1, 64, 64, 16, 3, 1},   {1, 64, 64, 8, 3, 1},    {1, 128, 128, 16, 3, 1},
      {1, 128, 128, 8, 3, 1}};
  for (const Size& s : squares) {
    add(rows, s, ConvAlgorithm::direct, "");
    add(rows, s, ConvAlgorithm::winograd_f2, "_f2");
    add(rows, s, ConvAlgorithm::winograd_f4, "_f4");
  }
  const Size others[] = {{16, 3, 32, 32, 3, 1},      {16, 32, 3, 32, 3, 1},
                         {16, 64, 64, 32, 1, 1},     {16, 128, 64, 16, 1, 1},
                         {16, 64, 64, 32, 3, 2},     {1, 3, 32, 32, 3, 1},
                         {1, 64, 64, 16, 1, 1},      {16, 64, 64, 32, 3, 1, 64},
                         {16, 64, 64, 32, 3, 2, 64}, {16, 64, 64, 32, 3, 1, 4}};
  for (const Size& s : others) add(rows, s, ConvAlgorithm::direct, "");
}

}  // namespace brume::bench
