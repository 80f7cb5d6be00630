"""Promise: at the sizes that LoFTR is used with, its graphs and the core say what kornia's torch model says.

tests/test_match_loftr.py promises the same for small pictures; this is run by `make test-export`, for each
pair takes torch some seconds to half a minute.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")
pytest.importorskip("onnxruntime")
Image = pytest.importorskip("PIL.Image")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the helpers lie beside the quick tests

from match_helpers import photo  # noqa: E402
from test_match_loftr import Tensors, weights  # noqa: E402

from fastcbir.match.loftr import LoftrMatcher, Networks  # noqa: E402
from fastcbir.match.loftr_graphs import loftr_graphs  # noqa: E402
from fastcbir.match.network import Network  # noqa: E402


@cache
def telling() -> tuple[Tensors, Networks]:
    """Random weights whose features leave something to the position's: else one cell is all others' best."""
    tensors = dict(weights())
    for name, value in tensors.items():
        if name.startswith("loftr_coarse") and ".norm2." in name:
            tensors[name] = value * np.float32(0.1)
        elif name.endswith("layer3_outconv.weight"):
            tensors[name] = value * np.float32(0.03)
    graphs = loftr_graphs(tensors)
    return tensors, Networks(**{name: Network(data, threads=1) for name, data in graphs.items()})


def picture(width: int, height: int, left: int) -> npt.NDArray[np.uint8]:
    """A part of the photo, as large as asked."""
    part = Image.fromarray(photo()[:, left:])
    return np.asarray(part.resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("encoding", "first", "second"),
    [
        ("rounded", (640, 480), (640, 480)),
        ("exact", (480, 640), (640, 480)),
        ("rounded", (512, 384), (640, 424)),
    ],
    ids=["640x480", "upright and lying", "of two sizes"],
)
def test_parity_at_full_size(encoding: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kornia.feature import LoFTR
        from kornia.feature.loftr.loftr import default_cfg

    config = {**default_cfg, "coarse": {**default_cfg["coarse"], "temp_bug_fix": encoding == "exact"}}
    net = LoFTR(None, config).eval()
    tensors, networks = telling()
    net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()}, strict=False)
    net.coarse_matching.thr, net.coarse_matching.border_rm = 0.0, 2
    own = LoftrMatcher(networks, encoding=encoding, threshold=0.0, border=2, half=False, threads=1)
    images = [picture(*first, 0), picture(*second, 4)]
    found = own.match(*(own.extract(image) for image in images))
    grey = [np.asarray(Image.fromarray(image).convert("L"), np.float32) / 255 for image in images]
    with torch.inference_mode():
        given = {f"image{at}": torch.from_numpy(each[None, None]) for at, each in enumerate(grey)}
        expected: dict[str, Any] = net(given)
    assert len(expected["confidence"]) > 100
    assert len(found) == len(expected["confidence"])
    for points, key in ((found.points_a, "keypoints0"), (found.points_b, "keypoints1")):
        np.testing.assert_allclose(points, expected[key].numpy() - 0.5, atol=0.01)
    np.testing.assert_allclose(found.confidence, expected["confidence"].numpy(), atol=1e-4)
    np.testing.assert_allclose(found.confidence, expected["confidence"].numpy(), rtol=0.01)
