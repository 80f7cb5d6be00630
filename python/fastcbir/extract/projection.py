"""Linear maps after the model, learned from vectors: centring, PCA, whitening, learned whitening.

    y = P (x - m), then length 1

`fit_whitening` needs no labels: it is what an album learns from its own photos. `fit_learned_whitening` needs
pairs of vectors that show the same (Mikolajczyk, Matas, 2007, as used by Radenovic, Tolias, Chum, 2018).

Imports NumPy alone.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fastcbir.errors import FormatError
from fastcbir.extract.pooling import l2_normalised

__all__ = ["Projection", "fit_learned_whitening", "fit_whitening", "shrinkage"]

Array = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]

_RELATIVE_FLOOR = 1e-7  # of the largest eigenvalue: below lies rounding


@dataclass(frozen=True, eq=False)
class Projection:
    """A learned map of vectors. Equal ones have equal keys.

    Attributes:
        kind: how it was learned, such as "whiten(0.5)".
        mean: (dim,) float32. matrix: (out_dim, dim) float32.
    """

    kind: str
    mean: Array
    matrix: Array

    @property
    def dim(self) -> int:
        """Elements of what goes in."""
        return int(self.matrix.shape[1])

    @property
    def out_dim(self) -> int:
        """Elements of what comes out."""
        return int(self.matrix.shape[0])

    @cached_property
    def key(self) -> str:
        """16 hex digits that tell this map from any other."""
        digest = hashlib.sha256(np.asarray(self.matrix.shape, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.mean, "<f4").tobytes())
        digest.update(np.ascontiguousarray(self.matrix, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def __call__(self, vectors: npt.NDArray[np.floating]) -> Array:
        """(N, dim) -> (N, out_dim) float32, rows of length 1.

        Raises:
            ValueError: another dim.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(f"expected vectors (N, {self.dim}), got shape {vectors.shape}")
        centred = np.asarray(vectors, np.float32) - self.mean
        found = l2_normalised(centred @ self.matrix.T)
        # The mean itself has no direction left, and cosine can't take a zero: it becomes the diagonal.
        found[~found.any(axis=1)] = 1 / np.sqrt(self.out_dim)
        return found

    def to_bytes(self) -> bytes:
        """For keeping it; from_bytes() reads it."""
        buffer = io.BytesIO()
        np.savez(buffer, kind=np.array(self.kind), mean=self.mean, matrix=self.matrix)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Projection:
        """Raises FormatError where these are not the bytes of a projection."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                kind, mean, matrix = str(archive["kind"]), archive["mean"], archive["matrix"]
        except Exception as error:  # NumPy and zipfile raise nearly anything on damaged bytes
            raise FormatError(f"a stored projection is damaged ({type(error).__name__}: {error})") from error
        fits = matrix.ndim == 2 and mean.shape == matrix.shape[1:] and matrix.size
        if not fits or mean.dtype != np.float32 or matrix.dtype != np.float32:
            raise FormatError(
                f"a stored projection has a mean {mean.shape} of {mean.dtype} and a matrix {matrix.shape} of "
                f"{matrix.dtype}"
            )
        return cls(kind, mean, matrix)


def shrinkage(centred: Exact) -> float:
    """How far the covariance of so few samples should be drawn towards a multiple of the identity, 0..1
    (Ledoit, Wolf, 2004).

    Args:
        centred: (N, dim), their mean taken away.
    """
    count, dim = centred.shape
    # From the (N, N) products where that is smaller; the traces are the same.
    products = centred @ centred.T if count < dim else centred.T @ centred
    trace, squared = float(np.trace(products)) / count, float((products**2).sum()) / count**2
    spread = squared / dim - (trace / dim) ** 2
    lengths = np.einsum("nd,nd->n", centred, centred)
    noise = float((lengths**2).sum()) / count**2 / dim - squared / dim / count
    return 1.0 if spread <= 0 else min(1.0, max(0.0, noise / spread))


def fit_whitening(
    vectors: npt.NDArray[np.floating], *, strength: float = 0.5, dim: int | None = None
) -> Projection:
    """Learn PCA-whitening from vectors alone.

    The covariance C is drawn towards a multiple of the identity as far as `shrinkage` says, so few vectors
    suffice and no direction is lost; then P = eigenvectors * eigenvalues^(-strength / 2).

    Args:
        vectors: (N, in_dim), N >= 2.
        strength: 0 takes the mean away (and with `dim` is PCA), 1 is whitening; between them "PCA-whitening
            with shrinkage" of HOW (Tolias, Jenicek, Chum, 2020).
        dim: keep only so many directions, those of the largest variance; None keeps all.

    Raises:
        ValueError: too few vectors, or they are all one; strength or dim out of range.
    """
    exact = _samples(vectors, 2)
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be from 0 to 1, got {strength}")
    if dim is not None and not 1 <= dim <= exact.shape[1]:
        raise ValueError(f"dim must be from 1 to {exact.shape[1]}, or None for all, got {dim}")
    mean = exact.mean(axis=0)
    centred = exact - mean
    values, directions = np.linalg.eigh(centred.T @ centred / len(exact))
    values, directions = np.maximum(values[::-1], 0), directions[:, ::-1]
    if values[0] <= 0:
        raise ValueError("the vectors are all the same, so they have no directions to be learned")
    share = shrinkage(centred)
    values = (1 - share) * values + share * values.mean()
    kept = values > _RELATIVE_FLOOR * values[0]
    values, directions = values[kept][:dim], directions[:, kept][:, :dim]
    matrix = (_signed(directions) * values ** (-strength / 2)).T
    return Projection(f"whiten({strength:g})", mean.astype(np.float32), matrix.astype(np.float32))


def fit_learned_whitening(
    vectors: npt.NDArray[np.floating], pairs: npt.NDArray[np.integer], *, dim: int | None = None
) -> Projection:
    """Learn whitening from pairs that show the same: what differs within pairs is scaled down.

    Args:
        vectors: (N, in_dim).
        pairs: (P, 2) rows of `vectors` that show the same thing.
        dim: keep only so many directions; None keeps all.

    Raises:
        ValueError: pairs that are none, or name no row; dim out of range.
    """
    exact = _samples(vectors, 2)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ValueError(f"pairs must be (P, 2) rows of the vectors, P >= 1, got shape {pairs.shape}")
    if pairs.min() < 0 or pairs.max() >= len(exact):
        raise ValueError(f"pairs must name rows 0 to {len(exact) - 1}, got {pairs.min()} to {pairs.max()}")
    if dim is not None and not 1 <= dim <= exact.shape[1]:
        raise ValueError(f"dim must be from 1 to {exact.shape[1]}, or None for all, got {dim}")
    queries, positives = exact[pairs[:, 0]], exact[pairs[:, 1]]
    mean = queries.mean(axis=0)
    within = (queries - positives).T @ (queries - positives) / len(pairs)
    inner = np.linalg.inv(_cholesky(within))
    spread = inner @ (exact - mean).T
    values, directions = np.linalg.eigh(spread @ spread.T)
    del values
    matrix = (_signed(directions[:, ::-1][:, :dim]).T @ inner).astype(np.float32)
    return Projection("learned", mean.astype(np.float32), matrix)


def _samples(vectors: npt.NDArray[np.floating], least: int) -> Exact:
    if vectors.ndim != 2 or len(vectors) < least or not vectors.shape[1]:
        raise ValueError(f"expected at least {least} vectors (N, dim) to learn from, got {vectors.shape}")
    exact = np.asarray(vectors, np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("the vectors to learn from have elements that are not finite (NaN or infinity)")
    return exact


def _cholesky(matrix: Exact) -> Exact:
    """The lower factor; the diagonal is lifted until there is one."""
    scale = max(float(np.trace(matrix)) / len(matrix), 1e-300)
    lift = 0.0
    while True:
        try:
            lifted = matrix + lift * scale * np.eye(len(matrix))
            return np.asarray(np.linalg.cholesky(lifted), np.float64)
        except np.linalg.LinAlgError:
            lift = max(1e-10, lift * 10)


def _signed(directions: Exact) -> Exact:
    """Columns whose largest element is positive: eigenvectors are found up to sign, and that may differ."""
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return np.asarray(directions * np.where(largest < 0, -1.0, 1.0), np.float64)
