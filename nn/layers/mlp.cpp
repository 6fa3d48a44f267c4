#include <brume/nn/layers/mlp.h>

#include <brume/autograd/ops/random.h>

namespace brume::nn {

Mlp::Mlp(const Config& c) : drop_(c.drop), final_dropout_(c.final_dropout) {
  check(drop_ >= 0 && drop_ < 1, "Mlp: drop must be in [0, 1), got ", drop_);
  std::vector<int64_t> widths{c.in_features};
  if (c.hidden_features)
    widths.insert(widths.end(), c.hidden_features->values().begin(),
                  c.hidden_features->values().end());
  else
    widths.push_back(c.in_features);
  widths.push_back(c.out_features.value_or(c.in_features));
  int place = 0;
  for (size_t i = 1; i < widths.size(); ++i) {
    linears_.push_back(child<Linear>(
        cat("layers.", place++), LinearConfig::torch_default(widths[i - 1], widths[i], c.bias)));
    if (i + 1 == widths.size()) break;
    activations_.push_back(child<NamedActivation>(cat("layers.", place++), {.name = c.act_layer}));
    if (drop_ > 0) ++place;
  }
}

Tensor Mlp::operator()(const Tensor& x) const {
  Tensor h = x;
  for (size_t i = 0; i < activations_.size(); ++i) h = drop(activations_[i](linears_[i](h)));
  h = linears_.back()(h);
  return final_dropout_ ? drop(std::move(h)) : h;
}

Tensor Mlp::drop(Tensor x) const {
  return training() && drop_ > 0 ? dropout(x, drop_, generator()) : x;
}

}  // namespace brume::nn
