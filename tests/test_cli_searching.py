"""Promise: the command searches with words where the model knows text, widens a search, and whitens."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cli_helpers import FAST, make_photos
from PIL import Image

from fastcbir.cli import main
from fastcbir.extract import store, supply
from fastcbir.extract.onnx_graph import OnnxGraph
from fastcbir.image_index import ImageIndex, Text

WORDS = {"[UNK]": 0, "[PAD]": 1, "red": 2, "green": 3, "blue": 4, "a": 5, "car": 6}
COLOURS = {"red": (230, 20, 30), "green": (20, 220, 10), "blue": (10, 30, 240), "yellow": (240, 230, 10)}
LENGTH = 6


class _WordLevel:
    """What the library `tokenizers` does with such a file, where it is not installed."""

    def __init__(self, path: str) -> None:
        self._words: dict[str, int] = json.loads(Path(path).read_text())["model"]["vocab"]

    def enable_truncation(self, length: int) -> None:
        self._length = length

    def enable_padding(self, length: int, pad_id: int) -> None:
        self._pad = pad_id

    def encode_batch(self, texts: list[str]) -> list[Any]:
        rows = [[self._words.get(word, 0) for word in text.split()][: self._length] for text in texts]
        return [SimpleNamespace(ids=row + [self._pad] * (self._length - len(row))) for row in rows]


def text_network() -> bytes:
    """Words to their colours, averaged: (N, LENGTH) int64 -> (N, 3) float32."""
    table = np.zeros((len(WORDS), 3), np.float32)
    table[[WORDS[name] for name in ("red", "green", "blue")]] = np.eye(3)
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["words"]),
        helper.make_node("ReduceMean", ["words"], ["embedding"], axes=[1], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["N", LENGTH])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(table, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test; `colours`, a model whose vector is the mean colour, knows words."""
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "data"))
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("FASTCBIR_ALBUM", raising=False)
    monkeypatch.chdir(tmp_path)
    if find_spec("tokenizers") is None:
        stand_in = SimpleNamespace(Tokenizer=SimpleNamespace(from_file=_WordLevel))
        monkeypatch.setitem(sys.modules, "tokenizers", stand_in)
    graph = OnnxGraph("colours")
    photo = graph.input("photo", ["N", 3, "H", "W"])
    identity = np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1)
    graph.output(graph.average_pool(graph.conv(photo, identity, np.zeros(3, np.float32))), "vector", ["N", 3])
    (tmp_path / "colours.onnx").write_bytes(graph.serialize({}))
    card = supply.add(tmp_path / "colours.onnx", "colours", size=32, mean=[0, 0, 0], std=[1, 1, 1])
    store.put(card, (tmp_path / "colours.onnx").read_bytes(), {"text": {"length": LENGTH, "pad": 1}})
    (tmp_path / "models" / "colours.text.onnx").write_bytes(text_network())
    kind = {"type": "WordLevel", "vocab": WORDS, "unk_token": "[UNK]"}
    rules = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    tokenizer = {"version": "1.0", **rules, "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"}}
    (tmp_path / "models" / "colours.tokenizer.json").write_text(json.dumps({**tokenizer, "model": kind}))
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def test_words_find_photos(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "photos", "--extractor", "colours", "--album", "a.fcbir"]) == 0
    for colour in ("red", "green", "blue"):
        capsys.readouterr()
        assert main(["search", "--text", f"a {colour} car", "--album", "a.fcbir", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["query"] == f"a {colour} car"
        assert Path(told["hits"][0]["path"]).stem == colour
    with ImageIndex.open(home / "a.fcbir", read_only=True) as album:
        expected = [(str(hit.path), hit.distance) for hit in album.search(Text("a blue car"))]
    assert [(hit["path"], pytest.approx(hit["distance"])) for hit in told["hits"]] == expected
    assert main(["search", "--text", "red & green", "--album", "a.fcbir", "--html", "page.html"]) == 0
    page = (home / "page.html").read_text(encoding="utf-8")
    assert "Photos like “red &amp; green”" in page
    assert page.index("yellow.png") < page.index("blue.png")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search"], 2, "name a photo to search with (IMAGE), or words with --text"),
        (["search", "photos/red.png", "--text", "red"], 2, "not with both"),
        (["search", "--text", " "], 2, "--text is empty"),
        (["search", "--text", "red", "--verify"], 2, "--verify compares photos"),
        (["search", "photos/red.png", "--expand", "-1"], 2, "'--expand'"),
        (["search", "--text", "red", "--album", "plain.fcbir"], 4, "color-layout knows no text"),
        (["whiten", "--strength", "2"], 2, "'--strength'"),
        (["whiten", "--dim", "4000", "--album", "plain.fcbir"], 1, "dim"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_can_not_be_searched(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    if "plain.fcbir" in arguments:
        assert main(["index", "photos", "--extractor", FAST, "--album", "plain.fcbir"]) == 0
    assert main(arguments) == code
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_expand_and_whiten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_photos(home / "more", 12)
    album = ("--album", "b.fcbir")

    def told(*arguments: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*arguments, *album, "--json"]) == 0
        return dict(json.loads(capsys.readouterr().out))

    assert main(["index", "more", "--extractor", FAST, *album]) == 0
    plain = told("search", "more/3.jpg")["hits"]
    wide = told("search", "more/3.jpg", "--expand", "3")["hits"]
    with ImageIndex.open(home / "b.fcbir", read_only=True) as opened:
        expected = [hit.distance for hit in opened.search(home / "more" / "3.jpg", expand=3)]
    assert [hit["distance"] for hit in wide] == pytest.approx(expected)
    assert [hit["distance"] for hit in wide] != pytest.approx([hit["distance"] for hit in plain])
    answer = told("whiten", "--dim", "8")
    assert (answer["learned_from"], answer["projection"][:6]) == (12, "whiten")
    assert told("info")["projection"] == answer["projection"]
    whitened = told("search", "more/3.jpg")["hits"]
    assert whitened[0]["path"].endswith("3.jpg")
    assert [hit["distance"] for hit in whitened] != pytest.approx([hit["distance"] for hit in plain])
    assert told("whiten", "--off")["projection"] == ""
    assert told("search", "more/3.jpg")["hits"] == plain
    capsys.readouterr()
    assert main(["whiten", *album]) == 0
    assert main(["info", *album]) == 0
    assert "Compared  through whiten(0.5)" in capsys.readouterr().out
