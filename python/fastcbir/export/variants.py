"""Smaller, quicker forms of a model: float16 weights, or 8-bit integers calibrated on photos, and what they
cost.

float16 halves the file, and is computed as such on a GPU; a CPU widens it again. int8 is static quantisation
(QDQ, one scale per output channel of the weights), whose ranges come from photos that are given.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastcbir.errors import require
from fastcbir.extract import Extractor, ModelCard, load_extractor, store
from fastcbir.extract.decode import IMAGE_SUFFIXES
from fastcbir.extract.registry import onnx_of

__all__ = ["VARIANTS", "RetrievalLoss", "make_variant", "retrieval_loss", "variant"]

VARIANTS = ("fp16", "int8")

_CALIBRATION, _COMPARED = 32, 256  # photos, at most

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RetrievalLoss:
    """How a variant's answers differ from the model's, each photo as a query among the others.

    Attributes:
        photos: that were tried. cosine: mean between the two vectors of a photo. first: share of photos with
        the same nearest neighbour. overlap: mean share of the ten nearest that both have.
    """

    photos: int
    cosine: float
    first: float
    overlap: float


def make_variant(exact: Extractor, kind: str, photos: Path) -> tuple[ModelCard, RetrievalLoss]:
    """Add NAME-fp16 or NAME-int8, made of a model that is here.

    Args:
        exact: the model.
        kind: "fp16" or "int8".
        photos: a folder; a third of its photos (32 at most) calibrate, the others (256 at most) tell the
            loss.

    Raises:
        ValueError: another kind, or fewer than 3 photos.
        ModelError: the model has no ONNX file.
    """
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if len(found) < 3:
        raise ValueError(f"{photos} has {len(found)} photos, expected at least 3")
    calibrating, telling = found[::3][:_CALIBRATION], [path for path in found if path not in found[::3]]
    data = onnx_of(exact.card)
    inputs = [exact.prepared(path) for path in calibrating] if kind == "int8" else []
    card = replace(exact.card, name=f"{exact.card.name}-{kind}", summary=f"{exact.card.name} as {kind}.")
    card = store.put(card, variant(kind, data, inputs))
    other = load_extractor(str(card.spec))
    loss = retrieval_loss(exact.extract, other.extract, telling[:_COMPARED])
    store.put(card, store.model_path(card.name).read_bytes(), {"loss": asdict(loss)})
    return card, loss


def variant(kind: str, onnx_model: bytes, calibration: Sequence[Vectors] = ()) -> bytes:
    """Another form of an ONNX model; inputs and outputs stay float32.

    Args:
        kind: "fp16" or "int8".
        calibration: for int8: prepared photos (3, H, W), of which a few dozen suffice.

    Raises:
        ValueError: another kind, or int8 without photos.
        MissingExtraError: onnx or onnxruntime is not installed.
    """
    if kind == "fp16":
        return _float16(onnx_model)
    if kind != "int8":
        raise ValueError(f"a variant is one of {', '.join(VARIANTS)}, got {kind!r}")
    if not calibration:
        raise ValueError("int8 needs photos to be calibrated with, got none")
    return _int8(onnx_model, calibration)


def _float16(model: bytes) -> bytes:
    onnx = require("onnx", "photos", "converting a model")
    float16 = require("onnxruntime.transformers.float16", "onnx", "converting a model to float16")
    found = float16.convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True)
    return bytes(found.SerializeToString())


def _int8(model: bytes, calibration: Sequence[Vectors]) -> bytes:
    onnx = require("onnx", "photos", "quantising a model")
    tools = require("onnxruntime.quantization", "onnx", "quantising a model")
    name = onnx.load_from_string(model).graph.input[0].name

    class Reader(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._left: Iterator[Vectors] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            pixels = next(self._left, None)
            return None if pixels is None else {name: pixels[None]}

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model)
        tools.quantize_static(
            str(source),
            str(target),
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
            per_channel=True,
            # The vector itself stays float32: a classifier's last layers cost nothing and lose the most.
            op_types_to_quantize=["Conv", "MatMul", "Add", "Clip"],
            extra_options={"CalibMovingAverage": True},
        )
        return target.read_bytes()


def retrieval_loss(
    exact: Callable[[Sequence[Any]], Vectors],
    other: Callable[[Sequence[Any]], Vectors],
    photos: Sequence[Any],
) -> RetrievalLoss:
    """Compare two extractors on photos: both give unit vectors (N, dim).

    Raises:
        ValueError: fewer than 2 photos.
    """
    if len(photos) < 2:
        raise ValueError(f"comparing needs at least 2 photos, got {len(photos)}")
    ours, theirs = exact(photos), other(photos)
    count = min(10, len(photos) - 1)
    near = []
    for vectors in (ours, theirs):
        similarity = vectors @ vectors.T
        np.fill_diagonal(similarity, -np.inf)
        near.append(np.argsort(-similarity, axis=1, kind="stable")[:, :count])
    same = [len(np.intersect1d(*rows)) / count for rows in zip(*near, strict=True)]
    return RetrievalLoss(
        photos=len(photos),
        cosine=float(np.sum(ours * theirs, axis=1).mean()),
        first=float(np.mean(near[0][:, 0] == near[1][:, 0])),
        overlap=float(np.mean(same)),
    )
