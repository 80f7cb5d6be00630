"""The reference networks of the zoo, as torch modules that give what a card names.

Each function returns a `Network`: the module whose state_dict the weights fit, and the outputs that ONNX is
to have. Classifiers lose their last layer; the vector is what it was fed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastcbir.errors import ModelError
from fastcbir.export import frameworks
from fastcbir.export.reading import Weights
from fastcbir.extract.zoo import ZooEntry

__all__ = ["Network", "build"]


@dataclass(frozen=True)
class Network:
    """A network and what is wanted of it.

    Attributes:
        module: holds the weights. outputs: of `forward`, in order. forward: (batch) -> tuple of tensors.
        dynamic: whether height and width may vary.
        adapt: weights as published -> weights as `module` wants them, given also what stood beside them.
    """

    module: Any
    outputs: tuple[str, ...]
    forward: Callable[[Any], tuple[Any, ...]]
    dynamic: bool = True
    adapt: Callable[[Weights, dict[str, Any]], Weights] = field(default=lambda weights, beside: weights)


def build(entry: ZooEntry) -> Network:
    """The network of a row of the zoo, with random weights.

    Raises:
        MissingExtraError: the library that has it is not installed.
    """
    if entry.library == "torchvision":
        return _torchvision(entry.architecture)
    if entry.library == "timm":
        return _timm(entry.architecture, entry.card.preprocessing.size)
    if entry.library == "cirtorch":
        return _sscd() if entry.architecture.startswith("sscd") else _cirtorch(entry.architecture)
    raise ModelError(f"{entry.name} is of {entry.library}, which towers.py builds")


def _torchvision(architecture: str) -> Network:
    models = frameworks.torchvision().models
    module = getattr(models, architecture)(weights=None)
    torch = frameworks.torch()
    if architecture.startswith("vit"):

        def tokens(batch: Any) -> tuple[Any, ...]:
            patches = module._process_input(batch)
            first = module.class_token.expand(batch.shape[0], -1, -1)
            found = module.encoder(torch.cat([first, patches], dim=1))
            return found[:, 0], found

        return Network(module, ("cls", "tokens"), tokens, dynamic=False)
    if architecture.startswith("resnet"):
        body = torch.nn.Sequential(*list(module.children())[:-2])
    else:
        body = module.features

    def pooled(batch: Any) -> tuple[Any, ...]:
        found = body(batch)
        vector = found.mean(dim=(2, 3))
        if architecture.startswith("convnext"):  # its last layer is fed the normalised average
            vector = module.classifier[0](vector[:, :, None, None]).flatten(1)
        return vector, found

    return Network(module, ("gap", "feature_map"), pooled)


def _timm(architecture: str, size: int) -> Network:
    library = frameworks.timm()
    module = library.create_model(
        architecture.partition(".")[0], pretrained=False, img_size=size, num_classes=0
    )
    # Attention as one operator has no ONNX form in older operator sets; the plain one is the same.
    for block in module.blocks:
        block.attn.fused_attn = False

    def adapt(weights: Weights, beside: dict[str, Any]) -> Weights:
        """The position embedding is resized from the published size to this one, as timm does."""
        del beside
        torch = frameworks.torch()
        tensors = {name: torch.from_numpy(value) for name, value in weights.items()}
        own = library.models.vision_transformer.checkpoint_filter_fn(tensors, module)
        return {name: value.numpy() for name, value in own.items()}

    def tokens(batch: Any) -> tuple[Any, ...]:
        found = module.forward_features(batch)
        return found[:, 0], found

    return Network(module, ("cls", "tokens"), tokens, dynamic=False, adapt=adapt)


def _gem(features: Any, power: Any) -> Any:
    return features.clamp(min=1e-6).pow(power).mean(dim=(2, 3)).pow(1.0 / power)


def _unit(vectors: Any) -> Any:
    return vectors / (vectors.norm(dim=1, keepdim=True) + 1e-6)


def _cirtorch(architecture: str) -> Network:
    """Radenovic, Tolias, Chum: GeM with a learned power, then a whitening: a layer ("-w"), or beside it."""
    torch, models = frameworks.torch(), frameworks.torchvision().models
    base = architecture.removeprefix("gem-").removesuffix("-w")
    whole = getattr(models, base)(weights=None)
    layers = list(whole.features.children())[:-1] if base.startswith("vgg") else list(whole.children())[:-2]
    dim = 512 if base.startswith("vgg") else 2048
    module = torch.nn.Module()
    module.features = torch.nn.Sequential(*layers)
    module.pool = torch.nn.Module()
    module.pool.p = torch.nn.Parameter(torch.full((1,), 3.0))
    # Where the whitening stands beside the network, it becomes the same layer; without one it stays neutral.
    module.whiten = torch.nn.Linear(dim, dim)
    with torch.no_grad():
        module.whiten.weight.copy_(torch.eye(dim))
        module.whiten.bias.zero_()

    def adapt(weights: Weights, beside: dict[str, Any]) -> Weights:
        if "whiten.weight" in weights:
            return weights
        learned = dict(beside.get("meta", {})).get("Lw", {}).get("retrieval-SfM-120k", {}).get("ms")
        if learned is None:
            raise ModelError("the checkpoint has no learned whitening for several scales (meta, Lw, ms)")
        matrix, mean = learned["P"], learned["m"].reshape(-1)
        bias = -(matrix.astype("f8") @ mean.astype("f8"))
        return {
            **weights,
            "whiten.weight": matrix.astype("f4"),
            "whiten.bias": bias.astype("f4"),
        }

    def forward(batch: Any) -> tuple[Any, ...]:
        found = module.features(batch)
        return _unit(module.whiten(_unit(_gem(found, module.pool.p)))), found

    return Network(module, ("embedding", "feature_map"), forward, adapt=adapt)


def _sscd() -> Network:
    """Pizzi et al., 2022: ResNet-50, GeM with power 3, one linear layer."""
    torch, models = frameworks.torch(), frameworks.torchvision().models
    module = torch.nn.Module()
    module.backbone = models.resnet50(weights=None, num_classes=512)
    body = torch.nn.Sequential(*list(module.backbone.children())[:-2])

    def forward(batch: Any) -> tuple[Any, ...]:
        found = body(batch)
        return torch.nn.functional.normalize(module.backbone.fc(_gem(found, 3.0))), found

    return Network(module, ("embedding", "feature_map"), forward)
