"""The values that an album hands out. NumPy and the standard library alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from fastcbir.extract.results import Failure
from fastcbir.rerank.matches import Matches

__all__ = [
    "AddProgress",
    "AddReport",
    "AlbumInfo",
    "Failure",
    "PhotoHit",
    "Problem",
    "ProblemKind",
    "Progress",
]

Stage = Literal["scan", "read", "index"]
ProblemKind = Literal["catalogue", "vector", "index", "missing", "changed", "unreadable"]


@dataclass(frozen=True)
class AddProgress:
    """Where an add() or sync() stands.

    Attributes:
        stage: "scan" while folders are walked (done counts files found, total is 0: not known yet), "read"
            while photos are read and turned into vectors, "index" while the search index takes them in.
        done: files dealt with, failures included; in "index", vectors taken in.
        total: how many there are to deal with; files that have not changed are in neither number.
        failed: how many failed so far.
        path: the file just dealt with, or the folder just walked; None where there is none.
    """

    stage: Stage
    done: int
    total: int
    failed: int
    path: Path | None


Progress = Callable[[AddProgress], None]
"""Called now and then from the thread that called add(); an exception raised in it ends the add and is passed
on.
"""


@dataclass
class AddReport:
    """What an add() or sync() did.

    Attributes:
        added: photos that are new in the album, a further copy of known content included.
        updated: photos whose content changed.
        moved: photos found under a new path, their old one being gone.
        unchanged: photos that the album had already (a new time stamp on the same content included).
        vanished: photos whose file is gone: add() keeps them, sync() has dropped them.
        failed: files and folders that could not be used, each with its reason: those of this run and those
            that failed before and have not changed since. For sync() also folders that are missing or empty
            as a whole, whose photos it therefore kept.
        seconds: wall time.
    """

    added: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    vanished: int = 0
    failed: list[Failure] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class PhotoHit:
    """One photo that a search found.

    Attributes:
        path: of the photo (absolute).
        distance: from the query, by the album's metric; smaller is nearer.
        score: cosine similarity with the query, in [-1, 1]; 1 is the same direction.
        width, height: of the photo upright, in pixels.
        captured_at: EXIF's capture time, in the camera's local time without a zone; None where it has none.
        rank: 1 for the nearest.
        matches: of the query with this photo, where verification looked at it; None elsewhere.
        confirmed: whether verification moved it ahead.
    """

    path: Path
    distance: float
    score: float
    width: int
    height: int
    captured_at: datetime | None
    rank: int
    matches: Matches | None = field(default=None, compare=False, repr=False)
    confirmed: bool = False


@dataclass(frozen=True)
class AlbumInfo:
    """What an album is and holds.

    Attributes:
        path: of the album's folder.
        photos: files in it.
        contents: different contents among them: the vectors in the search index.
        folders: the folders and single files that were added, which sync() walks again.
        failed: the files that could not be used, with the reason.
        extractor, model_id, dim, metric: of the vectors.
        index_kind: "flat" (exact) or "hnsw" (approximate), as the next save makes it.
        bytes_on_disk: of all files of the album.
        catalogue_bytes, index_bytes: of catalog.db (with its log) and of index.fcx, on disk.
        created_at: local time.
        generation: counts the commits; grows with every change.
        schema_version: of the catalogue.
        projection: what vectors go through before they are compared, such as "whiten(0.5)"; "" for nothing.
    """

    path: Path
    photos: int
    contents: int
    folders: list[Path]
    failed: list[Failure]
    extractor: str
    model_id: str
    dim: int
    metric: str
    index_kind: str
    bytes_on_disk: int
    catalogue_bytes: int
    index_bytes: int
    created_at: datetime
    generation: int
    schema_version: int
    projection: str = ""


@dataclass(frozen=True)
class Problem:
    """Something verify_integrity() found.

    Attributes:
        kind: "catalogue": the SQLite file is damaged. "vector": a stored vector is not finite, not of the
            right length or not of norm 1. "index": index.fcx is missing, damaged, or not in step with the
            catalogue (open the album for writing to have it rebuilt). "missing", "changed", "unreadable": a
            photo's file is gone, is not as it was when it was read, or can't be looked at.
        path: of the file concerned.
        message: what was expected, what was found, what to do.
    """

    kind: ProblemKind
    path: Path
    message: str
