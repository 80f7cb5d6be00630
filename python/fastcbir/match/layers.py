"""The layers of transformers as ONNX, a call each: what the graphs of LoFTR and LighterGlue are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.extract.onnx_graph import OnnxGraph

__all__ = ["LayerGraph"]

Weights = npt.NDArray[np.float32]

_EPSILON = 1e-5


class LayerGraph(OnnxGraph):
    """A graph whose layers are more than convolutions. All take and return names of values."""

    def relu(self, value: str) -> str:
        return self._node("Relu", [value])

    def leaky_relu(self, value: str) -> str:
        return self._node("LeakyRelu", [value], alpha=0.01)

    def enlarge(self, value: str) -> str:
        """To twice the size; the corners stay where they are."""
        factors = self._weight(np.array([1, 1, 2, 2], np.float32))
        mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
        return self._node("Resize", [value, "", factors], **mode)

    def channels_last(self, value: str) -> str:
        return self._node("Transpose", [value], perm=[0, 2, 3, 1])

    def product(self, left: str, right: str) -> str:
        return self._node("MatMul", [left, right])

    def times(self, left: str, right: str) -> str:
        return self._node("Mul", [left, right])

    def over(self, left: str, right: str) -> str:
        return self._node("Div", [left, right])

    def turned(self, value: str) -> str:
        """The last two axes swapped."""
        return self._node("Transpose", [value], perm=[0, 2, 1])

    def constant(self, values: Any) -> str:
        return self._weight(np.asarray(values, np.float32))

    def whole(self, values: list[int]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(self._numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def positive(self, value: str) -> str:
        """elu(x) + 1."""
        return self.add(self._node("Elu", [value]), self.constant(1.0))

    def joined(self, left: str, right: str) -> str:
        return self._node("Concat", [left, right], axis=-1)

    def normalised(self, value: str, scale: Weights, shift: Weights) -> str:
        inputs = [value, self._weight(scale), self._weight(shift)]
        return self._node("LayerNormalization", inputs, axis=-1, epsilon=_EPSILON)

    def summed(self, value: str, axis: int, *, keep: bool) -> str:
        return self._node("ReduceSum", [value, self.whole([axis])], keepdims=int(keep))

    def with_axis(self, value: str, axis: int) -> str:
        return self._node("Unsqueeze", [value, self.whole([axis])])

    def row(self, value: str, number: int) -> str:
        """(N, rows, C) -> (N, 1, C)."""
        ends = [self.whole([number]), self.whole([number + 1]), self.whole([1])]
        return self._node("Slice", [value, *ends])

    def softmax(self, value: str) -> str:
        return self._node("Softmax", [value], axis=-1)

    def sigmoid(self, value: str) -> str:
        return self._node("Sigmoid", [value])

    def gelu(self, value: str) -> str:
        """x * (1 + erf(x / sqrt 2)) / 2: the exact one."""
        bent = self._node("Erf", [self.times(value, self.constant(0.5**0.5))])
        return self.times(value, self.times(self.add(bent, self.constant(1.0)), self.constant(0.5)))

    def cosine(self, value: str) -> str:
        return self._node("Cos", [value])

    def sine(self, value: str) -> str:
        return self._node("Sin", [value])
