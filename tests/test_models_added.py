"""Promise: weights are fetched whole or not at all, ready-made ONNX files become models, damage is told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loopback import web_server

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from fastcbir.download import DownloadError
from fastcbir.errors import ModelError
from fastcbir.extract import load_extractor, models, store, supply, zoo
from fastcbir.extract.onnx_graph import OnnxGraph
from fastcbir.extract.registry import find
from fastcbir.image_index import ImageIndex

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(6, 3, 4, 4)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
PIXELS = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)


def small_model(sides: tuple[int | str, int | str] = ("H", "W")) -> bytes:
    graph = OnnxGraph("small")
    features = graph.conv(graph.input("photo", ["N", 3, *sides]), KERNEL, BIAS, stride=4)
    graph.output(graph.average_pool(features), "vector", ["N", 6])
    graph.output(features, "map", ["N", 6, "h", "w"])
    return graph.serialize({})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    (tmp_path / "small.onnx").write_bytes(small_model())
    return tmp_path


def test_a_ready_made_file_becomes_a_model(folder: Path) -> None:
    card = supply.add(
        folder / "small.onnx", "small", feature_map="map", size=64, mean=[0, 0, 0], std=[1, 1, 1]
    )
    assert (card.dim, card.output, card.feature_dim, card.preprocessing.size) == (6, "vector", 6, 64)
    assert [each.name for each in models()][-1] == "small"
    extractor = load_extractor("small")
    photo = PIXELS[:, :, :] / 255.0
    tiles = photo[: 32 * 2, :64].transpose(2, 0, 1)
    found = extractor.extract([np.ascontiguousarray(np.pad(PIXELS, ((0, 16), (0, 0), (0, 0))))])[0]
    padded = np.pad(tiles, ((0, 0), (0, 16), (0, 0)))
    blocks = padded.reshape(3, 16, 4, 16, 4)
    maps = np.einsum("cyaxb,ocab->oyx", blocks, KERNEL) + BIAS[:, None, None]
    expected = maps.mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-4)
    pooled = load_extractor("small+mac").extract(
        [np.ascontiguousarray(np.pad(PIXELS, ((0, 16), (0, 0), (0, 0))))]
    )
    most = maps.max(axis=(1, 2))
    np.testing.assert_allclose(pooled[0], most / np.linalg.norm(most), atol=1e-4)
    assert supply.check("small") == []


def test_an_album_of_an_added_model_opens_again(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    supply.add(folder / "small.onnx", "small", feature_map="map", size=64)
    (folder / "photos").mkdir()
    for number in range(3):
        image.fromarray(np.roll(PIXELS, number * 7, axis=1) // (number + 1)).save(
            folder / f"photos/{number}.png"
        )
    for spec in ("small", "small@96+gem3*1,0.5"):
        place = folder / f"{spec.replace('*', 'x')}.fcbir"
        with ImageIndex.open(place, create=True, extractor=spec) as album:
            assert album.add(folder / "photos").added == 3
            assert album.info().model_id == find(spec).card.model_id
        with ImageIndex.open(place) as album:
            assert album.search(PIXELS, k=1)[0].path.name == "0.png"
        with pytest.raises(ModelError, match="their vectors can't be compared"):
            ImageIndex.open(place, extractor="small@128")
    with pytest.raises(ModelError, match="gives no feature map"):
        find("color-layout+gem3")


def test_a_square_that_the_file_fixes(folder: Path) -> None:
    (folder / "fixed.onnx").write_bytes(small_model((32, 32)))
    card = supply.add(folder / "fixed.onnx", "fixed", mean=[0, 0, 0], std=[1, 1, 1])
    assert (card.preprocessing.size, card.preprocessing.fit) == (32, "crop")
    middle = PIXELS[8:40, 16:48]
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, 16:48] = middle
    ours = load_extractor("fixed").extract([wide, middle])
    np.testing.assert_allclose(ours[0], ours[1], atol=1e-5)
    with pytest.raises(ModelError, match="takes 32 x 32 pixels alone, got size 64"):
        supply.add(folder / "fixed.onnx", "other", size=64)
    with pytest.raises(ValueError, match="squares of 32"):
        load_extractor("fixed", size=64)
    with pytest.raises(ModelError, match="one size"):
        load_extractor("fixed*1,0.5")


def test_files_that_are_no_model(folder: Path) -> None:
    with pytest.raises(ModelError, match="can't open the model"):
        (folder / "text.onnx").write_text("no")
        supply.add(folder / "text.onnx", "text")
    grey = OnnxGraph("grey")
    photo = grey.input("photo", ["N", 1, 64, 64])
    grey.output(grey.average_pool(grey.relu6(photo)), "vector", ["N", 1])
    (folder / "grey.onnx").write_bytes(grey.serialize({}))
    with pytest.raises(ModelError, match="takes 1-channel photos; expected 3"):
        supply.add(folder / "grey.onnx", "grey")
    with pytest.raises(ModelError, match=r"vector \(1, 6\), map \(1, 6, 16, 16\), so 'gap' is no vector"):
        supply.add(folder / "small.onnx", "small", output="gap", size=64)
    with pytest.raises(ModelError, match="so 'vector' is no feature map"):
        supply.add(folder / "small.onnx", "small", feature_map="vector", size=64)
    for name in ("", "A", "a/b", "a@b", "efficientnet-lite0", "resnet18", "../x"):
        with pytest.raises(ModelError, match="can't be called"):
            supply.add(folder / "small.onnx", name)
    with pytest.raises(ValueError, match="std must be three numbers"):
        supply.add(folder / "small.onnx", "small", std=[1, 0, 1])
    assert [card.name for card in models()] == ["efficientnet-lite0", "color-layout"]


def test_a_changed_file_or_card_is_told(folder: Path) -> None:
    supply.add(folder / "small.onnx", "small", size=64)
    path = store.model_path("small")
    path.write_bytes(path.read_bytes() + b"\x72\x00")
    assert "has sha256" in supply.check("small")[0]
    with pytest.raises(ModelError, match="its card says"):
        load_extractor("small")
    path.unlink()
    assert "can't read the model" in supply.check("small")[0]
    store.card_path("small").write_text("{")
    assert "can't be read" in supply.check("small")[0]
    assert [card.name for card in models()] == ["efficientnet-lite0", "color-layout"]
    kept = {"fastcbir_card": 99, "card": {}}
    store.card_path("small").write_text(json.dumps(kept))
    assert "later version" in supply.check("small")[0]
    assert store.remove("small") and not store.remove("small")
    with pytest.raises(ModelError, match="no added model 'small'"):
        supply.check("small")


def served(monkeypatch: pytest.MonkeyPatch, url: str, sha256: str) -> None:
    row = zoo.find("clip-vit-b-32")
    assert row is not None
    files = tuple((name, f"{url}/{name}") for name, _ in row.files)
    changed = replace(row, url=f"{url}/model.safetensors", sha256=sha256, files=files)
    monkeypatch.setattr(zoo, "ZOO", (changed,))


def test_weights_are_fetched_resumed_and_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = RNG.integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
    digest = hashlib.sha256(data).hexdigest()
    with web_server() as site:
        site.files = {"/model.safetensors": data, "/config.json": b"{}", "/tokenizer.json": b"[]"}
        served(monkeypatch, site.url, digest[:8])
        site.drop_after = 1_500_000
        with pytest.raises(DownloadError, match="fetched by hand belong at"):
            supply.pull("clip-vit-b-32")
        files = supply.pull("clip-vit-b-32")
        assert files[0] == supply.weights_of("clip-vit-b-32") and files[0].read_bytes() == data
        assert [path.name for path in files[1:]] == ["config.json", "tokenizer.json"]
        assert any("range" in headers for _, headers in site.requests)
        count = len(site.requests)
        supply.pull("clip-vit-b-32")
        assert len(site.requests) == count
        for path in files:
            path.unlink()
        served(monkeypatch, site.url, "0" * 8)
        with pytest.raises(ModelError, match=f"has sha256 {digest}, but its publisher says 00000000"):
            supply.pull("clip-vit-b-32")
        served(monkeypatch, site.url, "0" * 64)
        supply.weights_of("clip-vit-b-32").unlink()
        with pytest.raises(DownloadError, match="its sha256 should be 0000"):
            supply.pull("clip-vit-b-32")
    with pytest.raises(ModelError, match="does not know where 'nothing' could be had"):
        supply.pull("nothing")


def test_every_row_of_the_zoo_is_complete() -> None:
    names = [row.name for row in zoo.ZOO]
    assert len(set(names)) == len(names) > 20
    for row in zoo.ZOO:
        assert store.NAME.fullmatch(row.name)
        assert row.url.startswith(("https://", "http://cmp.felk.cvut.cz/")) and row.card.source == row.url
        assert row.sha256 == "" or int(row.sha256, 16) >= 0
        assert row.card.licence and row.card.licence_url.startswith("https://")
        assert row.library in {"torchvision", "timm", "transformers", "cirtorch"}
        assert row.card.dim > 0 and row.card.output and row.card.summary
    with pytest.raises(ModelError, match=r"fastcbir models pull resnet18 \(licence: BSD-3-Clause\)"):
        load_extractor("resnet18")
