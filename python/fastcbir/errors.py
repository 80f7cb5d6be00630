"""The exceptions fastcbir raises beyond Python's own.

Each message says what was expected, what came, and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["AlbumLockedError", "FormatError", "MissingExtraError", "ModelError", "require"]


class FormatError(ValueError):
    """A file is not what it should be: foreign, truncated, damaged, or of a later version."""


class ModelError(RuntimeError):
    """A model can't be found, verified, converted or run."""


class AlbumLockedError(RuntimeError):
    """Another process is writing to this album."""


class MissingExtraError(ImportError):
    """An optional dependency is absent; the message names the extra that brings it."""


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise MissingExtraError naming the extra of fastcbir that installs it.

    Args:
        module: what to import, such as "PIL.Image".
        extra: the extra that brings it, such as "photos".
        purpose: what needs it, such as "decoding photos"; the start of the message.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed; "
            f'run: pip install "fastcbir[{extra}]"'
        ) from error
