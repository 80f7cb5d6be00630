"""Promise: two data sets are made from photographs in packages, once, with queries from other photographs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fastcbir.datasets import cnn_tiles, dataset_names, load_dataset, neighbor_distances, offline, sift_photos
from fastcbir.datasets import package_photos as photos_module
from fastcbir.datasets.package_photos import PackagePhoto, base_and_query_photos, package_photos
from fastcbir.errors import FormatError, MissingExtraError

DEV_DATA = os.environ.get("FASTCBIR_DEV_DATA")


@pytest.fixture
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven photographs, six scenes: enough for the rules, few enough for a test."""
    wanted = ["camera", "coins", "chelsea", "motorcycle_left", "motorcycle_right", "text", "page"]
    chosen = [photo for photo in package_photos() if photo.name in wanted]
    assert len(chosen) == 7, 'scikit-image is needed; run: pip install "fastcbir[dev]"'
    monkeypatch.setattr(photos_module, "package_photos", lambda: chosen)


def test_package_photos_are_photographs() -> None:
    image = pytest.importorskip("PIL.Image")
    photos = package_photos()
    assert len(photos) >= 19
    assert len({photo.name for photo in photos}) == len(photos)
    for photo in photos:
        with image.open(photo.path) as opened:
            assert opened.width * opened.height > 50_000
        assert photo.licence and ": " in photo.source
    assert len({photo.scene for photo in photos}) == len(photos) - 1


def test_queries_show_other_scenes_than_the_base() -> None:
    base, queries = base_and_query_photos("this test")
    assert len(base) > len(queries) >= 4
    assert not {photo.scene for photo in base} & {photo.scene for photo in queries}
    assert len(base) + len(queries) == len(package_photos())


def test_too_few_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    def one() -> list[PackagePhoto]:
        return [PackagePhoto("x", Path("x"), "x", "x", "x")]

    monkeypatch.setattr(photos_module, "package_photos", one)
    with pytest.raises(MissingExtraError, match=r"sift-photos is made from photographs .*fastcbir\[bench\]"):
        load_dataset("sift-photos")


def test_no_packages_no_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photos_module, "find_spec", lambda name: None)
    assert package_photos() == []


def test_sift_photos(few_photos: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    calls: list[tuple[int, int]] = []
    data = load_dataset("sift-photos", cache=tmp_path, progress=lambda *c: calls.append(c))
    assert calls == [(done, 7) for done in range(1, 8)]
    assert (data.base.dtype, data.dim, data.metric) == (np.uint8, 128, "l2")
    assert len(data.base) > 5000 and len(data.queries) > 500
    assert data.neighbors is not None and data.neighbors.shape == (len(data.queries), 100)
    # The first queries' truth by the obvious way.
    far = ((data.base[None].astype(np.int64) - data.queries[:5, None].astype(np.int64)) ** 2).sum(axis=2)
    np.testing.assert_array_equal(data.distances[:5], np.sort(far, axis=1)[:, :100])

    def fail(*_: object) -> None:
        raise AssertionError("it should have been kept")

    monkeypatch.setattr(sift_photos, "make", fail)
    again = load_dataset("sift-photos", cache=tmp_path)
    np.testing.assert_array_equal(again.base, data.base)
    part = load_dataset("sift-photos", cache=tmp_path, n=1000)
    np.testing.assert_array_equal(part.base, data.base[:1000])
    assert part.neighbors is None
    with pytest.raises(FormatError, match=r"n=99999999 vectors were asked for but sift-photos holds"):
        load_dataset("sift-photos", cache=tmp_path, n=99_999_999)


def test_sift_photos_are_the_same_each_time_and_made_again_when_damaged(
    few_photos: None, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    data = load_dataset("sift-photos", cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(load_dataset("sift-photos", cache=tmp_path).base, data.base)
    flipped = bytearray(kept.read_bytes())
    flipped[len(flipped) // 3] ^= 1
    kept.write_bytes(flipped)
    np.testing.assert_array_equal(load_dataset("sift-photos", cache=tmp_path).base, data.base)


def test_the_key_follows_the_photographs(few_photos: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    key = sift_photos.key()
    assert sift_photos.key() == key
    fewer = photos_module.package_photos()[1:]
    monkeypatch.setattr(photos_module, "package_photos", lambda: fewer)
    assert sift_photos.key() != key


def test_cnn_tiles_and_their_reduction(
    few_photos: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(cnn_tiles, "_SIDES", (96,))
    monkeypatch.setattr(cnn_tiles, "_OVERLAP", 2)
    monkeypatch.setattr(cnn_tiles, "_INPUT", 64)
    data = load_dataset("cnn-tiles", cache=tmp_path)
    assert (data.base.dtype, data.dim, data.metric) == (np.float32, 1280, "cosine")
    assert len(data.base) > 200 and len(data.queries) > 30
    for vectors in (data.base, data.queries):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert data.neighbors is not None
    np.testing.assert_allclose(
        neighbor_distances(data.base, data.queries, data.neighbors, "cosine"), data.distances, atol=1e-5
    )
    small = load_dataset("cnn-tiles-96", cache=tmp_path)
    assert (small.dim, len(small.base), len(small.queries)) == (96, len(data.base), len(data.queries))
    np.testing.assert_allclose(np.linalg.norm(small.base, axis=1), 1, atol=1e-5)
    # Row by row the same tiles.
    base, queries = cnn_tiles.reduced(data.base, data.queries, 96)
    np.testing.assert_allclose(small.base, base, atol=1e-6)
    np.testing.assert_allclose(small.queries, queries, atol=1e-6)


def test_tiles_are_squares_of_the_photograph() -> None:
    photo = next(photo for photo in package_photos() if photo.name == "chelsea")
    tiles = list(cnn_tiles._tiles(photo))
    image = pytest.importorskip("PIL.Image")
    with image.open(photo.path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    np.testing.assert_array_equal(tiles[0], pixels[:96, :96])
    np.testing.assert_array_equal(tiles[1], pixels[:96, 24:120])
    assert {tile.shape for tile in tiles} == {(side, side, 3) for side in (96, 128, 192, 256)}


def test_reduced_is_pca() -> None:
    rng = np.random.default_rng(17)
    base = (rng.normal(size=(200, 12)) * np.linspace(5, 0.1, 12) + 3).astype(np.float32)
    low, _ = cnn_tiles.reduced(base, base[:3], 4)
    # The obvious way: the right singular vectors of the centred base; a sign is free per axis.
    centred = base.astype(np.float64) - base.mean(axis=0, dtype=np.float64)
    expected = centred @ np.linalg.svd(centred, full_matrices=False)[2][:4].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(low), np.abs(expected), atol=1e-4)


def test_offline_sets_come_first_among_the_names() -> None:
    assert dataset_names()[: len(offline.BUILDERS)] == ["sift-photos", "cnn-tiles", "cnn-tiles-96"]


def test_development_sets_need_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FASTCBIR_DEV_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"\$FASTCBIR_DEV_DATA names, but that is not set"):
        load_dataset("dev:glove50")
    with pytest.raises(FileNotFoundError, match=r"dev:x is no development set; expected dev:sift500k"):
        load_dataset("dev:x")


@pytest.mark.skipif(not DEV_DATA, reason="FASTCBIR_DEV_DATA is not set")
def test_development_sets(tmp_path: Path) -> None:
    glove = load_dataset("dev:glove50", cache=tmp_path)
    known = np.load(Path(str(DEV_DATA)) / "ann" / "glove6B50d_gt100_cosine.npy")
    # Made elsewhere, in float32 too: neighbours that are equally near may stand the other way round.
    assert np.mean(glove.neighbors == known) > 0.99
    sift = load_dataset("dev:sift500k", n=3000, cache=tmp_path)
    assert (sift.base.shape, sift.queries.shape, sift.learn.shape) == (
        (3000, 128),
        (5000, 128),
        (50_000, 128),
    )
    again = load_dataset("dev:sift500k", n=3000, cache=tmp_path)
    np.testing.assert_array_equal(again.neighbors, sift.neighbors)
    assert len(list(tmp_path.iterdir())) == 2
