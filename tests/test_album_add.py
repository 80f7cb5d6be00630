"""Promise: add() reads what is new or changed, once, and nothing else; no file stops it, and all are
accounted for.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from album_helpers import (
    TinyExtractor,
    counts,
    names,
    nearest,
    photo_bytes,
    picture,
    touch,
    write_photo,
    write_photos,
)

import fastcbir as fc
from fastcbir.image_index import AddProgress, ImageIndex
from fastcbir.image_index import ingest as ingest_module


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def album(tmp_path: Path, tiny: TinyExtractor) -> Iterator[ImageIndex]:
    with fc.ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as opened:
        yield opened


def test_a_second_add_reads_nothing(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 20)
    report = album.add(tmp_path / "photos")
    assert counts(report) == {"added": 20} and report.seconds > 0
    assert len(tiny.names()) == 20
    assert album.paths() == paths and len(album) == 20
    assert counts(album.add(tmp_path / "photos")) == {"unchanged": 20}
    assert tiny.names() == []
    assert album.verify_integrity() == []


def test_an_add_that_finds_nothing_new_writes_nothing(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    (tmp_path / "broken.jpg").write_bytes(b"?")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    album.add(tmp_path)
    before = album.info().generation
    album.add(tmp_path)
    album.sync()
    assert album.info().generation == before


@pytest.mark.parametrize(("photos", "seconds", "commits"), [(4, 1e9, 3), (10**9, 0.0, 10)])
def test_commits_come_by_number_and_by_time(
    album: ImageIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    photos: int,
    seconds: float,
    commits: int,
) -> None:
    paths = write_photos(tmp_path, 10)
    monkeypatch.setattr(ingest_module, "BATCH_PHOTOS", photos)
    monkeypatch.setattr(ingest_module, "BATCH_SECONDS", seconds)
    album.add(tmp_path, exclude=["*"])  # all but the photos
    before = album.info().generation
    album.add(paths)
    assert album.info().generation - before == commits + 1, "the last remembers the files"


def test_new_photos_alone_are_read(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    album.add(tmp_path)
    tiny.names()
    write_photos(tmp_path / "more", 2, first=3)
    assert counts(album.add(tmp_path)) == {"added": 2, "unchanged": 3}
    assert tiny.names() == ["003.png", "004.png"]
    assert nearest(album, 4) == "004.png"


def test_a_touched_photo_is_not_read_again(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 3)
    album.add(tmp_path)
    tiny.names()
    touch(paths[1])
    assert counts(album.add(tmp_path)) == {"unchanged": 3}
    assert tiny.names() == []
    assert album.verify_integrity() == [], "the new time stamp is known now"


def test_a_changed_photo_is_read_again(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 3)
    album.add(tmp_path)
    tiny.names()
    write_photo(paths[1], 50)
    touch(paths[1])
    assert counts(album.add(tmp_path)) == {"updated": 1, "unchanged": 2}
    assert tiny.names() == ["001.png"]
    assert nearest(album, 50) == "001.png"
    assert album.search(picture(1), k=1)[0].score < 0.999, "what it showed before is forgotten"
    assert album.info().contents == 3


def test_a_moved_photo_is_recognised(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 4)
    album.add(tmp_path / "photos")
    tiny.names()
    (tmp_path / "photos" / "sub").mkdir()
    paths[0].rename(tmp_path / "photos" / "sub" / "renamed.png")
    paths[1].rename(tmp_path / "photos" / "sub" / "001.png")
    assert counts(album.add(tmp_path / "photos")) == {"moved": 2, "unchanged": 2}
    assert tiny.names() == []
    assert names(album) == ["002.png", "003.png", "001.png", "renamed.png"]
    assert nearest(album, 0) == "renamed.png"


def test_a_renamed_folder_moves_its_photos(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    write_photos(tmp_path / "old", 5)
    album.add(tmp_path / "old")
    tiny.names()
    (tmp_path / "old").rename(tmp_path / "new")
    assert counts(album.add(tmp_path / "new")) == {"moved": 5}
    assert tiny.names() == []
    assert {path.parent.name for path in album.paths()} == {"new"}


def test_swapped_names_are_sorted_out_by_content(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    first, second = write_photos(tmp_path, 2)
    album.add(tmp_path)
    tiny.names()
    first.rename(tmp_path / "third")
    second.rename(first)
    (tmp_path / "third").rename(second)
    assert counts(album.add(tmp_path)) == {"updated": 2}
    assert tiny.names() == []
    assert (nearest(album, 0), nearest(album, 1)) == ("001.png", "000.png")


def test_a_photo_moved_over_another_takes_its_place(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    first, second = write_photos(tmp_path, 2)
    album.add(tmp_path)
    tiny.names()
    second.replace(first)
    assert counts(album.add(tmp_path)) == {"moved": 1}
    assert tiny.names() == [] and names(album) == ["000.png"]
    assert nearest(album, 1) == "000.png" and album.info().contents == 1


def test_copies_share_the_work_and_are_photos_of_their_own(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    write_photo(tmp_path / "a.png", 1)
    write_photo(tmp_path / "b.png", 1)
    write_photo(tmp_path / "c.png", 2)
    assert counts(album.add(tmp_path)) == {"added": 3}
    assert len(tiny.names()) == 2, "copies that are new together are read once"
    write_photo(tmp_path / "later.png", 1)
    assert counts(album.add(tmp_path)) == {"added": 1, "unchanged": 3}
    assert tiny.names() == []
    assert [hit.path.name for hit in album.search(picture(1), k=3)] == ["a.png", "b.png", "later.png"]
    assert (len(album), album.info().contents) == (4, 2)


def test_vanished_photos_are_counted_and_kept(album: ImageIndex, tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 3)
    album.add(tmp_path)
    paths[0].unlink()
    assert counts(album.add(tmp_path)) == {"unchanged": 2, "vanished": 1}
    assert len(album) == 3 and nearest(album, 0) == "000.png"


def test_files_lists_and_excludes(album: ImageIndex, tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 3)
    write_photos(tmp_path / "photos" / "raw", 2, first=3)
    odd = write_photo(tmp_path / "photo.without.suffix", 9)
    assert counts(album.add([paths[0], str(odd)])) == {"added": 2}
    assert counts(album.add(tmp_path / "photos", exclude=["raw", "*2.png"])) == {"added": 1, "unchanged": 1}
    assert names(album) == ["photo.without.suffix", "000.png", "001.png"]
    assert counts(album.add([])) == {}


def test_what_does_not_exist(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        album.add(tmp_path / "nothing")
    report = album.add([tmp_path / "nothing", tmp_path])
    assert counts(report) == {"added": 1, "failed": 1}


def test_the_album_may_lie_among_its_photos(tmp_path: Path, tiny: TinyExtractor) -> None:
    write_photos(tmp_path, 2)
    with ImageIndex.open(tmp_path / "plain name", create=True, extractor=tiny) as album:
        write_photo(album.path / "inside.png", 7)
        assert counts(album.add(tmp_path)) == {"added": 2}


def test_names_that_are_not_utf8_can_be_added_and_found(album: ImageIndex, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        write_photo(path, 1)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    assert counts(album.add(tmp_path)) == {"added": 1}
    assert album.paths() == [path]
    assert album.search(path, k=1)[0].path.read_bytes() == photo_bytes(1)
    assert counts(album.add(tmp_path)) == {"unchanged": 1}


def test_progress_counts_every_file_that_has_to_be_dealt_with(album: ImageIndex, tmp_path: Path) -> None:
    write_photos(tmp_path, 5)
    album.add(tmp_path)
    write_photos(tmp_path, 5, first=5)
    write_photo(tmp_path / "copy.png", 0)
    (tmp_path / "broken.jpg").write_bytes(b"?")
    told: list[AddProgress] = []
    album.add(tmp_path, progress=told.append)
    read = [each for each in told if each.stage == "read"]
    assert [(each.done, each.total) for each in read] == [(done, 7) for done in range(1, 8)]
    assert read[-1].failed == 1 and {each.path.name for each in read if each.path} >= {
        "copy.png",
        "broken.jpg",
    }


def test_what_a_progress_callback_raises_ends_the_add_and_keeps_what_is_done(
    album: ImageIndex, tmp_path: Path
) -> None:
    write_photos(tmp_path, 10)

    class EnoughError(Exception):
        pass

    def stop(progress: AddProgress) -> None:
        if progress.done == 4:
            raise EnoughError

    with pytest.raises(EnoughError):
        album.add(tmp_path, progress=stop)
    assert len(album) == 4
    assert counts(album.add(tmp_path)) == {"added": 6, "unchanged": 4}
    assert album.verify_integrity() == []


def test_the_record_of_a_photo_is_that_of_its_file(album: ImageIndex, tmp_path: Path) -> None:
    moment = datetime(2021, 7, 8, 9, 10, 11)
    path = write_photo(tmp_path / "a.jpg", 3, captured_at=moment, width=40, height=20)
    album.add(path)
    (hit,) = album.search(path, k=5)
    assert (hit.path, hit.width, hit.height, hit.captured_at, hit.rank) == (path, 40, 20, moment, 1)
    with album._catalogue.reading() as snapshot:
        (content,) = snapshot.content_ids().tolist()
        assert snapshot.content_with_hash(hashlib.sha256(path.read_bytes()).digest()) == content


def test_an_album_through_the_real_extractor(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 12)
    (tmp_path / "photos" / "broken.png").write_bytes(b"?")
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor="color-layout") as album:
        assert counts(album.add(tmp_path / "photos")) == {"added": 12, "failed": 1}
        assert nearest(album, 5) == "005.png"
    with ImageIndex.open(tmp_path / "album.fcbir") as album:
        assert album.info().extractor == "color-layout"
        assert counts(album.add(tmp_path / "photos")) == {"unchanged": 12, "failed": 1}
        assert nearest(album, 7) == "007.png"
