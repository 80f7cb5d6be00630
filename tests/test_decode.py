"""Any photo becomes an upright RGB image near the wanted size, with its real size and its capture time."""

from __future__ import annotations

import io
import threading
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image, features

from fastcbir.extract.decode import IMAGE_SUFFIXES, decode, to_rgb

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green / blue, white: every rotation and mirroring looks different."""
    image = Image.new("RGB", (width, height))
    half, middle = width // 2, height // 2
    boxes = ((0, 0), (half, 0), (0, middle), (half, middle))
    for color, corner in zip((RED, GREEN, BLUE, WHITE), boxes, strict=True):
        image.paste(color, (*corner, corner[0] + half, corner[1] + middle))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours at a quarter from each corner."""
    width, height = image.size
    places = [(width // 4, height // 4), (3 * width // 4, height // 4)]
    places += [(x, 3 * height // 4) for x, _ in places]
    return [image.getpixel(place) for place in places]


def alike(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], tolerance: int = 12) -> bool:
    return bool(np.abs(np.asarray(found, int) - np.asarray(wanted, int)).max() <= tolerance)


KINDS = [
    ("JPEG", {"quality": 95, "subsampling": 0}, 12),
    ("PNG", {}, 0),
    ("BMP", {}, 0),
    ("TIFF", {}, 0),
    ("TIFF", {"compression": "tiff_deflate"}, 0),
    ("PPM", {}, 0),
    ("GIF", {}, 12),
    ("WEBP", {"lossless": True}, 0),
    ("AVIF", {"quality": 95}, 20),
    ("JPEG2000", {}, 12),
]


@pytest.mark.parametrize(("kind", "options", "tolerance"), KINDS)
def test_kinds(kind: str, options: dict[str, object], tolerance: int) -> None:
    needs = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}.get(kind)
    if needs and not features.check(needs):
        pytest.skip(f"this Pillow has no {kind}")
    found = decode(encoded(quarters(), kind, **options))
    assert (found.width, found.height, found.image.mode) == (64, 48, "RGB")
    assert found.captured_at is None
    assert alike(corners(found.image), [RED, GREEN, BLUE, WHITE], tolerance)


def test_sources(tmp_path: Path) -> None:
    data = encoded(quarters(), "PNG")
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        results = [decode(data), decode(path), decode(str(path)), decode(file)]
    assert len({result.image.tobytes() for result in results}) == 1


def test_suffixes() -> None:
    assert {".jpg", ".jpeg", ".png", ".heic", ".tif", ".webp", ".gif"} <= IMAGE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in IMAGE_SUFFIXES)


# What a viewer shows for quarters() stored with each orientation, by reading order.
ORIENTED = {
    1: [RED, GREEN, BLUE, WHITE],
    2: [GREEN, RED, WHITE, BLUE],
    3: [WHITE, BLUE, GREEN, RED],
    4: [BLUE, WHITE, RED, GREEN],
    5: [RED, BLUE, GREEN, WHITE],
    6: [BLUE, RED, WHITE, GREEN],
    7: [WHITE, GREEN, BLUE, RED],
    8: [GREEN, WHITE, RED, BLUE],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTED)
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = encoded(quarters(640, 480), kind, exif=exif, **options)
    for target in (None, 100):
        found = decode(data, target)
        size = (640, 480) if orientation < 5 else (480, 640)
        assert (found.width, found.height) == size
        assert (found.image.width > found.image.height) == (orientation < 5)
        assert alike(corners(found.image), ORIENTED[orientation])


def test_orientation_out_of_range_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 42
    found = decode(encoded(quarters(), "JPEG", quality=95, subsampling=0, exif=exif))
    assert alike(corners(found.image), ORIENTED[1])


@pytest.mark.parametrize(
    ("size", "target", "decoded"),
    [
        ((1600, 1200), 400, (400, 300)),
        ((1600, 1200), 384, (400, 300)),
        ((1600, 1200), 401, (800, 600)),
        ((1600, 1200), 200, (200, 150)),
        ((1600, 1200), 50, (200, 150)),  # 1/8 is the smallest
        ((1600, 1200), 5000, (1600, 1200)),
        ((1601, 1203), 384, (401, 301)),
        ((3000, 20), 300, (375, 3)),
    ],
)
def test_a_jpeg_is_decoded_near_the_target(
    size: tuple[int, int], target: int, decoded: tuple[int, int]
) -> None:
    found = decode(encoded(Image.new("RGB", size, RED), "JPEG"), target)
    assert (found.width, found.height) == size
    assert found.image.size == decoded


def test_other_kinds_keep_their_size() -> None:
    assert decode(encoded(quarters(), "PNG"), 16).image.size == (64, 48)


def moments() -> list[tuple[dict[int, str], dict[int, str], datetime | None]]:
    taken, scanned, changed = "2019:07:04 12:34:56", "2020:01:02 03:04:05", "2021:02:03 04:05:06"
    return [
        ({0x0132: changed}, {0x9003: taken, 0x9004: scanned}, datetime(2019, 7, 4, 12, 34, 56)),
        ({0x0132: changed}, {0x9004: scanned}, datetime(2020, 1, 2, 3, 4, 5)),
        ({0x0132: changed}, {}, datetime(2021, 2, 3, 4, 5, 6)),
        ({}, {0x9003: "0000:00:00 00:00:00"}, None),
        ({}, {0x9003: "    :  :     :  :  "}, None),
        ({0x0132: changed}, {0x9003: "2019:13:40 12:34:56"}, datetime(2021, 2, 3, 4, 5, 6)),
        ({}, {0x9003: "2019:07:04"}, None),
        ({}, {0x9003: taken + "\0"}, datetime(2019, 7, 4, 12, 34, 56)),
        ({}, {}, None),
    ]


@pytest.mark.parametrize(("outer", "inner", "expected"), moments())
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_capture_time(
    kind: str, outer: dict[int, str], inner: dict[int, str], expected: datetime | None
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "A camera"  # a PNG is saved without EXIF that has but inner parts
    for tag, text in outer.items():
        exif[tag] = text
    for tag, text in inner.items():
        exif.get_ifd(0x8769)[tag] = text
    assert decode(encoded(quarters(), kind, exif=exif)).captured_at == expected


def test_damaged_exif_is_no_reason_to_lose_a_photo() -> None:
    good = encoded(quarters(), "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\x7f" + b"\xee" * 40
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    found = decode(good[:2] + segment + good[2:])
    assert (found.width, found.captured_at) == (64, None)


def test_modes() -> None:
    image = quarters()
    grey = np.linspace(0, 255, 64 * 48).reshape(48, 64)
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LA", "HSV", "LAB", "I", "F", "RGBX"):
        source = image if mode == "LAB" else image.convert("L" if mode in ("LA", "I", "F") else mode)
        converted = to_rgb(source.convert(mode) if mode != "LAB" else image)
        assert (converted.mode, converted.size) == ("RGB", image.size)
    for bits in (16, 32):
        values = (grey * 257).astype(np.uint16) if bits == 16 else (grey * 257).astype(np.int32)
        found = np.asarray(to_rgb(Image.fromarray(values)))[:, :, 0]
        assert np.abs(found - grey).max() <= 1, f"{bits} bits are scaled, not clipped"


def test_cmyk_jpeg() -> None:
    image = quarters().convert("CMYK")
    found = decode(encoded(image, "JPEG", quality=95, subsampling=0))
    assert alike(corners(found.image), [RED, GREEN, BLUE, WHITE])


def test_sixteen_bits() -> None:
    ramp = np.linspace(0, 65535, 64 * 48).astype(np.uint16).reshape(48, 64)
    for kind in ("PNG", "TIFF"):
        found = np.asarray(decode(encoded(Image.fromarray(ramp), kind)).image, int)
        assert np.abs(found[:, :, 0] - ramp / 257).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 255.0, 65535.0])
def test_floating_point(scale: float) -> None:
    ramp = np.linspace(0, scale, 64 * 48).astype(np.float32).reshape(48, 64)
    found = np.asarray(decode(encoded(Image.fromarray(ramp), "TIFF")).image, int)
    assert np.abs(found[:, :, 0] - ramp * (255 / scale)).max() <= 1


def test_floating_point_with_holes() -> None:
    ramp = np.linspace(-5, 7, 64 * 48).astype(np.float32).reshape(48, 64)
    ramp[0, :3] = np.nan, np.inf, -np.inf
    found = np.asarray(decode(encoded(Image.fromarray(ramp), "TIFF")).image, int)
    assert found[0, :3, 0].tolist() == [0, 255, 0]
    assert abs(found[-1, -1, 0] - 255) <= 1


def test_transparency_is_put_on_white() -> None:
    image = quarters().convert("RGBA")
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 32, 24))  # the red quarter vanishes
    alpha.paste(128, (32, 0, 64, 24))  # the green one is half there
    image.putalpha(alpha)
    found = decode(encoded(image, "PNG"))
    assert alike(corners(found.image), [WHITE, (127, 255, 127), BLUE, WHITE], 2)


def test_transparency_of_palettes_and_colours() -> None:
    palette = quarters().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    index = palette.getpixel((0, 0))
    found = decode(encoded(palette, "GIF", transparency=index))
    assert alike(corners(found.image), [WHITE, GREEN, BLUE, WHITE])
    found = decode(encoded(palette, "PNG", transparency=bytes(0 if n == index else 255 for n in range(4))))
    assert alike(corners(found.image), [WHITE, GREEN, BLUE, WHITE])
    found = decode(encoded(quarters(), "PNG", transparency=RED))
    assert alike(corners(found.image), [WHITE, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (40, 30), color) for color in (RED, GREEN, BLUE)]
    found = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert alike([found.image.getpixel((5, 5))], [RED])


def test_pillows_warnings_stay_inside_and_others_do_not() -> None:
    data = encoded(quarters(), "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\x10\0\0\0"
    noisy = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    large = encoded(Image.new("1", (9500, 9500)), "PNG")  # above Pillow's warning, below the limit
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        Image.open(io.BytesIO(noisy)).getexif().get(271)
        before = list(warnings.filters)
        count = len(heard)
        errors: list[Exception] = []

        def work() -> None:
            try:
                decode(noisy)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        decode(large, 100)
        assert not errors
        assert len(heard) == count
        assert warnings.filters == before
        warnings.warn("mine", UserWarning, stacklevel=1)
        assert len(heard) == count + 1
    assert count, "the file no longer makes Pillow warn, so this proves nothing: find another"


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112], exif[0x0132] = 6, "2020:05:06 07:08:09"
    buffer = io.BytesIO()
    pillow_heif.from_pillow(quarters(640, 480)).save(buffer, quality=90, exif=exif.tobytes())
    found = decode(buffer.getvalue(), 100)
    assert (found.width, found.height) == (480, 640)
    assert found.captured_at == datetime(2020, 5, 6, 7, 8, 9)
    assert alike(corners(found.image), ORIENTED[6])
