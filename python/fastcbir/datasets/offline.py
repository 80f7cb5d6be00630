"""Data sets that are made here, without a download, from photographs inside installed packages.

Real descriptors of real photographs, small enough to be made in seconds; the queries come from other
photographs than the base. Made once and kept under a key of the photographs' bytes and the versions of what
made them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastcbir.datasets import cnn_tiles, sift_photos
from fastcbir.datasets.kept import Arrays, kept
from fastcbir.datasets.truth import exact_neighbors
from fastcbir.datasets.types import Dataset, Vectors
from fastcbir.errors import FormatError

__all__ = ["BUILDERS", "Builder", "load_offline"]

Progress = Callable[[int, int], None]
_NEIGHBORS = 100
_SEED = 20


class Builder(NamedTuple):
    """How a data set is made."""

    what: str
    metric: str
    key: Callable[[], str]
    """A hash of everything that the vectors depend on."""
    make: Callable[[Path, Progress | None], tuple[Vectors, Vectors]]
    """From the cache folder and a callback: base (N, d) in random order, and queries (Q, d)."""


def load_offline(
    name: str, folder: Path, *, n: int | None = None, progress: Progress | None = None
) -> Dataset:
    """A data set of `BUILDERS`, made where it isn't kept yet.

    Args:
        name: a key of `BUILDERS`.
        folder: the cache of data sets.
        n: only the first n base vectors, which are a random sample; without neighbours then.
        progress: called with (done, total) photographs or tiles while it is made.

    Raises:
        MissingExtraError: what it is made with, or the packages that carry photographs, are not installed.
        FormatError: n is more than there are.
    """
    arrays = _arrays(name, folder, progress)
    base, whole = arrays["base"], n is None or n == len(arrays["base"])
    if n is not None and n > len(base):
        raise FormatError(f"n={n} vectors were asked for but {name} holds {len(base)}")
    return Dataset(
        name=name,
        base=base[:n],
        queries=arrays["queries"],
        metric=BUILDERS[name].metric,
        neighbors=arrays["neighbors"] if whole else None,
        distances=arrays["distances"] if whole else None,
        licence="of the photographs inside packages it is made from: see fastcbir.datasets.package_photos",
        source="photographs inside scikit-image, scikit-learn and matplotlib",
    )


def _arrays(name: str, folder: Path, progress: Progress | None) -> Arrays:
    builder = BUILDERS[name]

    def make() -> Arrays:
        base, queries = builder.make(folder, progress)
        neighbors, distances = exact_neighbors(base, queries, _NEIGHBORS, builder.metric)
        return {"base": base, "queries": queries, "neighbors": neighbors, "distances": distances}

    return kept(folder / f"{name}-{builder.key()}.npz", make)


def _sampled(vectors: tuple[Vectors, Vectors], asking: int) -> tuple[Vectors, Vectors]:
    """The base in random order, so that its first n are a sample of all photographs, and `asking` queries."""
    base, queries = vectors
    rng = np.random.default_rng(_SEED)
    return base[rng.permutation(len(base))], queries[rng.permutation(len(queries))[:asking]]


def _reduced(folder: Path, progress: Progress | None) -> tuple[Vectors, Vectors]:
    whole = _arrays("cnn-tiles", folder, progress)
    return cnn_tiles.reduced(whole["base"], whole["queries"], 96)


BUILDERS: dict[str, Builder] = {
    "sift-photos": Builder(
        "SIFT descriptors of photographs, 128-d uint8",
        "l2",
        sift_photos.key,
        lambda _, progress: _sampled(sift_photos.make(progress), 2000),
    ),
    "cnn-tiles": Builder(
        "features of tiles of photographs by the default extractor, 1280-d float32",
        "cosine",
        cnn_tiles.key,
        lambda _, progress: _sampled(cnn_tiles.make(progress), 1000),
    ),
    "cnn-tiles-96": Builder("cnn-tiles, reduced to 96-d by PCA", "cosine", cnn_tiles.key, _reduced),
}
