"""From a catalogue entry to a data set: download what is missing, unpack it, read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from fastcbir.datasets.catalogue import Entry, RemoteFile
from fastcbir.datasets.checks import check_rows
from fastcbir.datasets.folder import assemble
from fastcbir.datasets.glove import load_glove
from fastcbir.datasets.hdf5 import load_hdf5
from fastcbir.datasets.types import Dataset
from fastcbir.datasets.unpack import unpack
from fastcbir.datasets.xbin import XBIN_DTYPES
from fastcbir.download import download

__all__ = ["fetch"]

Progress = Callable[[int, int], None]
_CAREFUL = 50_000  # megabytes; more than this is fetched only when asked for by number


def fetch(
    entry: Entry,
    folder: Path,
    *,
    n: int | None = None,
    metric: str | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The data set of a catalogue entry, downloaded to `folder` where it isn't there yet.

    Args:
        entry: from `CATALOGUE`.
        folder: the cache of data sets.
        n: only the first n base vectors. Of big-ann sets no more than those are downloaded.
        metric: another than the entry's, as for the formats that don't say.
        progress: as `download` takes it.

    Raises:
        ValueError: n exceeds the data set, or a billion vectors weren't asked for by number.
        DownloadError, FormatError: as `download` and the readers.
    """
    check_rows(n)
    if n is not None and n > entry.rows:
        raise ValueError(f"n={n} vectors were asked for but {entry.name} has {entry.rows}")
    if n is None and entry.sliced and entry.megabytes > _CAREFUL:
        raise ValueError(
            f"{entry.name} has {entry.rows} vectors, {entry.megabytes // 1000} GB: "
            f"say how many of them with n=; n={entry.rows} fetches all"
        )

    def get(file: RemoteFile, name: str, max_bytes: int | None = None) -> Path:
        target = folder / name
        return download(file.url, target, sha256=file.sha256, max_bytes=max_bytes, progress=progress)

    if entry.form == "hdf5":
        dataset = load_hdf5(get(entry.base, f"{entry.name}.hdf5"), n=n, metric=metric)
    elif entry.form == "glove":
        archive = get(entry.base, entry.base.url.rpartition("/")[2])
        dataset = load_glove(archive, n=n, metric=metric, member=entry.member)
    elif entry.form == "texmex":
        dataset = _texmex(entry, get, folder, n, metric)
    else:
        dataset = _big_ann(entry, get, n, metric)
    return replace(dataset, name=_name(entry, n), licence=entry.licence, source=entry.source)


_Get = Callable[..., Path]


def _name(entry: Entry, n: int | None) -> str:
    if n is None or n == entry.rows:
        return entry.name
    return f"{entry.name}-{n // 1_000_000}M" if n % 1_000_000 == 0 else f"{entry.name}-{n}"


def _texmex(entry: Entry, get: _Get, folder: Path, n: int | None, metric: str | None) -> Dataset:
    stem = entry.member
    names = {
        role: f"{stem}_{role}.{'ivecs' if role == 'groundtruth' else 'fvecs'}"
        for role in ("base", "query", "learn", "groundtruth")
    }
    files = {role: folder / entry.name / name for role, name in names.items()}
    if not all(path.exists() for path in files.values()):
        archive = get(entry.base, f"{stem}.tar.gz")
        unpack(archive, {f"{stem}/{names[role]}": path for role, path in files.items()})
    return assemble(
        entry.name,
        files["base"],
        files["query"],
        learn=files["learn"],
        truth=files["groundtruth"],
        n=n,
        metric=metric,
    )


def _big_ann(entry: Entry, get: _Get, n: int | None, metric: str | None) -> Dataset:
    rows = n or entry.rows
    name = entry.base.url.rpartition("/")[2]
    suffix = f".{name.rpartition('.')[2]}"
    part = None if rows == entry.rows else 8 + rows * entry.dim * XBIN_DTYPES[suffix].itemsize
    assert entry.asks is not None
    asks = get(entry.asks, f"{entry.name}/{entry.asks.url.rpartition('/')[2]}")
    truth = entry.truths.get(rows)
    answers = None if truth is None else get(truth, f"{entry.name}/truth-{rows}.bin")
    base = get(entry.base, f"{entry.name}/base-{rows}{suffix}", part)
    return assemble(
        entry.name, base, asks, truth=answers, truth_rows=rows, n=rows, metric=metric or entry.metric
    )
