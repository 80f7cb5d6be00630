"""Weights of any file that can be read without trust: safetensors, or torch's by the restricted reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.export import frameworks
from fastcbir.extract.weights import read_checkpoint

__all__ = ["Weights", "load_into", "read_weights"]

Weights = dict[str, npt.NDArray[Any]]


def read_weights(path: Path) -> tuple[Weights, dict[str, Any]]:
    """The named tensors of a file, and what else stands beside them (empty where nothing does).

    Raises:
        ModelError: no such file, no checkpoint, or its pickle wants something else than tensors and plain
            containers; the message names what it wanted.
    """
    if path.suffix == ".safetensors":
        reader = require("safetensors.numpy", "export", "reading safetensors")
        try:
            return dict(reader.load_file(str(path))), {}
        except Exception as error:  # safetensors' own exception, OSError
            raise ModelError(f"{path}: can't be read as safetensors: {error}") from error
    tree, beside = read_checkpoint(path), {}
    for key in ("state_dict", "model"):
        if isinstance(tree, dict) and isinstance(tree.get(key), dict):
            beside = {name: value for name, value in tree.items() if name != key}
            tree = tree[key]
    if not isinstance(tree, dict) or not tree:
        raise ModelError(f"{path}: expected named tensors, found {type(tree).__name__}")
    tensors = {str(name).removeprefix("module."): value for name, value in tree.items()}
    wrong = next((name for name, value in tensors.items() if not isinstance(value, np.ndarray)), None)
    if wrong is not None:
        raise ModelError(f"{path}: expected named tensors, found {wrong!r}: {type(tensors[wrong]).__name__}")
    return tensors, beside


def load_into(module: Any, weights: Weights, source: str) -> None:
    """Give a torch module its weights: all of them, and nothing more.

    Raises:
        ModelError: names or shapes that don't fit, with the first few of each.
    """
    torch = frameworks.torch()
    own = module.state_dict()
    # Counters and index buffers that some versions keep and others make anew.
    optional = ("num_batches_tracked", "position_ids")
    missing = [name for name in own if name not in weights and not name.endswith(optional)]
    extra = [name for name in weights if name not in own and not name.endswith(optional)]
    shapes = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in weights and tuple(weights[name].shape) != tuple(own[name].shape)
    ]
    if missing or extra or shapes:
        told = [f"{len(missing)} are missing ({', '.join(missing[:3])})"] if missing else []
        told += [f"{len(extra)} are unknown ({', '.join(extra[:3])})"] if extra else []
        told += shapes[:3]
        raise ModelError(f"{source}: these weights are of another network: {'; '.join(told)}")
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in weights.items() if name in own}
    module.load_state_dict(tensors, strict=False)
