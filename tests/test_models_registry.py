"""Every model has a card; an id tells vectors apart; what was asked for is used, or an error says why not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from fastcbir.errors import MissingExtraError, ModelError
from fastcbir.extract import DEFAULT_MODEL, Preprocessing, load_extractor, models
from fastcbir.extract.onnx_session import PROVIDERS


def test_every_card_is_complete() -> None:
    cards = models()
    assert cards[0].name == DEFAULT_MODEL == "efficientnet-lite0"
    assert len({card.name for card in cards}) == len(cards)
    for card in cards:
        assert card.dim > 0 and card.metric == "cosine"
        assert card.licence and card.licence_url.startswith("https://") and card.source and card.summary
        assert card.sha256 == "" or (len(card.sha256) == 64 and int(card.sha256, 16))
        assert card.output and card.extra
        assert card.preprocessing.size % card.preprocessing.multiple == 0
        assert min(card.preprocessing.std) > 0
        with pytest.raises(FrozenInstanceError):
            card.dim = 1  # type: ignore[misc]


def test_the_id_changes_with_what_changes_the_vectors_and_with_nothing_else() -> None:
    card = models()[0]
    rule = card.preprocessing
    changed = [
        replace(card, name="other"),
        replace(card, sha256="0" * 64),
        replace(card, output="logits"),
        replace(card, dim=7),
        replace(card, revision=2),
        replace(card, preprocessing=rule.with_size(448)),
        replace(card, preprocessing=replace(rule, mean=(0.1, 0.2, 0.3))),
        replace(card, preprocessing=replace(rule, std=(0.1, 0.2, 0.3))),
        replace(card, preprocessing=replace(rule, resample="lanczos")),
        replace(card, preprocessing=replace(rule, multiple=64)),
    ]
    assert len({card.model_id, *(other.model_id for other in changed)}) == len(changed) + 1
    same = replace(card, summary="x", licence_url="x", source="x", extra="x", licence="x")
    assert same.model_id == card.model_id


def test_ids_of_released_models_stay() -> None:
    """Albums store these: a change here makes every album of that model refuse to open."""
    assert {card.name: card.model_id for card in models()} == {
        "efficientnet-lite0": "efficientnet-lite0@384/gap/d499ab9ffa74db69",
        "color-layout": "color-layout@128/layout/b0fa1b6c662103d6",
    }


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'resnet'.*efficientnet-lite0, color-layout"):
        load_extractor("resnet")


@pytest.mark.parametrize("size", [0, -32, 100, 16, 8192, 1.5, True, "384"])
def test_a_size_that_is_out_of_range(size: object) -> None:
    with pytest.raises(ValueError, match="size must be"):
        load_extractor("color-layout", size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["color-layout", "efficientnet-lite0"])
def test_threads_below_one(name: str) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1"):
        load_extractor(name, threads=0)


def test_sides() -> None:
    rule = Preprocessing(384)
    assert rule.sides(4000, 3000) == (384, 288)
    assert rule.sides(3000, 4000) == (288, 384)
    assert rule.sides(6000, 4000) == rule.sides(12, 8) == (384, 256)
    assert rule.sides(1, 1) == (384, 384)
    assert rule.sides(10_000, 1) == (384, 32)
    for width in range(1, 500, 7):
        sides = rule.sides(width, 333)
        exact = [side * 384 / max(width, 333) for side in (width, 333)]
        assert all(side % 32 == 0 and side >= 32 for side in sides)
        assert max(sides) == 384
        assert all(abs(side - wanted) <= 16 or side == 32 for side, wanted in zip(sides, exact, strict=True))


def test_providers_are_never_replaced_in_silence() -> None:
    ort = pytest.importorskip("onnxruntime")
    from fastcbir.extract.onnx_session import OnnxModel

    available = ort.get_available_providers()
    for short, wanted in PROVIDERS.items():
        if not set(wanted) <= set(available):
            with pytest.raises(ModelError, match=r"lacks.*CPUExecutionProvider.*fastcbir\[gpu\]"):
                OnnxModel(b"", output="gap", provider=short)
    with pytest.raises(ModelError, match=r"'gpu'.*cpu, cuda, tensorrt.*CPUExecutionProvider"):
        OnnxModel(b"", output="gap", provider="gpu")
    with pytest.raises(ModelError, match="NoSuchExecutionProvider, which this ONNX Runtime lacks"):
        OnnxModel(b"", output="gap", provider="NoSuchExecutionProvider")
    with pytest.raises(ModelError, match="can't open the model on CPUExecutionProvider"):
        OnnxModel(b"not a model", output="gap", provider="CPUExecutionProvider")
    with pytest.raises(ModelError, match="'cpu' alone"):
        load_extractor("color-layout", provider="cuda")


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    from fastcbir.extract.onnx_session import OnnxModel

    with pytest.raises(MissingExtraError, match=r"fastcbir\[onnx\]"):
        OnnxModel(b"", output="gap")


def test_listing_models_imports_nothing_heavy() -> None:
    code = (
        "import sys; import fastcbir.extract as e; e.models(); "
        "heavy = {'PIL', 'onnx', 'onnxruntime', 'torch', 'google', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_color_layout_needs_no_onnx() -> None:
    pytest.importorskip("PIL")
    code = (
        "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None; import numpy as np; "
        "from fastcbir.extract import load_extractor; "
        "assert load_extractor('color-layout').extract([np.zeros((9, 9, 3), np.uint8)]).shape == (1, 368)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bound_to_a_device_it_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU's own memory, for want of a GPU: GPU providers run by this path alone."""
    ort = pytest.importorskip("onnxruntime")
    from concurrent.futures import ThreadPoolExecutor

    from fastcbir.extract import onnx_binding, onnx_session
    from fastcbir.extract.onnx_graph import OnnxGraph

    assert {onnx_binding.device_of(chain[0]) for chain in PROVIDERS.values()} == {None, "cuda"}
    rng = np.random.default_rng(0)
    graph = OnnxGraph("small")
    kernel, bias = rng.normal(size=(6, 3, 4, 4)).astype(np.float32), np.zeros(6, np.float32)
    features = graph.conv(graph.input("photo", ["N", 3, "H", "W"]), kernel, bias, stride=4)
    graph.output(graph.average_pool(features), "vector", ["N", 6])
    graph.output(features, "map", ["N", 6, "h", "w"])
    data = graph.serialize({})
    batches = [rng.normal(size=(n, 3, 32 * h, 64)).astype(np.float32) for n, h in ((1, 1), (5, 2), (2, 3))]
    batches.append(np.asfortranarray(batches[1]))
    plain = onnx_session.OnnxModel(data, output="map")
    expected = [plain(batch) for batch in batches]
    runs: list[int] = []
    ordinary = ort.InferenceSession.run_with_iobinding

    def counting(session: object, *arguments: object) -> None:
        runs.append(1)
        ordinary(session, *arguments)

    monkeypatch.setattr(ort.InferenceSession, "run_with_iobinding", counting)
    monkeypatch.setattr(onnx_session, "device_of", lambda provider: "cpu")
    bound = onnx_session.OnnxModel(data, output="map")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bound, batches * 4))
    for one, other in zip(found, expected * 4, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(runs) == 16
    kept = found[0].copy()
    del bound
    np.testing.assert_array_equal(found[0], kept)
