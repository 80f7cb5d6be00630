"""Diffusion on the graph of nearest neighbours: photos are near that many short steps lead to. NumPy alone.

Iscen et al., CVPR 2017: the ranking scores f solve (1 - alpha S) f = (1 - alpha) y, where S is the
symmetrically normalised graph of reciprocal neighbours and y the query's own neighbours; solved by conjugate
gradients, sparse throughout.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["diffuse"]

Numbers = npt.NDArray[np.float64]


def diffuse(
    neighbours: npt.ArrayLike,
    cosines: npt.ArrayLike,
    seeds: npt.ArrayLike,
    seed_weights: npt.ArrayLike,
    *,
    alpha: float = 0.9,
    gamma: float = 3.0,
    iterations: int = 20,
) -> npt.NDArray[np.float32]:
    """How near each of N photos is to a query along the graph.

    Args:
        neighbours: (N, n) row numbers of each photo's nearest, itself left out; -1 for none.
        cosines: (N, n), with those neighbours; negative ones count as 0.
        seeds: (s,) the photos nearest to the query (or those that verification confirmed).
        seed_weights: (s,) their cosines with the query.
        alpha: how far it spreads, in (0, 1). gamma: power of the cosines. iterations: of the solver, at most.

    Returns:
        (N,) float32, larger is nearer; photos that no path reaches have 0.

    Raises:
        ValueError: shapes that don't fit, numbers out of range.
    """
    near = np.asarray(neighbours, np.int64)
    weight = np.clip(np.asarray(cosines, np.float64), 0, None) ** gamma
    if near.ndim != 2 or weight.shape != near.shape:
        raise ValueError(f"expected neighbours and cosines (N, n), got {near.shape} and {weight.shape}")
    if near.size and (near.max() >= len(near) or near.min() < -1):
        raise ValueError(f"neighbours must be row numbers below {len(near)}, or -1")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha}")
    count = len(near)
    rows, columns, values = _reciprocal(near, weight)
    start = np.zeros(count)
    np.add.at(
        start, np.asarray(seeds, np.int64), np.clip(np.asarray(seed_weights, np.float64), 0, None) ** gamma
    )
    degree = np.bincount(rows, values, count)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1e-300)), 0.0)
    values = values * scale[rows] * scale[columns]

    def spread(f: Numbers) -> Numbers:
        return f - alpha * np.bincount(rows, values * f[columns], count)

    return np.asarray(_solve(spread, (1 - alpha) * start, iterations), np.float32)


def _reciprocal(near: npt.NDArray[np.int64], weight: Numbers) -> tuple[npt.NDArray[np.int64], ...]:
    """(rows, columns, values) of the pairs that are each other's neighbours, both ways."""
    count = len(near)
    rows = np.repeat(np.arange(count), near.shape[1])
    columns, values = near.ravel(), weight.ravel()
    known = (columns >= 0) & (columns != rows)
    rows, columns, values = rows[known], columns[known], values[known]
    names = rows * count + columns
    mutual = np.isin(names, columns * count + rows)
    return rows[mutual], columns[mutual], values[mutual]


def _solve(apply: Callable[[Numbers], Numbers], right: Numbers, iterations: int) -> Numbers:
    """Conjugate gradients; the matrix is symmetric and positive definite."""
    found = np.zeros_like(right)
    rest = right.copy()
    direction = rest.copy()
    norm = float(rest @ rest)
    for _ in range(iterations):
        if norm < 1e-20:
            break
        applied = apply(direction)
        step = norm / float(direction @ applied)
        found += step * direction
        rest -= step * applied
        fresh = float(rest @ rest)
        direction = rest + fresh / norm * direction
        norm = fresh
    return found
