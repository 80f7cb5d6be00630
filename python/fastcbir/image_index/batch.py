"""What can be done to a catalogue, each step one small verb; Catalogue.writing() makes the steps one
commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from fastcbir.extract.projection import Projection
from fastcbir.extract.results import Photo
from fastcbir.image_index import schema
from fastcbir.image_index.paths import encode_path
from fastcbir.image_index.walk import Anchor, FoundFile

__all__ = ["Batch"]


class Batch:
    """Made by Catalogue.writing() and valid within its block."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._do = connection.execute
        self._do_each = connection.executemany

    def put(self, path: str, photo: Photo) -> None:
        """Record a photo that was read: new, or changed (its row then points to the new content)."""
        content_hash = bytes.fromhex(photo.content_hash)
        row = self._do("SELECT id FROM contents WHERE content_hash = ?", (content_hash,)).fetchone()
        content = row[0] if row else self._new_content(content_hash, photo)
        self._put_row(FoundFile(path, photo.size, photo.mtime_ns), content)

    def share(self, file: FoundFile, content_hash: bytes) -> bool:
        """Record a file whose content is known already; False (and nothing done) when it is not."""
        row = self._do("SELECT id FROM contents WHERE content_hash = ?", (content_hash,)).fetchone()
        if row is None:
            return False
        self._put_row(file, row[0])
        return True

    def move(self, old_path: str, file: FoundFile, content_hash: bytes) -> None:
        """The photo at `old_path` is now `file`."""
        self._do("DELETE FROM photos WHERE path = ?", (encode_path(old_path),))
        shared = self.share(file, content_hash)
        assert shared, "moved a photo whose content is unknown"

    def fail(self, path: str, reason: str, file: FoundFile | None, *, transient: bool) -> None:
        """Record a file that gave no vector. A permanent failure replaces the photo that was there; a
        transient one (no permission, changed while read) leaves it, for it may still be the same.
        """
        where = encode_path(path)
        state = (None, None) if file is None else (file.size, file.mtime_ns)
        self._do(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET (reason, size, "
            "mtime_ns, transient) = (excluded.reason, excluded.size, excluded.mtime_ns, excluded.transient) "
            "WHERE (reason, size, mtime_ns, transient) IS NOT (excluded.reason, excluded.size, "
            "excluded.mtime_ns, excluded.transient)",
            (where, reason, *state, transient),
        )
        if not transient:
            self._do("DELETE FROM photos WHERE path = ?", (where,))

    def forget_failures(self, paths: Iterable[str]) -> None:
        self._do_each("DELETE FROM failures WHERE path = ?", ((encode_path(path),) for path in paths))

    def drop(self, paths: Iterable[str]) -> None:
        """Take photos out. Their contents stay until `collect`, should a file of the same content turn up."""
        self._do_each("DELETE FROM photos WHERE path = ?", ((encode_path(path),) for path in paths))

    def collect(self) -> None:
        """Delete the contents that no photo has."""
        self._do("DELETE FROM contents WHERE id NOT IN (SELECT content_id FROM photos)")

    def remember_root(self, path: str, kind: str, exclude: Sequence[str]) -> None:
        row = (encode_path(path), kind, json.dumps(list(exclude)))
        self._do(
            "INSERT INTO roots VALUES (?, ?, ?) ON CONFLICT (path) DO UPDATE SET kind = excluded.kind, "
            "exclude = excluded.exclude WHERE (kind, exclude) != (excluded.kind, excluded.exclude)",
            row,
        )

    def remember_anchors(self, anchors: Iterable[Anchor]) -> None:
        """A folder once seen as a mount point stays one: that is what tells later that it is not mounted."""
        self._do_each(
            "INSERT INTO anchors VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET mount = 1 "
            "WHERE mount < excluded.mount",
            ((encode_path(anchor.path), anchor.mount) for anchor in anchors),
        )

    def forget_folders(self, paths: Iterable[str]) -> None:
        """Folders that are given up: sync() neither walks nor guards them any more."""
        stored = [(encode_path(path),) for path in paths]
        self._do_each("DELETE FROM roots WHERE path = ?", stored)
        self._do_each("DELETE FROM anchors WHERE path = ?", stored)

    def remember_removed(self, paths: Iterable[str]) -> None:
        self._do_each("INSERT OR REPLACE INTO removed VALUES (?)", ((encode_path(path),) for path in paths))

    def forget_removed(self, paths: Iterable[str]) -> None:
        self._do_each("DELETE FROM removed WHERE path = ?", ((encode_path(path),) for path in paths))

    def set_projection(self, projection: Projection | None) -> None:
        """What vectors go through before they are compared; None: nothing."""
        self._do("DELETE FROM meta WHERE key IN ('projection', 'projection_key')")
        if projection is not None:
            rows = (("projection_key", projection.key), ("projection", projection.to_bytes()))
            self._do_each("INSERT INTO meta VALUES (?, ?)", rows)

    def _put_row(self, file: FoundFile, content: int) -> None:
        where = encode_path(file.path)
        self._do(
            "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?)", (where, file.size, file.mtime_ns, content)
        )
        self._do("DELETE FROM failures WHERE path = ?", (where,))
        self._do("DELETE FROM removed WHERE path = ?", (where,))

    def _new_content(self, content_hash: bytes, photo: Photo) -> int:
        vector = np.ascontiguousarray(photo.vector, "<f4").tobytes()
        content = schema.content_id(content_hash, vector)
        while self._do("SELECT 1 FROM contents WHERE id = ?", (content,)).fetchone():
            content = (content + 1) & (
                2**63 - 1
            )  # two contents with equal 63 bits: not in this universe, but be exact
        moment = photo.captured_at
        captured_at = None if moment is None else moment.replace(tzinfo=None).isoformat()
        self._do(
            "INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?)",
            (content, content_hash, photo.width, photo.height, captured_at, vector),
        )
        return content
