#!/usr/bin/env python3
"""Loads .mdlus files that brume wrote in PhysicsNeMo, runs them, and compares.

Needs the packages torch, safetensors and nvidia-physicsnemo; not part of the test suite.

    mkdir written
    brume-conformance tests/conformance/data/module tests/conformance/data/preconditioner \
        --known-classes --save written
    tests/reference/load_written_files.py written tests/conformance/data

Each file is rebuilt by from_checkpoint from what it says itself, put into the mode of its case, and
called with the case's inputs; the first output must agree within the case's tolerance. Classes that
PhysicsNeMo does not have as Modules (single layers, brume's own adapters) are counted apart; that
a class which it has is written as one of those is a failure.
"""

import importlib
import json
import pathlib
import pkgutil
import sys
import warnings
import zipfile

import torch
from physicsnemo.core.module import Module
from safetensors import safe_open
from tensordict import TensorDict

warnings.filterwarnings("ignore")


def read_case(path):
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        return json.loads(file.metadata()["case"]), tensors


def decode(form, tensors):
    if isinstance(form, dict) and "tensor" in form:
        x = tensors[form["tensor"]]
        for view, *arguments in form.get("view", []):
            x = getattr(x, view)(*arguments)
        return x
    if isinstance(form, dict) and "tensordict" in form:
        values = {name: tensors[key] for name, key in form["tensordict"].items()}
        return TensorDict(values, batch_size=[form["batch"]])
    if isinstance(form, dict) and "value" in form:
        value = form["value"]
        return {k: decode(v, tensors) for k, v in value.items()} if isinstance(value, dict) else value
    if isinstance(form, dict):
        raise NotImplementedError(f"argument {form}")
    return form


def agrees(actual, expected, tolerance):
    if actual.shape != expected.shape:
        return False, f"shape {tuple(actual.shape)}, wanted {tuple(expected.shape)}"
    error = (actual.double() - expected.double()).abs().max().item()
    r, t = (0.0, 0.0) if tolerance == "exact" else tolerance
    bound = t + r * expected.double().abs().max().item()
    return error <= bound, f"|difference| {error:.2g}, allowed {bound:.2g}"


def check(path, case, tensors):
    if case.get("draws") or case.get("method"):
        raise NotImplementedError("draws random numbers or calls a method")
    model = Module.from_checkpoint(str(path))
    model.train(case["mode"] == "train")
    arguments = {a["name"]: decode({k: v for k, v in a.items() if k not in ("name", "positional")},
                                   tensors) for a in case["call"]}
    with torch.no_grad():
        result = model(**arguments)
    if isinstance(result, (tuple, list)):
        result = result[0]
    return agrees(result, tensors["out/0"], case["tol"]["out/0"])


# Their activation is an object, so that PhysicsNeMo writes no file of them.
NOT_IN_FILES = {"ConvLayer", "TransposeConvLayer", "ConvGRULayer", "Conv1dFCLayer", "Conv2dFCLayer", "Conv3dFCLayer",
                "ConvNdFCLayer"}


def modules_of_the_reference():
    """The names of all classes derived from Module."""
    for package in ("physicsnemo.nn", "physicsnemo.models", "physicsnemo.diffusion",
                    "physicsnemo.experimental.models.diffusion_unets"):
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".",
                                           onerror=lambda name: None):
            try:
                importlib.import_module(found.name)
            except Exception:  # of packages that are not installed
                continue
    names, pending = set(), [Module]
    while pending:
        pending += (subclasses := pending.pop().__subclasses__())
        names |= {c.__name__ for c in subclasses if c.__module__.startswith("physicsnemo.")}
    return names - NOT_IN_FILES


def main(written, data):
    theirs = modules_of_the_reference()
    cases = {p.stem: p for kind in ("module", "preconditioner")
             for p in (pathlib.Path(data) / kind).glob("*.safetensors")}
    passed, failed, foreign, other = [], [], [], []
    for path in sorted(pathlib.Path(written).glob("*.mdlus")):
        case, tensors = read_case(cases[path.stem])
        arguments = json.loads(zipfile.ZipFile(path).read("args.json"))
        described = [arguments] + [v for k, v in arguments.items()
                                   if k.startswith("__physicsnemo.Module__")]
        ours = {d["__name__"] for d in described if d["__module__"] == "brume"}
        if ours & theirs:
            failed.append(path.stem)
            print("FAILED", path.stem, case["target"], f"says that {sorted(ours & theirs)} are brume's own")
            continue
        if ours:
            foreign.append(path.stem)
            continue
        try:
            good, text = check(path, case, tensors)
        except NotImplementedError as error:
            other.append(f"{path.stem}: {error}")
            continue
        except ImportError:  # of neighbourhood attention
            other.append(f"{path.stem}: needs a package that is not installed")
            continue
        except Exception as error:  # what PhysicsNeMo says is the finding
            good, text = False, f"{type(error).__name__}: {error}"
        (passed if good else failed).append(path.stem)
        print("ok    " if good else "FAILED", path.stem, case["target"], text)
    for text in other:
        print("not run", text)
    print(f"{len(passed)} passed, {len(failed)} failed, {len(other)} not run, "
          f"{len(foreign)} of classes that are not PhysicsNeMo's")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: load_written_files.py WRITTEN_FOLDER CONFORMANCE_DATA")
    sys.exit(main(*sys.argv[1:]))
