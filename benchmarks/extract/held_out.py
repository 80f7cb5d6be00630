"""What beats the roadmap's row without new weights, each place scored by what was chosen on all others.

    python -m benchmarks.extract.held_out PHOTOS [--pairs DIR] [--verify] [--out FILE]

PHOTOS is a folder as of instances.py. Eight candidates: two sizes, the plain average or GeM (p = 3), as they
are or whitened with the library's default strength. Whitening is learned from all vectors of the album,
without labels, as ImageIndex.learn_whitening does; to leave out the query's place there would tell which
photos belong together, for what whitening has not seen stands out. With --verify, photos that SIFT confirms
move ahead; from how many inliers on is chosen with the rest. --pairs names photos that had no part in
anything (OpenCV's samples), searched among all the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.extract.instances import Instances, load_instances
from benchmarks.machine import describe_machine
from benchmarks.matching.instances import Instances as Places
from benchmarks.matching.instances import verified
from benchmarks.matching.retrieval import count_inliers
from fastcbir.extract import Extractor, load_extractor
from fastcbir.extract.projection import fit_whitening
from fastcbir.extract.registry import find
from fastcbir.match import load_matcher

SIZES, POOLS, WHITENING = (384, 448), ("gap", "gem3"), (None, 0.5)
LEAST = (8, 10, 12, 15, 20, 30)  # inliers that confirm
PAIRS = (
    ("graf1.png", "graf3.png"),
    ("box.png", "box_in_scene.png"),
    ("leuvenA.jpg", "leuvenB.jpg"),
    ("aloeL.jpg", "aloeR.jpg"),
    ("rubberwhale1.png", "rubberwhale2.png"),
    ("left01.jpg", "right01.jpg"),
)

Floats = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Candidate = tuple[int, str, "float | None"]


def row() -> Extractor:
    """The roadmap's: average pool at 448 pixels, with ImageNet's customary mean and deviation."""
    entry = find("efficientnet-lite0@448")
    rule = replace(entry.card.preprocessing, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    card = replace(entry.card, preprocessing=rule)
    return Extractor(card, entry.open(card, "cpu", None))


def similarity(vectors: Vectors, strength: float | None) -> Floats:
    own = vectors if strength is None else fit_whitening(vectors, strength=strength)(vectors)
    return np.asarray(own @ own.T, np.float64)


def confirmed(plain: Floats, inliers: npt.NDArray[np.int32], least: int) -> Floats:
    """The order that verification makes of one by similarity, as a similarity again."""
    found = np.empty_like(plain)
    for query in range(len(plain)):
        order = np.argsort(-plain[query], kind="stable")
        found[query, verified(order, inliers[query], least)] = -np.arange(len(plain))
    return found


def chosen_elsewhere(data: Instances, scores: dict[str, Floats]) -> tuple[Floats, Counter[str]]:
    """Of each photo, its score by the candidate that is best for the photos of all other places."""
    found = np.full(len(data.paths), np.nan)
    picks: Counter[str] = Counter()
    for place in np.unique(data.places):
        other = data.places != place
        best = max(scores, key=lambda name: sum(data.mean(scores[name], r, other) for r in ("easy", "hard")))
        picks[best] += 1
        found[~other] = scores[best][~other]
    return found, picks


def label(candidate: Candidate) -> str:
    size, pool, strength = candidate
    return f"{pool} @{size}" + ("" if strength is None else f" whitened {strength:g}")


def paired(folder: Path, crowd: list[Path], make: Callable[[list[Path]], Vectors]) -> dict[str, float]:
    """Mean reciprocal rank of each photo's other half, among the crowd, by candidate."""
    paths = [folder / name for pair in PAIRS for name in pair]
    vectors = make([*paths, *crowd])
    told = {}
    for strength in WHITENING:
        found = similarity(vectors, strength)
        np.fill_diagonal(found, -np.inf)
        ranks = [1 + np.count_nonzero(found[at] > found[at, at ^ 1]) for at in range(len(paths))]
        told["plain" if strength is None else f"whitened {strength:g}"] = float(np.mean(1 / np.array(ranks)))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pairs", type=Path, help="a folder with OpenCV's sample photos")
    parser.add_argument("--verify", action="store_true", help="also with SIFT; takes minutes")
    parser.add_argument("--out", type=Path, help="write the numbers here, as JSON")
    options = parser.parse_args()
    data = load_instances(options.photos)
    extractors = {(s, p): load_extractor(f"efficientnet-lite0@{s}+{p}") for s, p in product(SIZES, POOLS)}
    vectors = {use: each.extract(data.paths) for use, each in extractors.items()}
    plain = {label((*use, w)): similarity(vectors[use], w) for use, w in product(vectors, WHITENING)}
    base = data.average_precisions(similarity(row().extract(data.paths), None))
    scores = {name: data.average_precisions(found) for name, found in plain.items()}
    told: dict[str, object] = {
        "machine": describe_machine(
            ["numpy", "onnxruntime", "pillow"], ["python", "-m", "benchmarks.extract.held_out", *sys.argv[1:]]
        )
    }

    def tell(name: str, result: Floats, against: Floats, picks: Counter[str] | None = None) -> None:
        numbers = {}
        for role in ("easy", "hard"):
            gain, low, high = data.bootstrap(result, against, role)
            numbers[role] = [data.mean(result, role), gain, low, high]
        told[name] = {**numbers, **({} if picks is None else {"picks": picks.most_common()})}
        shown = "; ".join(
            f"{r} {n[0]:.3f}, {n[1]:+.3f} ({n[2]:+.3f} .. {n[3]:+.3f})" for r, n in numbers.items()
        )
        print(f"{name}: {shown}" + ("" if picks is None else f"  {picks.most_common(3)}"), flush=True)

    tell("the row", base, base)
    for name, score in scores.items():
        tell(f"{name} (for orientation)", score, base)
    result, picks = chosen_elsewhere(data, scores)
    tell("chosen on the other places", result, base, picks)
    for name in ("gap @448", "gap @384"):
        tell(f"chosen, against {name}", result, scores[name])
    if options.verify:
        places = Places.read(options.photos)
        inliers = count_inliers(places, load_matcher("sift"))
        both = {
            f"{name}, {least} inliers": data.average_precisions(confirmed(found, inliers, least))
            for (name, found), least in product(plain.items(), LEAST)
        }
        result, picks = chosen_elsewhere(data, both)
        tell("chosen, with SIFT", result, base, picks)
        alone = {name: score for name, score in both.items() if name.startswith("gap @448,")}
        tell("gap @448 with SIFT, inliers chosen", *chosen_elsewhere(data, alone)[:1], base)
    if options.pairs is not None:
        told["pairs"] = {
            f"{p} @{s}": paired(options.pairs, data.paths, e.extract) for (s, p), e in extractors.items()
        }
        told["pairs"]["row"] = paired(options.pairs, data.paths, row().extract)  # type: ignore[index]
        print(json.dumps(told["pairs"], indent=1))
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
