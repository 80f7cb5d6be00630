"""Promise: every network of the zoo becomes an ONNX model that says what torch says, with random weights.

Run by `make test-export`: torch and the model libraries are not among what `make test` installs.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

from fastcbir.errors import ModelError  # noqa: E402
from fastcbir.export import export_model, frameworks, networks  # noqa: E402
from fastcbir.export.convert import TOLERANCE  # noqa: E402
from fastcbir.export.model import convert  # noqa: E402
from fastcbir.extract import load_extractor, store, zoo  # noqa: E402

LIBRARIES = {"torchvision": "torchvision", "timm": "timm", "cirtorch": "torchvision"}
# One row for each kind of network; the others differ in depth alone.
ROWS = [
    "resnet18",
    "resnet50",
    "mobilenet-v3-small",
    "mobilenet-v3-large",
    "convnext-tiny",
    "vit-b-16",
    "vgg16",
    "dinov2-small",
    "sscd-disc-mixup",
    "gem-vgg16",
    "gem-resnet50-sfm",
]


def row(name: str) -> zoo.ZooEntry:
    entry = zoo.find(name)
    assert entry is not None
    pytest.importorskip("torch")
    try:
        getattr(frameworks, {"timm": "timm"}.get(entry.library, "torchvision"))()
    except ImportError as error:
        pytest.skip(str(error))
    return entry


def alive(entry: zoo.ZooEntry) -> networks.Network:
    """The network with random weights, and batch normalisation that fits them: else its values die out.

    What each bottleneck adds is damped, as training begins with it: undamped, 16 of them in a row make of the
    rounding of one layer more than the tolerance, in torch itself, compared with its own float64.
    """
    torch.manual_seed(0)
    network = networks.build(entry)
    norms = [each for each in network.module.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for name, norm in network.module.named_modules():
        if name.endswith("bn3"):
            torch.nn.init.constant_(norm.weight, 0.2)
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        with torch.no_grad():
            network.forward(torch.randn(16, 3, 96, 96))
    network.module.eval()
    return network


@pytest.mark.parametrize("name", ROWS)
def test_parity(name: str) -> None:
    entry = row(name)
    exported = convert(entry, alive(entry))
    for output, error in exported.errors.items():
        assert error <= TOLERANCE * max(1.0, exported.peaks[output])
        assert exported.peaks[output] > 1e-3  # a network that gives zeros proves nothing
    assert entry.card.output in exported.errors and entry.card.feature_map in exported.errors
    session = ort.InferenceSession(exported.onnx, providers=["CPUExecutionProvider"])
    shapes = {found.name: found.shape for found in session.get_outputs()}
    assert shapes[entry.card.output][-1] in (entry.card.dim, "dim")
    kinds = {node.name for node in session.get_inputs()}
    assert kinds == {"input"}


def test_a_plain_resnet_is_the_average_before_the_last_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = row("resnet18")
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    models = frameworks.torchvision().models
    torch.manual_seed(1)
    reference = models.resnet18(weights=None).eval()
    torch.save(reference.state_dict(), tmp_path / "resnet18.pth")
    card, told = export_model("resnet18", tmp_path / "resnet18.pth")
    assert (card.name, card.dim, card.sha256) == ("resnet18", 512, load_extractor("resnet18").card.sha256)
    assert told["parity"]["max_abs_error"]["gap"] < TOLERANCE
    assert store.details("resnet18") == told
    pixels = np.random.default_rng(0).integers(0, 256, (384, 256, 3), dtype=np.uint8)
    found = load_extractor("resnet18").extract([pixels])[0]
    rule = entry.card.preprocessing
    scaled = (pixels / 255 - np.array(rule.mean)) / np.array(rule.std)
    reference.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = reference(torch.tensor(scaled.transpose(2, 0, 1)[None], dtype=torch.float32))[0].numpy()
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    pooled = load_extractor("resnet18+gem3").extract([pixels])[0]
    assert pooled.shape == (512,) and not np.allclose(pooled, found)


def test_safetensors_and_torch_files_give_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row("resnet18")
    saving = pytest.importorskip("safetensors.torch")
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    weights = frameworks.torchvision().models.resnet18(weights=None).state_dict()
    torch.save(weights, tmp_path / "a.pth")
    saving.save_file(
        {name: value.contiguous() for name, value in weights.items()}, tmp_path / "b.safetensors"
    )
    first, _ = export_model("resnet18", tmp_path / "a.pth", alias="first")
    second, _ = export_model("resnet18", tmp_path / "b.safetensors", alias="second")
    assert first.sha256 == second.sha256


def test_weights_that_do_not_fit_or_can_not_be_trusted(tmp_path: Path) -> None:
    row("resnet18")
    models = frameworks.torchvision().models
    torch.save(models.resnet34(weights=None).state_dict(), tmp_path / "34.pth")
    with pytest.raises(ModelError, match=r"of another network: .* are unknown"):
        export_model("resnet18", tmp_path / "34.pth")
    torch.save(models.resnet18(weights=None), tmp_path / "whole.pth")
    with pytest.raises(ModelError, match=r"its pickle wants torchvision\.models\.resnet\.ResNet"):
        export_model("resnet18", tmp_path / "whole.pth")
    with pytest.raises(ModelError, match="can't export 'nothing'; it knows resnet18"):
        export_model("nothing", tmp_path / "34.pth")
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="can't be read as safetensors"):
        export_model("resnet18", tmp_path / "bad.safetensors")


def test_whitening_beside_the_network_becomes_its_last_layer() -> None:
    entry = row("gem-vgg16")
    network = networks.build(entry)
    rng = np.random.default_rng(0)
    matrix, mean = rng.normal(size=(512, 512)), rng.normal(size=(512, 1))
    beside: dict[str, Any] = {"meta": {"Lw": {"retrieval-SfM-120k": {"ms": {"P": matrix, "m": mean}}}}}
    found = network.adapt({}, beside)
    vector = rng.normal(size=512)
    np.testing.assert_allclose(
        found["whiten.weight"] @ vector + found["whiten.bias"], matrix @ (vector - mean[:, 0]), atol=1e-3
    )
    with pytest.raises(ModelError, match="no learned whitening"):
        network.adapt({}, {})


def test_gem_is_that_of_the_extractor() -> None:
    row("gem-vgg16")
    from fastcbir.extract.pooling import Pooling

    maps = torch.rand(2, 5, 3, 4) - 0.3
    np.testing.assert_allclose(
        networks._gem(maps, 3.0).numpy(), Pooling.parse("gem3")(maps.numpy()), atol=1e-5
    )


def test_the_exported_file_is_an_ordinary_one() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(
        io.BytesIO(convert(row("mobilenet-v3-small"), networks.build(row("mobilenet-v3-small"))).onnx)
    )
    onnx.checker.check_model(model, full_check=True)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    assert [side.dim_param for side in model.graph.input[0].type.tensor_type.shape.dim] == ["N", "", "H", "W"]
