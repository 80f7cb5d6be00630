"""Photos a second, beside the obvious PyTorch loop: DataLoader, torchvision transforms, network, no_grad.

    python -m benchmarks.extract.throughput PHOTOS [--backbone resnet18] [--rounds 3] [--out FILE]

Both get the same files, the same resizing and the same network (random weights: the time is the same), and
all cores that the process may use. Needs the extra "export". Each round runs both, one after the other;
medians are told. PHOTOS is searched for .jpg files; few are repeated until there are 256.
"""

from __future__ import annotations

import argparse
import json
import os
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


def ours(card: ModelCard, paths: list[Path]) -> tuple[float, Extractor]:
    extractor = load_extractor(card.name)
    extractor.extract([paths[0]])
    start = time.perf_counter()
    count = sum(1 for _ in extractor.stream(paths))
    assert count == len(paths)
    return time.perf_counter() - start, extractor


def theirs(network: networks.Network, card: ModelCard, paths: list[Path], batch: int, workers: int) -> float:
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
        start = time.perf_counter()
        count = sum(len(network.forward(images)[0]) for images in loader)
    assert count == len(paths)
    return time.perf_counter() - start


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
        fast, profile, slow = [], None, {}
        for _ in range(options.rounds):
            seconds, extractor = ours(card, paths)
            fast.append(len(paths) / seconds)
            profile = asdict(extractor.timings.total())
            for batch, workers in ((32, core_count()), (32, 0)):
                rate = len(paths) / theirs(network, card, paths, batch, workers)
                slow.setdefault(f"batch {batch}, {workers} workers", []).append(rate)
    best = max(median(rates) for rates in slow.values())
    told = {
        "machine": describe_machine(["numpy", "onnxruntime", "pillow", "torch", "torchvision"]),
        "photos": len(paths),
        "backbone": options.backbone,
        "fastcbir": fast,
        "torch": slow,
        "ratio": median(fast) / best,
        "profile": profile,
    }
    print(f"{options.backbone}, {len(paths)} photos, {core_count()} cores")
    print(f"  fastcbir {median(fast):.1f} photos/s ({', '.join(f'{rate:.1f}' for rate in fast)})")
    for name, rates in slow.items():
        print(f"  torch, {name}: {median(rates):.1f} photos/s ({', '.join(f'{rate:.1f}' for rate in rates)})")
    print(f"  ratio to the better: {told['ratio']:.2f}")
    print(f"  profile of ours: {json.dumps(profile)}")
    if options.out is not None:
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
