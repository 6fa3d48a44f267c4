#include "tests/conformance/einsum.h"

#include <algorithm>
#include <map>

#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/shape.h>

#include "tests/conformance/functions.h"

namespace brume::conformance {
namespace {

// The axes that "..." stands for are labelled by control characters, aligned at the last one.
constexpr char kEllipsis = 8;
bool from_ellipsis(char label) { return label < kEllipsis; }

// "b...i" for an operand of some rank as one label per axis.
std::string labels_of(const std::string& term, int rank) {
  const size_t dots = term.find("...");
  if (dots == term.npos) return term;
  const int hidden = rank - static_cast<int>(term.size() - 3);
  check<Error>(hidden >= 0 && hidden < kEllipsis, "einsum: '", term, "' does not fit rank ", rank);
  std::string labels = term.substr(0, dots);
  for (int i = hidden; i > 0; --i) labels += static_cast<char>(kEllipsis - i);
  return labels + term.substr(dots + 3);
}

struct Equation {
  std::vector<std::string> inputs;
  std::string output, all;  // labels; `all` begins with the output's
};

Equation parse_equation(std::string text, const std::vector<Array>& operands) {
  std::erase(text, ' ');
  Equation e;
  const size_t arrow = text.find("->");
  std::string left = text.substr(0, arrow);
  std::map<char, int> times;
  for (const Array& operand : operands) {
    const size_t comma = std::min(left.find(','), left.size());
    const int rank = operand.tensor.rank() - (operand.complex ? 1 : 0);
    e.inputs.push_back(labels_of(left.substr(0, comma), rank));
    check<Error>(static_cast<int>(e.inputs.back().size()) == rank, "einsum: '", text,
                 "' does not fit an operand of rank ", rank);
    for (const char c : e.inputs.back()) ++times[c];
    left.erase(0, comma + 1);
  }
  // By default what "..." stands for, then the letters that occur once, in order.
  std::string hidden, once;
  for (const auto& [label, n] : times) {
    if (from_ellipsis(label)) hidden += label;
    if (!from_ellipsis(label) && n == 1) once += label;
  }
  if (arrow == text.npos) {
    e.output = hidden + once;
  } else {
    e.output = text.substr(arrow + 2);
    if (const size_t dots = e.output.find("..."); dots != text.npos)
      e.output.replace(dots, 3, hidden);
  }
  e.all = e.output;
  for (const auto& [label, n] : times)
    if (e.all.find(label) == e.all.npos) e.all += label;
  return e;
}

// One real operand with its axes in the order of `all`, of size 1 where it lacks a label.
Tensor arranged(Tensor x, std::string labels, const std::string& all) {
  for (size_t i = 0; i < labels.size(); ++i) {  // a label that stands twice: the diagonal
    const size_t j = labels.find(labels[i], i + 1);
    if (j == labels.npos) continue;
    x = diagonal(x, 0, static_cast<int64_t>(i), static_cast<int64_t>(j));
    const char label = labels[i];
    labels.erase(j, 1);
    labels.erase(i, 1);
    labels += label;
    i = static_cast<size_t>(-1);
  }
  Dims order, shape;
  for (const char label : all) {
    const size_t at = labels.find(label);
    if (at != labels.npos) order.push_back(static_cast<int64_t>(at));
    shape.push_back(at == labels.npos ? 1 : x.size(static_cast<int64_t>(at)));
  }
  return reshape(permute(x, order), shape);
}

Tensor summed(const Tensor& x, const Equation& e) {
  std::vector<int64_t> axes;
  for (size_t i = e.output.size(); i < e.all.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  return axes.empty() ? x : sum(x, axes);
}

}  // namespace

Value einsum(const std::string& equation, const std::vector<Array>& operands) {
  const Equation e = parse_equation(equation, operands);
  Tensor re, im;  // of the product so far
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor r = arranged(real(operands[i]), e.inputs[i], e.all);
    const Tensor c =
        operands[i].complex ? arranged(imaginary(operands[i]), e.inputs[i], e.all) : Tensor();
    if (i == 0) {
      re = r;
      im = c;
      continue;
    }
    Tensor next_im;
    if (im.defined()) next_im = im * r;
    if (c.defined()) next_im = next_im.defined() ? next_im + re * c : re * c;
    re = im.defined() && c.defined() ? re * r - im * c : re * r;
    im = next_im;
  }
  if (im.defined()) return make_complex(summed(re, e), summed(im, e));
  return summed(re, e);
}

}  // namespace brume::conformance
