#!/usr/bin/env python3
"""Writes tests/nn/data/reference_defaults.json: the defaults of PhysicsNeMo's constructors.

Of every class of initial_values.py and of those below, by our names. Needs nvidia-physicsnemo; not part
of CI.

    python tests/reference/defaults.py > tests/nn/data/reference_defaults.json
"""

import enum
import importlib
import inspect
import json

from torch import nn

from initial_values import CASES

PARTS = {
    "AFNO2DLayer": "nn.module.afno_layers",
    "ConvDetokenizer": "nn.module.dit_layers",
    "ConvNdFCLayer": "nn.module.fully_connected_layers",
    "DiTBlock": "nn.module.dit_layers",
    "DiTConditionEmbedder": "nn.module.conditioning_embedders",
    "EDMConditionEmbedder": "nn.module.conditioning_embedders",
    "FourierPositionalEmbedding": "nn.module.embedding_layers",
    "GroupNorm": "nn.module.group_norm:get_group_norm",
    "Natten2DSelfAttention": "nn.module.dit_layers",
    "PatchEmbed2DTokenizer": "nn.module.dit_layers",
    "ProjReshape2DDetokenizer": "nn.module.dit_layers",
    "RotaryEmbedding2DTables": "nn.module.rope",
    "TimmSelfAttention": "nn.module.dit_layers",
    "UNetAttention": "nn.module.attention_layers",
}


def as_json(value):
    if isinstance(value, nn.Module):
        return type(value).__name__.lower()
    if isinstance(value, type):
        return value.__name__.lower()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return {"float": str(value)}
    return value


def main():
    defaults = {}
    for name, place in {**{name: place for name, place, _ in CASES}, **PARTS}.items():
        module, _, other = place.partition(":")
        made_by = getattr(importlib.import_module("physicsnemo." + module), other or name)
        defaults[name] = {p.name: as_json(p.default) for p in inspect.signature(made_by).parameters.values()
                          if p.default is not p.empty}
    print(json.dumps(defaults, indent=1))


if __name__ == "__main__":
    main()
