"""Clustered vectors, and the indexes that learn from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

import fastcbir as fc
from fastcbir.stop.model import PLAIN, decode, encode

DIM = 24
K = 10


def clustered(count: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((60, DIM))
    spread = rng.uniform(0.2, 0.9, (count, 1))
    picked = centres[rng.integers(0, len(centres), count)]
    return np.asarray(picked + spread * rng.standard_normal((count, DIM)), np.float32)


def recalls(index: fc.Index, queries: npt.NDArray[Any], hits: fc.Hits) -> npt.NDArray[np.float64]:
    """(Q,) recall@k by exact distances; ties count."""
    k = hits.ids.shape[1]
    flat = fc.Index(index.dim, fc.Flat(), metric=index.metric)  # type: ignore[arg-type]
    flat.add(index.reconstruct(index.ids))
    kth = flat.search(queries, k).distances[:, -1:]
    return np.asarray((hits.distances <= kth + 1e-5 * np.abs(kth)).mean(1))


METHODS = {
    "hnsw": fc.Hnsw(m=8, ef_construction=60),
    "hnsw-codes": fc.Hnsw(m=16, ef_construction=60, codec="rabitq2"),
    "ivf": fc.Ivf(codec=None),
    "ivf-codes": fc.Ivf(),
    "imi": fc.Imi(bits=4),
}


def with_rules(index: fc.Index) -> fc.Index:
    """The same, with a model to which fixed efforts look dear: on few vectors no rule would be worth it."""
    model = decode(index._core.stop_model())
    curves = [
        replace(curve, costs=curve.costs * np.float32(1e4)) if curve.rule == PLAIN else curve
        for curve in model.curves
    ]
    index._core.set_stop_model(encode(replace(model, curves=curves)))
    return index
