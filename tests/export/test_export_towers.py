"""Promise: CLIP and SigLIP are exported as two networks, and text finds photos through an album."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")
tokenizers = pytest.importorskip("tokenizers")

from fastcbir.export import export_model, frameworks, towers  # noqa: E402
from fastcbir.export.convert import TOLERANCE  # noqa: E402
from fastcbir.extract import load_extractor, zoo  # noqa: E402
from fastcbir.image_index import ImageIndex, Text  # noqa: E402

WORDS = ["<pad>", "<end>", "<unk>", "a", "photo", "of", "red", "green", "blue", "square"]


def small_config(kind: str) -> dict[str, Any]:
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**text, "image_size": 64, "patch_size": 16}
    text |= {"vocab_size": len(WORDS), "max_position_embeddings": 12, "bos_token_id": 2}
    if kind == "clip":
        return {
            "model_type": "clip",
            "projection_dim": 24,
            "text_config": {**text, "eos_token_id": 1, "pad_token_id": 1},
            "vision_config": vision,
        }
    text = {**text, "pad_token_id": 0, "eos_token_id": 1, "projection_size": 32}
    return {"model_type": "siglip", "text_config": text, "vision_config": vision}


@pytest.fixture(params=["clip", "siglip"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Any, Path]:
    """Small random weights in the layout of the published files, exported."""
    library = frameworks.transformers()
    saving = pytest.importorskip("safetensors.torch")
    monkeypatch.setenv("FASTCBIR_MODELS", str(tmp_path / "models"))
    config = small_config(request.param)
    (tmp_path / "config.json").write_text(json.dumps(config))
    level = tokenizers.models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(level)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        "$A <end>", special_tokens=[("<end>", 1)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(0)
    kind = (library.CLIPConfig, library.CLIPModel)
    if request.param == "siglip":
        kind = (library.SiglipConfig, library.SiglipModel)
    module = kind[1](kind[0].from_dict(config)).eval()
    weights = {name: value.contiguous().clone() for name, value in module.state_dict().items()}
    saving.save_file(weights, tmp_path / "model.safetensors")
    name = "clip-vit-b-32" if request.param == "clip" else "siglip-b-16"
    entry = zoo.find(name)
    assert entry is not None
    dim = 24 if request.param == "clip" else 32
    rule = replace(
        entry.card.preprocessing, size=64, multiple=16, resize=64 if request.param == "clip" else 0
    )
    small = replace(entry, card=replace(entry.card, dim=dim, preprocessing=rule))
    monkeypatch.setattr(zoo, "ZOO", tuple(small if each is entry else each for each in zoo.ZOO))
    _, told = export_model(name, tmp_path / "model.safetensors")
    for which in ("parity", "text_parity"):
        assert told[which]["max_abs_error"]["embedding"] < TOLERANCE
        assert told[which]["max_abs_value"]["embedding"] > 1e-3
    return name, module, tmp_path


def test_text_gives_what_transformers_gives(made: tuple[str, Any, Path]) -> None:
    name, module, _ = made
    extractor = load_extractor(name)
    texts = ["a photo of red square", "blue"]
    ids = torch.tensor([[3, 4, 5, 6, 9, 1], [8, 1, 1, 1, 1, 1]])
    pad = 1 if name.startswith("clip") else 0
    padded = torch.full((2, 12), pad)
    padded[0, :6], padded[1, :2] = ids[0], ids[1, :2]
    with torch.no_grad():
        expected = towers._vector(module.get_text_features(input_ids=padded)).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(extractor.encode_text(texts), expected, atol=1e-4)


def test_text_searches_an_album_of_photos(made: tuple[str, Any, Path]) -> None:
    image = pytest.importorskip("PIL.Image")
    name, _, folder = made
    (folder / "photos").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    with ImageIndex.open(folder / "a.fcbir", create=True, extractor=name) as album:
        album.add(folder / "photos")
        hits = album.search(Text("a photo of blue square"), k=3)
        extractor = load_extractor(name)
        vector = extractor.encode_text(["a photo of blue square"])[0]
        assert hits == album.search(vector, k=3)
        scores = extractor.extract(sorted((folder / "photos").iterdir())) @ vector
        assert [hit.path.name for hit in hits] == [f"{at}.png" for at in np.argsort(-scores)[:3]]
