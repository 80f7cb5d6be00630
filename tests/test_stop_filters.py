"""Searches by recall under filters, and by queries of another kind than those learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from stop_helpers import DIM, METHODS, K, clustered, recalls

import fastcbir as fc
from fastcbir import StopReason


def masks(count: int, share: float, seed: int) -> list[npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    return [rng.random(4000) < share for _ in range(count)]


@pytest.mark.parametrize("kind", ["hnsw", "hnsw-codes", "ivf-codes"])
def test_filters_like_those_learned_from(kind: str) -> None:
    index = fc.Index(DIM, METHODS[kind])
    index.add(clustered(4000, 1), threads=1)
    report = index.fit_stop(
        clustered(1200, 2), k=K, allow=[*masks(3, 0.5, 101), *masks(2, 0.02, 102)], margin=0, budget_s=600
    )
    # Of the stricter ones so few pass that they are compared one by one.
    assert [row.shares[1] for row in report.rows[::4]] == pytest.approx([0, 0.5], abs=0.02)
    assert "through" in str(report)
    queries = clustered(1200, 12)
    flat = fc.Index(DIM, fc.Flat())
    flat.add(index.reconstruct(index.ids))
    for share, reason in ((0.5, StopReason.TARGET), (0.02, StopReason.EXACT), (0.95, StopReason.FILTERED)):
        (mask,) = masks(1, share, 103)
        hits = index.search(queries, K, recall=0.9, allow=mask)
        assert hits.stop_reason is not None
        assert np.isin(hits.stop_reason, [reason, StopReason.UNLIKE]).all()
        assert (hits.stop_reason == reason).mean() > 0.98
        assert mask[hits.ids[hits.ids >= 0]].all()
        kth = flat.search(queries, K, allow=mask).distances[:, -1:]
        found = (hits.distances <= kth * (1 + 1e-5)).mean(1)
        assert found.mean() > 0.9 - 4 * found.std() / np.sqrt(900)


def test_filters_that_teach_nothing() -> None:
    index = fc.Index(DIM, fc.Ivf(codec=None))
    index.add(clustered(500, 1))
    with pytest.raises(ValueError, match="lets nothing"):
        index.fit_stop(clustered(300, 2), k=1, allow=[np.zeros(500, bool)])
    with pytest.raises(ValueError, match="entry for each id"):
        index.fit_stop(clustered(300, 2), k=1, allow=[np.ones(499, bool)])
    with pytest.raises(ValueError, match="list of filters"):
        index.fit_stop(clustered(300, 2), k=1, allow=np.arange(50))
    with pytest.raises(ValueError, match="shadow_every"):
        index.fit_stop(clustered(300, 2), k=1, shadow_every=-1)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_searches_that_miss_more_than_promised_become_stricter(kind: str, tmp_path: Path) -> None:
    """Queries half way between those learned from: what is missed shows in shadow searches, and is saved."""
    index = fc.Index(DIM, METHODS[kind])
    index.add(clustered(4000, 1), threads=1)
    index.fit_stop(clustered(1500, 2), k=K, margin=0, budget_s=600, shadow_every=5)
    alike = clustered(2000, 3)
    index.search(alike, K, recall=0.9)
    (measured,) = index.recall_report().measured
    assert (measured.k, measured.target, measured.searches) == (K, 0.9, 400)
    assert measured.low - 0.02 < 0.9 and measured.high > 0.88
    assert measured.strictness == 0
    others = (clustered(2000, 4) + clustered(2000, 5)) / 2
    first = recalls(index, others, index.search(others, K, recall=0.9)).mean()
    for _ in range(2):
        index.search(others, K, recall=0.9)
    last = recalls(index, others, index.search(others, K, recall=0.9)).mean()
    assert first < 0.8
    assert last > first + 0.1
    report = index.recall_report()
    assert report.measured[0].strictness > 0
    assert "times as strictly" in str(report)
    index.save(tmp_path / "missed.fcx")
    again = fc.load(tmp_path / "missed.fcx")
    assert again.recall_report().measured == report.measured
    np.testing.assert_array_equal(
        again.search(others[:50], K, recall=0.9).ids, index.search(others[:50], K, recall=0.9).ids
    )
    assert index.search(alike[:5], K, ef=50 if kind == "hnsw" else None).stop_reason is None
