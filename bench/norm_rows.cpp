// Norms at the sizes of the models, forward and backward.

#include <brume/core/backend.h>
#include <brume/core/tensor.h>

#include "bench/row.h"
#include "bench/values.h"

namespace brume::bench {
namespace {

double bytes(const Tensor& x, int passes) { return 4.0 * passes * static_cast<double>(x.numel()); }

void add_group_norm(Rows& rows, int64_t batch, int64_t channels, int64_t side) {
  constexpr int64_t kGroups = 32;
  const GroupNormParams p{.groups = kGroups, .silu = true};
  struct Arrays {
    Tensor x, y, weight, bias, mean, rstd, gx, gweight, gbias;
    GroupNormTerms terms() const { return {.weight = weight.view(), .bias = bias.view()}; }
    GroupNormTerms grads() const { return {.weight = gweight.view(), .bias = gbias.view()}; }
    void forward(const GroupNormParams& params) const {
      kernels(x).norm.group_norm(x.view(), terms(), params, y.view(), mean.view(), rstd.view());
    }
  };
  const auto arrays = [=] {
    const auto image = [=] { return values({batch, channels, side, side}, Layout::channels_last); };
    const auto line = [=] { return values({channels}); };
    const auto moments = [=] { return values({batch, kGroups}); };
    return Arrays{image(), image(), line(), line(), moments(), moments(), image(), line(), line()};
  };
  const std::string name = cat("group_norm_silu_", batch, "x", channels, "x", side);
  rows.push_back({name + "_forward", [=] {
                    const Arrays a = arrays();
                    return Work{.step = [=] { a.forward(p); }, .step_bytes = bytes(a.x, 2)};
                  }});
  rows.push_back({name + "_backward", [=] {
                    const Arrays a = arrays();
                    a.forward(p);
                    return Work{.step =
                                    [=] {
                                      kernels(a.x).norm.group_norm_backward(
                                          a.x.view(), a.terms(), a.mean.view(), a.rstd.view(), p,
                                          a.y.view(), a.gx.view(), a.grads());
                                    },
                                .step_bytes = bytes(a.x, 3)};
                  }});
}

void add_layer_norm(Rows& rows, int64_t lines, int64_t width) {
  struct Arrays {
    Tensor x, y, weight, bias, mean, rstd, gx, gweight, gbias;
    void forward() const {
      kernels(x).norm.row_norm(x.view(), weight.view(), bias.view(), {}, y.view(), mean.view(),
                               rstd.view());
    }
  };
  const auto arrays = [=] {
    const auto matrix = [=] { return values({lines, width}); };
    const auto line = [=] { return values({1, width}); };
    const auto moments = [=] { return values({lines}); };
    return Arrays{matrix(),  matrix(), line(), line(), moments(),
                  moments(), matrix(), line(), line()};
  };
  const std::string name = cat("layer_norm_", lines, "x", width);
  rows.push_back({name + "_forward", [=] {
                    const Arrays a = arrays();
                    return Work{.step = [=] { a.forward(); }, .step_bytes = bytes(a.x, 2)};
                  }});
  rows.push_back({name + "_backward", [=] {
                    const Arrays a = arrays();
                    a.forward();
                    return Work{.step =
                                    [=] {
                                      kernels(a.x).norm.row_norm_backward(
                                          a.x.view(), a.weight.view(), a.mean.view(), a.rstd.view(),
                                          {}, a.y.view(), a.gx.view(), a.gweight.view(),
                                          a.gbias.view());
                                    },
                                .step_bytes = bytes(a.x, 3)};
                  }});
}

}  // namespace

void add_norm_rows(Rows& rows) {
  add_group_norm(rows, 8, 128, 32);
  add_group_norm(rows, 16, 64, 32);
  add_group_norm(rows, 1, 64, 32);
  add_layer_norm(rows, 4096, 384);
  rows.push_back({"softmax_4096x384", [] {
                    const Tensor x = values({4096, 384}), y = values({4096, 384});
                    return Work{.step = [=] { kernels(x).norm.softmax(x.view(), y.view()); },
                                .step_bytes = bytes(x, 2)};
                  }});
}

}  // namespace brume::bench
