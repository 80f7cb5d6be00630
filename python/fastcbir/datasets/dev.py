"""Larger data for development, outside the project: "dev:sift500k" and others in $FASTCBIR_DEV_DATA."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastcbir.datasets.kept import digest, kept
from fastcbir.datasets.npy import read_npy
from fastcbir.datasets.truth import exact_neighbors
from fastcbir.datasets.types import Dataset

__all__ = ["DEV_SETS", "PREFIX", "load_dev"]

PREFIX = "dev:"
VARIABLE = "FASTCBIR_DEV_DATA"
_NEIGHBORS = 100


class _Files(NamedTuple):
    base: str
    queries: str
    metric: str
    learn: str | None = None
    licence: str = "computed from photographs of mixed licences; for development alone"


DEV_SETS: dict[str, _Files] = {
    "dev:sift500k": _Files("sift500k_base_u8", "sift500k_query_u8", "l2", "sift500k_learn_u8"),
    "dev:deep96": _Files("deep96_base_f16", "deep96_query_f16", "cosine"),
    "dev:glove50": _Files("glove6B50d_base100k", "glove6B50d_query1k", "cosine", licence="PDDL-1.0"),
}


def load_dev(
    name: str, cache: Path, *, n: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """A development set with its 100 exact neighbours, computed once per base and kept in `cache`.

    Args:
        name: a key of `DEV_SETS`.
        n: only the first n base vectors, with the neighbours among these.
        progress: called with (done, total) queries while neighbours are computed.

    Raises:
        FileNotFoundError: an unknown name, $FASTCBIR_DEV_DATA is not set, or the files aren't there.
    """
    root = os.environ.get(VARIABLE)
    if name not in DEV_SETS:
        raise FileNotFoundError(f"{name} is no development set; expected {', '.join(DEV_SETS)}")
    if not root:
        raise FileNotFoundError(f"{name} lies in the folder that ${VARIABLE} names, but that is not set")
    files, folder = DEV_SETS[name], Path(root) / "ann"

    def read(stem: str, rows: int | None = None) -> np.ndarray:
        return read_npy(folder / f"{stem}.npy", n=rows)

    dataset = Dataset(
        name=name if n is None else f"{name}-{n}",
        base=read(files.base, n),
        queries=read(files.queries),
        metric=files.metric,
        learn=read(files.learn) if files.learn else None,
        licence=files.licence,
        source=str(folder),
    )
    k = min(_NEIGHBORS, len(dataset.base))
    key = digest(dataset.metric, str(k), dataset.base.tobytes(), dataset.queries.tobytes())

    def make() -> dict[str, np.ndarray]:
        ids, far = exact_neighbors(dataset.base, dataset.queries, k, dataset.metric, progress=progress)
        return {"neighbors": ids, "distances": far}

    truth = kept(cache / f"{name.removeprefix(PREFIX)}-{key}.npz", make)
    return replace(dataset, neighbors=truth["neighbors"], distances=truth["distances"])
