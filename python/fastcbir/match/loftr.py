"""LoFTR (Sun et al., CVPR 2021): matches without keypoints, where there is too little texture for them.

A photo is looked at once (`extract`: the backbone, most of the work); a pair then costs the transformer, the
matching of cells (in the core, without the matrix of all pairs) and the refinement of the matches found.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.errors import ModelError
from fastcbir.extract.cache import cached
from fastcbir.extract.extractor import ImageLike
from fastcbir.extract.weights import state_dict
from fastcbir.match.features import LocalFeatures
from fastcbir.match.loftr_graphs import CHANNELS, WINDOW, loftr_graphs
from fastcbir.match.network import Network
from fastcbir.match.pictures import grey_picture, to_network, upright
from fastcbir.rerank.matches import Matches

__all__ = ["ENCODINGS", "LoftrMatcher", "Networks", "load_loftr", "position_encoding"]

Floats = npt.NDArray[np.float32]

_CELL, _FINE = 8, 2  # pixels of a coarse cell, of a fine one
_TEMPERATURE = 0.1
_REVISION = 1

# Which position encoding a published checkpoint was trained with, by its file's name. The first release
# computed the frequencies with a division that rounds; the weights have learnt to live with it.
ENCODINGS = {
    "outdoor_ds": "rounded",
    "loftr_outdoor": "rounded",
    "indoor_ds_new": "exact",
    "loftr_indoor_ds_new": "exact",
    "indoor_ds": "rounded",
    "loftr_indoor": "rounded",
}


def position_encoding(rows: int, columns: int, channels: int, encoding: str) -> Floats:
    """(rows, columns, channels) float32: sines and cosines of x and y, counted from 1.

    Args:
        encoding: "exact", or "rounded" as in the first release.
    """
    half = channels // 2
    decay = -np.log(10000.0) / half if encoding == "exact" else float(-np.log(10000.0) / channels // 2)
    frequency = np.exp(np.arange(0, half, 2, dtype=np.float32) * np.float32(decay))
    x = np.arange(1, columns + 1, dtype=np.float32)[None, :, None] * frequency
    y = np.arange(1, rows + 1, dtype=np.float32)[:, None, None] * frequency
    out = np.empty((rows, columns, channels), np.float32)
    out[..., 0::4], out[..., 1::4] = np.sin(x), np.cos(x)
    out[..., 2::4], out[..., 3::4] = np.sin(y), np.cos(y)
    return out


@dataclass(frozen=True)
class Networks:
    """The three graphs of loftr_graphs(), opened."""

    backbone: Network
    coarse: Network
    fine: Network


class LoftrMatcher:
    """A PairMatcher.

    Args:
        networks: of one checkpoint.
        encoding: see position_encoding().
        model_id: identity of the weights; photo size and format are added to it.
        side: longest side, in pixels, that photos are shrunk to.
        threshold: least confidence of a match. border: cells at the edges that are left out.
        half: keep features in 16 bits.
        threads: for matching; None for all cores.
    """

    name = "loftr"
    tolerance = 3.0

    def __init__(
        self,
        networks: Networks,
        *,
        encoding: str,
        model_id: str = "loftr",
        side: int = 640,
        threshold: float = 0.2,
        border: int = 2,
        half: bool = True,
        min_inliers: int = 30,
        threads: int | None = None,
    ) -> None:
        if encoding not in ("exact", "rounded"):
            raise ValueError(f"encoding must be exact or rounded, got {encoding!r}")
        self.model_id = f"{model_id}@{side}/{encoding}/{'f16' if half else 'f32'}"
        self.min_inliers = min_inliers
        self._networks = networks
        self._encoding = encoding
        self._side = side
        self._threshold = threshold
        self._border = border
        self._kept = np.float16 if half else np.float32
        self._threads = threads

    def extract(self, image: ImageLike) -> LocalFeatures:
        """Coarse features (rows, columns, 256), with their position, and fine ones (4 x as many, 128)."""
        picture = grey_picture(image, self._side, _CELL)
        if picture is None or picture.pixels.min() == picture.pixels.max():
            size = upright(image, self._side)[1] if picture is None else picture.size
            empty = np.zeros((0, 0, CHANNELS), self._kept)
            return LocalFeatures(size, {"coarse": empty, "fine": empty[..., :128]})
        found = self._networks.backbone(("coarse", "fine"), grey=to_network(picture.pixels))
        coarse, fine = (each[0] for each in found)
        rows, columns = coarse.shape[:2]
        coarse = coarse + position_encoding(rows, columns, CHANNELS, self._encoding)
        return LocalFeatures(
            picture.size, {"coarse": coarse.astype(self._kept), "fine": fine.astype(self._kept)}
        )

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        """See PairMatcher."""
        if not a["coarse"].size or not b["coarse"].size:
            return Matches.none(a.size, b.size)
        grids = [features["coarse"].shape[:2] for features in (a, b)]
        flat = [f["coarse"].reshape(1, -1, CHANNELS).astype(np.float32) for f in (a, b)]
        cells = [each[0] for each in self._networks.coarse(("a_out", "b_out"), a=flat[0], b=flat[1])]
        of_a, of_b, confidence = _core.dual_softmax_matches(
            cells[0],
            grids[0],
            cells[1],
            grids[1],
            1 / (CHANNELS * _TEMPERATURE),
            self._threshold,
            self._border,
            self._threads,
        )
        if not len(of_a):
            return Matches.none(a.size, b.size)
        windows = [
            _core.gather_windows(
                features["fine"].astype(np.float32, copy=False), of, grid[1], _CELL // _FINE, WINDOW
            )
            for features, of, grid in zip((a, b), (of_a, of_b), grids, strict=True)
        ]
        (offset,) = self._networks.fine(
            ("offset",),
            windows_a=windows[0],
            windows_b=windows[1],
            cells_a=cells[0][of_a],
            cells_b=cells[1][of_b],
        )
        moved = offset * (WINDOW // 2 * _FINE)
        return Matches(
            _to_photo(_corners(of_a, grids[0][1]), grids[0], a.size),
            _to_photo(_corners(of_b, grids[1][1]) + moved, grids[1], b.size),
            confidence,
            a.size,
            b.size,
        )


def _corners(cells: npt.NDArray[np.int32], columns: int) -> Floats:
    """(M, 2) where cells lie, in pixels of the picture, of whose first pixel the corner is (0, 0)."""
    return np.stack([cells % columns, cells // columns], axis=1).astype(np.float32) * _CELL


def _to_photo(points: Floats, grid: tuple[int, ...], size: tuple[int, int]) -> Floats:
    """From the picture's corners to the photo's pixel centres."""
    scale = np.array([size[0] / (grid[1] * _CELL), size[1] / (grid[0] * _CELL)], np.float32)
    return np.asarray(points * scale - 0.5, np.float32)


def load_loftr(
    path: str | Path,
    *,
    encoding: str | None = None,
    provider: str = "cpu",
    threads: int | None = None,
    side: int = 640,
) -> LoftrMatcher:
    """LoFTR from a published checkpoint, such as outdoor_ds.ckpt; converted once, kept in the cache folder.

    Args:
        path: the .ckpt file, of zju3dv/LoFTR or of kornia, with dual softmax.
        encoding: see position_encoding(); None to know it by the file's name.
        provider, threads, side: as for load_matcher() and LoftrMatcher.

    Raises:
        ModelError: the file can't be read, is no such checkpoint, or has a name that tells no encoding.
    """
    path = Path(path).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"can't read the weights {path}: {error.strerror or error}; expected a published LoFTR checkpoint"
        ) from error
    known = encoding or ENCODINGS.get(path.stem)
    if known is None:
        raise ModelError(
            f"{path.name} is no published checkpoint's name ({', '.join(ENCODINGS)}); rename it, or load it "
            'by load_loftr(path, encoding="exact"), or "rounded" for weights of the first release'
        )
    digest = hashlib.sha256(data).hexdigest()[:16]
    made: dict[str, bytes] = {}

    def graph(part: str) -> bytes:
        if not made:
            tags = {"name": "loftr", "source": path.name, "weights_sha256": digest}
            try:
                made.update(loftr_graphs(state_dict(data), metadata=tags))
            except ModelError as error:
                raise ModelError(f"{path}: {error}; expected a published LoFTR checkpoint") from error
        return made[part]

    parts = {
        part: Network(
            cached(f"loftr-{digest}-{part}-r{_REVISION}.onnx", lambda part=part: graph(part)),  # type: ignore[misc]
            provider=provider,
            threads=threads,
        )
        for part in ("backbone", "coarse", "fine")
    }
    return LoftrMatcher(
        Networks(**parts), encoding=known, model_id=f"loftr/{digest}r{_REVISION}", side=side, threads=threads
    )
