"""Promise: LoFTR by three ONNX graphs and the core gives what the torch model gives, at any sizes."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("PIL")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from match_helpers import photo

from fastcbir.errors import ModelError
from fastcbir.match import load_matcher
from fastcbir.match.loftr import LoftrMatcher, Networks, load_loftr, position_encoding
from fastcbir.match.loftr_coarse import cut
from fastcbir.match.loftr_graphs import loftr_graphs
from fastcbir.match.network import Network
from fastcbir.match.pictures import grey_picture

Tensors = dict[str, npt.NDArray[Any]]


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a published checkpoint: 11.6 million numbers."""
    found: dict[str, tuple[int, ...]] = {}

    def conv(name: str, channels: int, out: int, side: int, norm: str = "") -> None:
        found[f"backbone.{name}.weight"] = (out, channels, side, side)
        for part in ("weight", "bias", "running_mean", "running_var") if norm else ():
            found[f"backbone.{norm}.{part}"] = (out,)

    conv("conv1", 1, 128, 7, "bn1")
    channels = 128
    for layer, out in ((1, 128), (2, 196), (3, 256)):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            conv(f"{name}.conv1", channels, out, 3, f"{name}.bn1")
            conv(f"{name}.conv2", out, out, 3, f"{name}.bn2")
            if block == 0 and layer > 1:
                conv(f"{name}.downsample.0", channels, out, 1, f"{name}.downsample.1")
            channels = out
    conv("layer3_outconv", 256, 256, 1)
    conv("layer2_outconv", 196, 256, 1)
    conv("layer2_outconv2.0", 256, 256, 3, "layer2_outconv2.1")
    conv("layer2_outconv2.3", 256, 196, 3)
    conv("layer1_outconv", 128, 196, 1)
    conv("layer1_outconv2.0", 196, 196, 3, "layer1_outconv2.1")
    conv("layer1_outconv2.3", 196, 128, 3)
    for stage, dim, layers in (("loftr_coarse", 256, 8), ("loftr_fine", 128, 2)):
        for layer in range(layers):
            name = f"{stage}.layers.{layer}"
            for part in ("q_proj", "k_proj", "v_proj", "merge"):
                found[f"{name}.{part}.weight"] = (dim, dim)
            found[f"{name}.mlp.0.weight"], found[f"{name}.mlp.2.weight"] = (2 * dim, 2 * dim), (dim, 2 * dim)
            for part in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"):
                found[f"{name}.{part}"] = (dim,)
    for part, out, into in (("down_proj", 128, 256), ("merge_feat", 128, 256)):
        found[f"fine_preprocess.{part}.weight"] = (out, into)
        found[f"fine_preprocess.{part}.bias"] = (out,)
    return found


@cache
def weights() -> Tensors:
    """Random ones, of such sizes that features neither vanish nor explode; the same for every test."""
    rng = np.random.default_rng(5)
    made = {}
    for name, shape in shapes().items():
        if len(shape) > 1:
            made[name] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        elif name.endswith(("weight", "running_var")):
            made[name] = rng.uniform(0.5, 1.0, shape).astype(np.float32)
        else:
            made[name] = rng.normal(0, 0.1, shape).astype(np.float32)
    return made


@cache
def networks() -> Networks:
    graphs = loftr_graphs(weights())
    return Networks(**{name: Network(data, threads=1) for name, data in graphs.items()})


def matcher(encoding: str = "rounded", **options: Any) -> LoftrMatcher:
    chosen = {"threshold": 0.0, "border": 1, "half": False, "side": 160, **options}
    return LoftrMatcher(networks(), encoding=encoding, threads=1, **chosen)


A, B, TALL = (0, 120, 0, 160), (30, 150, 40, 200), (10, 138, 300, 396)  # windows of the photo


def window(part: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    top, bottom, left, right = part
    return np.ascontiguousarray(photo()[top:bottom, left:right])


@pytest.mark.parametrize(
    ("encoding", "first", "second"),
    [("rounded", A, B), ("exact", A, TALL), ("rounded", TALL, (0, 64, 0, 88))],
)
def test_parity_with_torch(
    encoding: str, first: tuple[int, int, int, int], second: tuple[int, int, int, int]
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("kornia")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kornia.feature import LoFTR
        from kornia.feature.loftr.loftr import default_cfg

    config = {**default_cfg, "coarse": {**default_cfg["coarse"], "temp_bug_fix": encoding == "exact"}}
    net = LoFTR(None, config).eval()
    missing, surplus = net.load_state_dict(
        {name: torch.from_numpy(value) for name, value in weights().items()}, strict=False
    )
    assert not surplus and all(name.endswith("num_batches_tracked") for name in missing)
    net.coarse_matching.thr, net.coarse_matching.border_rm = 0.0, 1
    own = matcher(encoding)
    a, b = (own.extract(window(part)) for part in (first, second))
    found = own.match(a, b)
    pictures = [grey_picture(window(part), 160, 8) for part in (first, second)]
    tensors = [
        torch.from_numpy(each.pixels[None, None].astype(np.float32) / 255) for each in pictures if each
    ]
    with torch.no_grad():
        expected = net({"image0": tensors[0], "image1": tensors[1]})
    assert len(found) == len(expected["confidence"]) > 2
    for points, key, picture in zip(
        (found.points_a, found.points_b), ("keypoints0", "keypoints1"), pictures, strict=True
    ):
        assert picture is not None
        np.testing.assert_allclose(points, expected[key].numpy() * picture.scale - 0.5, atol=0.01)
    np.testing.assert_allclose(found.confidence, expected["confidence"].numpy(), atol=1e-4)


def test_a_photo_matches_itself() -> None:
    """Even random features know their own place, but for refinement, which has to be learnt."""
    own = matcher()
    found = own.match(*[own.extract(window(A))] * 2)
    away = np.abs(found.points_a - found.points_b).max(axis=1)
    assert len(found) > 20 and (away <= 4.01).mean() > 0.9
    assert own.match(own.extract(window(A)), own.extract(np.zeros((20, 20, 3), np.uint8))).size_b == (20, 20)
    blank = own.extract(np.full((160, 160, 3), 7, np.uint8))
    assert len(own.match(blank, blank)) == 0


def test_half_precision_and_bytes_move_little() -> None:
    full, half = matcher(), matcher(half=True)
    assert full.model_id != half.model_id
    first = full.match(full.extract(window(A)), full.extract(window(A)))
    kept = half.extract(window(A))
    kept = type(kept).from_bytes(kept.to_bytes())
    second = half.match(kept, kept)
    assert kept["coarse"].dtype == np.float16
    assert abs(len(first) - len(second)) <= 0.1 * len(first)


def test_position_encoding() -> None:
    exact, rounded = (position_encoding(5, 7, 256, kind) for kind in ("exact", "rounded"))
    assert exact.shape == (5, 7, 256)
    np.testing.assert_allclose(exact[2, 4, :4], [np.sin(5), np.cos(5), np.sin(3), np.cos(3)], rtol=1e-5)
    np.testing.assert_allclose(exact[2, 4, 4], np.sin(5 * np.exp(-2 * np.log(1e4) / 128)), rtol=1e-5)
    np.testing.assert_allclose(rounded[2, 4, 4], np.sin(5 * np.exp(-2.0)), rtol=1e-5)


def checkpoint(tensors: Tensors) -> bytes:
    torch = pytest.importorskip("torch")
    import io

    stream = io.BytesIO()
    named = {f"matcher.{name}": torch.from_numpy(value) for name, value in tensors.items()}
    torch.save({"state_dict": named}, stream)
    return stream.getvalue()


def test_a_published_checkpoint_is_loaded_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path / "cache"))
    data = checkpoint(weights())
    (tmp_path / "outdoor_ds.ckpt").write_bytes(data)
    (tmp_path / "mine.ckpt").write_bytes(data)
    loaded = load_matcher(f"loftr:{tmp_path / 'outdoor_ds.ckpt'}", threads=1)
    assert hashlib.sha256(data).hexdigest()[:16] in loaded.model_id and "rounded" in loaded.model_id
    kept = loaded.extract(window(A))
    np.testing.assert_allclose(
        kept["coarse"].astype(np.float32), matcher().extract(window(A))["coarse"], atol=0.02
    )
    with pytest.raises(ModelError, match="no published checkpoint's name"):
        load_loftr(tmp_path / "mine.ckpt")
    assert "exact" in load_loftr(tmp_path / "mine.ckpt", encoding="exact").model_id


def test_other_weights_are_refused(tmp_path: Path) -> None:
    tensors = dict(weights())
    gone = tensors.pop("loftr_coarse.layers.3.merge.weight")
    with pytest.raises(
        ModelError, match=r"loftr_coarse.layers.3.merge.weight is missing, expected \(256, 256\)"
    ):
        loftr_graphs(tensors)
    tensors["loftr_coarse.layers.3.merge.weight"] = gone
    with pytest.raises(ModelError, match="it also has more"):
        loftr_graphs({**tensors, "more": gone})
    with pytest.raises(ModelError, match="optimal transport"):
        loftr_graphs({**tensors, "matcher.coarse_matching.bin_score": gone})
    for name in ("outdoor_ds.ckpt", "nowhere.ckpt"):  # that it is not there comes before what it is called
        with pytest.raises(ModelError, match=rf"can't read the weights .*{name}: No such file"):
            load_loftr(tmp_path / name)
    with pytest.raises(ModelError, match=r"outdoor_ds\.ckpt: .*not a torch checkpoint"):
        (tmp_path / "outdoor_ds.ckpt").write_bytes(b"no checkpoint")
        load_loftr(tmp_path / "outdoor_ds.ckpt")
    with pytest.raises(ModelError, match=r"mine\.onnx: this is no ONNX model.*expected Coarse LoFTR's"):
        (tmp_path / "mine.onnx").write_bytes(b"no model")
        load_matcher(f"loftr-coarse:{tmp_path / 'mine.onnx'}")
    with pytest.raises(ModelError, match="name it, as in loftr:"):
        load_matcher("loftr")
    with pytest.raises(ModelError, match="this is no"):
        cut(b"no model")
    with pytest.raises(ModelError, match="not Coarse LoFTR"):
        cut(loftr_graphs(weights())["fine"])


@pytest.mark.skipif(not os.environ.get("FASTCBIR_DEV_DATA"), reason="FASTCBIR_DEV_DATA is not set")
def test_the_trained_coarse_model_is_as_its_whole_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime
    from PIL import Image

    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path))
    root = Path(os.environ["FASTCBIR_DEV_DATA"])
    path = root / "models" / "coarse_loftr_teacher.onnx"
    files = [root / "pairs_opencv" / f"graf{number}.png" for number in (1, 3)]
    own = load_matcher(f"loftr-coarse:{path}", threads=1)
    found = own.match(*(own.extract(file) for file in files))
    grey = [Image.open(file).convert("L").resize((640, 480), Image.Resampling.BICUBIC) for file in files]
    pixels = [np.asarray(each, np.float32)[None, None] / 255 for each in grey]
    session = onnxruntime.InferenceSession(str(path))
    (matrix,) = session.run(["1026"], {"img0": pixels[0], "img1": pixels[1]})[0]
    best = (matrix == matrix.max(0)) & (matrix == matrix.max(1, keepdims=True)) & (matrix > 0.2)
    cells = np.argwhere(best)
    assert len(found) == len(cells) > 40
    expected = np.stack([cells[:, 0] % 40 * 20, cells[:, 0] // 40 * (640 / 30)], axis=1) - 0.5
    np.testing.assert_allclose(found.points_a, expected, atol=1e-3)
    np.testing.assert_allclose(found.confidence, matrix[best], atol=2e-3)
