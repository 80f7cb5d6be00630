"""The album's cache of local features: album.fcbir/local.db, derived, of bounded size, safe to delete.

One row for each content and matcher. What was used longest ago goes first when the limit is reached. Nothing
here may ever fail a search: a cache that is damaged, locked or on a full disk only costs time.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastcbir.errors import FormatError
from fastcbir.match.features import LocalFeatures

__all__ = ["LIMIT_BYTES", "LOCAL", "FeatureCache"]

LOCAL = "local.db"
LIMIT_BYTES = 2 << 30
"""Some 13,000 photos of XFeat's 2048 keypoints."""

_MARK = 0x66636C66  # "fclf"
_BUSY_SECONDS = 2.0
_TABLE = """
CREATE TABLE IF NOT EXISTS features (
    content_id INTEGER NOT NULL,
    model_id TEXT NOT NULL,
    used INTEGER NOT NULL,
    size INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (content_id, model_id)
)
"""


class FeatureCache:
    """Safe to use from several threads and processes.

    Args:
        path: of local.db.
        writable: whether it may be made and written; else only what is there is used.
        limit: bytes of features kept.
    """

    def __init__(self, path: Path, *, writable: bool, limit: int = LIMIT_BYTES) -> None:
        self.path = path
        self.limit = limit
        self._writable = writable
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._broken = False

    def get(self, content: int, model_id: str) -> LocalFeatures | None:
        """The features of a content, None where they are not kept."""
        with self._guard, contextlib.suppress(sqlite3.Error, OSError, FormatError):
            connection = self._open()
            if connection is None:
                return None
            row = connection.execute(
                "SELECT data FROM features WHERE content_id = ? AND model_id = ?", (content, model_id)
            ).fetchone()
            return None if row is None else LocalFeatures.from_bytes(row[0])
        return None

    def put(self, content: int, model_id: str, features: LocalFeatures) -> None:
        """Keep features, and drop those used longest ago while all are larger than the limit."""
        data = features.to_bytes()
        if not self._writable or len(data) > self.limit:
            return
        with self._guard, contextlib.suppress(sqlite3.Error, OSError):
            connection = self._open()
            if connection is None:
                return
            with _transaction(connection):
                connection.execute(
                    "INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?, ?)",
                    (content, model_id, time.time_ns(), len(data), data),
                )
                self._evict(connection)

    def touch(self, contents: Iterable[int], model_id: str) -> None:
        """These were used now."""
        if not self._writable:
            return
        now = time.time_ns()
        with self._guard, contextlib.suppress(sqlite3.Error, OSError):
            connection = self._open()
            if connection is None:
                return
            with _transaction(connection):
                connection.executemany(
                    "UPDATE features SET used = ? WHERE content_id = ? AND model_id = ?",
                    [(now, content, model_id) for content in contents],
                )

    def nbytes(self) -> int:
        """Bytes of the features kept."""
        with self._guard, contextlib.suppress(sqlite3.Error, OSError):
            connection = self._open()
            if connection is not None:
                return int(connection.execute("SELECT coalesce(sum(size), 0) FROM features").fetchone()[0])
        return 0

    def close(self) -> None:
        with self._guard:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _evict(self, connection: sqlite3.Connection) -> None:
        total = connection.execute("SELECT coalesce(sum(size), 0) FROM features").fetchone()[0]
        if total <= self.limit:
            return
        oldest = connection.execute("SELECT rowid, size FROM features ORDER BY used, rowid").fetchall()
        for row, size in oldest:
            if total <= self.limit:
                break
            connection.execute("DELETE FROM features WHERE rowid = ?", (row,))
            total -= size

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is not None or self._broken:
            return self._connection
        if not self._writable and not self.path.is_file():
            return None
        mode = "rwc" if self._writable else "ro"
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if self._writable:
                connection.execute("PRAGMA auto_vacuum = FULL")  # first, for it must meet an empty file
                # Derived: what a power cut loses is made again.
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_TABLE)
                connection.execute(f"PRAGMA application_id = {_MARK}")
        except sqlite3.DatabaseError as error:
            connection.close()
            if "locked" in str(error) or "busy" in str(error):
                return None
            # Damaged: it is only a cache, so begin anew; if that fails too, do without.
            self._broken = True
            if self._writable:
                for name in (self.path.name, f"{self.path.name}-wal", f"{self.path.name}-shm"):
                    self.path.with_name(name).unlink(missing_ok=True)
                self._broken = False
            return None
        self._connection = connection
        return connection


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
