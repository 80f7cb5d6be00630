"""The extractor: photos in, vectors out; and load_extractor(), which makes one by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt

from fastcbir.errors import ModelError, require
from fastcbir.extract.card import Model, ModelCard
from fastcbir.extract.onnx_session import core_count
from fastcbir.extract.pooled import PooledModel
from fastcbir.extract.pooling import Pooling
from fastcbir.extract.registry import DEFAULT_MODEL, find
from fastcbir.extract.results import Failure, Photo
from fastcbir.extract.timings import Timings

if TYPE_CHECKING:
    from PIL import Image

    from fastcbir.extract.text import TextEncoder

__all__ = ["Extractor", "ImageLike", "load_extractor"]

ImageLike = Union["Image.Image", npt.NDArray[np.uint8], str, os.PathLike[str], bytes]
"""A PIL image, an (H, W, 3) uint8 array, a path, or the bytes of an image file."""

_BATCH = 8
_CHUNK = 64  # photos that extract() holds decoded at once


class Extractor:
    """Turns photos into L2-normalised vectors. Made by load_extractor(); safe to use from several threads.

    Attributes:
        card: the registry's card, with the size that was asked for.
        name: of the model.
        model_id: identity of weights + preprocessing + output. Vectors may be compared only if these are
        equal. dim: elements of a vector. metric: how vectors are compared, "cosine". timings: where the time
        of its streams went.
    """

    def __init__(self, card: ModelCard, model: Model, *, threads: int | None = None) -> None:
        from fastcbir.extract.preprocess import Preparer

        self.card = card
        self.name = card.name
        self.model_id = card.model_id
        self.dim = card.dim
        self.metric = card.metric
        pool = Pooling.parse(card.pool) if card.pool else None
        plain = pool is None and card.scales == (1.0,)
        self._model = model if plain else PooledModel(model, pool, card.scales, card.preprocessing.multiple)
        self._workers = threads or core_count()
        self.timings = Timings()
        self._text: TextEncoder | None = None
        self._preparer = Preparer(card.preprocessing)

    def __repr__(self) -> str:
        return f"<Extractor {self.model_id}, {self.dim} dimensions>"

    def extract(self, images: Sequence[ImageLike]) -> npt.NDArray[np.float32]:
        """The vectors of some images, in order.

        Args:
            images: PIL images, (H, W, 3) uint8 RGB arrays, paths, or bytes of image files, also mixed. EXIF
                orientation is obeyed in all but arrays. A path or bytes give exactly what stream() gives; the
                same photo as an open image gives nearly that, for files are decoded near the wanted size.

        Returns:
            (N, dim) float32, each row of length 1.

        Raises:
            ValueError: `images` is one image instead of a sequence, or an array has another shape or type;
                DecodeError, which is one, if an image can't be decoded. The message says which image.
        """
        if isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Sequence | np.ndarray):
            raise ValueError(
                f"images must be a sequence of images, got one {type(images).__name__}; put it in a list"
            )
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise ValueError(
                f"an array of images must be (N, H, W, 3) uint8, got shape {images.shape}; "
                "put one image in a list"
            )
        found = np.empty((len(images), self.dim), np.float32)
        for start in range(0, len(images), _CHUNK):
            numbers = range(start, min(start + _CHUNK, len(images)))
            if len(numbers) == 1 or self._workers == 1:
                inputs = [self._input(images[number], number) for number in numbers]
            else:
                with ThreadPoolExecutor(min(self._workers, len(numbers))) as pool:
                    inputs = list(pool.map(lambda number: self._input(images[number], number), numbers))
            shapes: dict[tuple[int, ...], list[int]] = {}
            for place, pixels in enumerate(inputs):
                shapes.setdefault(pixels.shape, []).append(place)
            for places in shapes.values():
                for first in range(0, len(places), _BATCH):
                    some = places[first : first + _BATCH]
                    found[[start + place for place in some]] = self._run(np.stack([inputs[p] for p in some]))
        return found

    def stream(
        self, paths: Iterable[str | os.PathLike[str]], *, workers: int | None = None, batch: int | None = None
    ) -> Iterator[Photo | Failure]:
        """Read, decode and extract many files; threads decode ahead of the model, in bounded memory.

        Args:
            paths: may be a generator; it is pulled in the caller's thread, as photos are consumed.
            workers: threads that read and decode; None for the extractor's threads, or all cores.
            batch: photos a run of the model, at most; None for 8.

        Yields:
            For each path exactly once, in any order: a Photo, or a Failure that says why there is none.
            Stop early by closing the iterator (leaving a `for` loop and dropping it does), and the threads
            end.

        Raises:
            ValueError: workers or batch is less than 1.
            ModelError: the model failed to run.
        """
        from fastcbir.extract.pipeline import stream

        if isinstance(paths, str | bytes | os.PathLike):
            raise ValueError(
                f"paths must be an iterable of paths, got one {type(paths).__name__}; put it in a list"
            )
        for name, value in (("workers", workers), ("batch", batch)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, or None for the default, got {value}")
        return stream(
            paths,
            self._preparer,
            self._run,
            workers=workers or self._workers,
            batch=batch or _BATCH,
            timings=self.timings,
        )

    def encode_text(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The vectors of texts, to be compared with those of photos: of models with a text half.

        Returns:
            (N, dim) float32, each row of length 1.

        Raises:
            ModelError: the model knows no text. MissingExtraError: tokenizers is not installed.
            ValueError: one text instead of a sequence, or an empty text.
        """
        from fastcbir.extract.text import TextEncoder

        if isinstance(texts, str):
            raise ValueError("texts must be a sequence of texts, got one text; put it in a list")
        if self._text is None:
            self._text = TextEncoder(self.card, threads=self._workers)
        return self._text(texts)

    def prepared(self, image: ImageLike) -> npt.NDArray[np.float32]:
        """(3, H, W) float32: one image as the model gets it; see extract()."""
        return self._input(image, 0)

    def _input(self, image: ImageLike, number: int) -> npt.NDArray[np.float32]:
        from PIL import Image, ImageOps

        from fastcbir.extract.decode import DecodeError, decode, to_rgb
        from fastcbir.extract.quiet import quiet_pillow

        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ValueError(
                    f"image {number}: expected an (H, W, 3) uint8 array, got {image.shape} of {image.dtype}"
                )
            picture = Image.fromarray(np.ascontiguousarray(image))
        elif isinstance(image, Image.Image):
            try:
                with quiet_pillow():
                    picture = to_rgb(ImageOps.exif_transpose(image))
            except Exception as error:
                raise DecodeError(f"image {number}: can't be decoded: {error}") from error
        elif isinstance(image, str | bytes | os.PathLike):
            try:
                rule = self.card.preprocessing
                decoded = decode(image, rule.decode_target, shortest=rule.fit != "longest")
            except DecodeError as error:
                place = "" if isinstance(image, bytes) else f" ({_shown(image)})"
                raise DecodeError(f"image {number}{place}: {error}") from error
            return self._preparer(decoded.image, decoded.width, decoded.height)
        else:
            raise ValueError(
                f"image {number}: expected a PIL image, an (H, W, 3) uint8 array, a path or bytes, "
                f"got {type(image).__name__}"
            )
        if not all(picture.size):
            raise ValueError(
                f"image {number}: expected an image with pixels, got {picture.width} x {picture.height}"
            )
        return self._preparer(picture, *picture.size)

    def _run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(N, 3, H, W) prepared photos -> (N, dim), L2-normalised."""
        vectors = self._model(batch)
        if vectors.shape != (len(batch), self.dim):
            raise ModelError(
                f"{self.name} gave {vectors.shape} for {len(batch)} photos, expected dim {self.dim}"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms)):
            raise ModelError(f"{self.name} gave values that are not finite; try another provider")
        # A vector of zeros has no direction, and cosine can't take it: it becomes the diagonal.
        vectors = np.where(norms > 0, vectors, 1.0)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _shown(path: str | os.PathLike[str]) -> str:
    """A path that can be printed, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def load_extractor(
    name: str = DEFAULT_MODEL, *, provider: str = "cpu", threads: int | None = None, size: int | None = None
) -> Extractor:
    """An extractor of the registry; `models()` lists them.

    The first use of a model may convert its weights, which takes a second or two, and keeps the result in the
    cache folder ($FASTCBIR_CACHE, else the platform's).

    Args:
        name: the model, and how it is used where that is not the card's way: NAME[@SIZE][+POOLING][*SCALES],
            such as "efficientnet-lite0@448+gem3*1,0.707" (see docs/extractors.md).
        provider: where it runs: "cpu", "cuda", "tensorrt", or the full name of a provider of ONNX Runtime.
            What was asked for is used, or an error raised; there is no silent fallback.
        threads: for the model, and for decoding; None for all cores.
        size: the longest side, in pixels, that photos are resized to: a multiple of 32; None for the card's.
            Another size makes other vectors, so `model_id` tells it, as it tells pooling and scales.

    Raises:
        ModelError: no such model, its weights are missing or damaged, or the provider is not available.
        MissingExtraError: a package that it needs is not installed; the message names the extra.
        ValueError: `threads` or `size` is out of range.
    """
    entry = find(name)
    require("PIL.Image", "photos", "decoding photos")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, got {threads}")
    card = entry.card
    if size is not None:
        card = replace(card, preprocessing=card.preprocessing.with_size(size))
    return Extractor(card, entry.open(card, provider, threads), threads=threads)
