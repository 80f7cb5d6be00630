"""The catalogue file: who may connect to it and how, its transactions, and its errors in plain words.

SQLite in WAL mode: readers see the state at which their transaction began, and never wait for the writer.
Commits are synchronous = FULL: what is committed survives a power cut, not only a kill; at one commit a
second, the price of the flush does not show. Connections are pooled, each used by one thread at a time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

from fastcbir.errors import AlbumLockedError, FormatError
from fastcbir.image_index import schema
from fastcbir.image_index.batch import Batch
from fastcbir.image_index.schema import Identity
from fastcbir.image_index.snapshot import Snapshot

__all__ = ["Catalogue", "sqlite_errors"]

_BUSY_SECONDS = 30.0  # only ever needed while another process recovers or truncates the log


@contextlib.contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Say SQLite's errors as fastcbir's: what happened to which file, what is safe, what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translated(error, path) from error


def _translated(error: sqlite3.DatabaseError, path: Path) -> Exception:
    said = str(error)
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.NotSupportedError):
        return error  # ours, not the file's
    if "disk is full" in said:
        return OSError(
            errno.ENOSPC,
            "the disk is full; everything committed before is safe: free some space and run the same "
            "command again",
            str(path),
        )
    if "disk I/O error" in said:
        return OSError(
            errno.EIO,
            "the disk (or a limit on file sizes) refused a read or write; everything committed before is "
            "safe: check the disk and run the same command again",
            str(path),
        )
    if "readonly" in said:
        return PermissionError(
            errno.EACCES, "the catalogue may not be written; open the album read-only", str(path)
        )
    if "unable to open" in said:
        return OSError(errno.EACCES, "the catalogue can't be opened; check its permissions", str(path))
    if "locked" in said or "busy" in said:
        return AlbumLockedError(
            f"{path} has been locked by another program for {_BUSY_SECONDS:.0f} s; try again"
        )
    if "not a database" in said:
        return FormatError(
            f"{path} is no SQLite database, so it is not the catalogue of an album or its beginning is "
            f"damaged ({said}); it was left as it is: restore it from a backup, or make a new album"
        )
    return FormatError(
        f"{path} is damaged ({said}); it was left as it is: restore it from a backup, or make a new album "
        "from the photos"
    )


class Catalogue:
    """An open catalogue. `reading()` gives a Snapshot, `writing()` a Batch; both are transactions.

    Args:
        path: catalog.db.
        read_only: refuse to write, even by mistake.

    Raises:
        FormatError: not an album's catalogue, damaged, or of a later version. Nothing is written.
        OSError: it can't be opened.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._free: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._closed = False
        self._immutable = False
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, "the album's catalogue is missing", str(path))
        self.identity = self._first_look()
        weakref.finalize(self, _close_all, self._free)

    @classmethod
    def create(cls, path: Path, identity: Identity) -> None:
        """Make an empty catalogue where `is_unmade`; the caller holds the album's WriterLock."""
        with sqlite_errors(path), contextlib.closing(_connect(path, "rwc")) as connection:
            schema.create_tables(connection, identity)

    @classmethod
    def is_unmade(cls, path: Path) -> bool:
        """Whether there is no catalogue, or only what a creation leaves that was cut short."""
        if not path.exists() or path.stat().st_size == 0:
            return True
        with sqlite_errors(path), contextlib.closing(_connect(path, "rw")) as connection:
            return schema.is_blank(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """A consistent view: within the block, commits of others (and of other threads) are not seen."""
        with sqlite_errors(self.path), self._connection() as connection:
            connection.execute("BEGIN")
            try:
                yield Snapshot(connection, self.identity.dim)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Batch]:
        """One commit, all or nothing; a new generation if anything changes. Hold the WriterLock."""
        assert not self.read_only, "a read-only catalogue was asked to write"
        with sqlite_errors(self.path), self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                before = connection.total_changes
                yield Batch(connection)
                if connection.total_changes != before:
                    connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def integrity(self) -> list[str]:
        """SQLite's own check of the whole file: what is wrong, in its words; empty when all is well."""
        try:
            with self._connection() as connection:
                found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
                found += [
                    f"row without its content: {row}"
                    for row in connection.execute("PRAGMA foreign_key_check")
                ]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [line for line in found if line != "ok"]

    def close(self) -> None:
        """Close all connections; the last process to do so folds the log into the file."""
        with self._guard:
            self._closed = True
            _close_all(self._free)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            if self._closed:
                raise ValueError(f"the album {self.path.parent} is closed; open it again")
            connection = self._free.pop() if self._free else None
        if connection is None:
            connection = self._open()
        try:
            yield connection
        finally:
            with self._guard:
                closed = self._closed
                if not closed:
                    self._free.append(connection)
            if closed:
                connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = _connect(self.path, "rw", immutable=self._immutable)
        if self.read_only:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def _first_look(self) -> Identity:
        with sqlite_errors(self.path):
            try:
                return self._identify()
            except sqlite3.OperationalError as error:
                unwritable = not os.access(self.path.parent, os.W_OK)
                quiet = _log_is_empty(self.path)
                if not (self.read_only and unwritable and quiet and "unable to open" in str(error)):
                    raise
                # On a medium that can't be written, WAL mode has no place for its shared index; without a log
                # there is nothing to share either, and nobody can change the file under us.
                self._immutable = True
                return self._identify()

    def _check_length(self) -> None:
        """SQLite takes a missing end that is less than a page for zeros; but the header tells the length."""
        with self.path.open("rb") as file:
            header = file.read(32)
        if len(header) < 32 or not header.startswith(b"SQLite format 3\0") or not _log_is_empty(self.path):
            return
        length = self.path.stat().st_size  # after the look at the log, which a writer may just be folding in
        page = int.from_bytes(header[16:18], "big")
        expected = (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")
        if length < expected:
            raise FormatError(
                f"{self.path} is damaged: it was cut to {length} bytes, expected {expected}; it was left as "
                "it is: restore it from a backup, or make a new album from the photos"
            )

    def _identify(self) -> Identity:
        self._check_length()
        with contextlib.closing(self._open()) as connection:
            if schema.is_blank(connection):
                raise FormatError(
                    f"{self.path} is empty: the creation of this album was cut short; open it with "
                    "create=True to finish it"
                )
            return schema.read_identity(connection, self.path)


def _log_is_empty(path: Path) -> bool:
    """Whether all that was committed lies in the file itself, and nothing in its write-ahead log."""
    log = path.with_name(path.name + "-wal")
    return not log.exists() or log.stat().st_size == 0


def _connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if immutable else f'mode={mode}'}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _close_all(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()
