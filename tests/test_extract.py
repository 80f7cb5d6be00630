"""extract(): any kind of image in, unit vectors out, in order; what is no image is named by its number."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from fastcbir.errors import ModelError
from fastcbir.extract import Extractor, load_extractor
from fastcbir.extract.card import ModelCard, Preprocessing
from fastcbir.extract.decode import DecodeError
from fastcbir.extract.preprocess import Preparer


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return load_extractor("color-layout")


def photo(seed: int = 0, width: int = 200, height: int = 150) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_attributes(extractor: Extractor) -> None:
    assert (extractor.name, extractor.metric, extractor.dim) == ("color-layout", "cosine", 368)
    assert extractor.model_id == extractor.card.model_id
    assert load_extractor("color-layout", size=96).model_id != extractor.model_id
    assert extractor.model_id in repr(extractor)


def test_every_kind_of_source_gives_the_same_vector(extractor: Extractor, tmp_path: Path) -> None:
    image = photo()
    path = tmp_path / "photo.png"
    path.write_bytes(png(image))
    sources = [image, np.asarray(image), path, str(path), png(image), image.convert("RGBA")]
    vectors = extractor.extract(sources)
    assert vectors.shape == (6, extractor.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors, np.repeat(vectors[:1], 6, axis=0))


def test_order_is_kept_over_shapes_and_chunks(extractor: Extractor) -> None:
    images = [photo(n, 60 + 13 * (n % 7), 50 + 11 * (n % 5)) for n in range(150)]
    together = extractor.extract(images)
    for number in range(0, 150, 17):
        np.testing.assert_allclose(together[number], extractor.extract([images[number]])[0], atol=1e-6)


def test_one_array_of_many(extractor: Extractor) -> None:
    batch = np.stack([np.asarray(photo(n)) for n in range(3)])
    np.testing.assert_array_equal(extractor.extract(batch), extractor.extract(list(batch)))
    read_only = np.asarray(photo())[:, ::-1]
    assert not read_only.flags.c_contiguous
    np.testing.assert_array_equal(extractor.extract([read_only]), extractor.extract([read_only.copy()]))


def test_nothing(extractor: Extractor) -> None:
    assert extractor.extract([]).shape == (0, extractor.dim)


def test_exif_orientation_is_obeyed(extractor: Extractor, tmp_path: Path) -> None:
    upright, exif = photo(), Image.Exif()
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    vectors = extractor.extract([upright, path, Image.open(path), stored])
    np.testing.assert_allclose(vectors[1:3], vectors[[0, 0]], atol=1e-6)
    assert vectors[3] @ vectors[0] < 0.99


def test_a_file_that_is_decoded_small_gives_nearly_the_same(extractor: Extractor) -> None:
    image = photo(1, 2000, 1500)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    vectors = extractor.extract([image, buffer.getvalue()])
    assert vectors[0] @ vectors[1] > 0.99


def test_copies_are_nearer_than_other_photos(extractor: Extractor) -> None:
    images = [photo(n) for n in range(20)]
    views = [image.resize((90, 70)).crop((3, 2, 88, 69)) for image in images]
    similarity = extractor.extract(views) @ extractor.extract(images).T
    assert (similarity.argmax(axis=1) == np.arange(20)).all()


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (128, 128, 128)])
def test_an_even_photo_has_a_vector_too(extractor: Extractor, color: tuple[int, int, int]) -> None:
    vector = extractor.extract([Image.new("RGB", (50, 40), color)])[0]
    assert np.isfinite(vector).all() and abs(np.linalg.norm(vector) - 1) < 1e-6


@pytest.mark.parametrize("single", ["a.jpg", Path("a.jpg"), b"bytes", photo(), None, 7])
def test_one_image_instead_of_a_sequence(extractor: Extractor, single: object) -> None:
    with pytest.raises(ValueError, match="sequence of images"):
        extractor.extract(single)  # type: ignore[arg-type]


def test_one_array_instead_of_a_sequence(extractor: Extractor) -> None:
    with pytest.raises(ValueError, match=r"\(10, 10, 3\); put one image in a list"):
        extractor.extract(np.zeros((10, 10, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_arrays_of_another_shape_or_type(extractor: Extractor, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"image 1: expected an \(H, W, 3\) uint8 array"):
        extractor.extract([photo(), array])


def test_things_that_are_no_images(extractor: Extractor, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("text")
    with pytest.raises(DecodeError, match=r"image 1 \(.*broken.jpg\): not an image"):
        extractor.extract([photo(), broken])
    with pytest.raises(DecodeError, match="image 0: the file is empty"):
        extractor.extract([b""])
    with pytest.raises(ValueError, match=r"image 0: expected a PIL image.*got int"):
        extractor.extract([7])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="image 0: expected an image with pixels"):
        extractor.extract([Image.new("RGB", (0, 5))])
    data = png(photo())
    with pytest.raises(DecodeError, match="image 0: can't be decoded"):
        extractor.extract([Image.open(io.BytesIO(data[: len(data) // 2]))])


def test_preparing_equals_the_obvious_formula() -> None:
    rule = Preprocessing(size=64, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    image = photo(2, 64, 32)
    found = Preparer(rule)(image, 64, 32)
    obvious = (np.asarray(image, np.float64) / 255 - rule.mean) / rule.std
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, obvious.transpose(2, 0, 1), atol=1e-6)
    assert Preparer(rule)(photo(2, 1000, 700), 1000, 700).shape == (3, 32, 64)


def made(model: Callable[[np.ndarray], np.ndarray]) -> Extractor:
    card = ModelCard("test", 4, "cosine", "", "", "", "", "", Preprocessing(32), "x", "photos")
    return Extractor(card, model, threads=1)


def test_a_model_that_misbehaves() -> None:
    zeros = made(lambda batch: np.zeros((len(batch), 4), np.float32)).extract([photo()])
    np.testing.assert_allclose(zeros, 0.5)
    with pytest.raises(ModelError, match="not finite"):
        made(lambda batch: np.full((len(batch), 4), np.nan, np.float32)).extract([photo()])
    with pytest.raises(ModelError, match=r"\(1, 5\) for 1 photos, expected dim 4"):
        made(lambda batch: np.ones((len(batch), 5), np.float32)).extract([photo()])
