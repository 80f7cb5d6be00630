"""Promise: a search can be widened by its own first hits, and under verification by confirmed ones alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, write_photo, write_photos

from fastcbir.image_index import ImageIndex, PhotoHit, Text
from fastcbir.match import LocalFeatures, Matches
from fastcbir.rerank import alpha_expansion

COUNT = 30


@pytest.fixture
def tiny() -> TinyExtractor:
    return TinyExtractor()


@pytest.fixture
def album(tmp_path: Path, tiny: TinyExtractor):  # type: ignore[no-untyped-def]
    write_photos(tmp_path / "photos", COUNT)
    write_photo(tmp_path / "photos" / "copy.png", 4)
    with ImageIndex.open(tmp_path / "a.fcbir", create=True, extractor=tiny) as opened:
        opened.add(tmp_path / "photos")
        yield opened


def obvious(vectors: np.ndarray, query: np.ndarray) -> list[int]:
    return np.argsort(-(vectors @ query), kind="stable").tolist()


def numbers(hits: list[PhotoHit]) -> list[str]:
    return [hit.path.stem for hit in hits]


def test_the_first_hits_make_the_query_richer(album: ImageIndex, tiny: TinyExtractor) -> None:
    paths = [path for path in album.paths() if path.stem != "copy"]
    vectors = tiny.extract(paths)
    queries = list(np.random.default_rng(1).normal(size=(5, 48)))
    found = album.search(queries, k=COUNT, expand=3)
    for query, hits in zip(queries, found, strict=True):
        unit = query / np.linalg.norm(query)
        richer = alpha_expansion(unit, vectors[obvious(vectors, unit)[:3]])
        assert [each for each in numbers(hits) if each != "copy"] == [
            paths[at].stem for at in obvious(vectors, richer)
        ][: len(hits) - ("copy" in numbers(hits))]
        assert hits[0].score == pytest.approx(float((vectors @ richer).max()), abs=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, COUNT + 1))
    assert [numbers(hits) for hits in found] != [numbers(hits) for hits in album.search(queries, k=COUNT)]
    # k has no part in what makes the query richer.
    assert [numbers(hits) for hits in album.search(queries, k=2, expand=3)] == [
        numbers(hits)[:2] for hits in found
    ]


def test_a_photo_adds_nothing_to_itself_and_copies_count_once(album: ImageIndex, tiny: TinyExtractor) -> None:
    paths = [path for path in album.paths() if path.stem != "copy"]
    vectors = tiny.extract(paths)
    order = obvious(vectors, vectors[4])
    assert order[0] == 4
    richer = alpha_expansion(vectors[4], vectors[order[1:3]])
    hits = album.search(paths[4], k=5, expand=2)
    assert numbers(hits)[:2] == ["004", "copy"]
    assert numbers(hits)[2:] == [paths[at].stem for at in obvious(vectors, richer)[1:4]]


class Named:
    """A matcher of 24 x 16 pictures that knows which ones show the same thing, and counts its pairs."""

    name = "named"
    min_inliers = 8
    tolerance = 3.0

    def __init__(self, same: set[str]) -> None:
        self.same, self.pairs = same, 0
        self.model_id = f"named@{sorted(same)}"  # features are kept under it

    def extract(self, image: object) -> LocalFeatures:
        known = isinstance(image, (str, Path)) and Path(image).stem in self.same
        points = np.random.default_rng(0).uniform(0, 16, (20, 2)).astype(np.float32)
        return LocalFeatures((24, 16), {"points": points, "known": np.array([known])})

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        self.pairs += 1
        if not b["known"][0]:
            return Matches.none(a.size, b.size)
        return Matches(a["points"], b["points"], np.ones(20, np.float32), a.size, b.size)


def test_under_verification_only_confirmed_hits_are_trusted(album: ImageIndex, tiny: TinyExtractor) -> None:
    pytest.importorskip("cv2")
    paths = [path for path in album.paths() if path.stem != "copy"]
    vectors = tiny.extract(paths)
    image = np.random.default_rng(2).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    query = tiny.extract([image])[0]
    order = obvious(vectors, query)
    confirmed = sorted((order[9], order[5]), key=order.index)
    matcher = Named({paths[at].stem for at in confirmed})
    hits = album.search(image, k=COUNT, verify=matcher, expand=5)
    richer = alpha_expansion(query, vectors[confirmed])
    assert {hit.path.stem for hit in hits[:2]} == matcher.same
    assert [hit.confirmed for hit in hits[:3]] == [True, True, False]
    for hit in hits:
        if hit.path.stem != "copy":
            at = next(i for i, path in enumerate(paths) if path == hit.path)
            assert hit.score == pytest.approx(float(vectors[at] @ richer), abs=1e-5)
    assert matcher.pairs == COUNT, "the second pass matches nothing again"
    # Where nothing is confirmed, nothing is trusted.
    plain = album.search(image, k=COUNT)
    assert album.search(image, k=COUNT, verify=Named(set()), expand=5) == plain


def test_bad_arguments(album: ImageIndex) -> None:
    query = np.ones(48)
    with pytest.raises(ValueError, match="expand must be a whole number from 0 to 10000, got -1"):
        album.search(query, expand=-1)
    with pytest.raises(ValueError, match=r"expand must be .*, got 2\.5"):
        album.search(query, expand=2.5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"candidates must be .*, got 0"):
        album.search(query, candidates=0)
    with pytest.raises(ValueError, match="compares photos, but the query is words"):
        album.search(Text("a red car"), verify="sift")
    assert album.search([], expand=2) == []
