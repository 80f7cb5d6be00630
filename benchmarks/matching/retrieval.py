"""Does verification put the right photo first? Thresholds come from the other half of the places."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.matching.instances import Instances, Matrix, by_vectors, naive, verified
from fastcbir.match import LocalFeatures, PairMatcher, Verification, verify
from fastcbir.rerank import alpha_expansion, augment_database, diffuse

Counts = npt.NDArray[np.int32]
_CHOICES = (6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 25, 30, 40, 60)
_ROLES = ("easy", "hard")


def count_inliers(data: Instances, matcher: PairMatcher) -> Counts:
    """(N, N) inliers of all pairs."""
    features = [matcher.extract(path) for path in data.paths]
    how = Verification(threshold=matcher.tolerance)
    inliers = np.zeros((len(features), len(features)), np.int32)
    for i, j in itertools.combinations(range(len(features)), 2):
        inliers[i, j] = inliers[j, i] = verify(matcher.match(features[i], features[j]), how).inliers
    return inliers


def pair_cost(data: Instances, matcher: PairMatcher, pairs: int = 60) -> dict[str, float]:
    """What a pair costs, the query's features at hand, the other's as the album's cache has them: bytes.

    The best of five runs of each pair, one after the other, so that other programs disturb less; and the
    least computing time of all threads, which they hardly do.
    """
    some = data.paths[:: max(1, len(data.paths) // 20)]
    features, extracted = [], []
    for path in some:
        start = time.perf_counter()
        features.append(matcher.extract(path))
        extracted.append(time.perf_counter() - start)
    kept = [each.to_bytes() for each in features]
    how = Verification(threshold=matcher.tolerance)
    matched, checked, computed = [], [], []
    for i, j in list(itertools.combinations(range(len(some)), 2))[:pairs]:
        runs = []
        for _ in range(5):
            start, computing = time.perf_counter(), time.process_time()
            found = matcher.match(features[i], LocalFeatures.from_bytes(kept[j]))
            middle = time.perf_counter()
            verify(found, how)
            computing = time.process_time() - computing
            runs.append((middle - start, time.perf_counter() - middle, computing))
        match_s, verify_s, _ = min(runs, key=lambda run: run[0] + run[1])
        computed.append(min(run[2] for run in runs))
        matched.append(match_s)
        checked.append(verify_s)
    whole = np.array(matched) + np.array(checked)
    return {
        "extract_ms_least": 1e3 * float(np.min(extracted)),
        "pairs": len(whole),
        "match_ms": 1e3 * float(np.mean(matched)),
        "verify_ms": 1e3 * float(np.mean(checked)),
        "pair_ms": 1e3 * float(np.mean(whole)),
        "pair_ms_median": 1e3 * float(np.median(whole)),
        "pair_ms_computing": 1e3 * float(np.mean(computed)),
        "pair_ms_p95": 1e3 * float(np.quantile(whole, 0.95)),
        "bytes_a_photo": float(np.mean([each.nbytes for each in features])),
    }


def score(data: Instances, vectors: Matrix, inliers: Counts, own_threshold: int) -> dict[str, Any]:
    """mAP without, with naive, and with verification: at the matcher's own threshold and cross-validated."""
    queries = {role: data.queries(role) for role in _ROLES}

    def mean(role: str, rank: Any, half: int | None = None) -> float:
        chosen = [q for q in queries[role] if half is None or data.half_of(q) == half]
        return float(np.mean([data.average_precision(q, rank(q)) for q in chosen]))

    def plain(q: int) -> npt.NDArray[np.intp]:
        return by_vectors(vectors, q)

    def at(least: int) -> Any:
        return lambda q: verified(plain(q), inliers[q], least)

    def best_on(half: int) -> int:
        return max(_CHOICES, key=lambda t: (sum(mean(role, at(t), half) for role in _ROLES), t))

    chosen = {half: best_on(1 - half) for half in (0, 1)}
    told: dict[str, Any] = {"chosen_for_half": chosen, "own_threshold": own_threshold}
    for role in _ROLES:
        told[role] = {
            "queries": len(queries[role]),
            "vectors": mean(role, plain),
            "naive": mean(role, lambda q: naive(plain(q), inliers[q])),
            "own": mean(role, at(own_threshold)),
            "cross_validated": mean(role, lambda q: at(chosen[data.half_of(q)])(q)),
            "halves": {
                half: {
                    "vectors": mean(role, plain, half),
                    "verified": mean(role, at(chosen[half]), half),
                }
                for half in (0, 1)
            },
            "by_threshold": {t: mean(role, at(t)) for t in _CHOICES},
        }
    return told


def expand(data: Instances, vectors: Matrix, inliers: Counts, least: int) -> dict[str, dict[str, float]]:
    """An ablation row for each expansion: mAP on easy and hard queries, without and with verified hits."""
    cosines = vectors @ vectors.T

    def others(q: int) -> npt.NDArray[np.intp]:
        """The ranking a user would see: the query's own photo is not in the album."""
        order = by_vectors(vectors, q)
        return order[order != q]

    def sure(q: int) -> npt.NDArray[np.intp]:
        order = others(q)
        return order[inliers[q][order] >= least]

    def ranked(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
        return np.argsort(-scores, kind="stable")

    def augmented(q: int, alpha: float) -> Matrix:
        keep = others(q)
        near = np.argsort(-cosines[np.ix_(keep, keep)], axis=1, kind="stable")[:, 1:4]
        moved = vectors.copy()
        moved[keep] = augment_database(vectors[keep], near, alpha=alpha)
        return moved

    def spread(q: int, seeds: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        keep = np.sort(others(q))
        inner = cosines[np.ix_(keep, keep)].copy()
        np.fill_diagonal(inner, -2)
        near = np.argsort(-inner, axis=1, kind="stable")[:, :8]
        places = np.searchsorted(keep, seeds)
        found = diffuse(near, np.take_along_axis(inner, near, 1), places, cosines[q][seeds])
        scores = np.full(len(vectors), -2.0)
        scores[keep] = found + 1e-6 * cosines[q][keep]  # what no path reaches keeps the vectors' order
        return ranked(scores)

    def by(q: int, hits: npt.NDArray[np.intp], alpha: float) -> npt.NDArray[np.intp]:
        return ranked(vectors @ alpha_expansion(vectors[q], vectors[hits], alpha=alpha))

    def checked(order: npt.NDArray[np.intp], q: int) -> npt.NDArray[np.intp]:
        return verified(order[order != q], inliers[q], least)

    rows: dict[str, Any] = {
        "vectors": lambda q: others(q),
        "average QE, first 1": lambda q: by(q, others(q)[:1], 0.0),
        "average QE, first 3": lambda q: by(q, others(q)[:3], 0.0),
        "alpha-QE (3), first 5": lambda q: by(q, others(q)[:5], 3.0),
        "database-side augmentation (3)": lambda q: ranked(augmented(q, 3.0) @ vectors[q]),
        "diffusion, first 5": lambda q: spread(q, others(q)[:5]),
        "verified": lambda q: checked(others(q), q),
        "average QE, verified hits": lambda q: checked(by(q, sure(q), 0.0), q),
        "alpha-QE (3), verified hits": lambda q: checked(by(q, sure(q), 3.0), q),
        "database-side augmentation, verified": lambda q: checked(ranked(augmented(q, 3.0) @ vectors[q]), q),
        "diffusion, verified hits": lambda q: checked(spread(q, sure(q)) if len(sure(q)) else others(q), q),
    }
    return {
        name: {
            role: float(np.mean([data.average_precision(q, rank(q)) for q in data.queries(role)]))
            for role in _ROLES
        }
        for name, rank in rows.items()
    }
