#!/usr/bin/env python3
"""Writes tests/nn/data/initial_values.json: what PhysicsNeMo's classes draw from a seed.

Of every tensor of a new module: its first and its last element, the sum of all and of their
absolute values. Needs nvidia-physicsnemo; not part of CI.

    python tests/reference/initial_values.py > tests/nn/data/initial_values.json
"""

import importlib
import json
import pathlib
import re
import warnings

import torch

warnings.filterwarnings("ignore")

UNET = {"model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1}
DIT = {"input_size": 8, "in_channels": 2, "patch_size": [4, 4], "hidden_size": 16, "depth": 2, "num_heads": 2}
SONG = {"img_resolution": 8, "in_channels": 2, "out_channels": 3, "attn_resolutions": [4], **UNET}
MESH = {"input_dim_nodes": 3, "input_dim_edges": 2, "output_dim": 2, "processor_size": 2, "hidden_dim_processor": 8,
        "hidden_dim_node_encoder": 8, "hidden_dim_edge_encoder": 8, "hidden_dim_node_decoder": 8}
FNO = {"in_channels": 2, "out_channels": 1, "decoder_layer_size": 8, "latent_channels": 4, "num_fno_layers": 2,
       "num_fno_modes": 3, "padding": 0}
AFNO = {"inp_shape": [16, 16], "in_channels": 2, "out_channels": 1, "patch_size": [8, 8], "embed_dim": 8, "depth": 2,
        "num_blocks": 2}
POINTS = {"functional_dim": 2, "out_dim": 1, "n_layers": 2, "n_hidden": 16, "n_head": 2, "slice_num": 12, "use_te": False}

# (our class, module there, arguments); a name there that differs stands behind a colon.
CASES = [
    ("Linear", "nn.module.fully_connected_layers", {"in_features": 3, "out_features": 4, "init_bias": 1}),
    ("Conv2d", "nn.module.conv_layers",
     {"in_channels": 2, "out_channels": 3, "kernel": 3, "init_mode": "xavier_uniform", "init_bias": 1}),
    ("UNetBlock", "nn.module.unet_layers",
     {"in_channels": 8, "out_channels": 16, "emb_channels": 4, "up": True, "attention": True, "num_heads": 2,
      "init_zero": {"init_weight": 0.5}}),
    ("PositionalEmbedding", "nn.module.embedding_layers", {"num_channels": 8, "learnable": True}),
    ("FourierEmbedding", "nn.module.embedding_layers", {"num_channels": 8}),
    ("SongUNet", "models.diffusion_unets", {**SONG, "label_dim": 3, "augment_dim": 2}),
    ("SongUNet", "models.diffusion_unets",
     {**SONG, "embedding_type": "fourier", "channel_mult_noise": 2, "encoder_type": "residual",
      "decoder_type": "skip", "resample_filter": [1, 3, 3, 1], "additive_pos_embed": True}),
    ("SongUNet", "models.diffusion_unets", {**SONG, "encoder_type": "skip", "embedding_type": "zero"}),
    ("SongUNetPosEmbd", "models.diffusion_unets",
     {**SONG, "in_channels": 6, "gridtype": "learnable", "N_grid_channels": 4}),
    ("SongUNetPosLtEmbd", "models.diffusion_unets",
     {**SONG, "in_channels": 9, "N_grid_channels": 4, "lead_time_channels": 3, "lead_time_steps": 2,
      "prob_channels": [0, 2]}),
    ("DhariwalUNet", "models.diffusion_unets",
     {"img_resolution": 8, "in_channels": 2, "out_channels": 3, "label_dim": 3, "augment_dim": 2, "model_channels": 64,
      "channel_mult": [1, 1], "num_blocks": 1, "attn_resolutions": [4]}),
    ("CorrDiffRegressionUNet", "models.diffusion_unets",
     {"img_resolution": 8, "img_in_channels": 2, "img_out_channels": 3, "model_type": "SongUNet", **UNET}),
    ("StormCastUNet", "models.diffusion_unets",
     {"img_resolution": 8, "img_in_channels": 2, "img_out_channels": 3, **UNET}),
    ("DiffusionUNet3D", "experimental.models.diffusion_unets",
     {"x_channels": 2, "vol_cond_channels": 1, "vec_cond_dim": 3, "num_levels": 2, "attention_levels": [1], **UNET}),
    ("DiffusionUNet3D", "experimental.models.diffusion_unets",
     {"x_channels": 2, "num_levels": 2, "encoder_type": "residual", "decoder_type": "skip",
      "embedding_type": "fourier", "resample_filter": [1, 3, 3, 1], "activation": "gelu", **UNET}),
    ("DiT", "models.dit", {**DIT, "condition_dim": 3}),
    ("DiT", "models.dit", {**DIT, "condition_dim": 3, "dit_initialization": False, "attn_kwargs": {"qk_norm_type": "RMSNorm"}}),
    ("DiT", "models.dit",
     {**DIT, "condition_dim": 3, "conditioning_embedder": "edm",
      "conditioning_embedder_kwargs": {"emb_channels": 16, "noise_channels": 8},
      "detokenizer": "proj_reshape_2d_conv", "detokenizer_kwargs": {"conv_layers": 3, "conv_hidden": 4}}),
    ("DiT", "models.dit",
     {**DIT, "dit_initialization": False, "conditioning_embedder": "edm",
      "conditioning_embedder_kwargs": {"emb_channels": 16, "noise_channels": 8, "legacy_condition_bias": True}}),
    ("FullyConnected", "models.mlp",
     {"in_features": 3, "layer_size": 8, "out_features": 2, "num_layers": 2, "adaptive_activations": True}),
    ("FullyConnected", "models.mlp",
     {"in_features": 3, "layer_size": 8, "out_features": 2, "num_layers": 2, "weight_norm": True}),
    ("FullyConnected", "models.mlp",
     {"in_features": 3, "layer_size": 8, "out_features": 2, "num_layers": 2, "weight_fact": True}),
    ("FNO", "models.fno", {**FNO, "dimension": 1}),
    ("FNO", "models.fno", {**FNO, "dimension": 2, "decoder_layers": 2}),
    ("FNO", "models.fno", {**FNO, "dimension": 3}),
    ("FNO", "models.fno", {**FNO, "dimension": 4, "num_fno_modes": 2}),
    ("AFNO", "models.afno", AFNO),
    ("ModAFNO", "models.afno", {**AFNO, "mod_dim": 8, "embed_model": {"dim": 8, "depth": 1, "method": "sinusoidal"}}),
    ("MeshGraphNet", "models.meshgraphnet", MESH),
    ("MeshGraphNet", "models.meshgraphnet", {**MESH, "do_concat_trick": True}),
    ("UNet3D", "models.unet:UNet",
     {"in_channels": 1, "out_channels": 2, "model_depth": 2, "feature_map_channels": [4, 4, 8, 8],
      "normalization_args": {"num_groups": 2}}),
    ("UNet3D", "models.unet:UNet",
     {"in_channels": 1, "out_channels": 2, "model_depth": 2, "feature_map_channels": [4, 8], "num_conv_blocks": 1,
      "normalization": "batchnorm", "use_attn_gate": True, "attn_decoder_feature_maps": [8],
      "attn_feature_map_channels": [4], "attn_intermediate_channels": 4}),
    ("Pix2Pix", "models.pix2pix",
     {"in_channels": 2, "out_channels": 1, "dimension": 2, "conv_layer_size": 4, "n_downsampling": 1,
      "n_upsampling": 1, "n_blocks": 1, "batch_norm": True}),
    ("SRResNet", "models.srrn",
     {"in_channels": 2, "out_channels": 1, "conv_layer_size": 4, "n_resid_blocks": 1, "scaling_factor": 2}),
    ("SirenLayer", "nn.module.siren_layers", {"in_features": 3, "out_features": 4}),
    ("DGMLayer", "nn.module.dgm_layers", {"in_features_1": 3, "in_features_2": 2, "out_features": 4}),
    ("DGMLayer", "nn.module.dgm_layers",
     {"in_features_1": 3, "in_features_2": 2, "out_features": 4, "weight_norm": True}),
    ("KolmogorovArnoldNetwork", "nn.module.kan_layers", {"input_dim": 3, "output_dim": 2}),
    ("Mlp", "nn.module.mlp_layers", {"in_features": 3, "hidden_features": [5, 4], "out_features": 2}),
    ("ConvLayer", "nn.module.conv_layers", {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "dimension": 2}),
    ("TransposeConvLayer", "nn.module.conv_layers",
     {"in_channels": 2, "out_channels": 3, "kernel_size": 4, "stride": 2, "dimension": 2}),
    ("ConvGRULayer", "nn.module.conv_layers", {"in_features": 2, "hidden_size": 3, "dimension": 2}),
    ("Conv1dFCLayer", "nn.module.fully_connected_layers", {"in_features": 2, "out_features": 3}),
    ("Conv2dFCLayer", "nn.module.fully_connected_layers", {"in_channels": 2, "out_channels": 3}),
    ("Conv3dFCLayer", "nn.module.fully_connected_layers", {"in_channels": 2, "out_channels": 3}),
    ("SpectralConv2d", "nn.module.spectral_layers",
     {"in_channels": 2, "out_channels": 3, "modes1": 3, "modes2": 2}),
    ("Transolver", "models.transolver", {**POINTS, "embedding_dim": 3, "time_input": True}),
    ("Transolver", "models.transolver", {**POINTS, "structured_shape": [4, 5], "unified_pos": True, "ref": 3}),
    ("Transolver", "models.transolver", {**POINTS, "structured_shape": [2, 3, 2], "embedding_dim": 3}),
]


def summary(tensor):
    flat = tensor.detach().double().flatten()
    if flat.numel() == 0:
        return [0, 0, 0, 0]
    values = (flat[0], flat[-1], flat.sum(), flat.abs().sum())
    return [float(f"{value.item():.8g}") for value in values]


def classes_of_the_manual():
    """The names in the first column of the first table of docs/backbones.md."""
    manual = pathlib.Path(__file__).parents[2] / "docs" / "backbones.md"
    table = re.search(r"^\| class .*?\n\n", manual.read_text(), re.MULTILINE | re.DOTALL)
    return {name for row in table[0].strip().splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def main():
    without = classes_of_the_manual() - {name for name, _, _ in CASES}
    if without:
        raise SystemExit(f"no case of {sorted(without)}, which docs/backbones.md promises")
    cases = []
    for seed, (name, place, arguments) in enumerate(CASES, start=1):
        module, _, other = place.partition(":")
        cls = getattr(importlib.import_module("physicsnemo." + module), other or name)
        torch.manual_seed(seed)
        made = cls(**arguments)
        state = {k: summary(v) for k, v in made.state_dict().items() if not k.endswith("device_buffer")}
        cases.append({"class": name, "args": arguments, "seed": seed, "state": state})
    lines = ",\n".join(json.dumps(case) for case in cases)
    print("[\n" + lines + "\n]")


if __name__ == "__main__":
    main()
