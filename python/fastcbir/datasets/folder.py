"""Data sets that are several files side by side: base, queries, perhaps training vectors and ground truth.

The files' roles are told by words in their names, as in sift_base.fvecs or query.public.10K.u8bin. Vectors
are fvecs/ivecs/bvecs (TEXMEX), fbin/u8bin/... (big-ann-benchmarks) or .npy. Imports numpy only.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fastcbir.datasets.npy import read_npy
from fastcbir.datasets.truth import check_truth
from fastcbir.datasets.types import Dataset, Vectors
from fastcbir.datasets.vecs import VECS_DTYPES, read_vecs
from fastcbir.datasets.xbin import XBIN_DTYPES, read_truth, read_xbin
from fastcbir.errors import FormatError

__all__ = ["SUFFIXES", "assemble", "has_base", "load_folder", "read_vectors"]

SUFFIXES = (*VECS_DTYPES, *XBIN_DTYPES, ".npy")
# A word of the name that starts like this gives the role; the first that fits counts.
_ROLES = {
    "distances": ("distances", "dists", "dis"),
    "truth": ("groundtruth", "gt", "gnd", "neighbors", "neighbours", "truth"),
    "queries": ("query", "queries", "test"),
    "learn": ("learn",),
    "base": ("base", "database", "train"),
}


def read_vectors(path: Path, *, n: int | None = None) -> Vectors:
    """The (N, d) vectors of a file in any of the formats here, by its suffix; with n, the first n."""
    if path.suffix in VECS_DTYPES:
        return read_vecs(path, n=n)
    if path.suffix in XBIN_DTYPES:
        return read_xbin(path, n=n)
    return read_npy(path, n=n)


def has_base(path: Path) -> bool:
    """Whether `path` is a file of base vectors, or a folder with one."""
    if path.is_dir():
        return any(_role(file) == "base" for file in path.iterdir())
    return path.suffix in SUFFIXES


def load_folder(path: str | Path, *, n: int | None = None, metric: str | None = None) -> Dataset:
    """A data set from its folder, or from its base file with the others beside it.

    Args:
        path: a folder with one base file, or the base file.
        n: only the first n base vectors; the ground truth then no longer holds and is left out.
        metric: "l2" unless said otherwise, as no file says.

    Raises:
        FormatError: base or queries are missing, or there are several of a role; whatever the readers refuse;
            ground truth that doesn't belong to the vectors.
    """
    path = Path(path)
    files = _roles(path)
    return assemble(
        path.name if path.is_dir() else path.stem,
        files["base"],
        files["queries"],
        learn=files.get("learn"),
        truth=files.get("truth"),
        distances=files.get("distances"),
        n=n,
        metric=metric,
    )


def assemble(
    name: str,
    base: Path,
    queries: Path,
    *,
    learn: Path | None = None,
    truth: Path | None = None,
    distances: Path | None = None,
    truth_rows: int | None = None,
    n: int | None = None,
    metric: str | None = None,
) -> Dataset:
    """A data set from files whose roles are known.

    Args:
        name: of the data set.
        base, queries, learn: vectors.
        truth: ids, or ids and distances in one file of big-ann-benchmarks.
        distances: of the truth, where they are a file of their own.
        truth_rows: how many base vectors the truth is about; None is all of the base file.
        n: only the first n base vectors.
        metric: "l2" unless said otherwise.
    """
    vectors = read_vectors(base, n=n)
    valid = truth_rows or (len(vectors) if n is None else _rows(base))
    ids = scale = None
    if truth is not None and len(vectors) == valid:
        if truth.suffix in XBIN_DTYPES or truth.suffix in ("", ".bin"):
            ids, scale = read_truth(truth, distances)
        else:
            stored = read_vectors(truth)
            if stored.dtype.kind not in "iu":
                raise FormatError(f"{truth}: expected the ids of neighbours but found {stored.dtype}")
            ids = stored.astype(np.int64)
            scale = None if distances is None else read_vectors(distances).astype(np.float32)
    try:
        dataset = Dataset(
            name=name,
            base=vectors,
            queries=np.array(read_vectors(queries)),
            metric=metric or "l2",
            learn=None if learn is None else read_vectors(learn),
            neighbors=ids,
            distances=scale,
            source=str(base),
        )
    except ValueError as error:
        raise FormatError(f"{base} and the files that go with it: {error}") from error
    return check_truth(dataset, str(truth))


def _rows(path: Path) -> int:
    """How many vectors the file is meant to hold, by its header or size."""
    if path.suffix in XBIN_DTYPES:
        return int(np.fromfile(path, dtype="<u4", count=1)[0])
    if path.suffix in VECS_DTYPES:
        dim = int(np.fromfile(path, dtype="<i4", count=1)[0])
        return path.stat().st_size // (4 + dim * VECS_DTYPES[path.suffix].itemsize)
    return len(read_npy(path))


def _role(path: Path) -> str | None:
    if path.suffix not in (*SUFFIXES, ".bin") or not path.is_file():
        return None
    words = re.split(r"[^a-z0-9]+", path.stem.lower())
    for role, starts in _ROLES.items():
        if any(word.startswith(starts) for word in words):
            return role
    return None


def _roles(path: Path) -> dict[str, Path]:
    folder = path if path.is_dir() else path.parent
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        role = _role(file)
        if role is not None:
            found.setdefault(role, []).append(file)
    if path.is_file():
        if _role(path) not in ("base", None):
            raise FormatError(f"{path}: expected a file of base vectors, but its name says {_role(path)}")
        found["base"] = [path]
    files: dict[str, Path] = {}
    for role, candidates in found.items():
        if len(candidates) > 1 and role != "base":
            # Several data sets in one folder: those whose names start like the base's belong together.
            shared = re.split(r"base|database|train", found.get("base", [path])[0].name, flags=re.I)[0]
            candidates = [
                file for file in candidates if shared and file.name.startswith(shared)
            ] or candidates
        if len(candidates) > 1:
            names = ", ".join(file.name for file in candidates)
            hint = "; give the path of one of them" if role == "base" else ""
            raise FormatError(f"{folder}: expected one file of {role} but found {names}{hint}")
        files[role] = candidates[0]
    for role in ("base", "queries"):
        if role not in files:
            raise FormatError(
                f"{folder}: no file of {role}; expected a name with {' or '.join(map(repr, _ROLES[role]))} "
                f"and one of the suffixes {', '.join(SUFFIXES)}"
            )
    return files
