"""Photos a second, beside the obvious PyTorch loop: DataLoader, torchvision transforms, network, no_grad.

    python -m benchmarks.extract.throughput PHOTOS [--backbone resnet18] [--rounds 3] [--out FILE]

Both get the same files, the same resizing and the same network (random weights: the time is the same), and
all cores that the process may use. Needs the extra "export". Each round runs both, one after the other;
medians are told, and the computing time of all threads and workers, which other programs disturb less. PHOTOS
is searched for .jpg files; few are repeated until there are 256.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import describe_machine
from fastcbir.export import frameworks, networks
from fastcbir.export.model import convert
from fastcbir.extract import Extractor, load_extractor, store, zoo
from fastcbir.extract.card import ModelCard
from fastcbir.extract.onnx_session import core_count

PHOTOS = 256


Rate = dict[str, float]


def rate(count: int, start: tuple[float, float]) -> Rate:
    """Photos a second since `start`, and seconds of computing a photo."""
    seconds, computing = now()
    return {"rate": count / (seconds - start[0]), "cpu": (computing - start[1]) / count}


def now() -> tuple[float, float]:
    """The clock, and what this process and its ended workers have computed so far, in seconds."""
    return time.perf_counter(), sum(os.times()[:4])


def ours(card: ModelCard, paths: list[Path]) -> tuple[Rate, Extractor]:
    extractor = load_extractor(card.name)
    extractor.extract([paths[0]])
    start = now()
    count = sum(1 for _ in extractor.stream(paths))
    assert count == len(paths)
    return rate(count, start), extractor


def theirs(network: networks.Network, card: ModelCard, paths: list[Path], batch: int, workers: int) -> Rate:
    torch, vision = frameworks.torch(), frameworks.torchvision()
    from PIL import Image

    rule = card.preprocessing
    steps = vision.transforms
    prepare = steps.Compose(
        [
            steps.Resize(rule.resize),
            steps.CenterCrop(rule.size),
            steps.ToTensor(),
            steps.Normalize(rule.mean, rule.std),
        ]
    )

    class Photos(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, place: int) -> Any:
            with Image.open(paths[place]) as image:
                return prepare(image.convert("RGB"))

    loader = torch.utils.data.DataLoader(Photos(), batch_size=batch, num_workers=workers)
    network.module.eval()
    with torch.no_grad():
        network.forward(torch.zeros(batch, 3, rule.size, rule.size))
        start = now()
        count = sum(len(network.forward(images)[0]) for images in loader)
    assert count == len(paths)
    return rate(count, start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default="resnet18", help="a row of the zoo, of torchvision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=PHOTOS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # torch's, about itself
    found = sorted(options.photos.rglob("*.jpg"))
    paths = list(islice(cycle(found), max(options.count, len(found))))
    row = zoo.find(options.backbone)
    assert row is not None
    # The transforms of torchvision's own recipe: shortest side 256, the middle 224 x 224.
    rule = replace(row.card.preprocessing, size=224, fit="crop", resize=256, resample="bilinear")
    torch = frameworks.torch()
    torch.set_num_threads(core_count())
    network = networks.build(row)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FASTCBIR_MODELS"] = folder
        card = store.put(replace(row.card, name="bench", preprocessing=rule), convert(row, network).onnx)
        runs: dict[str, list[Rate]] = {}
        profile = None

        def keep(name: str, found: Rate) -> None:
            runs.setdefault(name, []).append(found)
            print(f"{name}: {found['rate']:.1f}/s, {found['cpu'] * 1e3:.1f} ms", file=sys.stderr, flush=True)

        for _ in range(options.rounds):
            found, extractor = ours(card, paths)
            keep("fastcbir", found)
            profile = asdict(extractor.timings.total())
            for batch, workers in ((32, core_count()), (32, 0)):
                name = f"torch, batch {batch}, {workers} workers"
                keep(name, theirs(network, card, paths, batch, workers))

    def middle(name: str, what: str) -> float:
        return median(each[what] for each in runs[name])

    others = [name for name in runs if name != "fastcbir"]
    told = {
        "machine": describe_machine(
            ["numpy", "onnxruntime", "pillow", "torch", "torchvision"],
            ["python", "-m", "benchmarks.extract.throughput", *sys.argv[1:]],
        ),
        "photos": len(paths),
        "backbone": options.backbone,
        "runs": runs,
        "ratio": middle("fastcbir", "rate") / max(middle(name, "rate") for name in others),
        "ratio_of_computing": min(middle(name, "cpu") for name in others) / middle("fastcbir", "cpu"),
        "profile": profile,
    }
    print(f"{options.backbone}, {len(paths)} photos, {core_count()} cores")
    for name, rates in runs.items():
        told_rates = ", ".join(f"{each['rate']:.1f}" for each in rates)
        cost = 1e3 * middle(name, "cpu")
        print(
            f"  {name}: {middle(name, 'rate'):.1f} photos/s ({told_rates}); {cost:.1f} ms of computing each"
        )
    print(f"  ratio to the better: {told['ratio']:.2f}; of computing: {told['ratio_of_computing']:.2f}")
    print(f"  profile of ours: {json.dumps(profile)}")
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
