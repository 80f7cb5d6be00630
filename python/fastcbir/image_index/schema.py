"""The catalogue's tables and its identity: making them, and refusing a file that is not ours or is of a later
version.

    photos    one row for each file:     path, size, mtime_ns, content_id
    contents  one row for each content:  id, content_hash, width, height, captured_at, vector (dim float32,
                                         little-endian)
    failures  files that gave no vector: path, reason, size, mtime_ns, transient
    roots     what was added:            path, kind ("folder" or "file"), exclude (JSON list of globs)
    anchors   folders whose photos may vanish together: path, mount
    removed   files taken out by remove(), which sync() leaves out
    meta      schema_version, generation, extractor, model_id, dim, metric, created_at; once the album has
              learned one, also projection (extract/projection.py) and projection_key

A content's id is 63 bits of the SHA-256 of its content hash and its vector. So an id stands for one vector
for ever, in whatever catalogue, and an index that holds exactly the ids of a catalogue holds exactly its
vectors.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from fastcbir.errors import FormatError

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "Identity", "content_id", "create_tables", "read_identity"]

APPLICATION_ID = 0x66636261  # "fcba"; SQLite keeps it in the file's header
SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    content_hash BLOB NOT NULL UNIQUE,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    captured_at TEXT,
    vector BLOB NOT NULL
);
CREATE INDEX contents_captured_at ON contents (captured_at);
CREATE TABLE photos (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content_id INTEGER NOT NULL REFERENCES contents (id)
) WITHOUT ROWID;
CREATE INDEX photos_content_id ON photos (content_id);
CREATE TABLE failures (
    path BLOB PRIMARY KEY,
    reason TEXT NOT NULL,
    size INTEGER,
    mtime_ns INTEGER,
    transient INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE roots (path BLOB PRIMARY KEY, kind TEXT NOT NULL, exclude TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE anchors (path BLOB PRIMARY KEY, mount INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE removed (path BLOB PRIMARY KEY) WITHOUT ROWID;
"""
# `vector` stands last in its row, so that reading the other columns does not touch it. Rows of 5 KB in pages
# of 4 KB (SQLite's default) waste little: a quarter lies in the tree, the rest in one overflow page.


@dataclass(frozen=True)
class Identity:
    """What an album was made for; never changes after its creation.

    Attributes:
        extractor: the extractor's name.
        model_id: identity of its weights, preprocessing and output.
        dim: elements of a vector.
        metric: of the index: "cosine", "ip" or "l2".
        created_at: local time, ISO 8601.
    """

    extractor: str
    model_id: str
    dim: int
    metric: str
    created_at: str


def content_id(content_hash: bytes, vector: bytes) -> int:
    """The id, in 0 .. 2^63 - 1, of a content: of its file's SHA-256 (32 bytes) and its vector's bytes."""
    return int.from_bytes(hashlib.sha256(content_hash + vector).digest()[:8], "little") >> 1


def create_tables(connection: sqlite3.Connection, identity: Identity) -> None:
    """Make an empty catalogue, in one transaction: after a crash there is all of it or nothing."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.strip().split(";\n"):
            connection.execute(statement)
        rows = {"schema_version": SCHEMA_VERSION, "generation": 0, **vars(identity)}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all: what a creation leaves that was cut short."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return bool(tables == 0)


def read_identity(connection: sqlite3.Connection, path: Path) -> Identity:
    """What the catalogue says it is.

    Raises:
        FormatError: it is not an album's catalogue, of a later version, or damaged. Nothing is written.
    """
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if mark != APPLICATION_ID:
        raise FormatError(
            f"{path} is an SQLite database, but not the catalogue of an album (application id {mark:#x}, "
            f"expected {APPLICATION_ID:#x}); it was left as it is"
        )
    if version > SCHEMA_VERSION:
        raise FormatError(
            f"{path} has catalogue version {version}, but this fastcbir reads up to {SCHEMA_VERSION}; it was "
            "left as it is: upgrade fastcbir to open it"
        )
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    try:
        identity = Identity(
            extractor=str(meta["extractor"]),
            model_id=str(meta["model_id"]),
            dim=int(meta["dim"]),
            metric=str(meta["metric"]),
            created_at=str(meta["created_at"]),
        )
        int(meta["generation"])
    except (KeyError, ValueError) as error:
        raise FormatError(
            f"{path} is damaged: its meta table lacks or garbles {error}; it was left as it is: restore it "
            "from a backup, or make a new album"
        ) from None
    return identity
