#pragma once

#include <brume/core/kernels/norm.h>

namespace brume::cuda {

void group_norm(const View& x, const GroupNormTerms& terms, const GroupNormParams& p, const View& y,
                const View& mean, const View& rstd);
void group_norm_backward(const View& x, const GroupNormTerms& terms, const View& mean,
                         const View& rstd, const GroupNormParams& p, const View& gy, const View& gx,
                         const GroupNormTerms& grads);

}  // namespace brume::cuda
