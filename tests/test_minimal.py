"""If you run one file, run this: add, search, save, load."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import fastcbir as fc


def test_vectors_can_be_found_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((1000, 32), dtype=np.float32)
    index = fc.Index(dim=32)
    index.add(vectors)

    hits = index.search(vectors[:50], k=5)
    assert hits.ids[:, 0].tolist() == list(range(50))
    assert (hits.distances[:, 0] == 0).all()

    index.save(tmp_path / "some.fcx")
    again = fc.load(tmp_path / "some.fcx", mmap=True).search(vectors[:50], k=5)
    np.testing.assert_array_equal(again.ids, hits.ids)
    np.testing.assert_array_equal(again.distances, hits.distances)
