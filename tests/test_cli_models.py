"""Promise: models can be listed, added, checked and made smaller from the command line, with plain errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")

from cli_helpers import FAST, make_photos

from fastcbir.cli import main
from fastcbir.extract.onnx_graph import OnnxGraph

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("FASTCBIR_DEBUG", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(each) for each in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    graph = OnnxGraph("small")
    photo = graph.input("photo", ["N", 3, "H", "W"])
    kernel = rng.normal(size=(8, 3, 4, 4)).astype(np.float32)
    features = graph.conv(photo, kernel, rng.normal(size=8).astype(np.float32), stride=4)
    graph.output(graph.average_pool(graph.relu6(features)), "vector", ["N", 8])
    (tmp_path / "Small.onnx").write_bytes(graph.serialize({}))
    return tmp_path / "Small.onnx"


def test_listing(cli: Cli) -> None:
    code, out, _ = cli("models")
    assert code == 0 and "efficientnet-lite0  (default)" in out and "resnet18" not in out
    code, out, _ = cli("models", "list")
    assert code == 0 and "resnet18" in out and "siglip-b-16" in out
    told = json.loads(cli("models", "list", "--json")[1])
    assert {each["name"] for each in told["available"]} >= {"resnet18", "clip-vit-b-32", "gem-vgg16"}


def test_adding_using_and_checking(cli: Cli, small: Path, tmp_path: Path) -> None:
    code, out, _ = cli("models", "add", small, "--size", 64, "--mean", "0,0,0", "--std", "1,1,1")
    assert code == 0 and "Added small: 8 numbers a photo from vector, longest side 64 px." in out
    photos = make_photos(tmp_path / "photos", 6)
    code, out, _ = cli("index", photos, "--album", tmp_path / "a", "--extractor", "small@96", "--profile")
    assert code == 0 and "6 photos in" in out and "bound by:" in out and "ms of computing" in out
    code, _, err = cli("index", photos, "--album", tmp_path / "a", "--extractor", "small@128")
    assert code == 4 and "was made with the model small@96" in err
    code, out, err = cli("index", photos, "--album", tmp_path / "a", "--profile", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["unchanged"] == 6 and told["profile"]["photos"] == 0
    assert cli("models", "verify") == (0, "1 model of 1 whole.\n", "")
    (tmp_path / "models" / "small.onnx").write_bytes(b"damaged")
    code, _, err = cli("models", "verify")
    assert code == 1 and "small: " in err and "its card says" in err


def test_smaller_variants_tell_what_they_cost(cli: Cli, small: Path, tmp_path: Path) -> None:
    cli("models", "add", small, "--size", 64)
    photos = make_photos(tmp_path / "photos", 9)
    told = json.loads(
        cli("export", "small", "--variant", "int8", "--variant", "fp16", "--photos", photos, "--json")[1]
    )
    for kind in ("int8", "fp16"):
        loss = told["variants"][kind]
        assert (loss["name"], loss["photos"]) == (f"small-{kind}", 6)
        assert loss["cosine"] > 0.98
    assert cli("models", "verify")[1] == "3 models of 3 whole.\n"
    code, out, _ = cli("index", photos, "--album", tmp_path / "b", "--extractor", "small-int8")
    assert code == 0 and "9 new" in out


def test_what_can_not_be_done(cli: Cli, small: Path, tmp_path: Path) -> None:
    code, _, err = cli("export", "resnet18")
    assert code == 1 and "fastcbir models pull resnet18" in err
    code, _, err = cli("export", "efficientnet-lite0")
    assert code == 2 and "--variant" in err
    code, _, err = cli("export", "efficientnet-lite0", "--variant", "int8")
    assert code == 2 and "--photos" in err
    code, _, err = cli("export", "nothing")
    assert code == 2 and "nothing to convert for 'nothing'; weights are taken for resnet18" in err
    code, _, err = cli("export", "color-layout", "--weights", small)
    assert code == 2 and "nothing to convert for 'color-layout'; weights are taken for resnet18" in err
    code, _, err = cli("export", "color-layout", "--variant", "int8", "--photos", tmp_path)
    assert code in (1, 4) and "Traceback" not in err
    code, _, err = cli("models", "verify", "nothing")
    assert code == 4 and "no added model 'nothing'" in err
    (tmp_path / "photo.jpg").write_bytes(b"no model")
    code, _, err = cli("models", "add", tmp_path / "photo.jpg")
    assert code == 4 and "photo.jpg is no ONNX model that can be opened; expected an .onnx file" in err
    code, _, err = cli("models", "add", small, "--mean", "a,b,c")
    assert code == 2 and "three numbers" in err
    code, _, err = cli("models", "pull", "nothing")
    assert code == 4 and "does not know where 'nothing' could be had" in err
    code, _, err = cli("index", tmp_path, "--album", tmp_path / "c", "--extractor", f"{FAST}+gem3")
    assert code == 4 and "gives no feature map" in err
