"""Coarse LoFTR (Kolodiazhnyi, 2022): a small LoFTR distilled for quick, rough matches, from its ONNX file.

The published graph takes two photos; here it is cut, as LoFTR's own is, into what depends on one photo and
what depends on both, and its 1200 x 1200 matrix is left out. Cells are 16 pixels; there is no refinement.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.errors import ModelError, require
from fastcbir.extract.cache import cached
from fastcbir.extract.extractor import ImageLike
from fastcbir.match.features import LocalFeatures
from fastcbir.match.network import Network
from fastcbir.match.pictures import SMALLEST_SIDE, to_network, upright
from fastcbir.rerank.matches import Matches

__all__ = ["CoarseLoftrMatcher", "cut", "load_coarse_loftr"]

_ROWS, _COLUMNS, _CELL = 30, 40, 16
_REVISION = 1


def cut(model: bytes) -> tuple[bytes, bytes, float]:
    """The published graph in two: photo -> features, and two photos' features -> the same, transformed.

    Returns:
        the first ("grey" (1, 1, 480, 640) -> "features" (1, 1200, C)), the second ("a", "b" -> "a_out",
        "b_out"), and the factor of an inner product before the softmax.

    Raises:
        ModelError: the graph has another form.
    """
    onnx = require("onnx", "photos", "converting a model")
    arrays: Any = require("onnx.numpy_helper", "photos", "converting a model")
    try:
        graph = onnx.load_from_string(model).graph
        maker = {name: node for node in graph.node for name in node.output}
        users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        sides = [found.name for found in graph.input]
        joined = users[sides[0]][0]
        split = next(node for node in graph.node if node.op_type == "Split")
        # Behind the split each half gets its position and becomes a sequence: the transformer's input.
        starts = [_follow(users, half, ["Add", "Reshape", "Transpose"]) for half in split.output]
        product = next(maker[found.name] for found in graph.output if maker[found.name].op_type == "MatMul")
        ends = [product.input[0], maker[product.input[1]].input[0]]
        divided = next(node for node in users[product.output[0]] if node.op_type == "Div")
        temperature = float(arrays.to_array(maker[divided.input[1]].attribute[0].t))
        if joined.op_type != "Concat" or len(sides) != 2 or len(starts) != 2:
            raise ValueError("its photos are not joined")
    except (StopIteration, KeyError, ValueError, IndexError) as error:
        raise ModelError(f"this is not Coarse LoFTR's graph: {error or type(error).__name__}") from error
    except Exception as error:  # what protocol buffers raise depends on their version
        raise ModelError(f"this is no ONNX model: {error}") from error

    cells = [1, _ROWS * _COLUMNS, "C"]
    # The photos joined are one photo; what the split gave to the first is all there is.
    one = {joined.output[0]: "grey", split.output[0]: split.input[0]}
    first = _part(graph, one, {"grey": [1, 1, 480, 640]}, {starts[0]: "features"}, cells)
    second = _part(
        graph,
        {starts[0]: "a", starts[1]: "b"},
        {"a": cells, "b": cells},
        {ends[0]: "a_out", ends[1]: "b_out"},
        cells,
    )
    return first, second, 1 / temperature


def _follow(users: dict[str, list[Any]], value: str, kinds: list[str]) -> str:
    """The value that a chain of nodes of these kinds makes of one."""
    for kind in kinds:
        value = next(node for node in users[value] if node.op_type == kind).output[0]
    return value


def _part(
    graph: Any,
    stand_ins: dict[str, str],
    inputs: dict[str, list[Any]],
    outputs: dict[str, str],
    shape: list[Any],
) -> bytes:
    """The nodes that the outputs need, as a model; values of `stand_ins` are taken from others."""
    onnx = require("onnx", "photos", "converting a model")
    helper: Any = require("onnx.helper", "photos", "converting a model")
    needed = set(outputs)
    nodes = []
    for node in reversed(graph.node):  # ONNX keeps nodes in the order in which they can run
        if not needed & set(node.output):
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(stand_ins.get(name, name) for name in node.input)
        needed.update(copy.input)
        nodes.append(copy)
    nodes.reverse()
    nodes += [helper.make_node("Identity", [value], [name]) for value, name in outputs.items()]
    kind = onnx.TensorProto.FLOAT
    made = helper.make_graph(
        nodes,
        "loftr-coarse",
        [helper.make_tensor_value_info(name, kind, sides) for name, sides in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name in outputs.values()],
        [weight for weight in graph.initializer if weight.name in needed],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    return bytes(model.SerializeToString())


class CoarseLoftrMatcher:
    """A PairMatcher of rough matches.

    Args:
        features, transformer: the two parts of the graph. scale: the factor of inner products.
        threshold: least confidence of a match: below 0.1 unrelated photos match, too.
    """

    name = "loftr-coarse"
    tolerance = 12.0  # its cells are 16 pixels

    def __init__(
        self,
        features: Network,
        transformer: Network,
        scale: float,
        *,
        model_id: str = "loftr-coarse",
        threshold: float = 0.2,
        min_inliers: int = 12,
        threads: int | None = None,
    ) -> None:
        self.model_id = f"{model_id}/f16"
        self.min_inliers = min_inliers
        self._features = features
        self._transformer = transformer
        self._scale = scale
        self._threshold = threshold
        self._threads = threads

    def extract(self, image: ImageLike) -> LocalFeatures:
        """Features of the 30 x 40 cells; the photo is stretched to 640 x 480 pixels, as the network asks."""
        from PIL import Image

        found, size = upright(image, _COLUMNS * _CELL * 5 // 4)
        if min(size) < SMALLEST_SIDE or max(size) > 20 * min(size):
            return LocalFeatures(size, {"features": np.zeros((0, 1), np.float16)})
        sides = _COLUMNS * _CELL, _ROWS * _CELL
        pixels = np.asarray(found.convert("L").resize(sides, Image.Resampling.BICUBIC, reducing_gap=3.0))
        if pixels.min() == pixels.max():
            return LocalFeatures(size, {"features": np.zeros((0, 1), np.float16)})
        (cells,) = self._features(("features",), grey=to_network(pixels))
        return LocalFeatures(size, {"features": cells[0].astype(np.float16)})

    def match(self, a: LocalFeatures, b: LocalFeatures) -> Matches:
        """See PairMatcher."""
        if not len(a) or not len(b):
            return Matches.none(a.size, b.size)
        inputs = {name: f["features"][None].astype(np.float32) for name, f in (("a", a), ("b", b))}
        out_a, out_b = (each[0] for each in self._transformer(("a_out", "b_out"), **inputs))
        grid = (_ROWS, _COLUMNS)
        of_a, of_b, confidence = _core.dual_softmax_matches(
            out_a, grid, out_b, grid, self._scale, self._threshold, 0, self._threads
        )
        return Matches(_to_photo(of_a, a.size), _to_photo(of_b, b.size), confidence, a.size, b.size)


def _to_photo(cells: npt.NDArray[np.int32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Where cells lie in the photo, by its pixel centres."""
    corners = np.stack([cells % _COLUMNS, cells // _COLUMNS], axis=1).astype(np.float32)
    return np.asarray(corners * (np.array(size, np.float32) / (_COLUMNS, _ROWS)) - 0.5, np.float32)


def load_coarse_loftr(
    path: str | Path, *, provider: str = "cpu", threads: int | None = None
) -> CoarseLoftrMatcher:
    """From Kolkir/Coarse_LoFTR_TRT's ONNX file (640 x 480).

    Raises:
        ModelError: the file can't be read, or is another model.
    """
    path = Path(path).expanduser()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"can't read the weights {path}: {error.strerror or error}; expected Coarse LoFTR's ONNX file"
        ) from error
    digest = hashlib.sha256(data).hexdigest()[:16]
    try:
        first, second, scale = cut(data)
    except ModelError as error:
        raise ModelError(f"{path}: {error}; expected Coarse LoFTR's published ONNX file") from error
    name = f"loftr-coarse-{digest}-r{_REVISION}"
    features = Network(cached(f"{name}-a.onnx", lambda: first), provider=provider, threads=threads)
    transformer = Network(cached(f"{name}-b.onnx", lambda: second), provider=provider, threads=threads)
    model_id = f"loftr-coarse/{digest}r{_REVISION}"
    return CoarseLoftrMatcher(features, transformer, scale, model_id=model_id, threads=threads)
