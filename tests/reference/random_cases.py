#!/usr/bin/env python3
"""Draws configs of PhysicsNeMo's modules, runs them there, and writes each as a conformance case.

Needs the packages torch, safetensors, timm and nvidia-physicsnemo; not part of the test suite.

    tests/reference/random_cases.py cases --first 0 --count 20
    brume-conformance cases

A config that the reference itself refuses is skipped and counted. Tolerances follow FORMAT.md: eight
times the difference that the reference shows between float32 and float64, at least 1e-5.
"""

import argparse
import copy
import importlib
import json
import pathlib
import random
import warnings

import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
torch.set_num_threads(1)

ACTIVATIONS = ["relu", "silu", "gelu", "leaky_relu", "tanh", "elu", "selu", "prelu", "sigmoid", "sin",
               "identity", "celu", "squareplus", "relu6"]
rng = random.Random()


def pick(*options):
    return rng.choice(options)


def song_unet(**fixed):
    resolution, channels, batch = pick(8, 16, [8, 16], [16, 8]), pick(1, 2, 3), pick(1, 2, 3)
    args = dict(
        img_resolution=resolution, in_channels=channels, out_channels=pick(1, 2, 3),
        model_channels=pick(4, 8, 16), channel_mult=pick([1], [1, 2], [2, 1], [1, 1, 2]),
        channel_mult_emb=pick(1, 2, 4), num_blocks=pick(1, 2), channel_mult_noise=pick(1, 2),
        attn_resolutions=pick([], [8], [4], [4, 8], [16]), dropout=0.0, label_dropout=0.0,
        embedding_type=pick("fourier", "positional", "zero"), checkpoint_level=pick(0, 0, 1, 2),
        encoder_type=pick("standard", "skip", "residual"), decoder_type=pick("standard", "skip"),
        resample_filter=pick([1, 1], [1, 3, 3, 1]), act=pick("silu", "relu", "gelu", "elu"),
        label_dim=pick(0, 0, 4), augment_dim=pick(0, 0, 3), additive_pos_embed=pick(False, False, True))
    args.update(fixed)
    height, width = resolution if isinstance(resolution, list) else (resolution, resolution)
    call = dict(x=torch.randn(batch, channels, height, width), noise_labels=torch.randn(batch),
                class_labels=torch.randn(batch, 4) if args["label_dim"] else None)
    if args["augment_dim"]:
        call["augment_labels"] = torch.randn(batch, 3)
    return args, call


def SongUNet():
    return song_unet()


def SongUNetPosEmbd():
    grid, channels = pick(("sinusoidal", 4), ("sinusoidal", 8), ("learnable", 3), ("linear", 2), ("test", 2))
    args, call = song_unet(gridtype=grid, N_grid_channels=channels, additive_pos_embed=False)
    args["in_channels"] += channels
    batch, _, height, width = call["x"].shape
    if pick(True, False, False):
        call["global_index"] = torch.stack(
            [torch.randint(0, side, (1, height, width)) for side in (height, width)], 1)
    return args, call


def DhariwalUNet():
    args, call = song_unet(model_channels=64, channel_mult=pick([1], [1, 2]), img_resolution=8)
    for name in ("label_dropout", "channel_mult_noise", "embedding_type", "checkpoint_level", "act",
                 "encoder_type", "decoder_type", "resample_filter", "additive_pos_embed"):
        del args[name]
    call["x"] = torch.randn(call["x"].shape[0], args["in_channels"], 8, 8)
    return args, call


def UNetBlock():
    up, down = pick((False, False), (True, False), (False, True))
    args = dict(in_channels=pick(8, 16), out_channels=pick(8, 12, 16), emb_channels=6, up=up, down=down,
                attention=pick(True, False), channels_per_head=4, dropout=0.0, skip_scale=pick(1, 0.7071),
                eps=pick(1e-5, 1e-6), resample_filter=pick([1, 1], [1, 3, 3, 1]),
                resample_proj=pick(True, False), adaptive_scale=pick(True, False),
                act=pick("silu", "relu", "gelu"))
    return args, dict(x=torch.randn(2, args["in_channels"], 8, 8), emb=torch.randn(2, 6))


def FNO():
    dimension = pick(1, 2, 3, 4)
    size = {1: 16, 2: 12, 3: 8, 4: 6}[dimension]
    padding_types = ["constant"] + (["reflect", "replicate", "circular"] if dimension < 4 else [])
    args = dict(in_channels=pick(1, 2), out_channels=pick(1, 2), decoder_layers=pick(1, 2, 3),
                decoder_layer_size=pick(6, 8), decoder_activation_fn=pick(*ACTIVATIONS),
                dimension=dimension, latent_channels=pick(4, 6), num_fno_layers=pick(1, 2),
                num_fno_modes=pick(2, 3), padding=pick(0, 2, 3), padding_type=pick(*padding_types),
                activation_fn=pick(*ACTIVATIONS), coord_features=pick(True, False))
    sizes = [size] * (dimension - 1) + [size + pick(0, 1, 2)]
    return args, dict(x=torch.randn(pick(1, 2), args["in_channels"], *sizes))


def AFNO():
    args = dict(inp_shape=pick([8, 8], [8, 16]), in_channels=pick(1, 2), out_channels=pick(1, 2),
                patch_size=pick([2, 2], [4, 4], [2, 4]), embed_dim=pick(8, 16), depth=pick(1, 2),
                mlp_ratio=pick(1.0, 2.0, 4.0), drop_rate=0.0, num_blocks=pick(1, 2, 4),
                sparsity_threshold=pick(0.01, 0.1, 0.0), hard_thresholding_fraction=pick(1.0, 0.5))
    return args, dict(x=torch.randn(2, args["in_channels"], *args["inp_shape"]))


def ModAFNO():
    args, call = AFNO()
    width = pick(6, 8)
    args.update(mod_dim=width, modulate_filter=pick(True, False), modulate_mlp=pick(True, False),
                scale_shift_mode=pick("complex", "real"),
                embed_model={"dim": width, "depth": pick(1, 2), "method": "sinusoidal"})
    return args, dict(call, mod=torch.rand(2, 1))


def FullyConnected():
    weight_norm, weight_fact = pick((False, False), (True, False), (False, True))
    args = dict(in_features=3, layer_size=pick(5, 8), out_features=pick(1, 2), num_layers=pick(1, 2, 4),
                activation_fn=pick(pick(*ACTIVATIONS), ["silu", "tanh", "relu", "gelu"]),
                skip_connections=pick(True, False), adaptive_activations=pick(True, False),
                weight_norm=weight_norm, weight_fact=weight_fact)
    return args, dict(x=torch.randn(*pick((4, 3), (2, 5, 3))))


def Pix2Pix():
    dimension = pick(1, 2, 3)
    args = dict(in_channels=pick(1, 2), out_channels=pick(1, 2), dimension=dimension,
                conv_layer_size=pick(4, 6), n_downsampling=pick(0, 1, 2), n_upsampling=pick(0, 1, 2),
                n_blocks=pick(0, 1, 2), activation_fn=pick(*ACTIVATIONS), batch_norm=pick(True, False),
                padding_type=pick("reflect", "replicate", "zero"))
    return args, dict(input=torch.randn(2, args["in_channels"], *[8] * dimension))


def SRResNet():
    args = dict(in_channels=pick(1, 2), out_channels=pick(1, 2), large_kernel_size=pick(3, 5, 7),
                small_kernel_size=pick(1, 3), conv_layer_size=pick(4, 6), n_resid_blocks=pick(1, 2),
                scaling_factor=pick(2, 4), activation_fn=pick(*ACTIVATIONS))
    return args, dict(in_vars=torch.randn(2, args["in_channels"], 3, 4, 3))


def UNet3D():
    depth = pick(1, 2)
    args = dict(in_channels=1, out_channels=pick(1, 2), model_depth=depth, num_conv_blocks=2,
                feature_map_channels=[4] * (2 * depth), kernel_size=3, stride=1, padding=1,
                padding_mode=pick("zeros", "zeros", "reflect", "circular", "replicate"),
                conv_activation=pick("relu", "silu", "gelu", "leaky_relu", "elu"),
                conv_transpose_activation=pick("relu", "silu", None), pool_size=2,
                pooling_type=pick("MaxPool3d", "AvgPool3d"), gradient_checkpointing=pick(True, False),
                normalization=pick("groupnorm", "batchnorm"))
    if args["normalization"] == "groupnorm" and pick(True, False):
        args["normalization_args"] = {"num_groups": pick(1, 2)}
    return args, dict(x=torch.randn(1, 1, 8, 8, 8))


def Transolver():
    shape = pick(None, [6, 8], [3, 4, 2])
    args = dict(functional_dim=pick(1, 2), out_dim=pick(1, 2), n_layers=pick(1, 2), n_hidden=8,
                n_head=pick(1, 2, 4), mlp_ratio=pick(1, 2), slice_num=pick(3, 4), use_te=False,
                act=pick("gelu", "relu", "silu"), unified_pos=shape is not None and pick(True, False),
                ref=pick(2, 3), time_input=pick(True, False))
    places = tuple(shape) if shape else (7,)
    if shape:
        args["structured_shape"] = shape
    call = dict(fx=torch.randn(2, *places, args["functional_dim"]))
    if not args["unified_pos"]:
        args["embedding_dim"] = 3
        call["embedding"] = torch.randn(2, *places, 3)
    if args["time_input"]:
        call["time"] = torch.rand(2)
    return args, call


def DiT():
    size, width, depth = pick(8, [8, 12]), pick(16, 32), pick(1, 2)
    embedder = pick("dit", "edm", "zero")
    args = dict(input_size=size, in_channels=pick(1, 2), out_channels=pick(None, 1, 3),
                patch_size=pick(2, 4, [2, 4]), hidden_size=width, depth=depth, num_heads=pick(2, 4),
                mlp_ratio=pick(1.0, 2.0, 4.0), attention_backend="timm", layernorm_backend="torch",
                conditioning_embedder=embedder, tokenizer_kwargs={"pos_embed": pick("learnable", None)},
                force_tokenization_fp32=pick(True, False))
    condition = None
    if embedder == "edm":
        args["conditioning_embedder_kwargs"] = {"emb_channels": width, "noise_channels": pick(8, 12)}
    if embedder != "zero" and pick(True, False):
        args["condition_dim"] = 3
        condition = torch.randn(2, 3)
    height, breadth = size if isinstance(size, list) else (size, size)
    return args, dict(x=torch.randn(2, args["in_channels"], height, breadth),
                      t=torch.rand(2) * pick(1, 10, 500), condition=condition)


MODELS = "physicsnemo.models."
CLASSES = {  # drawing function -> where the reference keeps the class
    SongUNet: (MODELS + "diffusion_unets.song_unet", "SongUNet"),
    SongUNetPosEmbd: (MODELS + "diffusion_unets.song_unet", "SongUNetPosEmbd"),
    DhariwalUNet: (MODELS + "diffusion_unets.dhariwal_unet", "DhariwalUNet"),
    UNetBlock: ("physicsnemo.nn", "UNetBlock"),
    FNO: (MODELS + "fno.fno", "FNO"),
    AFNO: (MODELS + "afno.afno", "AFNO"),
    ModAFNO: (MODELS + "afno.modafno", "ModAFNO"),
    FullyConnected: (MODELS + "mlp.fully_connected", "FullyConnected"),
    Pix2Pix: (MODELS + "pix2pix.pix2pix", "Pix2Pix"),
    SRResNet: (MODELS + "srrn.super_res_net", "SRResNet"),
    UNet3D: (MODELS + "unet.unet", "UNet"),
    Transolver: (MODELS + "transolver.transolver", "Transolver"),
    DiT: (MODELS + "dit.dit", "DiT"),
}


def randomise_constants(module):
    """No parameter keeps an initial value that hides a part of the network."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() == 1 or parameter.numel() and parameter.std() < 1e-3:
                centre = 1.0 if parameter.abs().mean() > 0.5 else 0.0
                parameter.copy_(centre + 0.2 * torch.randn_like(parameter))


def run(module, call, dtype, cotangent=None):
    """Output, cotangent, and the gradients of inputs and of parameters."""
    module.to(dtype)  # no copy: some modules of the reference hold closures over themselves
    inputs = {name: x.to(dtype).requires_grad_() for name, x in call.items()
              if torch.is_tensor(x) and x.is_floating_point()}
    output = module(**{**call, **inputs})
    cotangent = torch.randn(output.shape) if cotangent is None else cotangent
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad((output * cotangent.to(dtype)).sum(),
                                    [*inputs.values(), *trained.values()], allow_unused=True)
    return (output.detach(), cotangent, dict(zip(inputs, gradients)),
            dict(zip(trained, gradients[len(inputs):])))


def tolerance(x, x64, scale):
    """FORMAT.md 1.6; absolute where the exact value is zero beside `scale`."""
    error, largest = (x.double() - x64.double()).abs().max().item(), x64.abs().max().item()
    if largest < 1e-7 * scale or 8 * error > 1e-3 * largest:
        return [1e-5, max(8 * error, 1e-6 * scale)]
    return [max(1e-5, 8 * error / largest), 0.0]


def statistics(gradient):
    g = gradient.double().flatten()
    k = torch.arange(g.numel(), dtype=torch.float64)
    return torch.stack([g.norm(), (g * k.cos()).sum(), (g * k.sin()).sum()])


def write_case(draw, seed, folder):
    rng.seed(seed)
    torch.manual_seed(seed)
    args, call = draw()
    place, name = CLASSES[draw]
    module = getattr(importlib.import_module(place), name)(**copy.deepcopy(args))
    randomise_constants(module)
    mode = pick("train", "eval")
    module.train(mode == "train")
    start = copy.deepcopy(module.state_dict())

    output, cotangent, of_inputs, of_parameters = run(module, call, torch.float32)
    module.load_state_dict(start)
    try:
        output64, _, of_inputs64, of_parameters64 = run(module, call, torch.float64, cotangent)
    except RuntimeError:  # a class that computes in float32 whatever it is given
        output64, of_inputs64, of_parameters64 = output, of_inputs, of_parameters
    module.load_state_dict(start)

    live, first, tied = dict(module.named_parameters(remove_duplicate=False)), {}, {}
    for key in start:
        if key in live and first.setdefault(id(live[key]), key) != key:
            tied[key] = first[id(live[key])]
    tensors = {("param/" if key in live else "buffer/") + key: value for key, value in start.items()}
    form = []
    for key, value in call.items():
        if torch.is_tensor(value):
            tensors["in/" + key] = value
            form.append({"name": key, "tensor": "in/" + key})
        else:
            form.append({"name": key, "value": value})
    tensors |= {"cotangent/0": cotangent, "out/0": output}
    tol = {"out/0": tolerance(output, output64, 0)}
    received = [key for key, g in of_parameters.items() if g is not None]
    scale = max(of_parameters64[key].abs().max().item() for key in received)
    for kind, gradients, exact in (("in/", of_inputs, of_inputs64), ("param/", of_parameters, of_parameters64)):
        for key, g in gradients.items():
            if g is not None:
                tensors["grad/" + kind + key] = g
                tol["grad/" + kind + key] = tolerance(g, exact[key], scale if kind == "param/" else 0)
    tensors["gradstat/param"] = torch.stack([statistics(of_parameters[key]) for key in received])
    widest = max(of_parameters[key].numel() for key in received)
    tol["gradstat/param"] = [1e-3, max(1e-5, 2e-6 * scale * widest**0.5)]  # grad/param/* bind harder
    case = dict(
        format=1, name=f"{draw.__name__}_{seed}", kind="module", target=draw.__name__, args=args,
        mode=mode, call=form, outputs=["out/0"], complex=[], tied=tied, tol=tol, seed=seed,
        frozen=[key for key, p in module.named_parameters() if not p.requires_grad],
        grads=dict(cotangents=["cotangent/0"], stats=dict(tensor="gradstat/param", names=received),
                   inputs=[key for key in tensors if key.startswith("grad/in/")],
                   params=[key for key in tensors if key.startswith("grad/param/")],
                   unused_params=[key for key, g in of_parameters.items() if g is None]))
    save_file({key: x.detach().clone().contiguous() for key, x in tensors.items()},
              folder / f"{case['name']}.safetensors", metadata={"case": json.dumps(case)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case of a class")
    parser.add_argument("--count", type=int, default=20, help="configs drawn of each class")
    parser.add_argument("--classes", nargs="*", help="only these")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for draw in CLASSES:
        if options.classes and draw.__name__ not in options.classes:
            continue
        refused = []
        for seed in range(options.first, options.first + options.count):
            try:
                write_case(draw, seed, options.folder)
            except Exception as error:  # whatever the reference throws at a config
                refused.append(f"{seed}: {error}".splitlines()[0][:120])
        print(draw.__name__, options.count - len(refused), "written", len(refused), "refused by the reference",
              *refused[:1])


if __name__ == "__main__":
    main()
