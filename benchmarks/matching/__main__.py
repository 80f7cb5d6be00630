"""Measures and writes: python -m benchmarks.matching [--matcher xfeat] [--part evd] [--out FILE].

Needs FASTCBIR_DEV_DATA, for the photos may not be distributed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.matching.geometry import extreme_views, warped_photos
from benchmarks.matching.instances import Instances
from benchmarks.matching.loftr_speed import loftr_speed
from benchmarks.matching.retrieval import count_inliers, expand, pair_cost, score
from fastcbir.extract import load_extractor
from fastcbir.match import load_matcher

PARTS = ("cost", "retrieval", "evd", "warped", "loftr")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matcher", action="append", help="repeatable; xfeat and sift by default")
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/runs/matching.json"))
    given = parser.parse_args()
    root = os.environ.get("FASTCBIR_DEV_DATA")
    if not root:
        print("FASTCBIR_DEV_DATA is not set: the folder with instances/ and landmarks/", file=sys.stderr)
        return 2
    folder = Path(root) / "instances"
    parts = given.part or list(PARTS)
    told: dict[str, Any] = json.loads(given.out.read_text()) if given.out.exists() else {}
    told["machine"] = describe_machine(
        ["onnxruntime", "opencv-python-headless"], ["python", "-m", "benchmarks.matching", *sys.argv[1:]]
    )
    data = Instances.read(folder)
    landmarks = sorted((Path(root) / "landmarks").glob("*.jpg"))

    def keep(name: str, part: str, found: Any) -> None:
        told.setdefault(name, {})[part] = found
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(told, indent=1, default=str) + "\n")
        print(f"{name} {part}: {json.dumps(found, default=str)}", flush=True)

    for name in given.matcher or ["xfeat", "sift"]:
        matcher = load_matcher(name, threads=given.threads)
        if "cost" in parts:
            keep(name, "cost", pair_cost(data, matcher))
        if "warped" in parts:
            keep(name, "warped", warped_photos(sorted(data.paths)[::7], matcher))
        if "evd" in parts:
            keep(name, "evd", extreme_views(folder, matcher))
        if "retrieval" in parts:
            vectors = load_extractor(threads=given.threads).extract(data.paths)
            inliers = count_inliers(data, matcher)
            keep(name, "retrieval", score(data, vectors, inliers, matcher.min_inliers))
            keep(name, "expansion", expand(data, vectors, inliers, matcher.min_inliers))
    if "loftr" in parts:
        keep("loftr", "speed", loftr_speed(landmarks[:3], given.threads))
    return 0


if __name__ == "__main__":
    sys.exit(main())
