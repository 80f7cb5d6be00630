"""CLIP and SigLIP: one network for photos and one for text, whose vectors can be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastcbir.errors import ModelError
from fastcbir.export import frameworks
from fastcbir.export.convert import Exported, export_network
from fastcbir.export.reading import load_into, read_weights
from fastcbir.extract.zoo import ZooEntry

__all__ = ["TextTower", "convert"]


@dataclass(frozen=True)
class TextTower:
    """The text half.

    Attributes:
        onnx: ids (N, T) int64 in, embedding (N, dim) out. tokenizer: tokenizer.json.
        length: of ids, in tokens: what is longer is cut, what is shorter is padded. pad: the id to pad with.
    """

    onnx: Exported
    tokenizer: bytes
    length: int
    pad: int

    def about(self) -> dict[str, Any]:
        """For the model's card."""
        return {"length": self.length, "pad": self.pad}


def convert(entry: ZooEntry, weights: Path | None, files: Path) -> tuple[Exported, TextTower]:
    """Both halves. `files` holds config.json and tokenizer.json; without weights they are random, for tests.

    Raises:
        ModelError: a file is missing or the weights don't fit.
    """
    config, tokenizer = (_read(files / name, entry.name) for name in ("config.json", "tokenizer.json"))
    torch, library = frameworks.torch(), frameworks.transformers()
    clip = json.loads(config).get("model_type") == "clip"
    own = (library.CLIPConfig if clip else library.SiglipConfig).from_dict(json.loads(config))
    # Attention written out: the fused operator has no ONNX form that takes any batch.
    own._attn_implementation = "eager"
    module = (library.CLIPModel if clip else library.SiglipModel)(own).eval()
    if weights is not None:
        load_into(module, read_weights(weights)[0], str(weights))
    size, length = own.vision_config.image_size, own.text_config.max_position_embeddings
    vocabulary = own.text_config.vocab_size
    pad = _pad(own, clip)
    generator = torch.Generator().manual_seed(0)

    def images(count: int, variant: int) -> Any:
        return torch.randn((count, 3, size, size), generator=generator)

    def texts(count: int, variant: int) -> Any:
        # Not the highest id: CLIP takes the first of them for the end of the text.
        ids = torch.randint(0, vocabulary - 2, (count, length), generator=generator)
        ids[:, 7 + variant :] = pad
        return ids

    def image_forward(batch: Any) -> tuple[Any, ...]:
        return (_vector(module.get_image_features(pixel_values=batch)),)

    def text_forward(ids: Any) -> tuple[Any, ...]:
        return (_vector(module.get_text_features(input_ids=ids)),)

    axes = {"embedding": {0: "N"}}
    image = export_network(
        module, image_forward, [("input", images)], ["embedding"], {"input": {0: "N"}, **axes}
    )
    text = export_network(module, text_forward, [("ids", texts)], ["embedding"], {"ids": {0: "N"}, **axes})
    return image, TextTower(text, tokenizer, length, pad)


def _pad(config: Any, clip: bool) -> int:
    """CLIP's vector is that at the first end-of-text token, so whatever follows it does not matter; SigLIP
    was trained with pads that it sees."""
    return int(config.text_config.eos_token_id if clip else config.text_config.pad_token_id)


def _vector(found: Any) -> Any:
    """Newer versions of transformers wrap the vector."""
    return getattr(found, "pooler_output", found)


def _read(path: Path, model: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"exporting {model} needs {path.name} beside the weights, and {path} can't be read "
            f"({error.strerror or error}); `fastcbir models pull {model}` fetches all of them"
        ) from error
