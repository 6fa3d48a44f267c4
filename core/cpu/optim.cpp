#include <brume/core/kernels/optim.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include <brume/core/cpu/cpu_kernels.h>
#include <brume/core/cpu/isa/optim.h>
#include <brume/core/cpu/parallel.h>

namespace brume {
namespace cpu {
namespace {

template <class T>
const OptimLoops<T>& loops() {
  if constexpr (std::is_same_v<T, float>)
    return optim_loops();
  else
    return portable::optim_loops_f64;
}

// Lists are walked in pieces that never cross tensors.
constexpr int64_t kPiece = 16 * 1024;

struct Piece {
  size_t entry;
  int64_t begin, count;
};

// view_of(i): the i-th entry's tensor.
template <class F>
std::vector<Piece> pieces(size_t entries, F view_of) {
  std::vector<Piece> out;
  for (size_t i = 0; i < entries; ++i) {
    const int64_t n = numel(view_of(i).shape);
    for (int64_t begin = 0; begin < n; begin += kPiece)
      out.push_back({i, begin, std::min(kPiece, n - begin)});
  }
  return out;
}

// f(type, piece) for every piece, spread over the threads.
template <class View_of, class F>
void for_pieces(const char* who, size_t entries, View_of view_of, F f) {
  const std::vector<Piece> list = pieces(entries, view_of);
  parallel_chunks(static_cast<int64_t>(list.size()), [&](int64_t i) {
    const Piece& piece = list[static_cast<size_t>(i)];
    dispatch<float, double>(view_of(piece.entry).dtype, who, [&](auto type) { f(type, piece); });
  });
}

template <class T>
T* at(const View& x, int64_t begin) {
  return x ? x.as<T>() + begin : nullptr;
}

template <class T>
AdamNumbers<T> numbers(const AdamParams& p, int64_t step) {
  const double correction1 = 1 - std::pow(p.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(p.beta2, static_cast<double>(step));
  return {.grad_scale = static_cast<T>(p.maximize ? -p.grad_scale : p.grad_scale),
          .weight_decay = static_cast<T>(p.decoupled ? 0 : p.weight_decay),
          .keep = static_cast<T>(p.decoupled ? 1 - p.lr * p.weight_decay : 1),
          .beta1_rest = static_cast<T>(1 - p.beta1),
          .beta2 = static_cast<T>(p.beta2),
          .beta2_rest = static_cast<T>(1 - p.beta2),
          .inverse_root_correction = static_cast<T>(1 / std::sqrt(correction2)),
          .eps = static_cast<T>(p.eps),
          .step_size = static_cast<T>(p.lr / correction1),
          .average_rest = static_cast<T>(1 - p.average_decay)};
}

/// f(params) with the factor, which is a number on the CPU, in its scale.
template <class Params, class F>
void with_factor(Params p, const F& f) {
  if (p.grad_factor) p.grad_scale *= *p.grad_factor.template as<double>();
  if (!std::isnan(p.grad_scale)) f(p);
}

void adam_by_numbers(std::span<const AdamEntry> list, const AdamParams& p) {
  const auto param = [&](size_t i) -> const View& { return list[i].param; };
  for_pieces("adam", list.size(), param, [&](auto type, const Piece& piece) {
    using T = typename decltype(type)::type;
    const AdamEntry& e = list[piece.entry];
    const int64_t i = piece.begin;
    loops<T>().adam(piece.count, numbers<T>(p, e.step),
                    {.param = at<T>(e.param, i),
                     .grad = at<T>(e.grad, i),
                     .exp_avg = at<T>(e.exp_avg, i),
                     .exp_avg_sq = at<T>(e.exp_avg_sq, i),
                     .max_exp_avg_sq = at<T>(e.max_exp_avg_sq, i),
                     .average = at<T>(e.average, i)});
  });
}

void adam(std::span<const AdamEntry> list, const AdamParams& p) {
  with_factor(p, [&](const AdamParams& numbers) { adam_by_numbers(list, numbers); });
}

void sgd_by_numbers(std::span<const SgdEntry> list, const SgdParams& p) {
  const auto param = [&](size_t i) -> const View& { return list[i].param; };
  for_pieces("sgd", list.size(), param, [&](auto type, const Piece& piece) {
    using T = typename decltype(type)::type;
    const SgdEntry& e = list[piece.entry];
    const int64_t i = piece.begin;
    loops<T>().sgd(piece.count,
                   {.grad_scale = static_cast<T>(p.maximize ? -p.grad_scale : p.grad_scale),
                    .weight_decay = static_cast<T>(p.weight_decay),
                    .momentum = static_cast<T>(p.momentum),
                    .dampening_rest = static_cast<T>(1 - p.dampening),
                    .lr = static_cast<T>(p.lr),
                    .average_rest = static_cast<T>(1 - p.average_decay),
                    .nesterov = p.nesterov,
                    .first = e.first},
                   {.param = at<T>(e.param, i),
                    .grad = at<T>(e.grad, i),
                    .momentum_buffer = at<T>(e.momentum_buffer, i),
                    .average = at<T>(e.average, i)});
  });
}

void sgd(std::span<const SgdEntry> list, const SgdParams& p) {
  with_factor(p, [&](const SgdParams& numbers) { sgd_by_numbers(list, numbers); });
}

void average(std::span<const AverageEntry> list, double decay) {
  const auto param = [&](size_t i) -> const View& { return list[i].param; };
  for_pieces("average", list.size(), param, [&](auto type, const Piece& piece) {
    using T = typename decltype(type)::type;
    const AverageEntry& e = list[piece.entry];
    loops<T>().average(piece.count, static_cast<T>(1 - decay), at<T>(e.param, piece.begin),
                       at<T>(e.average, piece.begin));
  });
}

void scale(std::span<const View> list, double factor) {
  const auto view = [&](size_t i) -> const View& { return list[i]; };
  for_pieces("scale", list.size(), view, [&](auto type, const Piece& piece) {
    using T = typename decltype(type)::type;
    loops<T>().scale(piece.count, static_cast<T>(factor), at<T>(list[piece.entry], piece.begin));
  });
}

void sums_of_squares(std::span<const View> list, const View& sums) {
  const auto view = [&](size_t i) -> const View& { return list[i]; };
  const std::vector<Piece> all = pieces(list.size(), view);
  std::vector<double> parts(all.size());
  parallel_chunks(static_cast<int64_t>(all.size()), [&](int64_t i) {
    const Piece& piece = all[static_cast<size_t>(i)];
    dispatch<float, double>(view(piece.entry).dtype, "sums_of_squares", [&](auto type) {
      using T = typename decltype(type)::type;
      parts[static_cast<size_t>(i)] =
          loops<T>().sum_of_squares(piece.count, at<T>(view(piece.entry), piece.begin));
    });
  });
  auto* out = sums.as<double>();
  std::fill_n(out, list.size(), 0.0);
  for (size_t i = 0; i < all.size(); ++i) out[all[i].entry] += parts[i];
}

void grad_norm(const View& sums, double max_norm, const View& norm, const View& factor) {
  double total = 0;
  for (int64_t i = 0; i < numel(sums.shape); ++i) total += sums.as<double>()[i];
  *norm.as<double>() = std::sqrt(total);
  *factor.as<double>() = clip_factor(*norm.as<double>(), max_norm);
}

}  // namespace
}  // namespace cpu

const OptimKernels cpu_optim{.adam = cpu::adam,
                             .sgd = cpu::sgd,
                             .average = cpu::average,
                             .scale = cpu::scale,
                             .sums_of_squares = cpu::sums_of_squares,
                             .grad_norm = cpu::grad_norm};

}  // namespace brume
