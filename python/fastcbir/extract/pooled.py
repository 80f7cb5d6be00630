"""A model whose feature map is pooled here, and whose vectors of several scales are averaged.

As in Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation" (2018): each scale's
vector is normalised, and they are averaged with GeM's own power where the pooling is GeM. NumPy alone.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from fastcbir.extract.card import Model
from fastcbir.extract.pooling import Pooling, l2_normalised

__all__ = ["PooledModel", "resized", "resizing_matrix"]

Array = npt.NDArray[np.float32]


@functools.lru_cache(maxsize=256)
def resizing_matrix(old: int, new: int) -> Array:
    """(new, old): each row the weights of one new pixel; bilinear, and antialiased where it shrinks."""
    ratio = old / new
    reach = max(1.0, ratio)  # the triangle filter widens with the reduction
    centres = (np.arange(new) + 0.5) * ratio - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(old)[None] - centres[:, None]) / reach)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def resized(batch: Array, height: int, width: int) -> Array:
    """(N, C, H, W) -> (N, C, height, width), as two products with banded matrices."""
    rows, columns = resizing_matrix(batch.shape[2], height), resizing_matrix(batch.shape[3], width)
    return np.ascontiguousarray(rows @ (batch @ columns.T))


class PooledModel:
    """Wraps what gives feature maps, (N, C, H, W) or tokens; without a pooling, what gives vectors.

    Args:
        model: the network.
        pool: None: its output is the vector.
        scales: of the input; each side is rounded to a multiple of `multiple`.
    """

    def __init__(self, model: Model, pool: Pooling | None, scales: tuple[float, ...], multiple: int) -> None:
        self._model = model
        self._pool = pool
        self._scales = scales
        self._multiple = multiple

    def __call__(self, batch: Array) -> Array:
        """(N, 3, H, W) -> (N, dim)."""
        if self._scales == (1.0,):
            return self._vectors(batch)
        power = self._pool.power if self._pool is not None and self._pool.kind == "gem" else 1.0
        total = np.float32(0.0)
        for scale in self._scales:
            height, width = (self._side(side, scale) for side in batch.shape[2:])
            at_scale = batch if (height, width) == batch.shape[2:] else resized(batch, height, width)
            total = total + l2_normalised(self._vectors(at_scale)) ** np.float32(power)
        return np.asarray((total / len(self._scales)) ** np.float32(1 / power), np.float32)

    def _vectors(self, batch: Array) -> Array:
        found = self._model(batch)
        return found if self._pool is None else self._pool(found)

    def _side(self, side: int, scale: float) -> int:
        return max(1, round(side * scale / self._multiple)) * self._multiple
