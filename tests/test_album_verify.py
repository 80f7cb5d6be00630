"""Promise: verify_integrity() finds what is wrong and says which kind; info() counts truly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, touch, write_photo, write_photos

import fastcbir as fc
from fastcbir.image_index import ImageIndex, Problem


@pytest.fixture
def album(tmp_path: Path) -> Iterator[ImageIndex]:
    write_photos(tmp_path / "photos", 6)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as opened:
        opened.add(tmp_path / "photos")
        assert opened.verify_integrity() == []
        yield opened


def kinds(problems: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.kind, problem.path.name) for problem in problems]


def put_vector(album: ImageIndex, name: str, vector: bytes) -> None:
    with album._catalogue.reading() as snapshot:
        content = snapshot.content_of(str(album.path.parent / "photos" / name))
    with album._catalogue._connection() as connection:
        connection.execute("UPDATE contents SET vector = ? WHERE id = ?", (vector, content))


def test_photos_that_are_missing_changed_or_out_of_reach(album: ImageIndex, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "001.png").unlink()
    touch(photos / "002.png")
    write_photo(photos / "003.png", 40)
    (photos / "004.png").unlink()
    (photos / "004.png").symlink_to(photos / "004.png")
    problems = album.verify_integrity()
    assert kinds(problems) == [
        ("missing", "001.png"),
        ("changed", "002.png"),
        ("changed", "003.png"),
        ("unreadable", "004.png"),
    ]
    assert problems[0].path == photos / "001.png" and "sync()" in problems[0].message


def test_vectors_that_are_damaged(album: ImageIndex) -> None:
    unit = np.zeros(48, "<f4")
    unit[7] = 1
    put_vector(album, "000.png", unit.tobytes())
    put_vector(album, "001.png", (unit * 2).tobytes())
    put_vector(album, "002.png", np.full(48, np.inf, "<f4").tobytes())
    put_vector(album, "003.png", unit.tobytes()[:-4])
    problems = [problem for problem in album.verify_integrity() if problem.kind == "vector"]
    said = {problem.path.name: problem.message for problem in problems}
    assert sorted(said) == ["000.png", "001.png", "002.png", "003.png"]
    assert "is not the one that was recorded" in said["000.png"]
    assert "has length 2, expected 1" in said["001.png"]
    assert "not finite" in said["002.png"]
    assert "has 188 bytes, expected 192" in said["003.png"]
    with ImageIndex.open(album.path, extractor=TinyExtractor()) as again:
        assert len(again.search(np.ones(48), k=10)) >= 4, "the others are still found"


def test_an_index_whose_vectors_are_not_the_catalogues(album: ImageIndex) -> None:
    index = fc.load(album.path / "index.fcx")
    number = int(index.ids[2])
    index.update(np.ones((1, 48), np.float32), [number])
    index.save(album.path / "index.fcx")
    (problem,) = album.verify_integrity()
    assert problem.kind == "index" and f"content {number} differs" in problem.message


def test_an_index_that_lacks_some_and_has_others(album: ImageIndex) -> None:
    index = fc.load(album.path / "index.fcx")
    index.remove(index.ids[:2])
    index.add(np.ones((1, 48), np.float32), [5])
    index.save(album.path / "index.fcx")
    (problem,) = album.verify_integrity()
    assert problem.kind == "index" and "lacks 2 of 6 contents and has 1 too many" in problem.message
    (album.path / "index.fcx").unlink()
    (problem,) = album.verify_integrity()
    assert "is missing" in problem.message


def test_a_damaged_catalogue(album: ImageIndex) -> None:
    path = album.path
    album.close()
    data = bytearray((path / "catalog.db").read_bytes())
    data[5 * 4096 : 6 * 4096] = b"\xaa" * 4096
    (path / "catalog.db").write_bytes(data)
    with ImageIndex.open(path, extractor=TinyExtractor(), read_only=True) as opened:
        assert "catalogue" in {problem.kind for problem in opened.verify_integrity()}


def test_info(album: ImageIndex, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos" / "copy.png", 3)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"?")
    album.add(tmp_path / "photos")
    info = album.info()
    assert (info.photos, info.contents, len(info.failed)) == (7, 6, 1)
    assert info.failed[0].path == tmp_path / "photos" / "broken.jpg"
    assert info.folders == [tmp_path / "photos"]
    assert (info.extractor, info.model_id, info.dim, info.metric) == ("tiny", "tiny@1", 48, "cosine")
    assert info.index_kind == "flat" and info.schema_version == 1
    assert info.index_bytes == (album.path / "index.fcx").stat().st_size
    assert info.bytes_on_disk == sum(path.stat().st_size for path in album.path.iterdir())
    assert info.catalogue_bytes < info.bytes_on_disk
    assert abs((datetime.now() - info.created_at).total_seconds()) < 600
    before = info.generation
    album.remove(tmp_path / "photos" / "copy.png")
    assert album.info().generation > before
    assert repr(album) == f"<ImageIndex {album.path}, tiny@1>"
