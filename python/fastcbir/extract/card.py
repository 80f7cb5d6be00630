"""What the registry knows of a model: its card, how photos are prepared for it, and how it is opened.

NumPy at most, so that models can be listed without anything installed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from fastcbir.errors import ModelError
from fastcbir.extract.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Entry", "Model", "ModelCard", "Preprocessing"]


@dataclass(frozen=True)
class Preprocessing:
    """From a photo to a model's input.

    By `fit`, "longest": the whole photo is resized so that its longest side is `size` pixels and both sides
    are multiples of `multiple` (a small change of the aspect ratio, at most half a `multiple`); nothing is
    cropped or padded. "squash": the whole photo is resized to `size` x `size`. "crop": the shortest side is
    resized to `resize` pixels, and the middle `size` x `size` of that is taken; for networks that know
    squares of one size only. Then RGB values x in 0..255 become (x / 255 - mean) / std, channels first,
    float32.
    """

    size: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    multiple: int = 32
    resample: str = "bicubic"  # antialiased: the filter widens with the reduction
    fit: str = "longest"
    resize: int = 0  # of "crop" alone

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the model's input, in pixels, for a photo of width x height pixels."""
        if self.fit != "longest":
            return self.size, self.size
        longest = max(width, height)

        def side(pixels: int) -> int:
            # Integers throughout (round half up), so that every machine agrees on the shape.
            steps = (2 * pixels * self.size + longest * self.multiple) // (2 * longest * self.multiple)
            return max(1, steps) * self.multiple

        return side(width), side(height)

    @property
    def decode_target(self) -> int:
        """The longest side, in pixels, below which a JPEG should not be decoded; of "crop" and "squash" the
        shortest.

        A quarter more than `size`, because what a JPEG decoder reduces is aliased a little: resized from
        exactly `size`, vectors turned by up to 19 degrees; from a quarter more, by up to 11, and retrieval
        was as from the whole. Photos of 4000 pixels are still decoded at an eighth for 384.
        """
        return (self.resize or self.size) * 5 // 4

    def with_size(self, size: int) -> Preprocessing:
        """The same with another longest side (of a square: another side).

        Raises:
            ValueError: `size` is no multiple of `multiple`, or outside 32..4096.
        """
        if isinstance(size, bool) or not isinstance(size, int):
            raise ValueError(f"size must be a whole number of pixels, got {size!r}")
        if size % self.multiple or not 32 <= size <= 4096:
            raise ValueError(f"size must be a multiple of {self.multiple} from 32 to 4096 pixels, got {size}")
        if self.fit != "longest" and size != self.size:
            raise ValueError(f"the model takes squares of {self.size} pixels alone, got {size}")
        return replace(self, size=size)

    def as_dict(self) -> dict[str, Any]:
        """Its fields, but for later ones that stand at their defaults: so identities stay what they were."""
        fields = asdict(self)
        if self.fit == "longest":
            del fields["fit"], fields["resize"]
        return fields


@dataclass(frozen=True)
class ModelCard:
    """One model of the registry.

    Attributes:
        name: what load_extractor() is asked for.
        dim: elements of its vectors.
        metric: how its vectors are compared ("cosine"; they are also L2-normalised).
        summary: what it is good for, in a sentence.
        licence: SPDX identifier of the weights' licence.
        licence_url: where that licence can be read.
        source: the package and version, or the URL, that the weights come from.
        sha256: of the weight file (64 hex digits); "" where there are no weights.
        preprocessing: how a photo becomes its input.
        output: the name of the output that is the vector.
        extra: the extra of fastcbir that installs what it needs.
        revision: raised whenever the code that makes the vector from the weights changes what comes out.
        feature_map: the name of the output that can be pooled otherwise, (N, C, H, W) or (N, tokens, C); ""
            where there is none. feature_dim: its C.
        pool: how that output is pooled, as text (pooling.py); "" where `output` is the vector.
        scales: of the input, whose vectors are averaged.
    """

    name: str
    dim: int
    metric: str
    summary: str
    licence: str
    licence_url: str
    source: str
    sha256: str
    preprocessing: Preprocessing
    output: str
    extra: str
    revision: int = 1
    feature_map: str = ""
    feature_dim: int = 0
    pool: str = ""
    scales: tuple[float, ...] = (1.0,)

    @property
    def spec(self) -> Spec:
        """The word that names this model in this use; `registry.find` takes it."""
        return Spec.parse(f"{self.name}@{self.preprocessing.size}{self._use}")

    @property
    def _use(self) -> str:
        scales = "" if self.scales == (1.0,) else "*" + ",".join(f"{scale:g}" for scale in self.scales)
        return (f"+{self.pool}" if self.pool else "") + scales

    def used(self, spec: Spec) -> ModelCard:
        """The same model used as `spec` says.

        Raises:
            ModelError: it has no feature map to be pooled. ValueError: the size does not suit it.
        """
        card = self
        if spec.size is not None and spec.size != self.preprocessing.size:
            card = replace(card, preprocessing=self.preprocessing.with_size(spec.size))
        if spec.pool is not None:
            if not self.feature_map:
                raise ModelError(
                    f"{self.name} gives no feature map that could be pooled: leave out +{spec.pool}"
                )
            card = replace(
                card, pool=str(spec.pool), output=self.feature_map, dim=self.feature_dim or self.dim
            )
        if spec.scales != (1.0,) and self.preprocessing.fit != "longest":
            raise ModelError(
                f"{self.name} takes squares of one size, so it has one scale: leave out *{spec.scales}"
            )
        return replace(card, scales=spec.scales)

    @property
    def model_id(self) -> str:
        """Identity of the vectors: two extractors with equal ids make comparable vectors.

        It changes with the weights, the preprocessing, the output or the revision, and with nothing else:
        texts and links may be mended, and the provider may be another.
        """
        promise = {
            "name": self.name,
            "dim": self.dim,
            "metric": self.metric,
            "sha256": self.sha256,
            "preprocessing": self.preprocessing.as_dict(),
            "output": self.output,
            "revision": self.revision,
        }
        if self._use:
            promise["use"] = self._use
        digest = hashlib.sha256(json.dumps(promise, sort_keys=True).encode()).hexdigest()
        return f"{self.name}@{self.preprocessing.size}{self._use}/{self.output}/{digest[:16]}"


class Model(Protocol):
    """What a family of models provides: prepared photos in, vectors out. Safe to call from any thread."""

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, 3, H, W) float32, prepared as the card says -> (N, dim) float32, not yet normalised."""
        ...


@dataclass(frozen=True)
class Entry:
    """A card and how to open its model: `open(card, provider, threads)`, with threads None for all cores.

    The card that `open` is given is this one or a use of it: `output` says which output is wanted. What that
    is pooled by is not the model's business.
    """

    card: ModelCard
    open: Callable[[ModelCard, str, int | None], Model]
