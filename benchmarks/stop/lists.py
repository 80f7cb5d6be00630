"""Rules of inverted lists: ours, and what others stop by, on the same traces."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import fastcbir as fc
from benchmarks.stop import learned
from benchmarks.stop.rules import FloatArray, Outcome, ended, outcome_of
from fastcbir.stop.curves import DISTANCES, FEATURES, FOUND, KTH, NEXT, RANK, Steps, forest_rule, plain_rule
from fastcbir.stop.forest import train_forest

__all__ = ["centroids_of", "families", "plain"]

GAP, NEXT_K, FIRST_K, NEXT_FIRST, LISTS, SINCE, TREND, PAID = range(5, 13)


def centroids_of(index: fc.Index) -> npt.NDArray[np.float32]:
    """(nlist, dim) of an `Ivf`, from its file (docs/format.md)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.fcx"
        index.save(path)
        data = path.read_bytes()
    (count,) = struct.unpack_from("<H", data, 38)
    entries = [struct.unpack_from("<4sIQQQ", data, 64 + 32 * i) for i in range(count)]
    begin, size = next((entry[2], entry[3]) for entry in entries if entry[0] == b"CEN1")
    row = -(-index.dim * np.dtype(index.dtype).itemsize // 64) * 64
    rows = np.frombuffer(data, np.uint8, size, begin).reshape(-1, row)
    width = index.dim * np.dtype(index.dtype).itemsize
    return np.ascontiguousarray(rows[:, :width]).view(index.dtype).astype(np.float32)


@dataclass(frozen=True)
class _Geometry:
    """The nearest centroids of each query.

    Attributes:
        nearest: (Q, L) squared distances, ascending.
        borders: (Q, L) distance of the query from the border between the nearest cell and each.
    """

    nearest: FloatArray
    borders: FloatArray


def _geometry(queries: npt.NDArray[Any], centroids: npt.NDArray[np.float32], lists: int) -> _Geometry:
    nearest, borders = [], []
    for part in np.array_split(queries.astype(np.float32), max(len(queries) // 512, 1)):
        squares = (part**2).sum(1)[:, None] - 2 * part @ centroids.T + (centroids**2).sum(1)
        order = np.argsort(squares, axis=1)[:, :lists]
        ranked = np.maximum(np.take_along_axis(squares, order, 1), 0)
        apart = np.stack([np.linalg.norm(centroids[row] - centroids[row[0]], axis=1) for row in order])
        nearest.append(ranked)
        borders.append((ranked - ranked[:, :1]) / np.maximum(2 * apart, 1e-6))
    return _Geometry(np.concatenate(nearest), np.concatenate(borders).astype(np.float32))


def plain(steps: Steps, design: slice) -> list[Outcome]:
    """A fixed nprobe, the same for all."""
    return [outcome_of("nprobe", steps, plain_rule(steps.of(design), 1))]


def ours(steps: Steps, design: slice) -> list[Outcome]:
    """The product's: trees of the gain, cut at what the slowest plain searches pay."""
    trained = design.stop * 2 // 3
    forest = train_forest(steps.of(slice(0, trained)), 0)
    rule = forest_rule(steps.of(slice(trained, design.stop)), plain_rule(steps.of(design), 1), forest)
    return [outcome_of("forest", steps, rule)]


def spann(steps: Steps, design: slice) -> list[Outcome]:
    """Chen et al., NeurIPS 2021: lists whose centroid is up to (1 + epsilon) times as far as the nearest."""
    return [ended("epsilon", steps, steps.rows[:, NEXT_FIRST], design)]


def patience(steps: Steps, design: slice) -> list[Outcome]:
    """Until the k-th nearest has stayed the same for so many lists."""
    return [ended("patience", steps, steps.rows[:, SINCE], design)]


def conann(steps: Steps, design: slice) -> list[Outcome]:
    """ConANN (2025): the distance of the k-th nearest so far, with a price on the number of lists."""
    kth = steps.rows[:, KTH]
    largest = kth[steps.last][design]
    scale = float(np.sqrt(largest[np.isfinite(largest)].max(initial=1e-9)))
    near = np.where(np.isfinite(kth), np.minimum(np.sqrt(np.maximum(kth, 0)) / scale, 1), 1)
    outcomes = []
    for price in (0.0, 0.001, 0.01, 0.1):
        scores = price * steps.rows[:, RANK] - near
        outcomes.append(ended(f"lambda {price:g}", steps, scores.astype(np.float32), design))
    return outcomes


def adaptive_partition_scanning(steps: Steps, design: slice, geometry: _Geometry, dim: int) -> list[Outcome]:
    """Quake's APS (OSDI 2025): the volume of the ball around the query, as far as the k-th nearest, that lies
    beyond the border of each cell; until the cells scanned hold so much of it."""
    from scipy.special import betainc

    scores = np.zeros(len(steps.rows), np.float32)
    lists = geometry.borders.shape[1]
    for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
        radius = np.sqrt(np.maximum(steps.rows[begin:end, KTH], 1e-30))
        known = np.isfinite(radius)
        heights = geometry.borders[query][None, 1:] / np.where(known, radius, 1)[:, None]
        beyond = 0.5 * betainc((dim + 1) / 2, 0.5, np.clip(1 - heights**2, 0, 1))
        first = np.prod(1 - beyond, axis=1)
        shares = (1 - first)[:, None] * beyond / np.maximum(beyond.sum(1), 1e-30)[:, None]
        held = first[:, None] + np.cumsum(np.concatenate([np.zeros((len(shares), 1)), shares], 1), 1)
        scanned = np.minimum(np.arange(1, end - begin + 1), lists) - 1
        # How little is missing, so that thresholds near all of it can be told apart.
        missing = np.maximum(1 - held[np.arange(end - begin), scanned], 1e-12)
        scores[begin:end] = np.where(known, -np.log(missing), -np.inf)
    return [ended("APS", steps, scores, design)]


def laet(steps: Steps, design: slice, queries: npt.NDArray[Any], geometry: _Geometry) -> list[Outcome]:
    """Li et al., SIGMOD 2020: one look after some lists; a regression of log2 of the lists that would
    do, from the query, ten ratios of distances to centroids, and the k-th nearest."""
    least = np.full(len(steps), np.nan)
    for query, (begin, end) in enumerate(zip(steps.offsets[:-1], steps.offsets[1:], strict=True)):
        found = steps.rows[begin:end, FOUND]
        if found[-1] >= steps.k:
            least[query] = 1 + int(np.argmax(found >= steps.k))
    cut = design.stop * 2 // 3
    train, choose = slice(0, cut), slice(cut, design.stop)
    known = np.isfinite(least[train])
    c = np.sqrt(np.maximum(geometry.nearest, 1e-20))
    places = [min(place, c.shape[1] - 1) for place in range(10, 101, 10)]
    of = np.repeat(np.arange(len(steps)), np.diff(steps.offsets))
    outcomes = []
    for share in (0.2, 0.5, 0.8):
        look = int(np.quantile(least[train][known], share))
        seen = np.minimum(steps.offsets[:-1] + look - 1, steps.last)
        kth = np.sqrt(np.maximum(steps.rows[seen, KTH], 0))
        scalars = np.column_stack([c[:, places] / c[:, :1], kth, kth / c[:, 0]])
        shown = np.where(np.isfinite(scalars), scalars, np.nan)
        for with_query in (False, True):
            rows = np.column_stack([shown, queries.astype(np.float32)]) if with_query else shown
            labels = np.log2(least[train][known])
            model = learned.train(
                rows[train][known], labels, "regression", 100, num_leaves=31, learning_rate=0.2
            )
            scores = np.log2(steps.rows[:, RANK]) - np.maximum(model(rows), 0)[of]
            scores[np.arange(len(scores)) < seen[of]] = -np.inf
            label = f"LAET at {look}{' with the query' if with_query else ''}"
            outcomes.append(ended(label, steps, scores.astype(np.float32), choose))
    return outcomes


def p_found(steps: Steps, design: slice) -> list[Outcome]:
    """The probability that what is sought has been found, by trees on our features (OMEGA's signal)."""
    cut = design.stop * 2 // 3
    rows = steps.rows[:, FEATURES]
    known = np.isfinite(steps.rows[:, NEXT]) & np.isfinite(steps.rows[:, KTH])
    training = np.zeros(len(rows), bool)
    training[: steps.offsets[cut]] = True
    labels = np.minimum(steps.rows[:, FOUND], steps.k) / steps.k
    some = training & known
    model = learned.train(rows[some], labels[some], "cross_entropy", 48, **learned.TREES)
    scores = np.full(len(rows), -np.inf, np.float32)
    scores[known] = model(rows[known])
    return [ended("P(found)", steps, scores, slice(cut, design.stop))]


def families(
    steps: Steps, design: slice, queries: npt.NDArray[Any], index: fc.Index, trees: bool
) -> dict[str, Sequence[Outcome]]:
    """All of this file by name. What needs the centroids' places is left out for a multi-index."""
    found: dict[str, Sequence[Outcome]] = {
        "forest": ours(steps, design),
        "SPANN": spann(steps, design),
        "patience": patience(steps, design),
        "ConANN": conann(steps, design),
        "budget": [ended("budget", steps, steps.rows[:, DISTANCES], design)],
    }
    if trees:
        found["P(found)"] = p_found(steps, design)
    if index.info()["kind"] == "ivf":
        asked = queries.astype(np.float32)
        if index.metric == "cosine":
            asked /= np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-20)
        longest = int(np.diff(steps.offsets).max())
        geometry = _geometry(asked, centroids_of(index), min(longest + 1, index.info()["nlist"]))
        found["APS"] = adaptive_partition_scanning(steps, design, geometry, index.dim)
        if trees:
            found["LAET"] = laet(steps, design, asked, geometry)
    return found
