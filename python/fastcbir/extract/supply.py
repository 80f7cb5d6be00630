"""How models get here: fetched weights, ready-made ONNX files; and whether what is here is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastcbir.download import DownloadError, download
from fastcbir.errors import ModelError
from fastcbir.extract import store, zoo
from fastcbir.extract.cache import file_sha256
from fastcbir.extract.card import ModelCard, Preprocessing
from fastcbir.extract.onnx_session import open_session
from fastcbir.extract.spec import NAME

__all__ = ["add", "check", "pull", "weights_of"]

_SIZE = 384  # of models that take any


def weights_of(name: str) -> Path:
    """Where `pull` puts the weights of a row of the zoo.

    Raises:
        ModelError: the zoo has no such row.
    """
    entry = zoo.find(name)
    if entry is None:
        known = ", ".join(each.name for each in zoo.ZOO)
        raise ModelError(f"fastcbir does not know where {name!r} could be had; it knows {known}")
    return store.models_folder() / "weights" / name / entry.url.rpartition("/")[2]


def pull(name: str, *, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Fetch the weights of a row of the zoo, and what else it needs; what is there already is kept.

    Returns:
        The files, the weights first.

    Raises:
        ModelError: unknown name, or the weights are not those that were published.
        DownloadError: a file can't be had; the same again resumes where it stopped.
    """
    target, entry = weights_of(name), zoo.find(name)
    assert entry is not None
    whole = entry.sha256 if len(entry.sha256) == 64 else None
    try:
        found = [download(entry.url, target, sha256=whole, progress=progress)]
        found += [download(url, target.parent / file, progress=progress) for file, url in entry.files]
    except DownloadError as error:
        raise DownloadError(f"{error} (weights that were fetched by hand belong at {target})") from error
    digest = file_sha256(target)
    if not digest.startswith(entry.sha256):
        raise ModelError(
            f"{target} has sha256 {digest}, but its publisher says {entry.sha256}...: delete it, then pull "
            "it again"
        )
    return found


def add(
    file: Path,
    name: str,
    *,
    output: str | None = None,
    feature_map: str = "",
    size: int | None = None,
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
    multiple: int = 32,
    licence: str = "unknown",
    source: str = "",
) -> ModelCard:
    """Take a ready-made ONNX file in, without torch.

    Args:
        file: takes (N, 3, H, W) float32 RGB and gives vectors (N, dim).
        name: what it is to be called.
        output: that is the vector; None for the only one that can be.
        feature_map: an output (N, C, H, W) or (N, tokens, C) that may be pooled otherwise.
        size: longest side in pixels; None for what the file fixes, else 384. Where the file fixes a square,
            photos are resized to cover it and cut to it.
        mean, std: of red, green and blue, of values in 0..1.
        multiple: what both sides must be multiples of.
        licence, source: for the card.

    Raises:
        ModelError: the file is no such model; the message says what it has.
        ValueError: mean or std are not three numbers.
    """
    if NAME.fullmatch(name) is None or zoo.find(name) is not None or name in _built_in():
        raise ModelError(f"a model can't be called {name!r}: that is no name, or another model's")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: can't be read: {error.strerror or error}") from error
    try:
        session = open_session(data)
    except ModelError as error:
        raise ModelError(
            f"{file} is no ONNX model that can be opened; expected an .onnx file: {error}"
        ) from error
    fixed = _fixed_side(session, file)
    if fixed is not None and size not in (None, fixed):
        raise ModelError(f"{file} takes {fixed} x {fixed} pixels alone, got size {size}")
    rule = Preprocessing(
        fixed or size or _SIZE,
        _three("mean", mean),
        _three("std", std),
        multiple=multiple,
        fit="crop" if fixed else "longest",
        resize=fixed or 0,
    )
    if rule.size % multiple and not fixed:
        raise ValueError(f"size must be a multiple of {multiple} pixels, got {rule.size}")
    found = _outputs(session, rule, file)
    vectors = [key for key, value in found.items() if value.ndim == 2]
    if output is None and len(vectors) != 1:
        raise ModelError(
            f"{file} has the outputs {_told(found)}; name the vector among them: --output, or output="
        )
    chosen = output or vectors[0]
    if chosen not in found or found[chosen].ndim != 2:
        raise ModelError(f"{file} has the outputs {_told(found)}, so {chosen!r} is no vector (N, dim)")
    channels = 0
    if feature_map:
        if feature_map not in found or found[feature_map].ndim not in (3, 4):
            raise ModelError(f"{file} has the outputs {_told(found)}, so {feature_map!r} is no feature map")
        channels = found[feature_map].shape[1 if found[feature_map].ndim == 4 else 2]
    card = ModelCard(
        name=name,
        dim=found[chosen].shape[1],
        metric="cosine",
        summary=f"Added from {file.name}.",
        licence=licence,
        licence_url="",
        source=source or str(file),
        sha256="",
        preprocessing=rule,
        output=chosen,
        extra="onnx",
        feature_map=feature_map,
        feature_dim=channels,
    )
    return store.put(card, data)


def check(name: str) -> list[str]:
    """What is wrong with an added model, in sentences; nothing when it is whole and runs.

    Raises:
        ModelError: there is no such model.
    """
    if not store.card_path(name).is_file():
        raise ModelError(f"there is no added model {name!r} in {store.models_folder()}")
    try:
        entry = store.find(name)
        assert entry is not None
        rule = entry.card.preprocessing
        found = entry.open(entry.card, "cpu", None)(np.zeros((1, 3, rule.size, rule.size), np.float32))
    except (ModelError, ValueError, json.JSONDecodeError) as error:
        return [str(error)]
    if found.shape != (1, entry.card.dim):
        return [f"{entry.card.output} has shape {found.shape}, but the card says dim {entry.card.dim}"]
    return [] if np.isfinite(found).all() else [f"{entry.card.output} is not finite for a grey photo"]


def _built_in() -> tuple[str, ...]:
    from fastcbir.extract.registry import BUILT_IN  # which imports the store, as this does

    return BUILT_IN


def _three(what: str, values: Sequence[float]) -> tuple[float, float, float]:
    if len(values) != 3 or (what == "std" and min(values) <= 0):
        raise ValueError(f"{what} must be three numbers, for red, green and blue, got {list(values)}")
    return float(values[0]), float(values[1]), float(values[2])


def _fixed_side(session: Any, file: Path) -> int | None:
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        told = ", ".join(f"{each.name} {each.shape} {each.type}" for each in inputs)
        raise ModelError(f"{os.fspath(file)} takes {told}; expected one input (N, 3, H, W) of float32")
    channels = inputs[0].shape[1]
    if isinstance(channels, int) and channels != 3:
        raise ModelError(
            f"{os.fspath(file)} takes {channels}-channel photos; expected 3, for red, green and blue"
        )
    sides = [side for side in inputs[0].shape[2:] if isinstance(side, int)]
    if not sides:
        return None
    if len(sides) != 2 or sides[0] != sides[1]:
        raise ModelError(
            f"{file} takes {inputs[0].shape[2:]} pixels; expected a square, or any height and width"
        )
    return int(sides[0])


def _outputs(session: Any, rule: Preprocessing, file: Path) -> dict[str, Any]:
    names = [each.name for each in session.get_outputs()]
    photo = np.zeros((1, 3, rule.size, rule.size), np.float32)
    try:
        found = session.run(names, {session.get_inputs()[0].name: photo})
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        said = " ".join(str(error).split())
        raise ModelError(
            f"{file} failed on a photo of {rule.size} x {rule.size} pixels ({said}); where it takes another "
            "size, name it: --size, or size="
        ) from error
    return dict(zip(names, found, strict=True))


def _told(outputs: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
