"""Imports torch and the model libraries, when something is exported and not before."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

from fastcbir.errors import require

__all__ = ["timm", "torch", "torchvision", "transformers"]

_EXTRA, _WHY = "export", "exporting a model"
_MISSING = re.compile(r"operator torchvision::(\w+) does not exist")
_declared: list[Any] = []  # torch forgets an operator's declaration with the object that made it


def torch() -> ModuleType:
    """Raises MissingExtraError without it, as do the others."""
    return require("torch", _EXTRA, _WHY)


def torchvision() -> ModuleType:
    """torchvision, of which only the networks are needed.

    Its compiled operators (non-maximum suppression and the like) may have been built for another torch, such
    as one with CUDA; the networks use none of them, but importing torchvision fails. So the operators that it
    misses are declared, without a body.
    """
    library = torch().library
    for _ in range(64):
        try:
            return require("torchvision", _EXTRA, _WHY)
        except RuntimeError as error:
            missing = _MISSING.search(str(error))
            if missing is None:
                raise
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            declaration = library.Library("torchvision", "FRAGMENT")
            declaration.define(f"{missing[1]}(Tensor values) -> Tensor")
            _declared.append(declaration)
    raise AssertionError("torchvision misses more operators than it has")


def timm() -> ModuleType:
    """PyTorch Image Models."""
    torchvision()  # which it imports
    return require("timm", _EXTRA, _WHY)


def transformers() -> ModuleType:
    """Hugging Face's transformers."""
    torchvision()  # which it imports where it is installed
    return require("transformers", _EXTRA, _WHY)
