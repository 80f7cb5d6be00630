"""Promise: what an album learns is kept with it, every search goes through it, and nothing is lost by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, complete, picture, write_photos

from fastcbir.extract.projection import fit_whitening
from fastcbir.image_index import ImageIndex


@pytest.fixture
def album(tmp_path: Path) -> ImageIndex:
    write_photos(tmp_path / "photos", 12)
    photos = ImageIndex.open(tmp_path / "a.fcbir", create=True, extractor=TinyExtractor())
    photos.add(tmp_path / "photos")
    return photos


def vectors_of(album: ImageIndex) -> np.ndarray:
    with album._catalogue.reading() as snapshot:
        return snapshot.vectors(snapshot.content_ids())[1]


def files(album: ImageIndex) -> list[str]:
    return sorted(path.name for path in album.path.glob("*.fcx"))


def test_searches_go_through_what_was_learned(album: ImageIndex) -> None:
    before = album.search(picture(3), k=12)
    assert album.learn_whitening(0.5) == 12
    complete(album, 12)
    vectors = vectors_of(album)
    projection = fit_whitening(vectors, strength=0.5)
    query = TinyExtractor().extract([picture(3)])
    expected = np.sort((projection(vectors) @ projection(query).T)[:, 0])[::-1]
    after = album.search(picture(3), k=12)
    np.testing.assert_allclose([hit.score for hit in after], expected, atol=1e-5)
    assert [hit.score for hit in after] != [hit.score for hit in before]
    assert album.info().projection == "whiten(0.5)"
    assert files(album) == [f"index-{projection.key}.fcx"]
    assert album.verify_integrity() == []
    album.learn_whitening(None)
    assert album.search(picture(3), k=12) == before
    assert (album.info().projection, files(album)) == ("", ["index.fcx"])


def test_it_is_there_for_the_next_process_and_for_new_photos(album: ImageIndex, tmp_path: Path) -> None:
    album.learn_whitening(0.25, dim=9)
    hits = album.search(picture(5), k=12)
    album.close()
    with ImageIndex.open(album.path, extractor=TinyExtractor(), read_only=True) as again:
        assert again.search(picture(5), k=12) == hits
    write_photos(tmp_path / "photos", 3, first=12)
    with ImageIndex.open(album.path, extractor=TinyExtractor()) as again:
        assert again.add(tmp_path / "photos").added == 3
        complete(again, 15)
        assert again.verify_integrity() == []


def test_an_open_album_follows_what_another_learns(album: ImageIndex) -> None:
    with ImageIndex.open(album.path, extractor=TinyExtractor(), read_only=True) as other:
        other.search(picture(1))
        album.learn_whitening(1.0)
        assert other.search(picture(1), k=12) == album.search(picture(1), k=12)
        album.learn_whitening(None)
        assert other.search(picture(1), k=12) == album.search(picture(1), k=12)


def test_a_lost_index_of_a_projection_is_made_again(album: ImageIndex) -> None:
    album.learn_whitening()
    hits = album.search(picture(2), k=12)
    album.close()
    for path in album.path.glob("*.fcx"):
        path.unlink()
    with ImageIndex.open(album.path, extractor=TinyExtractor()) as again:
        assert [problem.kind for problem in again.verify_integrity()] == []
        assert again.search(picture(2), k=12) == hits


def test_what_can_not_be_learned(tmp_path: Path, album: ImageIndex) -> None:
    with (
        ImageIndex.open(tmp_path / "empty.fcbir", create=True, extractor=TinyExtractor()) as empty,
        pytest.raises(ValueError, match="at least 2 photos to learn from, and this one has 0"),
    ):
        empty.learn_whitening()
    with pytest.raises(ValueError, match="strength must be from 0 to 1"):
        album.learn_whitening(3)
    with ImageIndex.open(album.path, read_only=True) as reader, pytest.raises(OSError, match="can't learn"):
        reader.learn_whitening()
