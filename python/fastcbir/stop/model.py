"""The learned model as bytes: an .fcx file's STOP section, which cpp/fastcbir/stop/stop_model.cpp reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PLAIN", "PRICE", "Curve", "Model", "decode", "encode"]

PLAIN, PRICE = 0, 1

_VERSION = 1
_HEADER = struct.Struct("<I5IQQdffIIIIII")
_CURVE = struct.Struct("<IIIIIffi")


@dataclass(frozen=True)
class Curve:
    """How searches for one k end at one rule's thresholds.

    Attributes:
        rule: PLAIN (thresholds are ef or nprobe) or PRICE (log2(distances) + weight * d_next / d_k).
        k: neighbours searched for.
        cap: ef or nprobe of the search that the rule shortens.
        queries: held out for calibration.
        weight, farthest: of PRICE.
        thresholds: (P,) float32, ascending.
        costs: (P,) float32, mean distances a query at each, on the design queries.
        counts: (P, k + 1) uint32, at each threshold: held-out queries that found 0, 1, .. k of their k.
    """

    rule: int
    k: int
    cap: int
    queries: int
    weight: float
    farthest: float
    thresholds: npt.NDArray[np.float32]
    costs: npt.NDArray[np.float32]
    counts: npt.NDArray[np.uint32]

    @property
    def recalls(self) -> npt.NDArray[np.float64]:
        """(P,) mean recall at each threshold."""
        found = self.counts @ np.arange(self.k + 1, dtype=np.float64)
        return np.asarray(found / (self.queries * self.k), np.float64)


@dataclass(frozen=True)
class Model:
    """All that was learned about an index.

    Attributes:
        fingerprint: kind, dim, metric, dtype and code bits, as the core numbers them.
        vectors, removed: in the index, and taken out of it, when this was learned.
        learned_at: seconds since 1970.
        largest_norm: of the vectors, under "ip"; else 0.
        margin: standard errors of the calibration that a promise keeps clear of its target.
        own_queries, given_queries: how many of each were learned from.
        curves: ascending in k.
    """

    fingerprint: tuple[int, int, int, int, int]
    vectors: int
    removed: int
    learned_at: float
    largest_norm: float
    margin: float
    own_queries: int
    given_queries: int
    curves: list[Curve] = field(default_factory=list)


def encode(model: Model) -> bytes:
    """The bytes of a model."""
    header = _HEADER.pack(
        _VERSION,
        *model.fingerprint,
        model.vectors,
        model.removed,
        model.learned_at,
        model.largest_norm,
        model.margin,
        len(model.curves),
        model.own_queries,
        model.given_queries,
        0,
        0,
        0,
    )
    parts = [header]
    for curve in model.curves:
        points = len(curve.thresholds)
        parts.append(
            _CURVE.pack(
                curve.rule, curve.k, curve.cap, curve.queries, points, curve.weight, curve.farthest, -1
            )
        )
        parts.append(np.ascontiguousarray(curve.thresholds, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.costs, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.counts, "<u4").tobytes())
    return b"".join(parts)


def decode(data: bytes) -> Model:
    """The model of bytes that the core has accepted."""
    values: tuple[Any, ...] = _HEADER.unpack_from(data)
    at = _HEADER.size
    curves = []
    for _ in range(values[11]):
        rule, k, cap, queries, points, weight, farthest, _forest = _CURVE.unpack_from(data, at)
        at += _CURVE.size
        thresholds = np.frombuffer(data, "<f4", points, at)
        costs = np.frombuffer(data, "<f4", points, at + 4 * points)
        counts = np.frombuffer(data, "<u4", points * (k + 1), at + 8 * points).reshape(points, k + 1)
        at += 8 * points + counts.nbytes
        curves.append(Curve(rule, k, cap, queries, weight, farthest, thresholds, costs, counts))
    return Model(
        fingerprint=values[1:6],
        vectors=values[6],
        removed=values[7],
        learned_at=values[8],
        largest_norm=values[9],
        margin=values[10],
        own_queries=values[12],
        given_queries=values[13],
        curves=curves,
    )
