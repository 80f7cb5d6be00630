"""Write the golden files of the present format version to tests/golden; run once for each version.

The tests read them for ever, so files that are there already are left alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import fastcbir as fc

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
VERSION = 1


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(2026)
    queries = rng.standard_normal((10, 20)).astype(np.float32)
    vectors = rng.standard_normal((120, 20)).astype(np.float32)
    replacement = rng.standard_normal((1, 20)).astype(np.float32)
    if not (FOLDER / "queries.npy").exists():
        np.save(FOLDER / "queries.npy", queries)
    for name, method, metric in (
        ("flat", fc.Flat(), "l2"),
        ("hnsw", fc.Hnsw(m=4, ef_construction=40), "l2"),
        ("ivf", fc.Ivf(nlist=5), "l2"),
        ("imi", fc.Imi(bits=1), "l2"),
        ("ivf-product", fc.Ivf(nlist=5, codec="pq6"), "cosine"),
    ):
        index = fc.Index(20, method, metric=metric)
        index.add(vectors, np.arange(120) * 3 + 1, threads=1)
        index.remove([1, 4])
        index.update(replacement, [7], threads=1)
        path = FOLDER / f"{name}-v{VERSION}.fcx"
        if path.exists():
            print(f"{path} is there already")
            continue
        index.save(path)
        hits = index.search(queries, k=5, ef=200)
        np.savez(
            path.with_suffix(".npz"), ids=hits.ids, distances=hits.distances, next_id=index.ids.max() + 1
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
