"""Promise: the catalogue keeps what was committed, tells what it is, and is never overwritten when it is not
ours.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from fastcbir.errors import FormatError
from fastcbir.extract import Photo
from fastcbir.image_index.catalogue import Catalogue
from fastcbir.image_index.schema import APPLICATION_ID, SCHEMA_VERSION, Identity, content_id
from fastcbir.image_index.snapshot import PhotoFilter
from fastcbir.image_index.walk import Anchor, FoundFile

DIM = 4
IDENTITY = Identity("tiny", "tiny@1", DIM, "cosine", "2024-05-31T12:00:00")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    Catalogue.create(tmp_path / "catalog.db", IDENTITY)
    opened = Catalogue(tmp_path / "catalog.db")
    yield opened
    opened.close()


def photo(seed: int, path: str = "/p/a.jpg", captured_at: datetime | None = None) -> Photo:
    vector = np.random.default_rng(seed).normal(size=DIM)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Photo(Path(path), unit, 640, 480, captured_at, f"{seed:064x}", 1000 + seed, 10**18 + seed)


def state(path: str, seed: int) -> FoundFile:
    return FoundFile(path, 1000 + seed, 10**18 + seed)


def test_what_is_put_can_be_asked_for(catalogue: Catalogue) -> None:
    moment = datetime(2020, 2, 3, 4, 5, 6)
    with catalogue.writing() as batch:
        batch.put("/p/b.jpg", photo(2))
        batch.put("/p/a.jpg", photo(1, captured_at=moment))
    with catalogue.reading() as snapshot:
        assert snapshot.photo_count() == snapshot.content_count() == 2
        assert snapshot.paths() == ["/p/a.jpg", "/p/b.jpg"]
        assert snapshot.states() == {"/p/a.jpg": state("/p/a.jpg", 1), "/p/b.jpg": state("/p/b.jpg", 2)}
        first = snapshot.content_of("/p/a.jpg")
        assert (
            first
            == snapshot.content_with_hash(bytes.fromhex(f"{1:064x}"))
            == content_id(bytes.fromhex(f"{1:064x}"), photo(1).vector.tobytes())
        )
        assert first is not None
        ids, vectors = snapshot.vectors(np.array([first, 5]))
        assert ids.tolist() == [first]
        np.testing.assert_array_equal(vectors, photo(1).vector[None])
        (row,) = snapshot.rows([first])[first]
        assert (row.path, row.width, row.height, row.captured_at) == ("/p/a.jpg", 640, 480, moment)
        assert snapshot.content_of("/p/c.jpg") is None and snapshot.state_of("/p/c.jpg") is None


def test_an_id_is_a_promise_of_the_format() -> None:
    vector = np.arange(4, dtype="<f4").tobytes()
    assert content_id(bytes(range(32)), vector) == 7391459560192599786
    assert content_id(bytes(range(32)), vector) != content_id(bytes(range(1, 33)), vector)


def test_copies_share_a_content_and_moves_keep_it(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        batch.put("/p/a.jpg", photo(1))
        assert batch.share(state("/p/copy.jpg", 1), bytes.fromhex(f"{1:064x}"))
        assert not batch.share(state("/p/other.jpg", 9), bytes.fromhex(f"{9:064x}"))
    with catalogue.reading() as snapshot:
        content = snapshot.content_of("/p/a.jpg")
        assert content is not None and content == snapshot.content_of("/p/copy.jpg")
        assert snapshot.paths_of(content) == ["/p/a.jpg", "/p/copy.jpg"]
        assert (snapshot.photo_count(), snapshot.content_count()) == (2, 1)
    with catalogue.writing() as batch:
        batch.move("/p/a.jpg", state("/q/moved.jpg", 1), bytes.fromhex(f"{1:064x}"))
    with catalogue.reading() as snapshot:
        assert snapshot.paths_of(content) == ["/p/copy.jpg", "/q/moved.jpg"]


def test_contents_without_a_photo_are_not_of_the_index_and_go_when_collected(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        batch.put("/p/a.jpg", photo(1))
        batch.put("/p/b.jpg", photo(2))
        batch.put("/p/a.jpg", photo(3))  # changed
        batch.drop(["/p/b.jpg"])
    with catalogue.reading() as snapshot:
        assert snapshot.content_ids().tolist() == [snapshot.content_of("/p/a.jpg")]
        assert snapshot.content_with_hash(bytes.fromhex(f"{2:064x}")) is not None
    with catalogue.writing() as batch:
        batch.collect()
    with catalogue.reading() as snapshot:
        assert snapshot.content_with_hash(bytes.fromhex(f"{2:064x}")) is None
        assert len(list(snapshot.raw_vectors())) == 1


def test_failures_are_remembered_until_the_photo_is_put(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        batch.put("/p/a.jpg", photo(1))
        batch.put("/p/b.jpg", photo(2))
        batch.fail("/p/a.jpg", "no permission", None, transient=True)
        batch.fail("/p/b.jpg", "damaged", state("/p/b.jpg", 7), transient=False)
    with catalogue.reading() as snapshot:
        known = snapshot.failures()
        assert [(failure.path.name, failure.reason) for failure in snapshot.failed()] == [
            ("a.jpg", "no permission"),
            ("b.jpg", "damaged"),
        ]
        assert known["/p/b.jpg"].size == 1007 and not known["/p/b.jpg"].transient
        assert snapshot.paths() == ["/p/a.jpg"], "a passing failure leaves the photo, a lasting one does not"
    with catalogue.writing() as batch:
        batch.put("/p/b.jpg", photo(3))
        batch.forget_failures(["/p/a.jpg"])
    with catalogue.reading() as snapshot:
        assert snapshot.failures() == {}


def test_roots_anchors_and_removed_photos_are_remembered(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        batch.remember_root("/p", "folder", ["*.png"])
        batch.remember_root("/p", "folder", ["raw"])
        batch.remember_anchors([Anchor("/p"), Anchor("/p/disk", mount=True)])
        batch.remember_anchors([Anchor("/p/disk", mount=False)])
        batch.remember_removed(["/p/a.jpg"])
    with catalogue.reading() as snapshot:
        assert [(root.path, root.kind, root.exclude) for root in snapshot.roots()] == [
            ("/p", "folder", ("raw",))
        ]
        assert snapshot.anchors() == [Anchor("/p"), Anchor("/p/disk", mount=True)]
        assert snapshot.removed() == {"/p/a.jpg"}
    with catalogue.writing() as batch:
        batch.forget_folders(["/p", "/p/disk"])
        batch.put("/p/a.jpg", photo(1))
    with catalogue.reading() as snapshot:
        assert snapshot.roots() == [] and snapshot.anchors() == [] and snapshot.removed() == set()


def test_filters_by_path_and_time(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        for seed, path, moment in [
            (1, "/p/2019/a.jpg", datetime(2019, 12, 31, 23, 59, 59)),
            (2, "/p/2020/b.jpg", datetime(2020, 1, 1)),
            (3, "/p/2020/c.png", datetime(2020, 6, 1, 12)),
            (4, "/p/none.jpg", None),
        ]:
            batch.put(path, photo(seed, captured_at=moment))

    def passing(**terms: object) -> list[str]:
        with catalogue.reading() as snapshot:
            wanted = PhotoFilter(**terms)  # type: ignore[arg-type]
            names = [Path(path).name for path in snapshot.paths(wanted)]
            assert len(set(snapshot.passing_ids(wanted).tolist())) == len(names)
            rows = snapshot.rows(snapshot.content_ids().tolist(), wanted)
            assert sorted(Path(row[0].path).name for row in rows.values()) == names
            return names

    assert passing() == ["a.jpg", "b.jpg", "c.png", "none.jpg"]
    assert passing(glob=b"*/2020/*") == ["b.jpg", "c.png"]
    assert passing(after="2020-01-01T00:00:00") == ["b.jpg", "c.png"]
    assert passing(before="2020-01-01T00:00:00") == ["a.jpg"]
    assert passing(glob=b"*.jpg", after="2019-12-31T00:00:00", before="2021-01-01T00:00:00") == [
        "a.jpg",
        "b.jpg",
    ]


def test_paths_that_are_not_utf8_survive_and_match(catalogue: Catalogue) -> None:
    path = os.fsdecode(b"/p/caf\xe9/\xff.jpg")
    with catalogue.writing() as batch:
        batch.put(path, photo(1))
        batch.fail(path + "2", "damaged", None, transient=True)
    with catalogue.reading() as snapshot:
        assert snapshot.paths() == [path]
        assert snapshot.paths(PhotoFilter(glob=b"*/caf\xe9/*.jpg")) == [path]
        assert list(snapshot.failures()) == [path + "2"]
        assert os.fsencode(snapshot.failed()[0].path) == os.fsencode(path) + b"2"


def test_a_batch_that_fails_leaves_nothing(catalogue: Catalogue) -> None:
    with pytest.raises(RuntimeError, match="stop"), catalogue.writing() as batch:
        batch.put("/p/a.jpg", photo(1))
        raise RuntimeError("stop")
    with catalogue.reading() as snapshot:
        assert (snapshot.photo_count(), snapshot.generation()) == (0, 0)


def test_a_snapshot_does_not_see_later_commits(catalogue: Catalogue) -> None:
    with catalogue.reading() as before:
        assert before.generation() == 0
        with catalogue.writing() as batch:
            batch.put("/p/a.jpg", photo(1))
        assert (before.generation(), before.photo_count()) == (0, 0)
        with catalogue.reading() as after:
            assert (after.generation(), after.photo_count()) == (1, 1)


def test_connections_are_reused_and_may_be_used_from_many_threads(catalogue: Catalogue) -> None:
    counts: list[int] = []

    def work() -> None:
        for _ in range(50):
            with catalogue.reading() as snapshot:
                counts.append(snapshot.photo_count())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [0] * 400
    assert len(catalogue._free) <= 8


def test_a_closed_catalogue_says_so(catalogue: Catalogue) -> None:
    catalogue.close()
    catalogue.close()
    with pytest.raises(ValueError, match="is closed; open it again"), catalogue.reading():
        pass


def test_settings_that_keep_data_safe(catalogue: Catalogue) -> None:
    with catalogue._connection() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert catalogue.integrity() == []


def test_read_only_can_not_write(tmp_path: Path) -> None:
    Catalogue.create(tmp_path / "catalog.db", IDENTITY)
    with contextlib.closing(Catalogue(tmp_path / "catalog.db", read_only=True)) as opened:
        assert opened.identity == IDENTITY
        with opened._connection() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM photos")


def spoil(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("text", "is no SQLite database"),
        ("foreign", "is an SQLite database, but not the catalogue of an album"),
        (
            "future",
            f"has catalogue version {SCHEMA_VERSION + 1}, but this fastcbir reads up to {SCHEMA_VERSION}",
        ),
        ("no meta", "damaged"),
        ("no dim", "its meta table lacks or garbles 'dim'"),
        ("truncated", "is damaged"),
        ("empty", "the creation of this album was cut short; open it with create=True"),
    ],
)
def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path: Path, how: str, message: str) -> None:
    path = tmp_path / "catalog.db"
    if how == "text":
        path.write_bytes(b"this is a shopping list\n" * 500)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        spoil(path, "CREATE TABLE recipes (name TEXT)")
    else:
        Catalogue.create(path, IDENTITY)
        if how == "future":
            spoil(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        elif how == "no meta":
            spoil(path, "DROP TABLE meta")
        elif how == "no dim":
            spoil(path, "DELETE FROM meta WHERE key = 'dim'")
        elif how == "truncated":
            path.write_bytes(path.read_bytes()[:6000])
    before = path.read_bytes()
    with pytest.raises(FormatError, match=message):
        Catalogue(path)
    assert path.read_bytes() == before


def test_damage_inside_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    Catalogue.create(path, IDENTITY)
    with contextlib.closing(Catalogue(path)) as opened, opened.writing() as batch:
        for seed in range(200):
            batch.put(f"/p/{seed:03d}.jpg", photo(seed))
    damaged = bytearray(path.read_bytes())
    damaged[3 * 4096 :] = bytes(len(damaged) - 3 * 4096)
    path.write_bytes(damaged)
    with contextlib.closing(Catalogue(path, read_only=True)) as opened:
        assert opened.integrity() != []
        with (
            pytest.raises(FormatError, match=r"is damaged .*restore it from a backup"),
            opened.reading() as snapshot,
        ):
            snapshot.paths()


def test_a_vector_that_is_damaged_is_left_out(catalogue: Catalogue) -> None:
    with catalogue.writing() as batch:
        for seed in range(4):
            batch.put(f"/p/{seed}.jpg", photo(seed))
    with catalogue.reading() as snapshot:
        ids = [snapshot.content_of(f"/p/{seed}.jpg") for seed in range(4)]
    spoiled = [np.full(DIM, np.nan, "<f4").tobytes(), b"\0" * (4 * DIM), b"short"]
    for number, vector in zip(ids, spoiled, strict=False):
        with catalogue._connection() as connection:
            connection.execute("UPDATE contents SET vector = ? WHERE id = ?", (vector, number))
    with catalogue.reading() as snapshot:
        usable, vectors = snapshot.vectors(np.array(ids))
    assert usable.tolist() == ids[3:]
    np.testing.assert_array_equal(vectors, photo(3).vector[None])


GOLDEN = Path(__file__).parent / "golden" / "catalogue_v1.sql"


def test_a_catalogue_of_version_1_opens_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    spoil(path, GOLDEN.read_text(encoding="utf-8"))
    with contextlib.closing(Catalogue(path)) as opened:
        assert opened.identity == IDENTITY
        with opened.reading() as snapshot:
            assert snapshot.generation() == 1
            assert snapshot.paths() == ["/p/a.jpg", "/p/b.jpg", os.fsdecode(b"/p/caf\xe9.jpg")]
            assert [(root.path, root.exclude) for root in snapshot.roots()] == [("/p", ("raw",))]
            assert snapshot.anchors() == [Anchor("/p"), Anchor("/p/disk", mount=True)]
            assert snapshot.removed() == {"/p/gone.jpg"}
            assert snapshot.failures()["/p/bad.jpg"].reason == "the file is empty (0 bytes)"
            ids, vectors = snapshot.vectors(snapshot.content_ids())
            rows = snapshot.rows(ids.tolist())
            assert sorted(row.path for each in rows.values() for row in each) == snapshot.paths()
            for number, content_hash, vector in snapshot.raw_vectors():
                assert content_id(content_hash, vector) == number
            for number, vector in zip(ids.tolist(), vectors, strict=True):
                seed = 1 if rows[number][0].path == "/p/a.jpg" else 2
                np.testing.assert_allclose(vector, photo(seed).vector, atol=1e-6)


def test_a_new_catalogue_has_the_tables_of_the_golden_one(tmp_path: Path) -> None:
    def tables(path: Path) -> list[tuple[str, ...]]:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
            return connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
            ).fetchall()

    spoil(tmp_path / "golden.db", GOLDEN.read_text(encoding="utf-8"))
    Catalogue.create(tmp_path / "new.db", IDENTITY)
    assert tables(tmp_path / "new.db") == tables(tmp_path / "golden.db")
