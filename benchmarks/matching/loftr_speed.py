"""LoFTR against the torch model it was made from, with the same (random) weights, in one run; optional."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from fastcbir.match.loftr import LoftrMatcher, Networks
from fastcbir.match.loftr_graphs import loftr_graphs
from fastcbir.match.network import Network
from fastcbir.match.pictures import grey_picture


def loftr_speed(paths: list[Path], threads: int, rounds: int = 1) -> dict[str, Any]:
    """Pairs a second of one query with photos whose features are kept, and of torch's whole model.

    Interleaved: a pair by one, the same pair by the other. torch runs both backbones for each pair, as its
    forward() does; `torch_cached_s` is what it takes with its own extract_features() kept, too.
    """
    try:
        import torch
        from kornia.feature import LoFTR
    except ImportError:
        return {"skipped": "torch or kornia is not installed"}
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = LoFTR(None).eval()
    net.coarse_matching.thr = 0.0
    graphs = loftr_graphs({name: value.numpy() for name, value in net.state_dict().items()})
    networks = Networks(**{name: Network(data, threads=threads) for name, data in graphs.items()})
    own = LoftrMatcher(networks, encoding="rounded", threshold=0.0, threads=threads)
    images = [np.asarray(_frame(path)) for path in paths]
    query, *others = images
    start = time.perf_counter()
    kept = [own.extract(image) for image in images]
    extracted = (time.perf_counter() - start) / len(images)

    def tensor(image: np.ndarray) -> Any:
        picture = grey_picture(image, 640, 8)
        assert picture is not None
        return torch.from_numpy(picture.pixels[None, None].astype(np.float32) / 255)

    ours: list[float] = []
    whole: list[float] = []
    cached: list[float] = []
    matches = []
    with torch.inference_mode():
        features = [net.extract_features(tensor(image)) for image in images]
        for _ in range(rounds):
            for number, other in enumerate(others, 1):
                start = time.perf_counter()
                matches.append(len(own.match(kept[0], kept[number])))
                ours.append(time.perf_counter() - start)
                start = time.perf_counter()
                net({"image0": tensor(query), "image1": tensor(other)})
                whole.append(time.perf_counter() - start)
                start = time.perf_counter()
                net({"features0": features[0], "features1": features[number]})
                cached.append(time.perf_counter() - start)
    return {
        "size": "640x480",
        "threads": threads,
        "pairs": len(ours),
        "matches_a_pair": float(np.mean(matches)),
        "extract_s": extracted,
        "pair_s": float(np.median(ours)),
        "torch_s": float(np.median(whole)),
        "torch_cached_s": float(np.median(cached)),
        "speedup": float(np.median(whole) / np.median(ours)),
        "speedup_against_cached_torch": float(np.median(cached) / np.median(ours)),
    }


def _frame(path: Path) -> Any:
    from PIL import Image

    return Image.open(path).convert("RGB").resize((640, 480))
