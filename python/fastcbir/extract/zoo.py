"""Models that fastcbir knows how to fetch and convert, but does not bring: a row each.

`fastcbir models pull NAME` fetches a row's weights, `fastcbir export NAME` converts them (extra "export"),
and from then on NAME is a model like any other. Nothing is fetched unless it is asked for. Where the
publisher names a checksum it stands here; elsewhere the first download's is recorded and later ones must
match it.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastcbir.extract.card import ModelCard, Preprocessing

__all__ = ["ZOO", "ZooEntry", "find"]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, deviation
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

_LICENCES = {
    "BSD-3-Clause": "https://github.com/pytorch/vision/blob/main/LICENSE",
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "MIT": "https://opensource.org/license/mit",
}


@dataclass(frozen=True)
class ZooEntry:
    """A model that can be had.

    Attributes:
        card: as it will be, but for the sha256 of the ONNX file, which is not yet made.
        library: whose code is the reference: "torchvision", "timm", "transformers" or "cirtorch"
            (torchvision's networks with the pooling and whitening of cnnimageretrieval-pytorch).
        architecture: the name by which that library knows it.
        url: of the weights. sha256: of them, as hex; its beginning where only that is published; "" where
            nothing is.
        files: more that is needed, as (name, url), such as the tokenizer of a text tower.
    """

    card: ModelCard
    library: str
    architecture: str
    url: str
    sha256: str = ""
    files: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def licence(self) -> str:
        return self.card.licence


def _card(
    name: str, dim: int, licence: str, url: str, rule: Preprocessing, output: str, summary: str
) -> ModelCard:
    return ModelCard(
        name=name,
        dim=dim,
        metric="cosine",
        summary=summary,
        licence=licence,
        licence_url=_LICENCES[licence],
        source=url,
        sha256="",
        preprocessing=rule,
        output=output,
        extra="onnx",
    )


def _vision(name: str, architecture: str, tail: str, dim: int, summary: str) -> ZooEntry:
    """A classifier of torchvision; file names end in the beginning of their sha256."""
    url = f"https://download.pytorch.org/models/{tail}"
    mark = tail.rpartition("-")[2].partition(".")[0]
    fixed = architecture.startswith("vit")
    rule = (
        Preprocessing(224, *_IMAGENET, resample="bilinear", fit="crop", resize=256, multiple=16)
        if fixed
        else Preprocessing(384, *_IMAGENET, resample="bilinear")
    )
    output = "cls" if fixed else "gap"
    card = _card(name, dim, "BSD-3-Clause", url, rule, output, summary)
    features = "tokens" if fixed else "feature_map"
    return ZooEntry(
        replace(card, feature_map=features, feature_dim=dim), "torchvision", architecture, url, mark
    )


def _dino(name: str, architecture: str, dim: int, summary: str) -> ZooEntry:
    url = f"https://huggingface.co/timm/{architecture}/resolve/main/model.safetensors"
    rule = Preprocessing(224, *_IMAGENET, resample="bicubic", fit="crop", resize=256, multiple=14)
    card = _card(name, dim, "Apache-2.0", url, rule, "cls", summary)
    return ZooEntry(replace(card, feature_map="tokens", feature_dim=dim), "timm", architecture, url)


def _two_towers(
    name: str, repository: str, dim: int, licence: str, rule: Preprocessing, summary: str
) -> ZooEntry:
    base = f"https://huggingface.co/{repository}/resolve/main"
    card = _card(name, dim, licence, f"{base}/model.safetensors", rule, "embedding", summary)
    files = (("config.json", f"{base}/config.json"), ("tokenizer.json", f"{base}/tokenizer.json"))
    return ZooEntry(card, "transformers", repository, card.source, files=files)


def _gem(name: str, architecture: str, folder: str, tail: str, dim: int, summary: str) -> ZooEntry:
    """A network of Radenovic, Tolias, Chum; file names end in the beginning of their sha256."""
    url = f"http://cmp.felk.cvut.cz/cnnimageretrieval/data/networks/{folder}/{tail}"
    rule = Preprocessing(1024, *_IMAGENET, resample="lanczos")
    card = _card(name, dim, "MIT", url, rule, "embedding", summary)
    mark = tail.rpartition("-")[2].partition(".")[0]
    card = replace(card, feature_map="feature_map", feature_dim=dim)
    return ZooEntry(card, "cirtorch", architecture, url, mark)


_SSCD = "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchvision.pt"
_SSCD_CARD = _card(
    "sscd-disc-mixup",
    512,
    "MIT",
    _SSCD,
    Preprocessing(288, *_IMAGENET, resample="bilinear", fit="squash"),
    "embedding",
    "SSCD: edited copies of a photo.",
)
_SFM = "retrieval-SfM-120k"

ZOO: tuple[ZooEntry, ...] = (
    _vision("resnet18", "resnet18", "resnet18-f37072fd.pth", 512, "ResNet-18 without its last layer."),
    _vision("resnet34", "resnet34", "resnet34-b627a593.pth", 512, "ResNet-34, ImageNet."),
    _vision("resnet50", "resnet50", "resnet50-0676ba61.pth", 2048, "ResNet-50, ImageNet, first weights."),
    _vision("resnet50-v2", "resnet50", "resnet50-11ad3fa6.pth", 2048, "ResNet-50, ImageNet, second weights."),
    _vision("resnet101", "resnet101", "resnet101-63fe2227.pth", 2048, "ResNet-101, ImageNet."),
    _vision("resnet152", "resnet152", "resnet152-394f9c45.pth", 2048, "ResNet-152, ImageNet."),
    _vision(
        "mobilenet-v3-small", "mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 576, "Small and quick."
    ),
    _vision("mobilenet-v3-large", "mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth", 960, "Quick."),
    _vision("convnext-tiny", "convnext_tiny", "convnext_tiny-983f1562.pth", 768, "ConvNeXt-T, ImageNet."),
    _vision("vit-b-16", "vit_b_16", "vit_b_16-c867db91.pth", 768, "ViT-B/16, ImageNet, class token."),
    _vision("vgg16", "vgg16", "vgg16-397923af.pth", 512, "VGG16's last feature map, averaged."),
    _dino("dinov2-small", "vit_small_patch14_dinov2.lvd142m", 384, "DINOv2 S/14: self-supervised, general."),
    _dino("dinov2-base", "vit_base_patch14_dinov2.lvd142m", 768, "DINOv2 B/14: self-supervised, general."),
    _two_towers(
        "clip-vit-b-32",
        "openai/clip-vit-base-patch32",
        512,
        "MIT",
        Preprocessing(224, *_CLIP, resample="bicubic", fit="crop", resize=224),
        "CLIP ViT-B/32: photos and English text in one space.",
    ),
    _two_towers(
        "siglip-b-16",
        "google/siglip-base-patch16-224",
        768,
        "Apache-2.0",
        Preprocessing(224, *_HALF, resample="bicubic", fit="squash", multiple=16),
        "SigLIP B/16: photos and English text in one space.",
    ),
    ZooEntry(
        replace(_SSCD_CARD, feature_map="feature_map", feature_dim=2048), "cirtorch", "sscd-resnet50", _SSCD
    ),
    _gem("gem-vgg16", "gem-vgg16", _SFM, "retrievalSfM120k-vgg16-gem-b4dcdc6.pth", 512, "GeM: landmarks."),
    _gem(
        "gem-resnet101",
        "gem-resnet101",
        _SFM,
        "retrievalSfM120k-resnet101-gem-b80fb85.pth",
        2048,
        "GeM with learned whitening: landmarks.",
    ),
    _gem(
        "gem-resnet50-sfm",
        "gem-resnet50-w",
        _SFM,
        "rSfM120k-tl-resnet50-gem-w-97bf910.pth",
        2048,
        "GeM-w of SfM-120k: landmarks.",
    ),
    _gem(
        "gem-resnet50-gl18",
        "gem-resnet50-w",
        "gl18",
        "gl18-tl-resnet50-gem-w-83fdc30.pth",
        2048,
        "GeM-w of Google Landmarks 2018.",
    ),
    _gem(
        "gem-resnet101-gl18",
        "gem-resnet101-w",
        "gl18",
        "gl18-tl-resnet101-gem-w-a4d43db.pth",
        2048,
        "GeM-w of Google Landmarks 2018.",
    ),
)


def find(name: str) -> ZooEntry | None:
    """The row of that name; None if there is none."""
    return next((entry for entry in ZOO if entry.name == name), None)
