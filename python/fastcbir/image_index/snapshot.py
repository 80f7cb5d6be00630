"""What can be asked of a catalogue. Every question is put within one read transaction, so all answers
agree.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.errors import FormatError
from fastcbir.extract.projection import Projection
from fastcbir.extract.results import Failure
from fastcbir.image_index.paths import decode_path, encode_path
from fastcbir.image_index.walk import Anchor, FoundFile

__all__ = ["KnownFailure", "PhotoFilter", "PhotoRow", "Root", "Snapshot"]

_SOME = 500  # parameters in one statement; old SQLite allows 999


@dataclass(frozen=True)
class PhotoFilter:
    """Which photos count: by path (see `paths.glob_pattern`) and capture time (ISO 8601, local)."""

    glob: bytes | None = None
    after: str | None = None
    before: str | None = None

    def __bool__(self) -> bool:
        return self != PhotoFilter()

    def where(self) -> tuple[str, list[object]]:
        """The condition and its parameters, for a join of photos with contents."""
        terms: list[str] = []
        values: list[object] = []
        if self.glob is not None:
            # CAST: some builds of SQLite let no blob match; the bytes are the same either way.
            terms.append("CAST(path AS TEXT) GLOB CAST(? AS TEXT)")
            values.append(self.glob)
        if self.after is not None:
            terms.append("captured_at >= ?")
            values.append(self.after)
        if self.before is not None:
            terms.append("captured_at < ?")
            values.append(self.before)
        return " AND ".join(terms) or "1", values


@dataclass(frozen=True)
class Root:
    """What the user added: a folder or one file (`kind`), with the globs it leaves out."""

    path: str
    kind: str
    exclude: tuple[str, ...]


@dataclass(frozen=True)
class KnownFailure:
    """A file that failed before. `file` is None, or `transient` set, where trying again may help."""

    reason: str
    size: int | None
    mtime_ns: int | None
    transient: bool


@dataclass(frozen=True)
class PhotoRow:
    """One photo of the catalogue with what is known of its content."""

    path: str
    content_id: int
    width: int
    height: int
    captured_at: datetime | None


class Snapshot:
    """Made by Catalogue.reading() and valid within its block."""

    def __init__(self, connection: sqlite3.Connection, dim: int) -> None:
        self._ask = connection.execute
        self._dim = dim

    def generation(self) -> int:
        """How many commits there were."""
        return self._number("SELECT value FROM meta WHERE key = 'generation'")

    def projection_key(self) -> str:
        """Of what vectors go through before they are compared; "" where the album has learned nothing."""
        row = self._ask("SELECT value FROM meta WHERE key = 'projection_key'").fetchone()
        return "" if row is None else str(row[0])

    def projection(self) -> Projection | None:
        """What vectors go through before they are compared.

        Raises:
            FormatError: it is damaged.
        """
        row = self._ask("SELECT value FROM meta WHERE key = 'projection'").fetchone()
        if row is None:
            return None
        projection = Projection.from_bytes(row[0])
        if projection.key != self.projection_key() or projection.dim != self._dim:
            raise FormatError(
                "the album's projection is not the one that was recorded; call drop_whitening() and "
                "fit_whitening()"
            )
        return projection

    def photo_count(self) -> int:
        return self._number("SELECT count(*) FROM photos")

    def content_count(self) -> int:
        """Different contents of the photos."""
        return self._number("SELECT count(DISTINCT content_id) FROM photos")

    def paths(self, wanted: PhotoFilter | None = None) -> list[str]:
        """The paths of all photos, or of those that pass the filter, sorted by their bytes."""
        where, values = (wanted or PhotoFilter()).where()
        join = "JOIN contents ON contents.id = content_id" if wanted else ""
        return [
            decode_path(row[0])
            for row in self._ask(f"SELECT path FROM photos {join} WHERE {where} ORDER BY path", values)
        ]

    def states(self) -> dict[str, FoundFile]:
        """Every photo as its file was when it was read."""
        rows = self._ask("SELECT path, size, mtime_ns FROM photos")
        return {(path := decode_path(row[0])): FoundFile(path, row[1], row[2]) for row in rows}

    def sizes(self) -> set[int]:
        """The file sizes that occur: a file of another size is no copy of a known one."""
        return {row[0] for row in self._ask("SELECT DISTINCT size FROM photos")}

    def failures(self) -> dict[str, KnownFailure]:
        rows = self._ask("SELECT path, reason, size, mtime_ns, transient FROM failures ORDER BY path")
        return {decode_path(row[0]): KnownFailure(row[1], row[2], row[3], bool(row[4])) for row in rows}

    def failed(self) -> list[Failure]:
        """The same, for the user."""
        return [Failure(Path(path), known.reason) for path, known in self.failures().items()]

    def roots(self) -> list[Root]:
        rows = self._ask("SELECT path, kind, exclude FROM roots ORDER BY path")
        return [Root(decode_path(row[0]), row[1], tuple(json.loads(row[2]))) for row in rows]

    def anchors(self) -> list[Anchor]:
        """Sorted, so that an outer folder comes before those in it."""
        return [
            Anchor(decode_path(row[0]), bool(row[1]))
            for row in self._ask("SELECT * FROM anchors ORDER BY path")
        ]

    def removed(self) -> set[str]:
        """Files taken out by hand."""
        return {decode_path(row[0]) for row in self._ask("SELECT path FROM removed")}

    def content_of(self, path: str) -> int | None:
        """The content id of a photo, None when it is not in the album."""
        row = self._ask("SELECT content_id FROM photos WHERE path = ?", (encode_path(path),)).fetchone()
        return None if row is None else int(row[0])

    def state_of(self, path: str) -> FoundFile | None:
        """One photo as its file was when it was read, None when it is not in the album."""
        row = self._ask("SELECT size, mtime_ns FROM photos WHERE path = ?", (encode_path(path),)).fetchone()
        return None if row is None else FoundFile(path, row[0], row[1])

    def content_with_hash(self, content_hash: bytes) -> int | None:
        """The id of the content with this SHA-256 (32 bytes), None when there is none."""
        row = self._ask("SELECT id FROM contents WHERE content_hash = ?", (content_hash,)).fetchone()
        return None if row is None else int(row[0])

    def paths_of(self, content_id: int) -> list[str]:
        """The photos that have this content, sorted."""
        rows = self._ask("SELECT path FROM photos WHERE content_id = ? ORDER BY path", (content_id,))
        return [decode_path(row[0]) for row in rows]

    def content_ids(self) -> npt.NDArray[np.int64]:
        """(N,) int64, ascending: the contents of all photos, which are what the search index holds."""
        rows = self._ask("SELECT DISTINCT content_id FROM photos ORDER BY content_id")
        return np.fromiter((row[0] for row in rows), np.int64)

    def passing_ids(self, wanted: PhotoFilter) -> npt.NDArray[np.int64]:
        """(N,) int64: the contents that have a photo that passes the filter, in any order, perhaps with
        repetitions and with contents that no photo has, which the index does not hold.
        """
        where, values = wanted.where()
        if wanted.glob is None:  # no look at the photos is needed, and the index on captured_at has it all
            query = f"SELECT id FROM contents WHERE {where}"
        elif wanted.after is None and wanted.before is None:
            query = f"SELECT content_id FROM photos WHERE {where}"
        else:
            query = f"SELECT content_id FROM photos JOIN contents ON contents.id = content_id WHERE {where}"
        return np.fromiter((row[0] for row in self._ask(query, values)), np.int64)

    def vectors(self, ids: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The vectors of these contents, in their order: (M,) int64 ids and (M, dim) float32.

        Left out are ids that the catalogue does not have and vectors that are damaged: of a wrong length, not
        finite, or zero. M is smaller then; verify_integrity() says which.
        """
        found: dict[int, bytes] = {}
        wanted = [int(each) for each in ids]
        for chunk in _chunks(wanted):
            found.update(self._ask(f"SELECT id, vector FROM contents WHERE id IN ({_marks(chunk)})", chunk))
        whole = [each for each in wanted if len(found.get(each, b"")) == 4 * self._dim]
        joined = b"".join(found[each] for each in whole)
        vectors = np.frombuffer(joined, "<f4").astype(np.float32).reshape(len(whole), self._dim)
        usable = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
        return np.asarray(whole, np.int64)[usable], vectors[usable]

    def raw_vectors(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Every content's id, hash and vector as they are stored, for a check of each."""
        yield from self._ask("SELECT id, content_hash, vector FROM contents ORDER BY id")

    def rows(self, ids: Iterable[int], wanted: PhotoFilter | None = None) -> dict[int, list[PhotoRow]]:
        """The photos of these contents that pass the filter, sorted by path, by content id."""
        where, values = (wanted or PhotoFilter()).where()
        found: dict[int, list[PhotoRow]] = {}
        for chunk in _chunks(list(ids)):
            rows = self._ask(
                "SELECT path, content_id, width, height, captured_at FROM photos JOIN contents ON "
                f"contents.id = content_id WHERE content_id IN ({_marks(chunk)}) AND {where} ORDER BY path",
                [*chunk, *values],
            )
            for path, content_id, width, height, captured_at in rows:
                moment = None if captured_at is None else datetime.fromisoformat(captured_at)
                row = PhotoRow(decode_path(path), content_id, width, height, moment)
                found.setdefault(content_id, []).append(row)
        return found

    def _number(self, query: str) -> int:
        return int(self._ask(query).fetchone()[0])


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def _chunks(values: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(values), _SOME):
        yield values[start : start + _SOME]
