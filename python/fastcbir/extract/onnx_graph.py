"""Writes convolutional networks as ONNX, a layer a call.

The names of values and weights are counted, so equal calls give equal bytes. Needs the `onnx` package,
which is imported when a graph is begun; nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require

__all__ = ["OnnxGraph", "fold_batch_norm"]

Weights = npt.NDArray[np.float32]

_OPSET = 17
_IR_VERSION = 8  # what ONNX Runtime 1.17, the oldest supported one, certainly reads


def fold_batch_norm(
    kernel: Weights, scale: Weights, shift: Weights, mean: Weights, variance: Weights, epsilon: float
) -> tuple[Weights, Weights]:
    """Kernel and bias of the convolution that equals a bias-free convolution followed by batch normalisation.

    kernel is (out, in, kh, kw); the others are (out,). The factors are computed in float64.
    """
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    bias = shift - mean * factor
    return (kernel * factor[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


class OnnxGraph:
    """A graph under construction. Each step takes the names of values and returns the name of its result."""

    def __init__(self, name: str) -> None:
        onnx = require("onnx", "photos", "converting a model")
        self._helper: Any = require("onnx.helper", "photos", "converting a model")
        self._numpy_helper: Any = require("onnx.numpy_helper", "photos", "converting a model")
        self._float = onnx.TensorProto.FLOAT
        self._name = name
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """A float32 input; a side given by a name is dynamic."""
        self._inputs.append(self._helper.make_tensor_value_info(name, self._float, list(shape)))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str]) -> None:
        """Give a value to the caller, under a name of its own."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._helper.make_tensor_value_info(name, self._float, list(shape)))

    def conv(
        self,
        value: str,
        kernel: Weights,
        bias: Weights,
        *,
        stride: int = 1,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """2-D convolution; pads are (top, left, bottom, right)."""
        inputs = [value, self._weight(kernel), self._weight(bias)]
        attributes = {"strides": [stride, stride], "pads": list(pads), "group": groups}
        return self._node("Conv", inputs, kernel_shape=list(kernel.shape[2:]), **attributes)

    def relu6(self, value: str) -> str:
        """min(max(x, 0), 6)."""
        bounds = [self._weight(np.asarray(bound, np.float32)) for bound in (0, 6)]
        return self._node("Clip", [value, *bounds])

    def add(self, left: str, right: str) -> str:
        """Elementwise sum."""
        return self._node("Add", [left, right])

    def average_pool(self, value: str) -> str:
        """(N, C, H, W) -> (N, C), the mean over all positions."""
        return self._node("Flatten", [self._node("GlobalAveragePool", [value])], axis=1)

    def linear(self, value: str, weight: Weights, bias: Weights) -> str:
        """(N, in) -> (N, out), with weight (out, in)."""
        return self._node("Gemm", [value, self._weight(weight), self._weight(bias)], transB=1)

    def serialize(self, metadata: dict[str, str]) -> bytes:
        """The finished model, checked, as the bytes of an .onnx file."""
        graph = self._helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._weights)
        model = self._helper.make_model(
            graph,
            opset_imports=[self._helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="fastcbir",
        )
        self._helper.set_model_props(model, metadata)
        require("onnx", "photos", "converting a model").checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _weight(self, values: Weights) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(self._helper.make_node(kind, inputs, [name], **attributes))
        return name
