"""Promise: a verified search puts the same thing first, keeps what it learnt, and loses nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("typer")

from album_helpers import TinyExtractor
from match_helpers import corner_homography, warped
from match_helpers import photo as large_photo
from PIL import Image

from fastcbir.cli import main
from fastcbir.errors import FormatError
from fastcbir.image_index import ImageIndex
from fastcbir.image_index.local_features import LOCAL, FeatureCache
from fastcbir.match import LocalFeatures, Matches, load_matcher

SIFT = "sift"


def photo(name: str = "astronaut") -> np.ndarray:
    """A photograph, small, for many are looked at here."""
    return np.asarray(Image.fromarray(large_photo(name)).resize((300, 300)))


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut turned and in the dark, so that the vectors prefer what only has the right colours."""
    place = tmp_path_factory.mktemp("photos")
    image = photo()
    save(place / "same.png", warped(image, corner_homography((300, 300), 0.1, 3)) // 3)
    for number, name in enumerate(("coffee", "chelsea", "rocket")):
        save(place / f"{name}.png", photo(name))
        noise = np.random.default_rng(number).permutation(image.reshape(-1, 3)).reshape(image.shape)
        save(place / f"noise{number}.png", (image // 2 + noise // 2).astype(np.uint8)[:, ::-1])
    return place


@pytest.fixture
def album(folder: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    with ImageIndex.open(tmp_path / "a.fcbir", create=True, extractor=TinyExtractor()) as opened:
        opened.add(folder)
        yield opened


class Counting:
    """SIFT that counts the photos it has to look at."""

    min_inliers = 12
    name = "sift"
    tolerance = 3.0

    def __init__(self) -> None:
        self._inner = load_matcher(SIFT)
        self.model_id = self._inner.model_id
        self.looked = 0

    def extract(self, image: object) -> LocalFeatures:
        self.looked += 1
        return self._inner.extract(image)  # type: ignore[arg-type]

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        return self._inner.match(a, b)


def test_the_same_thing_comes_first_and_the_rest_keep_their_order(album: ImageIndex) -> None:
    query = photo()[24:, 18:]
    plain = album.search(query, k=7)
    assert plain[0].path.name != "same.png" and plain[0].matches is None
    found = album.search(query, k=7, verify=SIFT)
    assert found[0].path.name == "same.png" and found[0].confirmed
    assert found[0].matches is not None and found[0].matches.inliers > 30
    rest = [hit.path for hit in plain if hit.path.name != "same.png"]
    assert [hit.path for hit in found[1:]] == rest
    assert [hit.rank for hit in found] == list(range(1, 8))
    assert album.search(query, k=1, verify=SIFT)[0].path.name == "same.png"
    several = album.search([query, query], k=2, verify=SIFT)
    assert [hits[0].path.name for hits in several] == ["same.png"] * 2


def test_features_are_taken_once(album: ImageIndex, folder: Path) -> None:
    counting = Counting()
    album.search(photo(), k=3, verify=counting)
    assert counting.looked == 1 + 7
    album.search(folder / "same.png", k=3, verify=counting)
    assert counting.looked == 1 + 7
    with ImageIndex.open(album.path, extractor=TinyExtractor(), read_only=True) as other:
        other.search(photo(), k=3, verify=counting)
    assert counting.looked == 2 + 7


def test_a_photo_that_is_gone_keeps_its_place(album: ImageIndex, folder: Path, tmp_path: Path) -> None:
    extra = save(tmp_path / "more" / "x.png", photo("coffee")[:, ::-1])
    album.add(extra)
    extra.unlink()
    found = album.search(photo(), k=8, verify=SIFT)
    assert found[0].path.name == "same.png"
    (gone,) = [hit for hit in found if hit.path == extra]
    assert gone.matches is None and not gone.confirmed


def test_vectors_have_no_points(album: ImageIndex) -> None:
    with pytest.raises(ValueError, match="verification compares photos, but the query is a vector"):
        album.search(np.ones(48, np.float32), verify=SIFT)


def features(count: int) -> LocalFeatures:
    return LocalFeatures((640, 480), {"points": np.ones((count, 2), np.float32)})


def test_the_cache_keeps_to_its_limit_and_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    size = len(features(100).to_bytes())
    cache = FeatureCache(tmp_path / LOCAL, writable=True, limit=3 * size)
    for content in (1, 2, 3):
        cache.put(content, "m", features(100))
    cache.touch([1], "m")
    cache.put(4, "m", features(100))
    assert [content for content in (1, 2, 3, 4) if cache.get(content, "m") is not None] == [1, 3, 4]
    assert cache.nbytes() == 3 * size
    cache.put(5, "m", features(1000))  # larger than all there may be
    assert cache.get(5, "m") is None and cache.get(4, "other") is None
    cache.close()
    assert cache.path.stat().st_size < 3 * size + 50_000  # what was dropped gave its room back


def test_a_damaged_cache_costs_time_only(album: ImageIndex) -> None:
    album.search(photo(), k=3, verify=SIFT)
    album.close()
    path = album.path / LOCAL
    path.write_bytes(b"no database at all" * 1000)
    for _ in range(2):
        with ImageIndex.open(album.path, extractor=TinyExtractor()) as again:
            assert again.search(photo(), k=3, verify=SIFT)[0].path.name == "same.png"
    path.unlink()
    with ImageIndex.open(album.path, extractor=TinyExtractor(), read_only=True) as again:
        assert again.search(photo(), k=3, verify=SIFT)[0].path.name == "same.png"
    assert not path.exists()


@pytest.mark.parametrize("damage", [b"", b"FCLF1\0\0\0\xff\xff\xff\xff{}", b"x" * 50])
def test_damaged_features_are_noticed(damage: bytes) -> None:
    with pytest.raises(FormatError, match="damaged local features"):
        LocalFeatures.from_bytes(damage)
    with pytest.raises(FormatError, match="damaged local features"):
        LocalFeatures.from_bytes(features(10).to_bytes()[:-1])


def test_the_command_matches_draws_and_exports(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = save(tmp_path / "query.png", photo())
    drawn, prefix = tmp_path / "m.png", tmp_path / "pair"
    arguments = ["match", str(query), str(folder / "same.png"), "--matcher", SIFT]
    assert main([*arguments, "--out", str(drawn)]) == 0
    assert "matches agree: the same thing (sift)" in capsys.readouterr().out
    with Image.open(drawn) as picture:
        assert picture.size == (300 + 12 + 300, 300 + 34)
    assert main([*arguments, "--json", "--hloc", str(prefix)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["command"] == "match" and told["same"] and len(told["points_a"]) == told["matches"]
    h5py = pytest.importorskip("h5py")
    with h5py.File(f"{prefix}-features.h5") as file:
        points = file["query.png"]["keypoints"][:]
        assert list(file["query.png"]["image_size"]) == [300, 300]
        others = file["same.png"]["keypoints"][:]
    with h5py.File(f"{prefix}-matches.h5") as file:
        partners = file["query.png/same.png"]["matches0"][:]
    assert len(partners) == len(points)
    pairs = {(*points[i], *others[j]) for i, j in enumerate(partners) if j >= 0}
    given = {(*a, *b) for a, b in zip(told["points_a"], told["points_b"], strict=True)}
    assert pairs <= {tuple(np.float32(pair)) for pair in given}
    assert len(pairs) == len({tuple(point) for point in told["points_a"]})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--out", "m.txt"], "expected a name ending in"),
        (["--model", "affine"], "it takes homography"),
        (["--out", "nowhere/m.png"], "its folder does not exist"),
        (["--matcher", "surf"], "no matcher is named 'surf'"),
    ],
)
def test_the_command_refuses(
    folder: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(folder / "same.png")
    assert main(["match", path, path, *more]) in (2, 4)
    assert said in capsys.readouterr().err


def test_the_command_shows_why(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query, album = save(tmp_path / "query.png", photo()), str(tmp_path / "cli.fcbir")
    assert main(["index", str(folder), "--album", album, "--extractor", "color-layout"]) == 0
    capsys.readouterr()
    page = tmp_path / "page.html"
    arguments = ["search", str(query), "--album", album, "--matcher", SIFT]
    assert main([*arguments, "--html", str(page)]) == 0
    text = page.read_text()
    assert "Why these come first" in text and "matches agree" in text
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert first["path"].endswith("same.png") and first["confirmed"] and first["inliers"] > 30
