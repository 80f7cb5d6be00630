"""The search index of an album: index.fcx, derived from the catalogue and never the truth.

It holds one vector for each content that a photo has, under the content's id. An id stands for one vector for
ever (see schema.py), so comparing the two sets of ids says exactly what the index lacks and what it has too
much, however it came about: a crash between a commit and a save, an old copy put back, the index of another
album. Whatever can't be used is made anew.

Where the album has learned a projection, the index holds the projected vectors; its file is then called
index-KEY.fcx after the projection's key, so that no index is ever taken for that of another projection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.errors import FormatError
from fastcbir.extract.projection import Projection
from fastcbir.image_index.gate import Gate
from fastcbir.image_index.schema import Identity
from fastcbir.image_index.snapshot import Snapshot
from fastcbir.index import Index, load
from fastcbir.types import Flat, Hnsw

__all__ = ["FLAT_AGAIN_BELOW", "HNSW_FROM", "DerivedIndex", "index_path", "load_index"]

HNSW_FROM = 20_000
"""Contents from which an album is searched through a graph. Below, comparing with every vector is exact and
takes some 10 ms at most (20,000 x 1280 x 4 bytes = 100 MB, read once): less than the query's own vector.
"""
FLAT_AGAIN_BELOW = 10_000
"""Contents below which a graph is given up; half, lest an album near the limit change to and fro."""

_CHUNK = 4096  # vectors taken from the catalogue at once


def index_path(plain: Path, key: str) -> Path:
    """Where the index lies, given where it would lie without a projection, and the projection's key."""
    return plain.with_name(f"{plain.stem}-{key}{plain.suffix}") if key else plain


def load_index(path: Path, identity: Identity, dim: int) -> Index | None:
    """The index file, checked; None if it is missing, damaged, of a later version or of another kind."""
    try:
        index = load(path)
    except (OSError, FormatError):
        return None
    if (index.dim, index.metric, index.dtype) != (dim, identity.metric, "float32"):
        return None
    return index


class DerivedIndex:
    """The index in memory, kept in step with the catalogue. Safe to use from many threads.

    Args:
        path: index.fcx; read at the first use.
        identity: of the album.

    Attributes:
        path: of the file as of the last snapshot. projection: None, or what that snapshot's vectors go
        through.
    """

    def __init__(self, path: Path, identity: Identity) -> None:
        self.path = path
        self.projection: Projection | None = None
        self._plain = path
        self._identity = identity
        self._gate = Gate()
        self._index: Index | None = None
        self._generation = -1
        self._saved = False  # whether the file is what is in memory

    @contextmanager
    def at(self, snapshot: Snapshot, *, insist: bool = False) -> Iterator[Index | None]:
        """The index as of this snapshot; None if another thread has brought it further: take a new snapshot.

        Args:
            insist: take it to this snapshot whatever its age, keeping all others out meanwhile.
        """
        generation = snapshot.generation()
        if insist:
            with self._gate.exclusive():
                self._follow(snapshot, generation, None)
                yield self._index
            return
        if self._generation < generation:
            self.follow(snapshot)
        with self._gate.shared():
            yield self._index if self._generation == generation else None

    def follow(self, snapshot: Snapshot, progress: Callable[[int, int], None] | None = None) -> None:
        """Bring the index to this snapshot, unless it is there or further.

        Args:
            progress: called with vectors taken in, and how many there are to take in, if they are many.
        """
        generation = snapshot.generation()
        with self._gate.exclusive():
            if self._generation < generation:
                self._follow(snapshot, generation, progress)

    def kind(self, contents: int) -> str:
        """ "flat" or "hnsw": of the index in memory, else what one of that many contents would be."""
        with self._gate.shared():
            method = self._method(contents) if self._index is None else self._index.method
        return "hnsw" if isinstance(method, Hnsw) else "flat"

    def save(self) -> None:
        """Write index.fcx, atomically, if it is not what is in memory. The caller holds the writer's lock.

        Raises:
            OSError: it could not be written; the old file is still there, and the album as good as before.
        """
        for left_over in self.path.parent.glob(f"{self.path.name}.tmp-*"):  # of a save that was killed
            with suppress(OSError):
                left_over.unlink()
        with self._gate.shared():
            if self._index is not None and not (self._saved and self.path.exists()):
                self._index.save(self.path)
                self._saved = True
            for other in self._plain.parent.glob(f"{self._plain.stem}*{self._plain.suffix}"):
                if other != self.path:  # of a projection that was given up
                    with suppress(OSError):
                        other.unlink()

    def projected(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, dim) of the album -> (N, dim) of the index. Within `at`, of that snapshot."""
        return vectors if self.projection is None else self.projection(vectors)

    def _adopt(self, snapshot: Snapshot) -> None:
        """Take the snapshot's projection; an index of another one is let go."""
        key = snapshot.projection_key()
        if key != ("" if self.projection is None else self.projection.key):
            self.projection = snapshot.projection()
            self.path = index_path(self._plain, key)
            self._index = None

    def _follow(
        self, snapshot: Snapshot, generation: int, progress: Callable[[int, int], None] | None
    ) -> None:
        self._adopt(snapshot)
        wanted = snapshot.content_ids()
        if self._index is None:
            self._index = load_index(self.path, self._identity, self._dim)
            self._saved = self._index is not None
        method = self._method(len(wanted))
        if self._index is None or type(self._index.method) is not type(method):
            self._renew(method)
        assert self._index is not None
        excess = np.setdiff1d(self._index.ids, wanted)
        if 2 * len(excess) > len(self._index):  # another album's, or hardly anything left of it
            self._renew(method)
        elif len(excess):
            self._index.remove(excess)
            self._saved = False
            if 4 * int(self._index.info()["removed"]) > len(self._index) + 256:
                self._index.compact()
        lacking = np.setdiff1d(wanted, self._index.ids)
        for start in range(0, len(lacking), _CHUNK):
            ids, vectors = snapshot.vectors(lacking[start : start + _CHUNK])
            if len(ids):
                self._index.add(self.projected(vectors), ids)
                self._saved = False
            if progress is not None and len(lacking) > _CHUNK:
                progress(min(start + _CHUNK, len(lacking)), len(lacking))
        # Last: after an interruption, the same comparison goes on from what is there.
        self._generation = generation

    @property
    def _dim(self) -> int:
        return self._identity.dim if self.projection is None else self.projection.out_dim

    def _renew(self, method: Flat | Hnsw) -> None:
        self._index = Index(self._dim, method, metric=self._identity.metric)  # type: ignore[arg-type]
        self._saved = False

    def _method(self, count: int) -> Flat | Hnsw:
        graph_before = self._index is not None and isinstance(self._index.method, Hnsw)
        return Hnsw() if count >= (FLAT_AGAIN_BELOW if graph_before else HNSW_FROM) else Flat()
