"""Boosted trees for the list loop: trained by LightGBM, laid out for the core, which evaluates them.

What is learned is the gain: the share of the k nearest that half as many lists again would find, as log-odds.
Without LightGBM (extra `learn`), a logistic regression on the same features takes its place.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.stop.curves import FEATURES, FOUND, KTH, NEXT, Steps
from fastcbir.stop.model import BLOCK, DEPTH, LANES, LEAVES, WIDTH, Forest

__all__ = ["train_forest"]

TREES = 48
HORIZON = 1.5  # what half as many lists again would find

FloatArray = npt.NDArray[np.float32]


def _examples(steps: Steps) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Features after some lists, all of the first ones, and the share of k that half as many again find."""
    features, gains = [], []
    found = np.minimum(steps.rows[:, FOUND], steps.k)
    for begin, end in zip(steps.offsets[:-1], steps.offsets[1:], strict=True):
        count = int(end - begin)
        if count < 2:
            continue
        lists = np.unique(np.concatenate([np.arange(1, 9), np.geomspace(1, count - 1, 24).astype(int)]))
        lists = lists[lists < count]
        later = np.minimum(np.maximum(lists + 1, np.ceil(lists * HORIZON).astype(int)), count)
        now, then = begin + lists - 1, begin + later - 1
        known = np.isfinite(steps.rows[now, NEXT]) & np.isfinite(steps.rows[now, KTH])
        features.append(steps.rows[now[known]][:, FEATURES])
        gains.append((found[then[known]] - found[now[known]]) / steps.k)
    if not features:
        return np.empty((0, WIDTH), np.float32), np.empty(0)
    return np.concatenate(features), np.clip(np.concatenate(gains), 0.0, 1.0)


def train_forest(steps: Steps, seed: int) -> Forest:
    """The gain as these queries show it."""
    features, gains = _examples(steps)
    if len(features) < 200 or gains.max(initial=0.0) == 0:
        # Too little to tell one query from another: then lists are dear by the rank of the next.
        return Forest(0.0, np.zeros(WIDTH, np.float32), np.empty(0, BLOCK))
    if importlib.util.find_spec("lightgbm") is None:
        return _logistic(features, gains)
    return _boosted(features, gains, seed)


def _boosted(features: FloatArray, gains: npt.NDArray[np.float64], seed: int) -> Forest:
    import lightgbm

    booster = lightgbm.train(
        {
            "objective": "cross_entropy",
            "num_leaves": LEAVES,
            "max_depth": DEPTH,
            "learning_rate": 0.15,
            "min_data_in_leaf": min(100, len(features) // 20),
            "lambda_l2": 1.0,
            "max_bin": 127,
            "num_threads": 1,  # so little work that threads would mostly wait for one another
            "deterministic": True,
            "seed": seed % 2**31,
            "verbose": -1,
        },
        lightgbm.Dataset(features, gains),
        TREES,
    )
    trees: list[dict[str, Any]] = booster.dump_model()["tree_info"]
    blocks = np.zeros(-(-len(trees) // LANES), BLOCK)
    blocks["threshold"] = np.inf
    for number, tree in enumerate(trees):
        _place(tree["tree_structure"], blocks[number // LANES], number % LANES, 0, 0, 0)
    blocks["leaf"] /= np.float32(np.log(2))
    return Forest(0.0, np.zeros(WIDTH, np.float32), blocks)


def _place(tree: dict[str, Any], block: np.void, lane: int, node: int, depth: int, first_leaf: int) -> None:
    """Lays a tree out as a complete one: below a leaf all ways lead to it."""
    under = LEAVES >> depth
    if "split_feature" not in tree:
        block["leaf"][first_leaf : first_leaf + under, lane] = tree["leaf_value"]
        return
    block["feature"][node, lane] = tree["split_feature"]
    # Not above, in double precision, is not above the next lower single: features are singles.
    threshold = np.float32(tree["threshold"])
    if float(threshold) > tree["threshold"]:
        threshold = np.nextafter(threshold, np.float32(-np.inf))
    block["threshold"][node, lane] = threshold
    _place(tree["left_child"], block, lane, 2 * node + 1, depth + 1, first_leaf)
    _place(tree["right_child"], block, lane, 2 * node + 2, depth + 1, first_leaf + under // 2)


def _logistic(features: FloatArray, gains: npt.NDArray[np.float64]) -> Forest:
    """Logistic regression by Newton's method, on standardised features."""
    mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    deviation[deviation == 0] = 1
    inputs = np.c_[(features - mean) / deviation, np.ones(len(features))]
    weights = np.zeros(WIDTH + 1)
    ridge = 1e-5 * len(inputs)
    for _ in range(25):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (chance - gains) + ridge * weights
        spread = (inputs * (chance * (1 - chance))[:, None]).T @ inputs
        curvature = spread + ridge * np.eye(WIDTH + 1)
        weights -= np.linalg.solve(curvature, slope)
    linear = weights[:-1] / deviation
    bias = weights[-1] - linear @ mean
    return Forest(float(bias / np.log(2)), np.float32(linear / np.log(2)), np.empty(0, BLOCK))
