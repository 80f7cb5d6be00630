"""Promise: a search takes anything that shows a photo, obeys its filters exactly, and gives what a plain scan
gives.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from album_helpers import TinyExtractor, photo_bytes, picture, touch, write_photo, write_photos

from fastcbir.errors import ModelError
from fastcbir.image_index import ImageIndex, PhotoHit
from fastcbir.image_index import derived as derived_module

COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty photos in three folders: cats without capture times, dogs of 2019, birds of 2020."""
    root = tmp_path_factory.mktemp("photos")
    write_photos(root / "cats", 10)
    for number in range(10, 20):
        write_photo(root / "dogs" / f"{number:03d}.jpg", number, captured_at=datetime(2019, 12, number))
    for number in range(20, 30):
        write_photo(root / "birds" / f"{number:03d}.jpg", number, captured_at=datetime(2020, 1, number, 12))
    return root


@pytest.fixture(scope="module")
def album(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageIndex]:
    path = tmp_path_factory.mktemp("albums") / "album.fcbir"
    with ImageIndex.open(path, create=True, extractor=TinyExtractor()) as opened:
        assert opened.add(folder).added == COUNT
        yield opened


def plain_scan(
    album: ImageIndex, vector: np.ndarray, names: set[str] | None = None
) -> list[tuple[str, float]]:
    """The slow obvious search: (name, cosine), best first."""
    with album._catalogue.reading() as snapshot:
        rows = snapshot.rows(snapshot.content_ids().tolist())
        found = []
        for number, photos in rows.items():
            stored = snapshot.vectors(np.array([number]))[1][0]
            cosine = float(stored @ (vector / np.linalg.norm(vector)))
            found += [(Path(photo.path).name, cosine) for photo in photos]
    return sorted((each for each in found if names is None or each[0] in names), key=lambda each: -each[1])


def same(hits: list[PhotoHit], expected: list[tuple[str, float]]) -> None:
    assert [hit.path.name for hit in hits] == [name for name, _ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [cosine for _, cosine in expected], atol=1e-5)
    np.testing.assert_allclose(
        [hit.distance for hit in hits], [1 - cosine for _, cosine in expected], atol=1e-5
    )
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_a_search_is_what_a_plain_scan_gives(album: ImageIndex) -> None:
    for seed in range(5):
        vector = np.random.default_rng(seed).normal(size=48)
        same(album.search(vector, k=COUNT + 5), plain_scan(album, vector))
        half = vector.astype(np.float16)
        same(album.search(half, k=3), plain_scan(album, half.astype(np.float64))[:3])


def test_everything_that_shows_a_photo_can_be_asked_with(album: ImageIndex, folder: Path) -> None:
    image = picture(7)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    queries = [
        folder / "cats" / "007.png",
        str(folder / "cats" / "007.png"),
        image,
        np.asarray(image),
        stream.getvalue(),
        TinyExtractor().extract([image])[0],
        TinyExtractor().extract([image])[0].astype(np.float64) * 1e6,
    ]
    for query in queries:
        assert [(hit.path.name, round(hit.score, 4)) for hit in album.search(query, k=1)] == [
            ("007.png", 1.0)
        ]
    many = album.search(queries, k=2)
    assert [hits[0].path.name for hits in many] == ["007.png"] * len(queries)
    assert [len(hits) for hits in album.search(list(np.eye(48)), k=2)] == [2] * 48
    assert album.search([], k=3) == []


def test_a_photo_of_the_album_is_asked_with_its_stored_vector(album: ImageIndex, folder: Path) -> None:
    with ImageIndex.open(album.path, extractor=TinyExtractor(), read_only=True) as reader:
        tiny = reader._extractor()
        assert isinstance(tiny, TinyExtractor)
        tiny.extract = None  # type: ignore[method-assign, assignment]
        assert reader.search(folder / "dogs" / "015.jpg", k=1)[0].path.name == "015.jpg"


def test_a_photo_that_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    paths = write_photos(tmp_path / "photos", 3)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as album:
        album.add(tmp_path / "photos")
        paths[0].write_bytes(photo_bytes(2))
        touch(paths[0])
        assert album.search(paths[0], k=1)[0].path.name == "002.png"


def test_filters(album: ImageIndex) -> None:
    vector = np.random.default_rng(1).normal(size=48)

    def check(names: list[int], **filters: object) -> None:
        expected = {f"{number:03d}.{'png' if number < 10 else 'jpg'}" for number in names}
        for k in (2, COUNT):
            hits = album.search(vector, k=k, **filters)  # type: ignore[arg-type]
            same(hits, plain_scan(album, vector, expected)[:k])

    check(list(range(10)), glob="cats/*")
    check(list(range(10)), glob="*.png")
    check([5, 15, 25], glob="*5.???")
    check(list(range(20, 30)), after="2020-01-01")
    check(list(range(20, 30)), after=date(2020, 1, 1), before=datetime(2021, 1, 1))
    check(list(range(10, 15)), before="2019-12-15")
    check([20, 21], after="2020-01-20T12:00:00", before="2020-01-22T12:00:00")
    check([12], glob="dogs/*", after="2019-12-12", before="2019-12-13")
    check([], glob="fish/*")
    check([], after="2030-01-01")


def test_copies_count_each_and_never_crowd_out_a_filter(tmp_path: Path) -> None:
    for number in range(6):
        write_photo(tmp_path / "photos" / "copies" / f"{number}.png", 1)
    write_photos(tmp_path / "photos" / "others", 4, first=2)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as album:
        album.add(tmp_path / "photos")
        hits = album.search(picture(1), k=4)
        assert [hit.path.name for hit in hits] == ["0.png", "1.png", "2.png", "3.png"]
        assert [hit.path.parent.name for hit in album.search(picture(1), k=8)] == ["copies"] * 6 + [
            "others"
        ] * 2
        assert [hit.path.name for hit in album.search(picture(1), k=2, glob="copies/5*")] == ["5.png"]
        assert len(album.search(picture(1), k=10, glob="copies/*")) == 6


def test_an_empty_album_finds_nothing(tmp_path: Path) -> None:
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as album:
        assert album.search(np.ones(48)) == [] and album.search([np.ones(48)] * 2) == [[], []]
        assert len(album) == 0 and album.paths() == []


@pytest.mark.parametrize(
    ("query", "options", "error", "message"),
    [
        (np.ones(47), {}, ValueError, "the album has vectors of dim 48, but the query has 47 elements"),
        (np.zeros(48), {}, ValueError, "zero, which has no direction"),
        (np.full(48, np.nan), {}, ValueError, "not finite"),
        (np.array(["a"] * 48), {}, ValueError, "must be of real numbers"),
        (np.ones((2, 2, 2, 3), np.uint8), {}, ValueError, r"got shape \(2, 2, 2, 3\)"),
        (np.ones((2, 48)), {}, ValueError, r"for several vectors pass list\(array\)"),
        (
            np.ones(48),
            {"after": datetime(2020, 1, 1, tzinfo=timezone.utc)},
            ValueError,
            "without a time zone",
        ),
        ("nothing.jpg", {}, FileNotFoundError, "no such photo to search with"),
        (b"not a photo", {}, ValueError, "not an image"),
        (np.ones(48), {"k": 0}, ValueError, "k must be a whole number from 1 to 10000, got 0"),
        (np.ones(48), {"k": 10_001}, ValueError, "got 10001"),
        (np.ones(48), {"k": 1.5}, ValueError, "got 1.5"),
        (np.ones(48), {"glob": ""}, ValueError, "glob is empty"),
        (np.ones(48), {"after": "yesterday"}, ValueError, "after must be a date or time such as"),
        (np.ones(48), {"before": 2020}, ValueError, "before must be a date"),
    ],
)
def test_what_can_not_be_asked(
    album: ImageIndex, query: object, options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        album.search(query, **options)  # type: ignore[arg-type]


def test_large_albums_are_searched_through_a_graph_and_small_ones_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived_module, "HNSW_FROM", 40)
    monkeypatch.setattr(derived_module, "FLAT_AGAIN_BELOW", 20)
    paths = write_photos(tmp_path / "photos", 30)
    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as album:
        album.add(tmp_path / "photos")
        assert album.info().index_kind == "flat"
        paths += write_photos(tmp_path / "photos", 30, first=30)
        album.add(tmp_path / "photos")
        assert album.info().index_kind == "hnsw" and album.verify_integrity() == []
        assert [album.search(path, k=1)[0].path for path in paths] == paths
        album.remove(paths[:30])
        assert album.info().index_kind == "hnsw", "not to and fro at the limit"
    with ImageIndex.open(tmp_path / "album.fcbir", extractor=TinyExtractor()) as album:
        assert album.info().index_kind == "hnsw"
        album.remove(paths[30:45])
        assert album.info().index_kind == "flat" and album.verify_integrity() == []
        assert [album.search(path, k=1)[0].path for path in paths[45:]] == paths[45:]


def test_many_threads_search_while_one_adds(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 40)
    errors: list[BaseException] = []
    done = threading.Event()
    searches = 0

    with ImageIndex.open(tmp_path / "album.fcbir", create=True, extractor=TinyExtractor()) as album:
        album.add(tmp_path / "photos")

        def search(seed: int) -> None:
            nonlocal searches
            generator = np.random.default_rng(seed)
            try:
                while not done.is_set():
                    wanted = int(generator.integers(40))
                    assert album.search(picture(wanted), k=1)[0].path.name == f"{wanted:03d}.png"
                    before = len(album)
                    found = len(album.search(generator.normal(size=48), k=500))
                    assert before <= found <= len(album), "a search sees all that is committed, and no more"
                    searches += 1
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=search, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for start in range(40, 140, 20):
            write_photos(tmp_path / "photos", 20, first=start)
            album.add(tmp_path / "photos")
        done.set()
        for thread in threads:
            thread.join()
        assert errors == [] and searches > 0
        assert len(album) == 140 and album.verify_integrity() == []


def test_another_extractor_is_refused(album: ImageIndex) -> None:
    with pytest.raises(
        ModelError, match=r"was made with the extractor 'tiny' \(tiny@1\), but .* 'tiny' \(tiny@2\)"
    ):
        ImageIndex.open(album.path, extractor=TinyExtractor("tiny@2"))
    with pytest.raises(
        ModelError, match=r"was made with the extractor 'tiny'.*open it with extractor='tiny'"
    ):
        ImageIndex.open(album.path, extractor="color-layout")
    with ImageIndex.open(album.path, read_only=True) as reader:
        assert len(reader.search(np.ones(48), k=3)) == 3, "no extractor is needed for a vector"
        with pytest.raises(
            ModelError, match=r"which this fastcbir does not have; pass it to ImageIndex\.open"
        ):
            reader.search(picture(1))


def test_the_extractor_of_an_album_is_made_again_at_its_own_size(tmp_path: Path) -> None:
    from fastcbir.extract import load_extractor

    write_photos(tmp_path / "photos", 3)
    with ImageIndex.open(
        tmp_path / "album.fcbir", create=True, extractor=load_extractor("color-layout", size=64)
    ) as album:
        album.add(tmp_path / "photos")
        model_id = album.info().model_id
    with ImageIndex.open(tmp_path / "album.fcbir") as album:
        assert album.search(picture(1), k=1)[0].path.name == "001.png"
        assert album._extractor().model_id == model_id
    with pytest.raises(ModelError, match="can't be compared"):
        ImageIndex.open(tmp_path / "album.fcbir", extractor="efficientnet-lite0")
