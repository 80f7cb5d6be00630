"""What the smaller forms of a model cost in retrieval: fp16, and int8 calibrated on other photos.

    python -m benchmarks.extract.variants PHOTOS --calibrate DIR [--out FILE]

PHOTOS is a folder as of instances.py; none of its photos calibrates. The vectors of a form are compared among
themselves, each photo a query; gains are against the model itself, with intervals over places.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks.extract.instances import load_instances
from benchmarks.machine import describe_machine
from fastcbir.export.variants import VARIANTS, variant
from fastcbir.extract import Extractor, load_extractor
from fastcbir.extract.decode import IMAGE_SUFFIXES
from fastcbir.extract.onnx_session import OnnxModel
from fastcbir.extract.registry import onnx_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--calibrate", type=Path, required=True, help="a folder of other photos")
    parser.add_argument("--out", type=Path, help="write the numbers here, as JSON")
    options = parser.parse_args()
    data = load_instances(options.photos)
    exact = load_extractor()
    model = onnx_of(exact.card)
    others = [each for each in sorted(options.calibrate.iterdir()) if each.suffix.lower() in IMAGE_SUFFIXES]
    calibration = [exact.prepared(path) for path in others]
    told: dict[str, object] = {
        "machine": describe_machine(
            ["numpy", "onnxruntime", "pillow"], ["python", "-m", "benchmarks.extract.variants", *sys.argv[1:]]
        ),
        "calibrated_on": len(others),
    }
    base = None
    for kind in ("fp32", *VARIANTS):
        onnx = model if kind == "fp32" else variant(kind, model, calibration)
        vectors = Extractor(exact.card, OnnxModel(onnx, output=exact.card.output)).extract(data.paths)
        found = data.average_precisions(np.asarray(vectors @ vectors.T, np.float64))
        base = found if base is None else base
        told[kind] = {
            role: [data.mean(found, role), *data.bootstrap(found, base, role)] for role in ("easy", "hard")
        }
        print(f"{kind}: {json.dumps(told[kind])}", flush=True)
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
