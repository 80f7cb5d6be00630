"""A cost model of inverted lists, fitted on small sets and checked on a large one.

    python -m benchmarks.scale --check 10000000 --check-nlist 2048

Synthetic vectors of few dimensions, so that ten million fit in memory: Gaussian clusters around Gaussian
clusters. docs/scale.md says what the model is and what came out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastcbir as fc
from benchmarks.machine import describe_machine
from fastcbir.list_plan import plan_lists

Array = NDArray[Any]
_BLOCK = 32
_TERMS = ("a query", "a block", "a row", "a row, each doubling of the working set")
_GRAPH_LISTS = 4096
_GRAPH_ROWS, _GRAPH_ROWS_A_LIST = 450, 10
_CACHED = 2**20  # up to here nothing is farther away than the second-level cache


@dataclass(frozen=True)
class Point:
    """One setting on one index: what it touches, and the microseconds that a query takes."""

    vectors: int
    nlist: int
    nprobe: int
    rerank: int
    blocks: float  # of 32 codes, those of the centroids included
    rows: float  # vectors and centroids compared exactly
    working_set: int  # bytes of lists and vectors
    recall: float
    microseconds: float


def clustered(count: int, dim: int, seed: int) -> Array:
    """(count, dim) float32: clusters of clusters, of sizes that differ."""
    centres = np.random.default_rng(0)
    coarse = centres.standard_normal((50, dim)) * 3
    fine = (coarse[centres.integers(0, 50, 3000)] + centres.standard_normal((3000, dim)) * 1.2).astype(
        np.float32
    )
    weights = centres.exponential(1.0, 3000)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(3000, count, p=weights / weights.sum())
    return fine[chosen] + 0.6 * rng.standard_normal((count, dim), dtype=np.float32)


def features(blocks: float, rows: float, working_set: float) -> list[float]:
    """What the model's coefficients stand for: see _TERMS. Blocks are read as runs, rows here and there."""
    doublings = max(0.0, math.log2(working_set / _CACHED))
    return [1.0, blocks, rows, rows * doublings]


def centroid_work(nlist: int, nprobe: int) -> tuple[float, float]:
    """Blocks of centroids' codes and centroids compared exactly, to find the lists to visit.

    From 4,096 lists on a graph over the centroids finds them (where they are less than a sixteenth of all),
    which compares _GRAPH_ROWS + _GRAPH_ROWS_A_LIST * nprobe of them: counted with 16,384 and 65,536 lists.
    """
    if nlist < _GRAPH_LISTS or nprobe * 16 > nlist:
        return nlist / _BLOCK, nprobe + nprobe // 2 + 8
    return 0, _GRAPH_ROWS + _GRAPH_ROWS_A_LIST * nprobe


def measured(
    vectors: Array, queries: Array, settings: list[tuple[int, int]], rounds: int, lists: int | None = None
) -> list[Point]:
    """Builds an index with one thread and times single calls, by this thread's processor time."""
    dim = vectors.shape[1]
    exact = fc.Index(dim, fc.Flat())
    exact.add(vectors)
    truth = exact.search(queries, k=10, threads=1).ids
    del exact
    index = fc.Index(dim, fc.Ivf(nlist=lists))
    start = time.process_time()
    index.add(vectors, threads=1)
    print(f"{len(vectors):,} vectors: built in {time.process_time() - start:.1f} s", flush=True)
    nlist = index.info()["nlist"]
    points = []
    for nprobe, rerank in settings:
        if 3 * nprobe > nlist:
            continue
        hits = index.search(queries, k=10, nprobe=nprobe, rerank=rerank, threads=1)
        recall = float((truth[:, :, None] == hits.ids[:, None, :]).any(2).mean())
        best = math.inf
        for _ in range(rounds):
            start = time.thread_time()
            for query in queries:
                index.search(query, k=10, nprobe=nprobe, rerank=rerank, threads=1)
            best = min(best, time.thread_time() - start)
        # A list's last block is half full on average.
        centroid_blocks, centroid_rows = centroid_work(nlist, nprobe)
        estimated = float(hits.cost.mean()) - (nlist if centroid_blocks else centroid_rows)
        blocks = estimated / _BLOCK + nprobe / 2 + centroid_blocks
        points.append(
            Point(
                len(vectors),
                nlist,
                nprobe,
                rerank,
                round(blocks, 1),
                rerank + centroid_rows,
                index.memory_bytes,
                round(recall, 4),
                round(best / len(queries) * 1e6, 2),
            )
        )
        print(
            f"  nprobe {nprobe}, rerank {rerank}: {points[-1].microseconds} us, recall {recall:.4f}",
            flush=True,
        )
    return points


def fit(points: list[Point]) -> Array:
    """Coefficients that are not negative and make the relative errors small: projected least squares."""
    rows = np.array([features(p.blocks, p.rows, p.working_set) for p in points])
    times = np.array([p.microseconds for p in points])
    rows, ones = rows / times[:, None], np.ones(len(times))
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0] = 1
    rows = rows / scale
    found = np.zeros(rows.shape[1])
    step = 1 / np.linalg.norm(rows, 2) ** 2
    for _ in range(100_000):
        found = np.maximum(0, found - step * (rows.T @ (rows @ found - ones)))
    return found / scale


@dataclass(frozen=True)
class Memory:
    """Where lists are beyond the caches, reading their codes may take longer than scoring them."""

    cache: float  # bytes
    stream: float  # bytes a microsecond; 0: never the bottleneck

    def block_cost(self, dim: int, list_bytes: float) -> float:
        """The least that a block can take: microseconds."""
        return block_bytes(dim) / self.stream if self.stream and list_bytes > self.cache else 0.0


def block_bytes(dim: int) -> int:
    """Of 32 vectors in a list, codes of 2 bits: factors, codes and numbers."""
    return 256 + 2 * -(-dim // 16) * 64


def predicted(
    coefficients: Array,
    blocks: float,
    rows: float,
    working_set: float,
    least_block: float = 0.0,
) -> float:
    """Microseconds; a block takes least_block at least."""
    priced = np.array(coefficients, dtype=float)
    priced[1] = max(priced[1], least_block)
    return float(np.dot(priced, features(blocks, rows, working_set)))


def foretold(
    coefficients: Array, memory: Memory, vectors: int, dim: int, nlist: int, nprobe: int, rerank: int
) -> str:
    """A line of the table for sets that no machine at hand holds: float32, codes of 2 bits."""
    plan = plan_lists(vectors, dim, "float32", 2**62, nlist=nlist, codecs=("rabitq2",))
    centroids, rows = centroid_work(nlist, nprobe)
    rows += rerank
    blocks = centroids + nprobe * vectors / nlist / _BLOCK + nprobe / 2
    lists = plan.resident_bytes - vectors * -(-dim * 4 // 64) * 64
    took = predicted(coefficients, blocks, rows, plan.resident_bytes, memory.block_cost(dim, lists))
    return (
        f"| {vectors:,} | {nlist:,} | {nprobe} | {centroids:,.0f} + {blocks - centroids:,.0f} | {rows:.0f} "
        f"| {took / 1000:.2f} ms | {lists / 1e9:.1f} GB | {(plan.resident_bytes - lists) / 1e9:.0f} GB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--check", type=int, default=10_000_000)
    parser.add_argument("--check-nlist", type=int, help="lists of the large set; default: 2 sqrt(N)")
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument(
        "--vectors", type=Path, help="(N, dim) .npy to take the small sets from; no check then"
    )
    parser.add_argument("--cache", type=float, default=32, help="MiB of the last-level cache")
    parser.add_argument(
        "--stream", type=float, default=0, help="GB/s at which lists come from memory; 0: as fast as scored"
    )
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write points, coefficients and predictions as JSON")
    args = parser.parse_args()
    memory = Memory(args.cache * 2**20, args.stream * 1000)
    settings = [(nprobe, rerank) for nprobe in (4, 8, 16, 32, 64) for rerank in (20, 60)]
    points: list[Point] = []
    if args.vectors:
        given = np.random.default_rng(0).permutation(np.load(args.vectors)).astype(np.float32)
        queries, given = given[: args.queries], given[args.queries :]
        args.dim, args.check = given.shape[1], 0
        args.sizes = [size for size in args.sizes if size <= len(given)]
    else:
        queries = clustered(args.queries, args.dim, 1)
    for size in args.sizes:
        vectors = given[:size] if args.vectors else clustered(size, args.dim, 2)
        points += measured(vectors, queries, settings, args.rounds)
    coefficients = fit(points)
    for name, value in zip(_TERMS, coefficients, strict=True):
        print(f"{name}: {value * 1000:.1f} ns")
    for vectors_to_come in (10**8, 10**9):
        for nlist in (round(2 * vectors_to_come**0.5), round((64 * vectors_to_come) ** 0.5)):
            print(foretold(coefficients, memory, vectors_to_come, args.dim, nlist, 64, 60))
    check: list[Point] = []
    if args.check:
        large = clustered(args.check, args.dim, 2)
        check = measured(large, queries, settings, args.rounds, args.check_nlist)

    def said(p: Point) -> float:
        lists = p.working_set - p.vectors * -(-args.dim * 4 // 64) * 64
        least_block = memory.block_cost(args.dim, lists)
        return predicted(coefficients, p.blocks, p.rows, p.working_set, least_block)

    for kind, some in (("fitted", points), ("foretold", check)):
        errors = [said(p) / p.microseconds - 1 for p in some]
        if errors:
            mean, worst = np.mean(np.abs(errors)), max(errors, key=abs)
            print(f"{kind}: error {mean:.1%} on average, {worst:+.1%} at worst")
    for p in check:
        print(f"  nprobe {p.nprobe}, rerank {p.rerank}: {p.microseconds} us, foretold {said(p):.1f}")
    if args.out:
        report = {
            "machine": describe_machine(["fastcbir"], ["python", "-m", "benchmarks.scale", *sys.argv[1:]]),
            "dim": args.dim,
            "coefficients_us": dict(zip(_TERMS, coefficients.tolist(), strict=True)),
            "points": [asdict(p) for p in points],
            "check": [asdict(p) for p in check],
        }
        args.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
