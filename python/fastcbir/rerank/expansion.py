"""Query expansion: a query made richer by its own first hits, and a database by its neighbours. NumPy alone.

Average query expansion: Chum et al., ICCV 2007. alpha-QE: Radenovic et al., TPAMI 2019. Database-side
augmentation: Arandjelovic & Zisserman, CVPR 2012. Vectors are of length 1 and compared by their cosine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["alpha_expansion", "augment_database", "average_expansion"]

Vectors = npt.NDArray[np.float32]


def average_expansion(query: npt.ArrayLike, hits: npt.ArrayLike) -> Vectors:
    """The mean of a query and its hits.

    Args:
        query: (dim,) of length 1. hits: (n, dim), those that are trusted: verified ones, or the first few.

    Returns:
        (dim,) float32 of length 1.
    """
    return alpha_expansion(query, hits, alpha=0.0)


def alpha_expansion(query: npt.ArrayLike, hits: npt.ArrayLike, *, alpha: float = 3.0) -> Vectors:
    """The mean of a query and its hits, each hit weighted by its cosine with the query to the power `alpha`.

    Args:
        query: (dim,) of length 1. hits: (n, dim), of length 1. alpha: 0 weighs all alike; a hit with a
            negative cosine has no weight.

    Returns:
        (dim,) float32 of length 1.

    Raises:
        ValueError: shapes that don't fit, a negative alpha.
    """
    one = np.asarray(query, np.float64)
    many = np.asarray(hits, np.float64)
    if one.ndim != 1 or many.ndim != 2 or many.shape[1] != len(one):
        raise ValueError(f"expected a query (dim,) and hits (n, dim), got {one.shape} and {many.shape}")
    if alpha < 0:
        raise ValueError(f"alpha must be at least 0, got {alpha}")
    cosines = np.clip(many @ one, 0, 1)
    weights = np.where(cosines > 0, cosines**alpha, 0.0) if alpha else np.ones(len(many))
    return _unit(one + weights @ many)


def augment_database(vectors: npt.ArrayLike, neighbours: npt.ArrayLike, *, alpha: float = 3.0) -> Vectors:
    """Each vector replaced by the weighted mean of itself and its neighbours, as alpha_expansion does.

    Args:
        vectors: (N, dim) of length 1.
        neighbours: (N, n) row numbers, each row's own left out; -1 for none.

    Returns:
        (N, dim) float32 of length 1.
    """
    base = np.asarray(vectors, np.float32)
    near = np.asarray(neighbours, np.int64)
    if base.ndim != 2 or near.ndim != 2 or len(near) != len(base):
        raise ValueError(f"expected vectors (N, dim), neighbours (N, n), got {base.shape}, {near.shape}")
    if near.size and (near.max() >= len(base) or near.min() < -1):
        raise ValueError(f"neighbours must be row numbers below {len(base)}, or -1")
    rows = [alpha_expansion(base[i], base[near[i][near[i] >= 0]], alpha=alpha) for i in range(len(base))]
    return np.stack(rows) if rows else base.copy()


def _unit(vector: npt.NDArray[np.float64]) -> Vectors:
    length = float(np.linalg.norm(vector))
    return np.asarray(vector / length if length else vector, np.float32)
