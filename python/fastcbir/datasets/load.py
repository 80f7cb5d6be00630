"""`load_dataset`: one door for named data sets, for those made here, and for files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fastcbir.datasets import dev, offline
from fastcbir.datasets.catalogue import CATALOGUE
from fastcbir.datasets.checks import check_rows
from fastcbir.datasets.fetch import fetch
from fastcbir.datasets.registry import adapter_for, similar
from fastcbir.datasets.types import METRICS, Dataset

__all__ = ["dataset_cache", "dataset_names", "load_dataset"]


def dataset_cache(cache: str | Path | None = None) -> Path:
    """Where data sets are kept: `cache`, else "datasets" in $FASTCBIR_CACHE or the platform's cache."""
    if cache is not None:
        return Path(cache).expanduser()
    from fastcbir.extract.cache import cache_folder

    return cache_folder() / "datasets"


def dataset_names() -> list[str]:
    """The names that `load_dataset` knows: those made here without a download first, then the catalogue's."""
    return [*offline.BUILDERS, *CATALOGUE]


def load_dataset(
    name_or_path: str | Path,
    *,
    n: int | None = None,
    cache: str | Path | None = None,
    metric: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """A data set by its name or from a file or folder.

    Args:
        name_or_path: one of `dataset_names()`, or a path. A str that is a name is taken as the name.
        n: only the first n base vectors. Of billion-scale sets only those are downloaded or mapped. Stored
            neighbours are left out, unless there are some for just that many; `with_truth` computes them.
        cache: the folder for downloads and for what is computed; see `dataset_cache`.
        metric: "l2", "ip", "cosine" or "hamming" for files that don't say; "l2" is assumed otherwise.
        progress: called with (done, total) bytes while downloading, or items while computing.

    Raises:
        FileNotFoundError: neither a known name nor a path.
        FormatError: a file isn't what it should be; DownloadError: one can't be had; MissingExtraError: a
            package is missing; ValueError: n or metric is out of range.
    """
    check_rows(n)
    if metric is not None and metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, not {metric!r}")
    if isinstance(name_or_path, str):
        folder = dataset_cache(cache)
        if name_or_path in offline.BUILDERS:
            return offline.load_offline(name_or_path, folder, n=n, progress=progress)
        if name_or_path in CATALOGUE:
            return fetch(CATALOGUE[name_or_path], folder, n=n, metric=metric, progress=progress)
        if name_or_path.startswith(dev.PREFIX):
            return dev.load_dev(name_or_path, folder, n=n, progress=progress)
    path = Path(name_or_path).expanduser()
    if not path.exists():
        named = os.sep not in str(name_or_path) and not path.suffix
        raise FileNotFoundError(
            f"{name_or_path} is neither a known data set nor a path that exists; "
            f"{similar(str(name_or_path), dataset_names()) if named else 'check the path'}"
        )
    return adapter_for(path).load(path, n=n, metric=metric)
