"""Promise: what the benchmarks ask for is what they say it is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.problem import load_problem


def test_queries_held_out_are_not_in_the_base(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    np.save(tmp_path / "base.npy", vectors)
    np.save(tmp_path / "query.npy", vectors[:7])
    problem = load_problem(str(tmp_path), 3, metric="l2", held_out=40, seed=5)
    other = load_problem(str(tmp_path), 3, metric="l2", held_out=40, seed=6)
    assert problem.base.shape == (260, 4) and problem.queries.shape == (40, 4)
    parts = np.concatenate([problem.base, problem.queries])
    np.testing.assert_array_equal(np.unique(parts, axis=0), np.unique(vectors, axis=0))
    nearest = np.square(problem.queries[:, None] - problem.base).sum(-1).argsort(1)[:, :3]
    np.testing.assert_array_equal(problem.neighbors, nearest)
    assert "held out by seed 5" in problem.name and not np.array_equal(problem.queries, other.queries)
    with pytest.raises(ValueError, match="300 can't be held out"):
        load_problem(str(tmp_path), 3, metric="l2", held_out=300)
