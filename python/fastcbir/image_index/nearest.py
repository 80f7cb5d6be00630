"""From query vectors to photos: the index is asked at the catalogue's own state, contents become photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.derived import DerivedIndex
from fastcbir.image_index.results import PhotoHit
from fastcbir.image_index.snapshot import PhotoFilter, PhotoRow

__all__ = ["nearest_photos"]

_TRIES = 8  # for a search to meet the index at its own snapshot, before it insists


def nearest_photos(
    catalogue: Catalogue,
    index: DerivedIndex,
    vectors: npt.NDArray[np.float32],
    k: int,
    wanted: PhotoFilter,
) -> list[list[PhotoHit]]:
    """The k nearest photos that pass the filter, for each query; see ImageIndex.search().

    Filter, search and photos are of one snapshot: a photo is found if and only if it was in the album then.

    Args:
        vectors: (Q, dim) float32 of length 1.
    """
    metric = catalogue.identity.metric
    for attempt in range(_TRIES + 1):
        with catalogue.reading() as snapshot, index.at(snapshot, insist=attempt == _TRIES) as at_snapshot:
            if at_snapshot is None:
                continue
            allow = snapshot.passing_ids(wanted) if wanted else None
            if len(at_snapshot) == 0 or (allow is not None and len(allow) == 0):
                return [[] for _ in vectors]
            found = at_snapshot.search(index.projected(vectors), k, allow=allow)
            rows = snapshot.rows(np.unique(found.ids[found.ids >= 0]).tolist(), wanted)
            return [_hits(*one, rows, k, metric) for one in zip(found.ids, found.distances, strict=True)]
    raise AssertionError("a search that insisted was not served")


def _hits(
    ids: npt.NDArray[np.int64],
    distances: npt.NDArray[np.float32],
    rows: dict[int, list[PhotoRow]],
    k: int,
    metric: str,
) -> list[PhotoHit]:
    """Contents to photos: each content's photos by path, in the order of distance, at most k."""
    pairs = [
        (float(distance), row)
        for number, distance in zip(ids.tolist(), distances, strict=True)
        for row in rows.get(number, ())
    ]
    pairs.sort(key=lambda pair: (pair[0], pair[1].path))
    return [
        PhotoHit(
            path=Path(row.path),
            distance=distance,
            score=_score(distance, metric),
            width=row.width,
            height=row.height,
            captured_at=row.captured_at,
            rank=rank,
        )
        for rank, (distance, row) in enumerate(pairs[:k], start=1)
    ]


def _score(distance: float, metric: str) -> float:
    """Cosine similarity of two unit vectors from their distance."""
    score = {"cosine": 1 - distance, "ip": -distance, "l2": 1 - distance / 2}[metric]
    return min(1.0, max(-1.0, score))
