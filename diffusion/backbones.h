#pragma once
// How the backbones of nn that know t themselves are called as (x, t, condition). With it AnyModel
// takes them as they are.

#include <brume/diffusion/condition.h>
#include <brume/nn/models/dhariwal_unet.h>
#include <brume/nn/models/diffusion_unet_3d.h>
#include <brume/nn/models/dit.h>
#include <brume/nn/models/regression_unet.h>
#include <brume/nn/models/song_unet_pos_embd.h>

namespace brume::diffusion {

/// t as noise labels; the condition: nothing, one tensor (class labels), or any of "class_labels",
/// "augment_labels".
Tensor call_backbone(const nn::SongUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);
Tensor call_backbone(const nn::DhariwalUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);
/// Also "global_index", the place of patches: i64 [P, 2, h, w], row and column, where P divides the
/// batch and sample b * P + p gets patch p; unless P is the batch, it joins by
/// Condition::with_argument.
Tensor call_backbone(const nn::SongUNetPosEmbd& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);
/// Also "lead_time_label" [B].
Tensor call_backbone(const nn::SongUNetPosLtEmbd& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);
/// The condition: nothing, or any of "vector" [B, D], "volume" [B, C, D, H, W].
Tensor call_backbone(const nn::DiffusionUNet3D& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);
/// The condition: nothing, one tensor, or any of "condition" and what DiTCall has: "attn_mask",
/// "p_dropout", "invalid_mask". A mask or rate that serves all joins by Condition::with_argument.
Tensor call_backbone(const nn::DiT& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);

/// A regression: t plays no part, and the condition, or "img_lr" in it, is the image beside x; also
/// "global_index" and "lead_time_label".
Tensor call_backbone(const nn::CorrDiffRegressionUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);

/// A regression of x alone: t plays no part, and there is no condition.
Tensor call_backbone(const nn::StormCastUNet& net, const Tensor& x, const Tensor& t,
                     const Condition& condition);

/// Makes AnyModel know all of these.
void register_backbones();

}  // namespace brume::diffusion
