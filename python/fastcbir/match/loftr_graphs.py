"""LoFTR (Sun et al., CVPR 2021) as three ONNX graphs, from its checkpoint, without torch.

Cut so that no graph has a shape that depends on the photos' content:

    backbone   a photo -> coarse and fine features; the most work, done once for a photo
    coarse     two photos' coarse features -> the same, each having looked at the other
    fine       windows of matched cells -> where in the window of B the centre of A's window is

Between coarse and fine the core finds the matches (dual_softmax_matches) and cuts windows (gather_windows).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError
from fastcbir.extract.onnx_graph import fold_batch_norm
from fastcbir.match.layers import LayerGraph

__all__ = ["CHANNELS", "HEADS", "WINDOW", "loftr_graphs"]

Weights = npt.NDArray[np.float32]
Shape = tuple[int, ...]

CHANNELS, FINE_CHANNELS, HEADS, WINDOW = 256, 128, 8, 5
_SIDES = (128, 196, 256)  # channels at 1/2, 1/4 and 1/8
_LAYERS = 8
_EPSILON = 1e-5


class _Checkpoint:
    """Takes tensors out by name, checking shapes; at the end nothing may be left."""

    def __init__(self, tensors: dict[str, npt.NDArray[Any]]) -> None:
        self._left = {
            name.removeprefix("matcher."): value
            for name, value in tensors.items()
            if not name.endswith("num_batches_tracked")
        }
        # Optimal transport's dustbin, and a buffer that some versions keep; neither is of dual-softmax LoFTR.
        if "coarse_matching.bin_score" in self._left:
            raise ModelError("a LoFTR with optimal transport (_ot); only dual softmax (_ds) is supported")
        self._left.pop("pos_encoding.pe", None)

    def take(self, name: str, *shape: int) -> Weights:
        found = self._left.pop(name, None)
        if found is None or found.shape != shape:
            came = "missing" if found is None else f"of shape {found.shape}"
            raise ModelError(f"the checkpoint is no LoFTR: {name} is {came}, expected {shape}")
        return found.astype(np.float32)

    def conv(
        self, name: str, channels: int, out: int, side: int, norm: str | None = None
    ) -> tuple[Weights, Weights]:
        """A convolution without bias, with the batch normalisation behind it folded in."""
        kernel = self.take(f"{name}.weight", out, channels, side, side)
        if norm is None:
            return kernel, np.zeros(out, np.float32)
        parts = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (self.take(f"{norm}.{part}", out) for part in parts)
        return fold_batch_norm(kernel, scale, shift, mean, variance, _EPSILON)

    def finish(self) -> None:
        if self._left:
            raise ModelError(f"the checkpoint is no LoFTR: it also has {', '.join(sorted(self._left)[:5])}")


def loftr_graphs(
    tensors: dict[str, npt.NDArray[Any]], *, metadata: dict[str, str] | None = None
) -> dict[str, bytes]:
    """A LoFTR state dict (dual softmax; with or without the prefix "matcher.") as three ONNX models.

    * "backbone": `grey` (1, 1, H, W) in 0..1, sides multiples of 8 -> `coarse` (1, H/8, W/8, 256) without the
      position encoding, `fine` (1, H/2, W/2, 128).
    * "coarse": `a` (1, L, 256), `b` (1, S, 256), position-encoded -> `a_out`, `b_out`, of the same shapes.
    * "fine": `windows_a`, `windows_b` (M, 25, 128), `cells_a`, `cells_b` (M, 256) -> `offset` (M, 2), x and
      y in -1..1 of B's window.

    Raises:
        ModelError: a tensor is missing, surplus, or of another shape.
    """
    checkpoint = _Checkpoint(tensors)
    graphs = {"backbone": _backbone(checkpoint), "coarse": _coarse(checkpoint), "fine": _fine(checkpoint)}
    checkpoint.finish()
    return {name: graph.serialize(metadata or {}) for name, graph in graphs.items()}


def _backbone(weights: _Checkpoint) -> LayerGraph:
    graph = LayerGraph("loftr-backbone")

    def layer(
        value: str,
        name: str,
        norm: str,
        channels: int,
        out: int,
        side: int,
        stride: int,
        act: Callable[[str], str],
    ) -> str:
        kernel = weights.conv(f"backbone.{name}", channels, out, side, f"backbone.{norm}")
        return act(graph.conv(value, *kernel, stride=stride, pads=(side // 2,) * 4))

    def plain(value: str, name: str, channels: int, out: int, side: int) -> str:
        kernel = weights.conv(f"backbone.{name}", channels, out, side)
        return graph.conv(value, *kernel, pads=(side // 2,) * 4)

    def block(value: str, name: str, channels: int, out: int, stride: int) -> str:
        inner = layer(value, f"{name}.conv1", f"{name}.bn1", channels, out, 3, stride, graph.relu)
        inner = layer(inner, f"{name}.conv2", f"{name}.bn2", out, out, 3, 1, str)
        if stride > 1:
            short = f"{name}.downsample"
            value = layer(value, f"{short}.0", f"{short}.1", channels, out, 1, stride, str)
        return graph.relu(graph.add(inner, value))

    value = graph.input("grey", [1, 1, "H", "W"])
    value = layer(value, "conv1", "bn1", 1, _SIDES[0], 7, 2, graph.relu)
    maps = []
    channels = _SIDES[0]
    for number, out in enumerate(_SIDES, 1):
        value = block(value, f"layer{number}.0", channels, out, 1 if number == 1 else 2)
        value = block(value, f"layer{number}.1", out, out, 1)
        maps.append(value)
        channels = out
    half, quarter, eighth = maps
    coarse = plain(eighth, "layer3_outconv", _SIDES[2], _SIDES[2], 1)
    merged = graph.add(plain(quarter, "layer2_outconv", _SIDES[1], _SIDES[2], 1), graph.enlarge(coarse))
    merged = layer(
        merged, "layer2_outconv2.0", "layer2_outconv2.1", _SIDES[2], _SIDES[2], 3, 1, graph.leaky_relu
    )
    merged = plain(merged, "layer2_outconv2.3", _SIDES[2], _SIDES[1], 3)
    merged = graph.add(plain(half, "layer1_outconv", _SIDES[0], _SIDES[1], 1), graph.enlarge(merged))
    merged = layer(
        merged, "layer1_outconv2.0", "layer1_outconv2.1", _SIDES[1], _SIDES[1], 3, 1, graph.leaky_relu
    )
    fine = plain(merged, "layer1_outconv2.3", _SIDES[1], _SIDES[0], 3)
    graph.output(graph.channels_last(coarse), "coarse", [1, "h8", "w8", CHANNELS])
    graph.output(graph.channels_last(fine), "fine", [1, "h2", "w2", FINE_CHANNELS])
    return graph


class _Layer:
    """One layer: a photo's features take in what they look for in `source`, by linear attention.

    The heads' little matrices are the diagonal blocks of one dense product, the rest of which is masked: one
    large product is quicker than many small ones. Both photos pass the same weights.
    """

    def __init__(self, graph: LayerGraph, weights: _Checkpoint, name: str, dim: int) -> None:
        def linear(part: str, out: int, into: int) -> str:
            return graph.constant(weights.take(f"{name}.{part}.weight", out, into).T)

        self._graph = graph
        self._query, self._key, self._content, self._merge = (
            linear(part, dim, dim) for part in ("q_proj", "k_proj", "v_proj", "merge")
        )
        self._wide, self._narrow = linear("mlp.0", 2 * dim, 2 * dim), linear("mlp.2", dim, 2 * dim)
        self._norms = [
            (weights.take(f"{name}.{part}.weight", dim), weights.take(f"{name}.{part}.bias", dim))
            for part in ("norm1", "norm2")
        ]
        head = np.arange(dim) // (dim // HEADS)
        of_head = head[:, None] == np.arange(HEADS)
        self._block = graph.constant(head[:, None] == head)
        self._to_heads, self._from_heads = graph.constant(of_head), graph.constant(of_head.T)

    def __call__(self, value: str, source: str) -> str:
        graph = self._graph
        query = graph.positive(graph.product(value, self._query))
        key = graph.positive(graph.product(source, self._key))
        content = graph.product(source, self._content)
        memory = graph.times(graph.product(graph.turned(key), content), self._block)
        total = graph.turned(graph.summed(key, 1, keep=True))  # (N, dim, 1)
        weight = graph.product(query, graph.times(total, self._to_heads))
        weight = graph.add(weight, graph.constant(1e-6))
        found = graph.over(graph.product(query, memory), graph.product(weight, self._from_heads))
        message = graph.normalised(graph.product(found, self._merge), *self._norms[0])
        inner = graph.relu(graph.product(graph.joined(value, message), self._wide))
        return graph.add(value, graph.normalised(graph.product(inner, self._narrow), *self._norms[1]))


def _transform(
    graph: LayerGraph, weights: _Checkpoint, name: str, dim: int, layers: int, a: str, b: str
) -> tuple[str, str]:
    """Layers that look at themselves and, every second one, at each other: B at what A has become."""
    for number in range(layers):
        layer = _Layer(graph, weights, f"{name}.layers.{number}", dim)
        cross = number % 2 == 1
        a = layer(a, b if cross else a)
        b = layer(b, a if cross else b)
    return a, b


def _coarse(weights: _Checkpoint) -> LayerGraph:
    graph = LayerGraph("loftr-coarse")
    a, b = graph.input("a", [1, "L", CHANNELS]), graph.input("b", [1, "S", CHANNELS])
    a, b = _transform(graph, weights, "loftr_coarse", CHANNELS, _LAYERS, a, b)
    graph.output(a, "a_out", [1, "L", CHANNELS])
    graph.output(b, "b_out", [1, "S", CHANNELS])
    return graph


def _fine(weights: _Checkpoint) -> LayerGraph:
    graph = LayerGraph("loftr-fine")
    dim, cells = FINE_CHANNELS, WINDOW * WINDOW
    down = weights.take("fine_preprocess.down_proj.weight", dim, CHANNELS).T
    down_bias = weights.take("fine_preprocess.down_proj.bias", dim)
    merge = weights.take("fine_preprocess.merge_feat.weight", dim, 2 * dim).T
    merge_bias = weights.take("fine_preprocess.merge_feat.bias", dim)

    def merged(side: str) -> str:
        """merge(window | down(cell)), the weights cut in two: the cell's part is computed once a window."""
        window = graph.input(f"windows_{side}", ["M", cells, dim])
        cell = graph.input(f"cells_{side}", ["M", CHANNELS])
        context = graph.add(graph.product(cell, graph.constant(down)), graph.constant(down_bias))
        context = graph.add(graph.product(context, graph.constant(merge[dim:])), graph.constant(merge_bias))
        return graph.add(graph.product(window, graph.constant(merge[:dim])), graph.with_axis(context, 1))

    a, b = _transform(graph, weights, "loftr_fine", dim, 2, merged("a"), merged("b"))
    centre = graph.row(a, cells // 2)
    alike = graph.times(graph.product(centre, graph.turned(b)), graph.constant(dim**-0.5))  # (M, 1, 25)
    steps = np.linspace(-1, 1, WINDOW)
    places = np.stack([np.tile(steps, WINDOW), np.repeat(steps, WINDOW)], axis=1)
    offset = graph.summed(graph.product(graph.softmax(alike), graph.constant(places)), 1, keep=False)
    graph.output(offset, "offset", ["M", 2])
    return graph
