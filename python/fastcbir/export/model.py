"""`fastcbir export NAME`: a row of the zoo and its weights become a model of the user's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastcbir.errors import ModelError
from fastcbir.export import frameworks, networks, towers
from fastcbir.export.convert import Exported, export_network
from fastcbir.export.reading import load_into, read_weights
from fastcbir.extract import store, zoo
from fastcbir.extract.cache import file_sha256, write_atomically
from fastcbir.extract.card import ModelCard
from fastcbir.extract.zoo import ZooEntry

__all__ = ["convert", "export_model"]

_SHAPES = ((96, 128), (128, 64))  # small, so that checking is quick; multiples of 32


def export_model(
    name: str, weights: Path, *, alias: str | None = None, files: Path | None = None
) -> tuple[ModelCard, dict[str, Any]]:
    """Convert weights and add the model.

    Args:
        name: of the zoo.
        weights: a .safetensors or torch file, as published.
        alias: what the model is to be called; None for its name.
        files: the folder of what else it needs (config.json, tokenizer.json); None for that of the weights.

    Returns:
        Its card, and its parity with torch.

    Raises:
        ModelError: unknown name, weights that don't fit, or a model that differs from torch.
        MissingExtraError: torch or a library is not installed.
    """
    entry = zoo.find(name)
    if entry is None:
        known = ", ".join(each.name for each in zoo.ZOO)
        raise ModelError(f"fastcbir can't export {name!r}; it knows {known}")
    called = alias or name
    source = f"{entry.card.source} (weights sha256 {file_sha256(weights)})" if weights.is_file() else ""
    card = replace(entry.card, name=called, source=source)
    if entry.library == "transformers":
        image, text = towers.convert(entry, weights, files or weights.parent)
        parity = {"parity": image.parity(), "text_parity": text.onnx.parity(), "text": text.about()}
        write_atomically(store.models_folder() / f"{called}.text.onnx", text.onnx.onnx)
        write_atomically(store.models_folder() / f"{called}.tokenizer.json", text.tokenizer)
        return store.put(card, image.onnx, parity), parity
    network = networks.build(entry)
    tensors, beside = read_weights(weights)
    # What the classifier's last layer is called differs; it is loaded too, for the weights must fit whole.
    load_into(network.module, network.adapt(tensors, beside), str(weights))
    exported = convert(entry, network)
    parity = {"parity": exported.parity()}
    return store.put(card, exported.onnx, parity), parity


def convert(entry: ZooEntry, network: networks.Network) -> Exported:
    """The ONNX model of a row's network, with the weights that it has."""
    size = entry.card.preprocessing.size
    shapes = _SHAPES if network.dynamic else ((size, size), (size, size))
    axes: dict[str, dict[int, str]] = {name: {0: "N"} for name in network.outputs}
    axes["input"] = {0: "N"}
    if network.dynamic:
        axes["input"] |= {2: "H", 3: "W"}
        axes["feature_map"] |= {2: "h", 3: "w"}
    make = _images(shapes)
    return export_network(network.module, network.forward, [("input", make)], network.outputs, axes)


def _images(shapes: tuple[tuple[int, int], tuple[int, int]]) -> Callable[[int, int], Any]:
    torch = frameworks.torch()
    generator = torch.Generator().manual_seed(0)

    def make(count: int, variant: int) -> Any:
        return torch.randn((count, 3, *shapes[variant]), generator=generator)

    return make
