"""The obvious way, to compare the clever ones with: distances in float64, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

METRICS = ("l2", "ip", "cosine")
DTYPES = ("float32", "float16", "uint8", "int8")


def distances(queries: Array, vectors: Array, metric: str) -> npt.NDArray[np.float64]:
    """(Q, N) float64 distances as fastcbir defines them."""
    q = np.asarray(queries, np.float64)
    x = np.asarray(vectors, np.float64)
    if metric == "l2":
        return np.maximum((q**2).sum(1)[:, None] - 2 * q @ x.T + (x**2).sum(1)[None], 0)
    if metric == "ip":
        return -(q @ x.T)
    norms = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(x, axis=1)[None]
    return 1 - q @ x.T / norms


def make_vectors(count: int, dim: int, dtype: str, seed: int) -> Array:
    """Vectors that an index of this dtype takes; float16 ones are given, and compared, as float32."""
    rng = np.random.default_rng(seed)
    if dtype == "uint8":
        return rng.integers(0, 256, (count, dim), dtype=np.uint8)
    if dtype == "int8":
        return rng.integers(-128, 128, (count, dim), dtype=np.int8)
    values = rng.standard_normal((count, dim), dtype=np.float32)
    return values.astype(np.float16).astype(np.float32) if dtype == "float16" else values


def recall(found: Array, truth: Array) -> float:
    """Mean share of each row of `truth` that stands in the same row of `found`."""
    return float((truth[:, :, None] == found[:, None, :]).any(2).mean())
