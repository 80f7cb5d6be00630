"""Promise: a file that can't be used is reported with its reason, stops nothing, and blames no other file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from album_helpers import (
    TinyExtractor,
    counts,
    names,
    nearest,
    photo_bytes,
    touch,
    write_photo,
    write_photos,
)

import fastcbir as fc
from fastcbir.extract import Failure
from fastcbir.image_index import ImageIndex
from fastcbir.image_index import ingest as ingest_module


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def album(tmp_path: Path, tiny: TinyExtractor) -> Iterator[ImageIndex]:
    with fc.ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as opened:
        yield opened


def test_broken_files_are_reported_each_time_and_tried_again_when_they_change(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path
) -> None:
    write_photo(tmp_path / "good.png", 1)
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("a shopping list")
    (tmp_path / "cut.png").write_bytes(photo_bytes(2)[:60])
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing")
    report = album.add(tmp_path)
    assert counts(report) == {"added": 1, "failed": 4}
    reasons = {failure.path.name: failure.reason for failure in report.failed}
    assert "empty" in reasons["empty.jpg"] and "not an image" in reasons["text.jpg"]
    assert reasons["gone.jpg"] == "the link's target does not exist" and reasons["cut.png"]
    tiny.names()

    again = album.add(tmp_path)
    assert counts(again) == {"unchanged": 1, "failed": 4}
    assert {failure.path.name: failure.reason for failure in again.failed} == reasons
    assert tiny.names() == [], "nothing changed, nothing was read"
    assert {failure.path.name: failure.reason for failure in album.info().failed} == reasons

    assert counts(album.add(tmp_path, retry_failed=True)) == {"unchanged": 1, "failed": 4}
    assert tiny.names() == ["cut.png", "empty.jpg", "text.jpg"]

    write_photo(tmp_path / "cut.png", 2)
    (tmp_path / "empty.jpg").unlink()
    assert counts(album.add(tmp_path)) == {"added": 1, "unchanged": 1, "failed": 2}
    assert [failure.path.name for failure in album.info().failed] == ["gone.jpg", "text.jpg"]


def test_a_photo_that_becomes_broken_leaves_the_album(album: ImageIndex, tmp_path: Path) -> None:
    paths = write_photos(tmp_path, 2)
    album.add(tmp_path)
    paths[0].write_bytes(b"no longer a photo")
    assert counts(album.add(tmp_path)) == {"unchanged": 1, "failed": 1}
    assert names(album) == ["001.png"]


def test_a_photo_that_can_not_be_read_for_a_while_stays(
    album: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_photos(tmp_path, 2)
    album.add(tmp_path)
    touch(paths[0])
    denied = Failure(paths[0], "the file can't be read (Permission denied)")
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "_hash_file", lambda file: denied)
        report = album.add(tmp_path)
    assert counts(report) == {"unchanged": 1, "failed": 1}
    assert names(album) == ["000.png", "001.png"]
    assert counts(album.add(tmp_path)) == {"unchanged": 2}, "a passing failure is tried again"
    assert album.info().failed == []


def test_a_copy_that_changes_before_the_first_is_read_is_read_itself(tmp_path: Path) -> None:
    """Both were equal when they were hashed; the first is another photo by the time it is extracted."""
    first, second = tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png"
    write_photo(first, 1)
    write_photo(second, 1)

    def change(path: Path) -> None:
        if path == first:
            write_photo(first, 2)

    tiny = TinyExtractor(before=change)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        assert counts(album.add(tmp_path / "photos")) == {"added": 2}
        assert tiny.names() == ["a.png", "b.png"]
        assert (nearest(album, 2), nearest(album, 1)) == ("a.png", "b.png")


def test_a_copy_of_a_file_that_goes_away_is_read_itself(tmp_path: Path) -> None:
    """The first of two equal files is deleted once it is hashed; that is not held against the second."""
    first, second = tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png"
    write_photo(first, 1)
    write_photo(second, 1)
    tiny = TinyExtractor(before=lambda path: first.unlink(missing_ok=True))
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=tiny) as album:
        assert counts(album.add(tmp_path / "photos")) == {"added": 1, "failed": 1}
        assert nearest(album, 1) == "b.png"
        assert counts(album.add(tmp_path / "photos")) == {"unchanged": 1}


def test_copies_of_a_broken_file_are_broken(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(b"not a photo")
    assert counts(album.add(tmp_path)) == {"failed": 3}
    assert len(tiny.names()) == 1
    assert counts(album.add(tmp_path)) == {"failed": 3} and tiny.names() == []


def test_the_extractors_slips_do_not_get_in(album: ImageIndex, tiny: TinyExtractor, tmp_path: Path) -> None:
    write_photos(tmp_path, 4)
    real = tiny._vector

    def slip(image: object) -> object:
        vector = real(image)  # type: ignore[arg-type]
        number = len(tiny.read)
        return {1: vector * float("nan"), 2: vector[:-1], 3: vector * 2}.get(number, vector)

    tiny._vector = slip  # type: ignore[method-assign, assignment]
    report = album.add(tmp_path)
    assert counts(report) == {"added": 1, "failed": 3}
    assert [failure.reason for failure in report.failed] == [
        "the extractor gave a vector that is not finite",
        "the extractor gave a vector of shape (47,), expected (48,)",
        "the extractor gave a vector of length 2, expected 1",
    ]


def test_an_extractor_that_skips_a_file_is_found_out(
    album: ImageIndex, tiny: TinyExtractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path, 3)
    real = tiny.stream
    monkeypatch.setattr(tiny, "stream", lambda paths: real(list(paths)[1:]))
    report = album.add(tmp_path)
    assert counts(report) == {"added": 2, "failed": 1}
    assert report.failed[0].reason == "the extractor tiny gave no answer for it"
