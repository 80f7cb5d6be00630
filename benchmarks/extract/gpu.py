"""A model on a GPU beside the CPU: the same vectors within tolerance, and images a second.

    python -m benchmarks.extract.gpu [--model NAME] [--provider cuda|tensorrt] [--out FILE]

Needs `fastcbir[gpu]` and an NVIDIA GPU; where something is missing, the error names it, and nothing is
measured.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.machine import describe_machine
from fastcbir.errors import ModelError
from fastcbir.export.variants import variant
from fastcbir.extract.onnx_session import OnnxModel
from fastcbir.extract.registry import find, onnx_of

TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}  # of unit vectors, in length of the difference
BATCHES = (1, 8, 32, 128)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--provider", default="cuda")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    card = find(options.model).card
    data = onnx_of(card)
    size, multiple = card.preprocessing.size, card.preprocessing.multiple
    photos = np.random.default_rng(0).normal(size=(max(BATCHES), 3, size, size)).astype(np.float32)
    reference = unit(OnnxModel(data, output=card.output, multiple=multiple)(photos[:8]))
    told: dict[str, object] = {"machine": describe_machine(["numpy", "onnxruntime-gpu"]), "model": card.name}
    for kind in ("fp32", "fp16"):
        try:
            model = OnnxModel(
                data if kind == "fp32" else variant("fp16", data),
                output=card.output,
                provider=options.provider,
                multiple=multiple,
            )
        except ModelError as error:
            parser.exit(1, f"{error}\n")
        apart = float(np.linalg.norm(unit(model(photos[:8])) - reference, axis=1).max())
        rates = {}
        for batch in BATCHES:
            model(photos[:batch])
            seconds = []
            for _ in range(5):
                start = time.perf_counter()
                model(photos[:batch])
                seconds.append(time.perf_counter() - start)
            rates[batch] = batch / median(seconds)
        told[kind] = {"difference": apart, "images_per_second": rates}
        verdict = "as the CPU" if apart <= TOLERANCE[kind] else "NOT as the CPU"
        print(
            f"{kind}: {verdict} (difference {apart:.2g}); "
            + ", ".join(f"{b}: {r:.0f}/s" for b, r in rates.items())
        )
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
