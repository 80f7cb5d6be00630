"""What every reader says of a bad file: which file, what was expected, what was found. Imports numpy only."""

from __future__ import annotations

from pathlib import Path

from fastcbir.datasets.types import Vectors
from fastcbir.errors import FormatError

__all__ = ["check_rows", "readable_size", "writable_rows"]


def readable_size(path: Path) -> int:
    """The size of a regular file in bytes.

    Raises:
        FileNotFoundError: there is none.
        FormatError: it is a folder or the like.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise FormatError(f"{path} is not a regular file")
    return path.stat().st_size


def check_rows(n: int | None) -> None:
    """Refuse an `n` that asks for no rows."""
    if n is not None and n < 1:
        raise ValueError(f"n must be at least 1 (or None for all rows), not {n}")


def writable_rows(vectors: Vectors, what: str) -> Vectors:
    """`vectors` unless it can't be written as rows of equal length."""
    if vectors.ndim != 2 or vectors.size == 0:
        raise ValueError(f"{what} must be (N, d), not empty, but its shape is {vectors.shape}")
    return vectors
