"""A full check of an album: the catalogue's file, every vector, the index file against the catalogue, every
photo.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.errors import FormatError
from fastcbir.extract.projection import Projection
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.derived import index_path
from fastcbir.image_index.results import Problem
from fastcbir.image_index.schema import content_id
from fastcbir.image_index.snapshot import Snapshot
from fastcbir.image_index.walk import reason_of
from fastcbir.index import Index, load

__all__ = ["verify"]

_CHUNK = 4096
_NORM_SLACK = 1e-3
_VECTOR_SLACK = 1e-5  # the index normalises once more; float32 has 6e-8


def verify(catalogue: Catalogue, plain_index: Path) -> list[Problem]:
    """All problems of an album; results.Problem tells the kinds. Run it while nobody writes."""
    problems = [
        Problem("catalogue", catalogue.path, f"SQLite reports: {said}; restore the catalogue from a backup")
        for said in catalogue.integrity()
    ]
    try:
        with catalogue.reading() as snapshot:
            problems += _vectors(snapshot, catalogue)
            problems += _index(snapshot, catalogue, index_path(plain_index, snapshot.projection_key()))
            problems += _files(snapshot)
    except (FormatError, OSError) as error:
        problems.append(Problem("catalogue", catalogue.path, str(error)))
    return problems


def _vectors(snapshot: Snapshot, catalogue: Catalogue) -> Iterator[Problem]:
    dim = catalogue.identity.dim
    for number, content_hash, vector in snapshot.raw_vectors():
        wrong: str | None = None
        if len(vector) != 4 * dim:
            wrong = f"has {len(vector)} bytes, expected {4 * dim} (dim {dim}, float32)"
        else:
            values = np.frombuffer(vector, "<f4").astype(np.float64)
            length = float(np.linalg.norm(values))
            if not np.isfinite(values).all():
                wrong = "has elements that are not finite"
            elif abs(length - 1) > _NORM_SLACK:
                wrong = f"has length {length:.4g}, expected 1"
            elif content_id(content_hash, vector) != number:
                wrong = "is not the one that was recorded: it does not fit its id"
        if wrong is not None:
            owners = snapshot.paths_of(number)
            where = Path(owners[0]) if owners else catalogue.path
            advice = "remove() the photo and add() it again"
            yield Problem("vector", where, f"the stored vector of content {number} {wrong}; {advice}")


def _index(snapshot: Snapshot, catalogue: Catalogue, path: Path) -> Iterator[Problem]:
    advice = "open the album for writing, and it is put right from the catalogue"
    wanted = snapshot.content_ids()
    if not path.exists():
        if len(wanted):
            yield Problem("index", path, f"the index file is missing; {advice}")
        return
    try:
        index = load(path)
    except (OSError, FormatError) as error:
        yield Problem("index", path, f"{error}; {advice}")
        return
    projection = snapshot.projection()
    dim = catalogue.identity.dim if projection is None else projection.out_dim
    own = (dim, catalogue.identity.metric, "float32")
    if (index.dim, index.metric, index.dtype) != own:
        found = (index.dim, index.metric, index.dtype)
        yield Problem("index", path, f"dim, metric and dtype are {found}, but the album has {own}; {advice}")
        return
    lacking, excess = np.setdiff1d(wanted, index.ids), np.setdiff1d(index.ids, wanted)
    if len(lacking) or len(excess):
        state = f"lacks {len(lacking)} of {len(wanted)} contents and has {len(excess)} too many"
        yield Problem("index", path, f"the index {state}; {advice}")
    yield from _index_vectors(snapshot, index, np.intersect1d(wanted, index.ids), path, projection)


def _index_vectors(
    snapshot: Snapshot,
    index: Index,
    both: npt.NDArray[np.int64],
    path: Path,
    projection: Projection | None,
) -> Iterator[Problem]:
    for start in range(0, len(both), _CHUNK):
        ids, vectors = snapshot.vectors(both[start : start + _CHUNK])
        if not len(ids):
            continue
        if projection is not None:
            vectors = projection(vectors)
        apart = np.abs(index.reconstruct(ids) - vectors).max(axis=1)
        for number, difference in zip(ids[apart > _VECTOR_SLACK], apart[apart > _VECTOR_SLACK], strict=True):
            message = (
                f"the index's vector of content {number} differs from the catalogue's by up to "
                f"{difference:.3g}; delete {path.name}, and it is rebuilt from the catalogue"
            )
            yield Problem("index", path, message)


def _files(snapshot: Snapshot) -> Iterator[Problem]:
    for path, known in snapshot.states().items():
        try:
            status = os.stat(path)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            yield Problem("missing", Path(path), "the file is gone; sync() drops it from the album")
        except OSError as error:
            yield Problem("unreadable", Path(path), f"the file can't be looked at ({reason_of(error)})")
        else:
            if (status.st_size, status.st_mtime_ns) != (known.size, known.mtime_ns):
                yield Problem(
                    "changed",
                    Path(path),
                    "the file has changed since it was read; add() or sync() reads it again",
                )
