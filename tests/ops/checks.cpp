#include "tests/ops/checks.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <brume/autograd/backward.h>
#include <brume/autograd/gradcheck.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/core/cpu/parallel.h>
#include <brume/core/f32_mode.h>

namespace brume::op_table {
namespace {

// What one run of a row gives.
struct Outcome {
  Tensors results, gradients;
};

class RowCheck {
 public:
  RowCheck(const OpRow& row, Device device) : row_(row), device_(device) {}

  std::vector<Failure> run() {
    if (!(device_ == kCpu)) {
      if (!row_.flags.cpu_only.empty()) {
        guarded("device", [&] { refused_by_device(); });
        return std::move(failures_);
      }
      guarded("device", [&] { device(); });
      guarded("device, f64", [&] { device_f64(); });
      guarded("device, half precision", [&] { device_half_precision(); });
      if (row_.flags.products)
        for (const F32Mode mode : {F32Mode::tf32, F32Mode::bf16x3})
          guarded(name(mode), [&] { device_products(mode); });
      return std::move(failures_);
    }
    guarded("shape errors", [&] { shape_errors(); });
    guarded("gradients", [&] { asked_gradients(); });
    guarded("finite differences", [&] { finite_differences(); });
    guarded("f32 against f64", [&] { precision(); });
    guarded("half precision", [&] { half_precision(); });
    guarded("strides", [&] { strides(); });
    guarded("threads", [&] { threads(); });
    guarded("batch", [&] { batch(); });
    guarded("empty batch", [&] { empty_batch(); });
    guarded("changed values", [&] { changed_values(); });
    return std::move(failures_);
  }

  std::vector<Failure> run_threads() {
    guarded("threads", [&] { threads(); });
    return std::move(failures_);
  }

 private:
  template <class F>
  void guarded(const char* check, F f) {
    check_ = check;
    try {
      f();
    } catch (const std::exception& e) {
      fail(cat("threw: ", e.what()));
    }
  }

  void fail(const std::string& text) { failures_.push_back({row_.name, check_, text}); }

  Tensors operands(DType floating) const {
    Tensors drawn;
    for (size_t k = 0; k < row_.operands.size(); ++k)
      drawn.push_back(draw(row_.operands[k], floating, k + 1));
    return drawn;
  }

  Tensors leaves(const Tensors& operands) const {
    Tensors out;
    for (size_t k = 0; k < operands.size(); ++k) {
      const Tensor x = detach(operands[k]);
      out.push_back(row_.operands[k].gradient ? set_requires_grad(x) : x);
    }
    return out;
  }

  Outcome outcome(const Tensors& operands) const {
    const Tensors in = leaves(operands);
    const Tensors results = row_.call(in);
    return {results, gradients(results, in)};
  }
  /// The sums of the absolute products: operands and cotangents without their signs.
  Outcome magnitude(const Tensors& operands) const {
    Tensors unsigned_operands;
    for (const Tensor& x : operands) unsigned_operands.push_back(abs(x));
    const Tensors in = leaves(unsigned_operands), results = row_.call(in);
    return {results, gradients(results, in, true)};
  }

  Tensors gradients(const Tensors& results, const Tensors& in, bool of_magnitude = false) const {
    Tensors outputs, cotangents, wanted;
    for (size_t k = 0; k < results.size(); ++k) {
      if (!results[k].defined() || !requires_grad(results[k])) continue;
      outputs.push_back(results[k]);
      // Rounded to bf16, so that they are the same in every dtype.
      Tensor drawn = draw(normal(results[k].shape()), DType::bf16, 100 + k);
      if (of_magnitude) drawn = abs(drawn);
      cotangents.push_back(transfer(convert(drawn, results[k].dtype()), results[k].device()));
    }
    for (const Tensor& x : in)
      if (requires_grad(x)) wanted.push_back(x);
    if (outputs.empty() || wanted.empty()) return {};
    return grad(outputs, wanted, cotangents);
  }

  // Empty when |got - want| <= bound * max(1, largest |want|) everywhere; NaN and infinities must
  // stand in the same places.
  static std::string difference(const Tensor& got, const Tensor& want, double bound) {
    if (got.defined() != want.defined()) return "one of two is undefined";
    if (!got.defined()) return "";
    if (!(got.shape() == want.shape()))
      return cat("shape ", got.shape(), " instead of ", want.shape());
    const auto a = got.to_vector<double>(), b = want.to_vector<double>();
    double scale = 1;
    for (double v : b)
      if (std::isfinite(v)) scale = std::max(scale, std::abs(v));
    for (size_t i = 0; i < a.size(); ++i) {
      const bool same = std::isfinite(a[i]) && std::isfinite(b[i])
                            ? std::abs(a[i] - b[i]) <= bound * scale
                            : a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
      if (!same)
        return cat("element ", i, " is ", a[i], " instead of ", b[i], " (bound ", bound * scale,
                   ")");
    }
    return "";
  }

  void compare(const Outcome& got, const Outcome& want, double bound, double gradient_bound,
               const std::string& what) {
    for (size_t k = 0; k < want.results.size(); ++k) {
      const std::string text = difference(got.results[k], want.results[k], bound);
      if (!text.empty()) fail(cat(what, "result ", k, ": ", text));
    }
    for (size_t k = 0; k < want.gradients.size(); ++k) {
      const std::string text = difference(got.gradients[k], want.gradients[k], gradient_bound);
      if (!text.empty()) fail(cat(what, "gradient ", k, ": ", text));
    }
  }

  void shape_errors() {
    for (const std::vector<Shape>& shapes : row_.flags.refuses) {
      Tensors in;
      std::string drawn;
      for (size_t k = 0; k < row_.operands.size(); ++k) {
        Operand operand = row_.operands[k];
        operand.shape = shapes.at(k);
        drawn += cat(" ", operand.shape);
        in.push_back(draw(operand, DType::f32, k + 1));
      }
      try {
        row_.call(in);
        fail(cat("operands", drawn, " were taken"));
      } catch (const ShapeError& e) {
        const std::string text = e.what();
        if (text.find(operation(row_)) != 0)  // conv2d is a conv
          fail(cat("the error for", drawn, " does not begin with the operation: ", text));
        if (text.find_first_of("[0123456789") == std::string::npos)
          fail(cat("the error for", drawn, " names no shape: ", text));
      }
    }
  }

  void asked_gradients() {
    const Tensors in = leaves(operands(DType::f32));
    const auto any = [](const Tensors& list) {
      return std::any_of(list.begin(), list.end(),
                         [](const Tensor& x) { return x.defined() && requires_grad(x); });
    };
    if (any(in) && !any(row_.call(in)))
      fail("the operands ask for gradients, but no result has any; make them constant()");
  }

  void finite_differences() {
    if (!has_gradient(row_)) return;
    const auto f = [this](const Tensors& in) { return row_.call(in); };
    const GradcheckResult result = gradcheck(
        f, leaves(operands(DType::f64)), {.elements = 64, .second_order = row_.flags.second_order});
    if (!result) fail(result.text);
  }

  void precision() {
    compare(outcome(operands(DType::f32)), outcome(operands(DType::f64)), row_.flags.bound,
            row_.flags.gradient_bound, "");
  }

  void half_precision() {
    half_precision([](const Tensor& x) { return x; });
  }
  void device_half_precision() {
    half_precision([this](const Tensor& x) { return transfer(x, device_); });
  }
  template <class Place>
  void half_precision(Place place) {
    const double bound = row_.flags.half_bound;
    if (bound == 0) return;
    for (DType dtype : {DType::bf16, DType::f16}) {
      Tensors rounded, exact;
      for (const Tensor& x : operands(dtype)) {
        rounded.push_back(place(x));
        exact.push_back(is_floating(x.dtype()) ? convert(x, DType::f64) : x);
      }
      compare(outcome(rounded), outcome(exact), bound, bound, cat(dtype, ": "));
    }
  }

  // The same values lying differently in memory.
  static Tensor reversed_axes(const Tensor& x) {
    Shape back = x.shape();
    std::reverse(back.begin(), back.end());
    const Tensor memory = empty(back, {.dtype = x.dtype()});
    Strides strides = memory.strides();
    std::reverse(strides.begin(), strides.end());
    return filled_view(memory, x, strides, 0);
  }
  static Tensor every_second(const Tensor& x) {
    Shape wide = x.shape();
    for (int64_t& size : wide) size = 2 * size + 1;
    const Tensor memory = empty(wide, {.dtype = x.dtype()});
    Strides strides = memory.strides();
    int64_t first = 0;
    for (int64_t& stride : strides) {
      first += stride;
      stride *= 2;
    }
    return filled_view(memory, x, strides, first);
  }
  static Tensor channels_last(const Tensor& x) {
    const Tensor y = empty(x.shape(), {.dtype = x.dtype(), .layout = Layout::channels_last});
    copy_(y, x);
    return y;
  }
  static Tensor filled_view(const Tensor& memory, const Tensor& x, const Strides& strides,
                            int64_t offset) {
    const Tensor y = alias(memory, x.shape(), strides, offset);
    copy_(y, x);
    return y;
  }

  void strides() {
    const Tensors plain = operands(DType::f32);
    const Outcome want = outcome(plain);
    const double bound = row_.flags.bound, gradient_bound = row_.flags.gradient_bound;
    const std::pair<const char*, Tensor (*)(const Tensor&)> forms[] = {
        {"transposed: ", reversed_axes},
        {"sliced: ", every_second},
        {"channels-last: ", channels_last}};
    for (const auto& [name, form] : forms) {
      Tensors all;
      for (const Tensor& x : plain) all.push_back(form(x));
      compare(outcome(all), want, bound, gradient_bound, name);
      for (size_t k = 0; k < plain.size() && plain.size() > 1; ++k) {
        Tensors one = plain;
        one[k] = all[k];
        compare(outcome(one), want, bound, gradient_bound, cat("operand ", k, " ", name));
      }
    }
    expanded(plain);
  }

  // A stride of 0: the first slice along axis 0, repeated, against its copy.
  void expanded(const Tensors& plain) {
    for (size_t k = 0; k < plain.size(); ++k) {
      const Tensor& x = plain[k];
      if (x.rank() == 0 || x.numel() == 0) continue;
      Strides repeated = x.strides();
      repeated[0] = 0;
      Tensors view = plain, copy = plain;
      view[k] = alias(x, x.shape(), repeated);
      copy[k] = empty(x.shape(), {.dtype = x.dtype()});
      copy_(copy[k], view[k]);
      compare(outcome(view), outcome(copy), row_.flags.bound, row_.flags.gradient_bound,
              cat("operand ", k, " expanded: "));
    }
  }

  void threads() {
    const int before = num_threads();
    const Tensors in = operands(DType::f32);
    set_num_threads(1);
    const Outcome want = outcome(in);
    for (int n : {2, 3, 4, 7}) {
      set_num_threads(n);
      compare(outcome(in), want, 0, 0, cat(n, " threads: "));
    }
    set_num_threads(before);
  }

  // A sample alone gives the same bits as in its batch.
  void batch() {
    const auto samples = static_cast<size_t>(row_.flags.batch);
    if (samples == 0) return;
    const Tensors in = operands(DType::f32);
    const Tensors whole = row_.call(in);
    for (int64_t i = 0; i < in[0].size(0); ++i) {
      Tensors alone = in;
      for (size_t k = 0; k < samples; ++k) alone[k] = sample(in[k], i);
      const Tensors results = row_.call(alone);
      for (size_t k = 0; k < whole.size(); ++k) {
        const std::string text = difference(results[k], sample(whole[k], i), 0);
        if (!text.empty()) fail(cat("sample ", i, " alone, result ", k, ": ", text));
      }
    }
  }
  static Tensor sample(const Tensor& x, int64_t i) { return samples_of(x, i, 1); }
  static Tensor samples_of(const Tensor& x, int64_t first, int64_t count) {
    Shape shape = x.shape();
    shape[0] = count;
    return alias(x, shape, x.strides(), first * x.strides()[0]);
  }

  // A batch of nothing gives nothing, and gradients of zero.
  void empty_batch() {
    const auto samples = static_cast<size_t>(row_.flags.batch);
    if (samples == 0) return;
    Tensors in = operands(DType::f32);
    const Tensors whole = row_.call(in);
    for (size_t k = 0; k < samples; ++k) in[k] = samples_of(in[k], 0, 0);
    const Outcome got = outcome(in);
    for (size_t k = 0; k < whole.size(); ++k) {
      const Shape wanted = samples_of(whole[k], 0, 0).shape();
      if (!(got.results[k].shape() == wanted))
        fail(cat("result ", k, " is ", got.results[k].shape(), " instead of ", wanted));
    }
    for (size_t k = 0, g = 0; k < in.size() && g < got.gradients.size(); ++k) {
      if (!row_.operands[k].gradient) continue;
      const Tensor& gradient = got.gradients[g++];
      if (!gradient.defined()) continue;
      const std::string text = difference(gradient, zeros(in[k].shape()), 0);
      if (!text.empty()) fail(cat("gradient of operand ", k, ": ", text));
    }
  }

  // Operands stay as they were. Writing to one (or to a result) between forward and backward
  // either raises, or does not matter.
  void changed_values() {
    const Tensors in = operands(DType::f32);
    const Tensors recorded = leaves(in);
    const Tensors results = row_.call(recorded);
    const Tensors fresh = operands(DType::f32);
    for (size_t k = 0; k < in.size(); ++k)
      if (!difference(in[k], fresh[k], 0).empty()) fail(cat("operand ", k, " was changed"));
    const Tensors want = gradients(results, recorded);
    if (want.empty()) return;
    for (size_t k = 0; k < in.size() + results.size(); ++k) write_between(k, want);
  }
  void write_between(size_t which, const Tensors& want) {
    const Tensors in = leaves(operands(DType::f32));
    const Tensors results = row_.call(in);
    const Tensor& written = which < in.size() ? in[which] : results[which - in.size()];
    if (!written.defined() || !is_floating(written.dtype())) return;
    fill_(detach(written), 0.25);
    try {
      const Tensors got = gradients(results, in);
      for (size_t k = 0; k < want.size(); ++k)
        if (!difference(got[k], want[k], 0).empty())
          fail(cat("writing to ", which < in.size() ? "an operand" : "a result",
                   " before backward gave a wrong gradient ", k, " instead of an error"));
    } catch (const GradError&) {
    }
  }

  Tensors on_device(const Tensors& host) const {
    Tensors there;
    for (const Tensor& x : host) there.push_back(transfer(x, device_));
    return there;
  }
  void device() {
    const WithF32Mode exact(F32Mode::exact);
    const Tensors host = operands(DType::f32);
    compare(outcome(on_device(host)), outcome(host), row_.flags.bound, row_.flags.gradient_bound,
            "");
  }
  void refused_by_device() {
    const Tensors there = on_device(operands(DType::f32));
    try {
      row_.call(there);
      fail("the row is cpu_only, but the device computed it");
    } catch (const DeviceError& e) {
      const std::string text = e.what();
      if (text.find(": no kernel on this device") == text.npos) fail(cat("threw: ", text));
    }
  }

  void device_f64() {
    const Tensors host = operands(DType::f64);
    constexpr double bound = 1e-11;
    compare(outcome(on_device(host)), outcome(host), bound, bound, "");
  }

  // Element by element within the mode's own error, beside what exact sums in f32 may be off.
  void device_products(F32Mode mode) {
    const Tensors host = operands(DType::f32), there = on_device(host);
    Tensors exact;
    for (const Tensor& x : host) exact.push_back(convert(x, DType::f64));
    const Outcome want = outcome(exact), most = magnitude(exact);
    const WithF32Mode with_mode(mode);
    const Outcome got = outcome(there);
    for (size_t k = 0; k < want.results.size(); ++k)
      within(got.results[k], want.results[k], most.results[k], mode, row_.flags.bound,
             cat("result ", k));
    for (size_t k = 0; k < want.gradients.size(); ++k)
      within(got.gradients[k], want.gradients[k], most.gradients[k], mode,
             row_.flags.gradient_bound, cat("gradient ", k));
  }
  void within(const Tensor& got, const Tensor& want, const Tensor& magnitude, F32Mode mode,
              double bound, const std::string& what) {
    const auto a = got.to_vector<double>(), b = want.to_vector<double>(),
               most = magnitude.to_vector<double>();
    for (size_t i = 0; i < b.size(); ++i) {
      const double allowed = (product_error(mode) + bound) * most[i];
      if (!(std::abs(a[i] - b[i]) <= allowed)) {
        fail(cat(what, ": element ", i, " is ", a[i], " instead of ", b[i], " (bound ", allowed,
                 ")"));
        return;
      }
    }
  }

  const OpRow& row_;
  Device device_;
  const char* check_ = "";
  std::vector<Failure> failures_;
};

bool is_name(char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; }

}  // namespace

bool has_gradient(const OpRow& row) {
  return std::any_of(row.operands.begin(), row.operands.end(), [](const Operand& o) {
    using Kind = Operand::Kind;
    return o.gradient && o.kind != Kind::integers && o.kind != Kind::booleans;
  });
}

std::vector<Failure> check_row(const OpRow& row, Device device) {
  return RowCheck(row, device).run();
}

std::vector<Failure> check_threads(const OpRow& row) { return RowCheck(row, kCpu).run_threads(); }

std::vector<std::string> without_row(const std::string& header, const Rows& rows) {
  std::set<std::string> proved;
  for (const OpRow& row : rows) proved.insert(operation(row));
  std::vector<std::string> missing;
  for (size_t begin = 0; begin < header.size();) {
    const size_t end = std::min(header.find('\n', begin), header.size());
    const std::string line = header.substr(begin, end - begin);
    begin = end + 1;
    // A declaration begins a line with its type: Tensor, or a container of tensors.
    if (!line.starts_with("Tensor") && !line.starts_with("std::")) continue;
    const size_t paren = line.find('(');
    if (paren == std::string::npos || line.find("Tensor") > paren) continue;
    size_t first = paren;
    while (first > 0 && is_name(line[first - 1])) --first;
    const std::string name = line.substr(first, paren - first);  // empty for an operator
    if (!name.empty() && proved.insert(name).second) missing.push_back(name);
  }
  return missing;
}

}  // namespace brume::op_table
