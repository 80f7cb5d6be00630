"""Measures and writes: python -m benchmarks.stop --dataset dev:deep96 [--codec rabitq2] [--k 10]."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastcbir as fc
from benchmarks.machine import describe_machine
from benchmarks.stop import ada_ef, learned, lists, pictures, rules
from benchmarks.stop.data import Asked, load, smoke, traced
from benchmarks.stop.judge import TARGETS, judge
from benchmarks.stop.times import compare
from benchmarks.store import slug_of

TIMED = 4000  # queries


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stop", description=__doc__)
    parser.add_argument("--dataset", default="cnn-tiles-96", help="what fastcbir.datasets.load_dataset takes")
    parser.add_argument("--n", type=int, help="only so many vectors, drawn at random")
    parser.add_argument("--held", type=int, default=6000, help="vectors kept out of the index as queries")
    parser.add_argument("--others", type=int, default=2000, help="at most so many of the dataset's queries")
    parser.add_argument("--k", type=int, action="append", help="repeatable; 1, 10 and 100 by default")
    parser.add_argument("--method", choices=("hnsw", "ivf", "imi"), default="hnsw")
    parser.add_argument("--codec", choices=("none", "rabitq1", "rabitq2"), default="none")
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=200)
    parser.add_argument("--most-ef", type=int, default=1024, help="how far traces go at most, in ef or lists")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--no-times", action="store_true", help="simulate only")
    parser.add_argument("--times-only", action="store_true", help="simulate nothing")
    parser.add_argument("--no-learned", action="store_true", help="leave out what LightGBM trains")
    parser.add_argument("--smoke", action="store_true", help="some seconds on made-up data")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/runs"))
    return parser


def _built(asked: Asked, given: argparse.Namespace) -> fc.Index:
    codec = None if given.codec == "none" else given.codec
    method = {
        "hnsw": lambda: fc.Hnsw(m=given.m, ef_construction=given.ef_construction, codec=codec),
        "ivf": lambda: fc.Ivf(codec=codec),
        "imi": lambda: fc.Imi(codec=codec),
    }[given.method]()
    index = fc.Index(asked.base.shape[1], method, metric=asked.metric, dtype=str(asked.base.dtype))  # type: ignore[arg-type]
    index.add(asked.base)
    return index


def _simulated(
    index: fc.Index, asked: Asked, truth: Any, k: int, given: argparse.Namespace, stem: Path
) -> dict[str, Any]:
    steps = traced(index, asked, truth, k, given.most_ef)
    design = slice(0, asked.held // 3)
    trees = learned.available() and not given.no_learned
    told: dict[str, Any] = {"k": k, "traced_to": steps.cap}
    told["least_distances"] = pictures.least_distances(steps)
    tested = slice(design.stop, asked.held)
    if given.method == "hnsw":
        plain, own = rules.plain(steps, design), "price"
        families: dict[str, Sequence[rules.Outcome]] = rules.families(steps, design)
        scores = ada_ef.scores_of(index, asked.base, asked.queries, asked.metric)
        families["Ada-ef"] = ada_ef.by_score(plain[0], scores, design, k)
        if trees:
            trained, told["learning_seconds"] = learned.families(steps, asked.queries, design)
            families.update(trained)
        told["scanning_heap"] = pictures.scanning_heap(steps, tested, asked.base.shape[1], TARGETS)
        pictures.draw(
            f"{asked.name}, k = {k}",
            steps,
            families,
            plain[0],
            tested,
            stem.with_name(f"{stem.name}-k{k}.png"),
        )
    else:
        plain, own = lists.plain(steps, design), "forest"
        families = lists.families(steps, design, asked.queries, index, trees)
    with_plain = {"product": [*plain, *families[own]], "fixed": plain, **families}
    told["rules"] = judge(
        with_plain, plain[0], steps, design.stop, asked.held, splits=given.splits, worth=("product",)
    )
    product = {"product, margin 1": with_plain["product"]}
    told["rules"] += judge(
        product,
        plain[0],
        steps,
        design.stop,
        asked.held,
        splits=given.splits,
        margin=1.0,
        worth=tuple(product),
    )
    return told


def _show(told: dict[str, Any]) -> None:
    for row in told["rules"]:
        if not row["splits"]:
            print(f"k={row['k']:<4d}{row['target']:<6g}{row['rule']:18s} can't be promised")
            continue
        gap = "" if row["gap_closed"] is None else f"{row['gap_closed']:6.2f}"
        others = "" if row["others_recall"] is None else f"  others {row['others_recall']:.4f}"
        print(
            f"k={row['k']:<4d}{row['target']:<6g}{row['rule']:18s} recall {row['recall']:.4f} within "
            f"{row['within']:2d}/{row['splits']}  x{row['speedup']:.2f} of x{row['oracle_speedup']:.2f}"
            f"  gap {gap}  p99 x{row['p99_over_plain']:.2f}{others}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    if given.smoke:
        asked, given.most_ef, given.splits = smoke(), 128, 3
        given.m, given.ef_construction = 8, 40
    else:
        asked = load(given.dataset, given.held, given.n, given.others)
    ks = given.k or ([1, 10] if given.smoke else [1, 10, 100])
    name = slug_of(asked.name.replace(",", ""))
    stem = given.out / f"stop-{name}-{given.method}-{given.codec}{'-times' if given.times_only else ''}"
    begun = time.perf_counter()
    index = _built(asked, given)
    told: dict[str, Any] = {
        "dataset": asked.name,
        "metric": asked.metric,
        "method": str(index.method),
        "held": asked.held,
        "others": len(asked.queries) - asked.held,
        "build_seconds": round(time.perf_counter() - begun, 1),
        "machine": describe_machine(["lightgbm"], ["python", "-m", "benchmarks.stop", *sys.argv[1:]]),
        "simulated": [],
    }
    none = np.full(len(asked.queries), -1)
    truth = index._core.nearest_values(asked.queries, max(ks), none, None, None, None)

    def keep() -> None:
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_name(f"{stem.name}.json").write_text(json.dumps(told, indent=1, default=str) + "\n")

    for k in () if given.times_only else ks:
        told["simulated"].append(_simulated(index, asked, truth, k, given, stem))
        _show(told["simulated"][-1])
        keep()
    if not given.no_times:
        held, cut = asked.queries[: asked.held], asked.held * 2 // 3
        exact = fc.Index(index.dim, fc.Flat(), metric=asked.metric, dtype=str(asked.base.dtype))  # type: ignore[arg-type]
        exact.add(asked.base)
        distances = exact.search(held[cut:][:TIMED], max(ks)).distances
        kth = {k: distances[:, k - 1] for k in ks}
        targets = (0.9,) if given.smoke else TARGETS
        timed = held[cut:][:TIMED]
        told["times"] = compare(index, held[:cut], timed, kth, targets, rounds=2 if given.smoke else 5)
        for row in told["times"]["rows"]:
            print(json.dumps(row), flush=True)
        keep()
    print(f"written: {stem}.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
