"""Promise: whatever is lost or interrupted, an album opens with all that was committed, and says what it
can't use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, holds, picture, write_photo, write_photos

import fastcbir as fc
from fastcbir.errors import FormatError
from fastcbir.image_index import ImageIndex
from fastcbir.image_index.derived import DerivedIndex


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def made(tmp_path: Path, tiny: TinyExtractor) -> Path:
    """An album of ten photos, closed."""
    write_photos(tmp_path / "photos", 10)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        album.add(tmp_path / "photos")
    return tmp_path / "album.fcbir"


# --- the index file: derived, so it may be lost -------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))


def other_dim(path: Path) -> None:
    index = fc.Index(5, fc.Flat(), metric="cosine")
    index.add(np.eye(5, dtype=np.float32))
    index.save(path)


def other_album(path: Path) -> None:
    """The same shape, and even as many vectors; but they are of other photos."""
    index = fc.Index(48, fc.Flat(), metric="cosine")
    index.add(np.random.default_rng(0).normal(size=(10, 48)).astype(np.float32))
    index.save(path)


def of_the_future(path: Path) -> None:
    data = bytearray(path.read_bytes())
    (place,) = [at for at in range(4, 32, 4) if int.from_bytes(data[at : at + 4], "little") == 1][:1]
    data[place] = 200
    path.write_bytes(data)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [Path.unlink, truncate, flip_a_bit, foreign, other_dim, other_album, of_the_future]
)
def test_a_lost_index_is_made_again(made: Path, tiny: TinyExtractor, spoil: Callable[[Path], None]) -> None:
    tiny.names()
    spoil(made / "index.fcx")
    with ImageIndex.open(made, extractor=tiny, read_only=True) as album:
        assert [problem.kind for problem in album.verify_integrity()] == ["index"]
        holds(album, 10)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == [], (
            "the file is right again as soon as the album is open for writing"
        )
        holds(album, 10)
    assert tiny.names() == [], "and nothing was extracted"


def test_an_index_that_can_not_be_replaced_does_not_keep_the_album_shut(
    made: Path, tiny: TinyExtractor
) -> None:
    folder(made / "index.fcx")
    with ImageIndex.open(made, extractor=tiny) as album:
        holds(album, 10)
        write_photos(made.parent / "photos", 2, first=10)
        with pytest.raises(OSError, match=r"the photos are recorded, .* nothing is lost"):
            album.add(made.parent / "photos")
        holds(album, 12)


def test_an_old_copy_of_the_index_is_brought_up_to_date(made: Path, tiny: TinyExtractor) -> None:
    photos = made.parent / "photos"
    old = (made / "index.fcx").read_bytes()
    with ImageIndex.open(made, extractor=tiny) as album:
        (photos / "009.png").unlink()
        write_photo(photos / "003.png", 3, width=30)  # another file, another content, the same place
        write_photos(photos, 5, first=10)
        album.sync()
    (made / "index.fcx").write_bytes(old)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == []
        assert len(album.search(np.ones(48), k=100)) == 14


def test_an_old_copy_of_the_catalogue_with_a_newer_index(made: Path, tiny: TinyExtractor) -> None:
    """The index then has ids that the catalogue never gave out, and may give out again for the same content
    only.
    """
    photos = made.parent / "photos"
    old = (made / "catalog.db").read_bytes()
    with ImageIndex.open(made, extractor=tiny) as album:
        write_photos(photos, 5, first=10)
        album.add(photos)
    (made / "catalog.db").write_bytes(old)
    with ImageIndex.open(made, extractor=tiny) as album:
        assert album.verify_integrity() == []
        holds(album, 10)
        for path in photos.iterdir():
            path.unlink()
        write_photos(photos, 10)
        write_photos(photos, 5, first=20)
        assert album.add(photos).added == 5
        assert album.verify_integrity() == []
        assert album.search(picture(22), k=1)[0].path.name == "022.png"
        assert album.search(picture(12), k=1)[0].score < 0.999


def test_a_kill_between_commit_and_save_costs_nothing(
    made: Path, tiny: TinyExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(self: DerivedIndex) -> None:
        raise KilledError

    write_photos(made.parent / "photos", 5, first=10)
    with monkeypatch.context() as patch, ImageIndex.open(made, extractor=tiny) as album:
        patch.setattr(DerivedIndex, "save", killed)
        with pytest.raises(KilledError):
            album.add(made.parent / "photos")
    assert len(fc.load(made / "index.fcx")) == 10
    with ImageIndex.open(made, extractor=tiny) as album:
        assert len(fc.load(made / "index.fcx")) == 15
        holds(album, 15)


def test_what_a_killed_save_left_over_is_cleared_away(made: Path, tiny: TinyExtractor) -> None:
    left_over = made / "index.fcx.tmp-1-0"
    left_over.write_bytes(b"half an index")
    with ImageIndex.open(made, extractor=tiny, read_only=True):
        assert left_over.exists()
    with ImageIndex.open(made, extractor=tiny):
        assert not left_over.exists()


# --- the catalogue: the truth, never overwritten ------------------------------------------------------------


def future_catalogue(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (truncate, "damaged"),
        (foreign, "is no SQLite database"),
        (future_catalogue, "has catalogue version 99"),
        (Path.unlink, "has lost its catalog.db"),
    ],
)
@pytest.mark.parametrize("create", [False, True])
def test_a_catalogue_that_can_not_be_used_is_refused_and_kept(
    made: Path, spoil: Callable[[Path], None], message: str, create: bool
) -> None:
    catalogue = made / "catalog.db"
    spoil(catalogue)
    before = catalogue.read_bytes() if catalogue.exists() else None
    index = (made / "index.fcx").read_bytes()
    with pytest.raises(FormatError, match=message):
        ImageIndex.open(made, extractor=TinyExtractor(), create=create).verify_integrity()
    assert (catalogue.read_bytes() if catalogue.exists() else None) == before
    assert (made / "index.fcx").read_bytes() == index


def test_opening_what_is_no_album(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"create=True.*fastcbir index FOLDER"):
        ImageIndex.open(tmp_path / "album.fcbir")
    assert not (tmp_path / "album.fcbir").exists()
    write_photos(tmp_path / "photos", 2)
    with pytest.raises(FormatError, match=r"is a folder, but no album: it has no catalog\.db"):
        ImageIndex.open(tmp_path / "photos")
    with pytest.raises(FormatError, match=r"other things in it \('000\.png', 2 in all\), not an album"):
        ImageIndex.open(tmp_path / "photos", create=True, extractor=TinyExtractor())
    with pytest.raises(FormatError, match="is a file; an album is a folder"):
        ImageIndex.open(tmp_path / "photos" / "000.png")
    with pytest.raises(ValueError, match="exclude each other"):
        ImageIndex.open(tmp_path / "album.fcbir", create=True, read_only=True)
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["000.png", "001.png"]


@pytest.mark.parametrize("left", ["nothing", "lock", "empty", "header"])
def test_a_creation_that_was_cut_short_can_be_finished(tmp_path: Path, left: str) -> None:
    album = tmp_path / "album.fcbir"
    album.mkdir()
    if left == "lock":
        (album / "writer.lock").touch()
    elif left == "empty":
        (album / "catalog.db").touch()
    elif left == "header":
        connection = sqlite3.connect(album / "catalog.db")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
    with pytest.raises(FormatError, match=r"no album|cut short"):
        ImageIndex.open(album)
    with ImageIndex.open(album, create=True, extractor=TinyExtractor()) as opened:
        assert len(opened) == 0
    with ImageIndex.open(album, create=True, extractor=TinyExtractor()) as opened:
        assert opened.info().path == album, "create opens what exists"
