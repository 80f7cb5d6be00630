"""From a feature map to one vector: the poolings of the retrieval literature, on NumPy arrays.

A feature map is (N, C, H, W): C values for each of H x W places of each of N photos. What a transformer
gives instead, (N, T, C) tokens with the class token first, is pooled by "cls", or over its patches.

Imports NumPy alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["POOLINGS", "Pooling", "l2_normalised", "regions"]

Array = npt.NDArray[np.float32]

POOLINGS = ("gap", "mac", "spoc", "gem", "rmac", "cls")
_GEM_POWER = 3.0  # where GeM's training starts, and what it hardly leaves
_TINY = 1e-6
_REGION_LEVELS = 3
_REGION_OVERLAP = 0.4


def l2_normalised(vectors: npt.NDArray[np.floating]) -> Array:
    """Rows of length 1; a row of zeros stays zero. (..., D) -> (..., D) float32."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), np.float32)


@dataclass(frozen=True)
class Pooling:
    """One way to pool, written as text: "gap", "mac", "spoc", "gem" (= "gem3"), "gem2.5", "rmac", "cls".

    gap   the mean over all places.
    mac   the maximum (Tolias, Sicre, Jegou, 2016).
    spoc  the mean, weighted by a Gaussian about the centre (Babenko, Lempitsky, 2015).
    gem   the generalised mean with power p: p = 1 is gap, a large p nears mac (Radenovic, Tolias, Chum,
          2018).
    rmac  maxima over overlapping squares at three sizes, each normalised, summed (Tolias et al., 2016).
    cls   a transformer's class token.

    Attributes:
        kind: one of POOLINGS. power: of gem; 0 elsewhere.
    """

    kind: str
    power: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Pooling:
        """Raises ValueError on what is no pooling."""
        found = re.fullmatch(r"([a-z]+)(\d+(?:\.\d+)?)?", text)
        kind, power = (found[1], found[2]) if found else ("", None)
        if kind not in POOLINGS or (power is not None and kind != "gem"):
            raise ValueError(
                f"pooling must be one of {', '.join(POOLINGS)}, or gem with its power, got {text!r}"
            )
        if kind != "gem":
            return cls(kind)
        value = _GEM_POWER if power is None else float(power)
        if not 0.5 <= value <= 32:
            raise ValueError(f"the power of gem must be from 0.5 to 32, got {value:g}")
        return cls(kind, value)

    def __str__(self) -> str:
        return f"gem{self.power:g}" if self.kind == "gem" else self.kind

    def __call__(self, features: npt.NDArray[np.floating]) -> Array:
        """(N, C, H, W) maps, or (N, T, C) tokens -> (N, C) float32, not normalised.

        Raises:
            ValueError: the shape does not suit the pooling.
        """
        features = np.asarray(features, np.float32)
        if self.kind == "cls":
            if features.ndim != 3:
                raise ValueError(f"cls needs (N, tokens, C), got shape {features.shape}")
            return np.ascontiguousarray(features[:, 0])
        if features.ndim == 3:  # the patches of a transformer, as a map of one row
            features = features[:, 1:].transpose(0, 2, 1)[:, :, None]
        if features.ndim != 4 or not features.size:
            raise ValueError(f"{self} needs a feature map (N, C, H, W), got shape {features.shape}")
        if self.kind == "gem":
            return _gem(features, self.power)
        return _BY_KIND[self.kind](features)


def _gap(maps: Array) -> Array:
    return np.asarray(maps.mean(axis=(2, 3)), np.float32)


def _mac(maps: Array) -> Array:
    return np.asarray(maps.max(axis=(2, 3)), np.float32)


def _gem(maps: Array, power: float) -> Array:
    lifted = np.maximum(maps, _TINY)
    # Whole powers by multiplication: the general power costs ten times as much.
    raised = lifted**power if power not in (2.0, 3.0) else lifted * lifted * (lifted if power == 3.0 else 1.0)
    return np.asarray(raised.mean(axis=(2, 3)) ** (1.0 / power), np.float32)


def _spoc(maps: Array) -> Array:
    height, width = maps.shape[2:]
    # The paper's sigma: a third of the way from the centre to the nearest border.
    sigma = max(min(height, width) / 2 / 3, 1e-3)
    rows = np.exp(-((np.arange(height) - (height - 1) / 2) ** 2) / (2 * sigma**2))
    columns = np.exp(-((np.arange(width) - (width - 1) / 2) ** 2) / (2 * sigma**2))
    weights = np.outer(rows, columns)
    return np.asarray(np.einsum("nchw,hw->nc", maps, weights / weights.sum()), np.float32)


def regions(height: int, width: int) -> list[tuple[int, int, int]]:
    """R-MAC's squares as (top, left, side) in places of the map: three sizes that overlap by about 0.4."""
    short, long = min(height, width), max(height, width)
    # How many of the largest squares lie along the longer side: the number from 2 to 7 whose overlap comes
    # nearest the wanted one; a map that is nearly square needs none more.
    steps = np.arange(2, 8)
    gaps = (long - short) / (steps - 1)
    best = int(np.argmin(np.abs((short**2 - short * gaps) / short**2 - _REGION_OVERLAP)))
    extra = 0 if long == short else best + 1
    found = []
    for level in range(1, _REGION_LEVELS + 1):
        side = max(1, math.floor(2 * short / (level + 1)))
        across = level + (extra if width > height else 0)
        down = level + (extra if height > width else 0)
        for top in _starts(height, side, down):
            found += [(top, left, side) for left in _starts(width, side, across)]
    return found


def _starts(length: int, side: int, count: int) -> list[int]:
    room = max(0, length - side)
    return [math.floor(number * room / (count - 1)) if count > 1 else room // 2 for number in range(count)]


def _rmac(maps: Array) -> Array:
    total = l2_normalised(_mac(maps))
    for top, left, side in regions(*maps.shape[2:]):
        total = total + l2_normalised(_mac(maps[:, :, top : top + side, left : left + side]))
    return total


_BY_KIND: dict[str, Callable[[Array], Array]] = {"gap": _gap, "mac": _mac, "spoc": _spoc, "rmac": _rmac}
