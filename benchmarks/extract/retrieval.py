"""How far the default model goes without new weights: poolings, scales, whitening, query expansion.

    python -m benchmarks.extract.retrieval PHOTOS [--out FILE]

PHOTOS is a folder as of instances.py. What is best is chosen on one half of the places and told for the other
half, then the other way round, so no photo is scored with a choice that it took part in. Whitening is learned
from the album's own vectors, without labels, as ImageIndex.learn_whitening does.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.extract.instances import Instances, load_instances
from benchmarks.machine import describe_machine
from fastcbir.extract import load_extractor
from fastcbir.extract.pooling import l2_normalised
from fastcbir.extract.projection import fit_whitening

POOLS = ("gap", "gem2", "gem3", "rmac")
USES = ("@384", "@448", "@448*1,0.707")
WHITENING = (None, 0.0, 0.25, 0.5, 0.75)
EXPANSION = (0, 1, 2)
ROW = ("@448", "gap", None, 0)  # the bar of the roadmap
DEFAULT = ("@384", "gap", None, 0)  # what the extractor does unless told otherwise
FIXED = ("@384", "gem3", 0.5, 0)  # each at its default; but the strength's default was chosen on these photos

Candidate = tuple[str, str, "float | None", int]
Floats = npt.NDArray[np.float64]


def similarities(own: npt.NDArray[np.float32], expand: int) -> Floats:
    """(N, N): each photo as a query against all; query expansion leaves the photo itself out."""
    plain = own @ own.T
    if not expand:
        return np.asarray(plain, np.float64)
    others = plain.copy()
    np.fill_diagonal(others, -np.inf)
    nearest = np.argsort(-others, axis=1, kind="stable")[:, :expand]
    weights = np.maximum(np.take_along_axis(others, nearest, axis=1), 0) ** 3  # alpha-QE, alpha = 3
    queries = l2_normalised(own + np.einsum("qk,qkd->qd", weights, own[nearest]))
    return np.asarray(queries @ own.T, np.float64)


def vectors_of(data: Instances) -> dict[tuple[str, str], npt.NDArray[np.float32]]:
    found = {}
    for use, pool in product(USES, POOLS):
        size, _, scales = use.partition("*")
        spec = f"efficientnet-lite0{size}+{pool}" + (f"*{scales}" if scales else "")
        found[use, pool] = load_extractor(spec).extract(data.paths)
        print(f"  {spec}", file=sys.stderr)
    return found


def label(candidate: Candidate) -> str:
    use, pool, whitening, expand = candidate
    white = "" if whitening is None else f", whitened {whitening:g}"
    return f"{pool} {use}{white}" + (f", {expand}-expanded" if expand else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, help="write the numbers here, as JSON")
    options = parser.parse_args()
    data = load_instances(options.photos)
    vectors = vectors_of(data)
    candidates: list[Candidate] = list(product(USES, POOLS, WHITENING, EXPANSION))
    scores = {}
    for use, pool, whitening in product(USES, POOLS, WHITENING):
        own = vectors[use, pool]
        own = own if whitening is None else fit_whitening(own, strength=whitening)(own)
        for expand in EXPANSION:
            found = data.average_precisions(similarities(own, expand))
            scores[use, pool, whitening, expand] = found

    def worth(candidate: Candidate, among: npt.NDArray[np.bool_]) -> float:
        return sum(data.mean(scores[candidate], role, among) for role in ("easy", "hard"))

    halves = data.halves()
    chosen = [max(candidates, key=lambda each, half=half: worth(each, half)) for half in halves]  # type: ignore[misc]
    ours = np.where(halves[0], scores[chosen[1]], scores[chosen[0]])
    told: dict[str, object] = {
        "machine": describe_machine(
            ["numpy", "onnxruntime", "pillow"],
            ["python", "-m", "benchmarks.extract.retrieval", *sys.argv[1:]],
        ),
        "chosen": [label(each) for each in chosen],
    }
    print(f"chosen on one half of the places, used on the other: {' | '.join(map(label, chosen))}")
    for against, result in (("chosen", ours), ("fixed", scores[FIXED])):
        print(f"{against}{f' ({label(FIXED)})' if against == 'fixed' else ''}:")
        for name, base in (("row", ROW), ("default", DEFAULT)):
            for role in ("easy", "hard"):
                gain, low, high = data.bootstrap(result, scores[base], role)
                before, after = data.mean(scores[base], role), data.mean(result, role)
                told[f"{against}/{name}/{role}"] = [before, after, gain, low, high]
                print(
                    f"  {role}: {before:.3f} ({label(base)}) -> {after:.3f}, "
                    f"gain {gain:+.3f}, 95 % {low:+.3f} .. {high:+.3f}"
                )
    ranking = sorted(candidates, key=lambda each: -worth(each, np.ones(len(data.paths), bool)))
    grid = {label(each): [data.mean(scores[each], role) for role in ("easy", "hard")] for each in ranking}
    told["grid"] = {name: [round(value, 4) for value in values] for name, values in grid.items()}
    for name, (easy, hard) in list(grid.items())[:10]:
        print(f"  {easy:.3f} {hard:.3f}  {name}   (all queries: for orientation, not for claims)")
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
