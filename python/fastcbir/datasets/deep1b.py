"""DEEP1B in parts: base_00 ... base_36, learn_00 ... learn_13, and deep1B_{queries.fvecs,groundtruth.ivecs}.

The parts are fvecs, with or without the suffix.

Babenko and Lempitsky, CVPR 2016. 96 components of unit length; compared by L2. Imports numpy only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from fastcbir.datasets.checks import check_rows
from fastcbir.datasets.truth import check_truth
from fastcbir.datasets.types import Dataset, Vectors
from fastcbir.datasets.vecs import read_vecs
from fastcbir.errors import FormatError

__all__ = ["is_deep1b", "load_deep1b", "read_parts"]


def is_deep1b(path: Path) -> bool:
    """Whether the folder holds the first part of the base."""
    return bool(_parts(path, "base"))


def read_parts(folder: Path, role: str, *, n: int | None = None) -> Vectors:
    """The vectors of the parts `<role>_00`, `<role>_01`, ... in their order.

    Returns:
        (N, d) float32: a memory map where one part suffices; more are copied into one array, so give n to
        take no more than fits.

    Raises:
        FormatError: a part that is missing or has another dimension, fewer than n vectors, or what
            `read_vecs` refuses.
    """
    check_rows(n)
    taken: list[Vectors] = []
    held = 0
    for expected, (number, path) in enumerate(_parts(folder, role)):
        if number != expected:
            raise FormatError(f"{folder}: part {role}_{expected:02d} is missing; the next is {path.name}")
        part = read_vecs(path, suffix=".fvecs")
        if taken and part.shape[1] != taken[0].shape[1]:
            raise FormatError(f"{path}: dimension {part.shape[1]} but {role}_00 has {taken[0].shape[1]}")
        part = part if n is None else part[: n - held]
        taken.append(part)
        held += len(part)
        if held == n:
            break
    if n is not None and held < n:
        raise FormatError(f"{folder}: n={n} vectors were asked for but its parts hold {held}")
    return taken[0] if len(taken) == 1 else np.concatenate(taken)


def load_deep1b(path: str | Path, *, n: int | None = None, metric: str | None = None) -> Dataset:
    """DEEP1B from the folder of its parts; the truth is kept only for the whole billion.

    `learn` is the first part that is there of the training vectors, memory-mapped.

    Args:
        path: the folder.
        n: only the first n vectors.
        metric: "l2", what the truth was made with.

    Raises:
        FormatError: as `read_parts`, or without deep1B_queries.fvecs.
    """
    folder = Path(path)
    queries, truth = folder / "deep1B_queries.fvecs", folder / "deep1B_groundtruth.ivecs"
    if not queries.is_file():
        raise FormatError(f"{folder}: expected {queries.name} beside the parts of the base")
    base = read_parts(folder, "base", n=n)
    dataset = Dataset(
        name="deep1b" if n is None else f"deep1b-{n}",
        base=base,
        queries=np.array(read_vecs(queries)),
        metric=metric or "l2",
        learn=next((read_vecs(part, suffix=".fvecs") for _, part in _parts(folder, "learn")), None),
        source=str(folder),
    )
    if n is not None or not truth.is_file():
        return dataset
    try:
        return check_truth(replace(dataset, neighbors=read_vecs(truth).astype(np.int64)), str(truth))
    except FormatError:
        raise
    except ValueError as error:
        raise FormatError(f"{truth}: {error}; are parts of the base missing?") from error


def _parts(folder: Path, role: str) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    named = ((re.fullmatch(rf"{role}_(\d\d)(\.fvecs)?", path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in named if match)
