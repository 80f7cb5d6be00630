"""The learned model as bytes: an .fcx file's STOP section, which cpp/fastcbir/stop/stop_model.cpp reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FOREST", "PLAIN", "PRICE", "Curve", "Forest", "Model", "decode", "encode"]

PLAIN, PRICE, FOREST = 0, 1, 2

FloatArray = npt.NDArray[np.float32]

LANES, DEPTH, NODES, LEAVES, WIDTH = 16, 4, 15, 16, 8

_VERSION = 3
_HEADER = struct.Struct("<I5IQQdffIIIIII")
_CURVE = struct.Struct("<IIIIIffiff")
_CURVE_1 = struct.Struct("<IIIIIffi")  # of version 1, which had no filters, budgets and shadow searches
_FOREST = struct.Struct("<64sIf32s24x")
_FEATURE_NAMES = b"gap next/k first/k next/first lists since trend distances"


# ForestBlock of cpp/fastcbir/kernels/table.hpp.
BLOCK = np.dtype(
    [
        ("feature", "<u4", (NODES, LANES)),
        ("threshold", "<f4", (NODES, LANES)),
        ("leaf", "<f4", (LEAVES, LANES)),
    ]
)


@dataclass(frozen=True)
class Forest:
    """A gain, in bits of log-odds: bias + linear @ features + the leaves that the trees lead to.

    Attributes:
        bias: a number.
        linear: (8,) float32.
        blocks: (B,) of BLOCK, sixteen trees each.
    """

    bias: float
    linear: FloatArray
    blocks: npt.NDArray[np.void]

    def gain(self, features: FloatArray) -> FloatArray:
        """(N,) for (N, 8) features."""
        total = np.full(len(features), self.bias, np.float32) + features @ self.linear
        rows = np.arange(len(features))[:, None]
        lanes = np.arange(LANES)[None]
        for block in self.blocks:
            node = np.zeros((len(features), LANES), np.int64)
            for _ in range(DEPTH):
                right = features[rows, block["feature"][node, lanes]] > block["threshold"][node, lanes]
                node = 2 * node + 1 + right
            total += block["leaf"][node - NODES, lanes].sum(1, dtype=np.float32)
        return np.asarray(total, np.float32)


@dataclass(frozen=True)
class Curve:
    """How searches for one k end at one rule's thresholds.

    Attributes:
        rule: PLAIN (thresholds are ef or nprobe), PRICE (log2(distances) + weight * d_next / d_k) or FOREST
            (log2(distances) - gain).
        k: neighbours searched for.
        cap: ef or nprobe of the search that the rule shortens.
        queries: held out for calibration.
        weight: of PRICE.
        farthest: the k-th nearest of no query learned from was further away; 0 of PLAIN.
        forest: of FOREST.
        shares: least and most share of the vectors that the filters learned from let through; (0, 0): no
            filter.
        thresholds: (P,) float32, ascending.
        budgets: (P,) float32, ascending: a search that has paid so many distances ends, whatever its score.
        widths: (P,) float32, ascending: ef of the beam of PRICE, beyond which nothing is kept.
        costs: (P,) float32, mean distances a query at each, on the design queries.
        counts: (P, k + 1) uint32, at each threshold: held-out queries that found 0, 1, .. k of their k.
    """

    rule: int
    k: int
    cap: int
    queries: int
    weight: float
    farthest: float
    forest: Forest | None
    shares: tuple[float, float]
    thresholds: npt.NDArray[np.float32]
    budgets: npt.NDArray[np.float32]
    widths: npt.NDArray[np.float32]
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
        shadow_every: one in so many searches by recall is checked; 0: none.
        curves: by filter, then by k.
    """

    fingerprint: tuple[int, int, int, int, int]
    vectors: int
    removed: int
    learned_at: float
    largest_norm: float
    margin: float
    own_queries: int
    given_queries: int
    shadow_every: int
    curves: list[Curve] = field(default_factory=list)


def encode(model: Model) -> bytes:
    """The bytes of a model."""
    forests: list[Forest] = []
    for curve in model.curves:
        if curve.forest is not None and not any(curve.forest is forest for forest in forests):
            forests.append(curve.forest)
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
        len(forests),
        model.shadow_every,
        0,
    )
    parts = [header]
    for curve in model.curves:
        points = len(curve.thresholds)
        parts.append(
            _CURVE.pack(
                curve.rule,
                curve.k,
                curve.cap,
                curve.queries,
                points,
                curve.weight,
                curve.farthest,
                next((i for i, forest in enumerate(forests) if forest is curve.forest), -1),
                *curve.shares,
            )
        )
        parts.append(np.ascontiguousarray(curve.thresholds, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.budgets, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.widths, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.costs, "<f4").tobytes())
        parts.append(np.ascontiguousarray(curve.counts, "<u4").tobytes())
    for forest in forests:
        linear = np.ascontiguousarray(forest.linear, "<f4").tobytes()
        parts.append(_FOREST.pack(_FEATURE_NAMES, len(forest.blocks), forest.bias, linear))
        parts.append(forest.blocks.tobytes())
    return b"".join(parts)


def decode(data: bytes) -> Model:
    """The model of bytes that the core has accepted."""
    values: tuple[Any, ...] = _HEADER.unpack_from(data)
    at = _HEADER.size
    curves: list[Curve] = []
    forest_of: list[int] = []
    for _ in range(values[11]):
        layout = _CURVE if values[0] > 1 else _CURVE_1
        head: tuple[Any, ...] = (*layout.unpack_from(data, at), 0.0, 0.0)
        rule, k, cap, queries, points, weight, farthest, forest, least, most = head[:10]
        forest_of.append(forest)
        at += layout.size
        columns = 1 + min(values[0], 3)
        numbers = np.frombuffer(data, "<f4", columns * points, at).reshape(columns, points)
        at += numbers.nbytes
        budgets = numbers[1] if columns > 2 else np.full(points, np.float32(3e38))
        widths = numbers[2] if columns > 3 else np.full(points, np.float32(cap))
        counts = np.frombuffer(data, "<u4", points * (k + 1), at).reshape(points, k + 1)
        at += counts.nbytes
        curves.append(
            Curve(
                rule,
                k,
                cap,
                queries,
                weight,
                farthest,
                None,
                (least, most),
                numbers[0],
                budgets,
                widths,
                numbers[-1],
                counts,
            )
        )
    forests: list[Forest] = []
    for _ in range(values[14]):
        _names, count, bias, linear = _FOREST.unpack_from(data, at)
        at += _FOREST.size
        forests.append(Forest(bias, np.frombuffer(linear, "<f4"), np.frombuffer(data, BLOCK, count, at)))
        at += count * BLOCK.itemsize
    curves = [
        replace(curve, forest=forests[number]) if number >= 0 else curve
        for curve, number in zip(curves, forest_of, strict=True)
        if number < 0 or values[0] > 1  # trees of the first version knew another k-th nearest
    ]
    return Model(
        fingerprint=values[1:6],
        vectors=values[6],
        removed=values[7],
        learned_at=values[8],
        largest_norm=values[9],
        margin=values[10],
        own_queries=values[12],
        given_queries=values[13],
        shadow_every=values[15],
        curves=curves,
    )
