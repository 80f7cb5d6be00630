"""A file that is no photo, or a damaged or enormous one, gives one clear sentence, and soon."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from fastcbir.extract import decode as module
from fastcbir.extract.decode import MAX_PIXELS, DecodeError, decode


def jpeg(width: int = 320, height: int = 240, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def resized_header(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    place = next(i for i in range(len(data)) if data[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return data[: place + 5] + struct.pack(">HH", height, width) + data[place + 9 :]


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


def reason(source: object, target: int | None = 384) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(source, target)  # type: ignore[arg-type]
    text = str(caught.value)
    assert text.isprintable()
    text.encode("utf-8")
    return text


def test_empty(tmp_path: Path) -> None:
    assert "empty" in reason(b"")
    (tmp_path / "a.jpg").touch()
    assert "empty" in reason(tmp_path / "a.jpg")


def test_text_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("milk, bread, butter\n" * 50)
    assert "not an image" in reason(path)
    assert "JPEG" in reason(path), "the message lists what is read"


@pytest.mark.parametrize(
    "data", [b"\0", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"BM"]
)
def test_only_the_start_of_a_file(data: bytes) -> None:
    assert reason(data)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg(share: float, progressive: bool) -> None:
    data = jpeg(progressive=progressive)
    text = reason(data[: int(len(data) * share)])
    assert "damaged" in text or "not an image" in text


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_other_truncated_files(kind: str) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    assert reason(buffer.getvalue()[: buffer.tell() // 2])


def test_bit_flips_never_escape_as_anything_else() -> None:
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize((48, 40)).convert("RGB").save(buffer, kind)
        good = np.frombuffer(buffer.getvalue(), np.uint8)
        for _ in range(60):
            bad = good.copy()
            where = rng.integers(0, min(len(bad), 600), 4)
            bad[where] ^= rng.integers(1, 256, 4).astype(np.uint8)
            try:
                decode(bad.tobytes(), 32)
            except DecodeError as error:
                assert str(error).isprintable()


def test_enormous_images_are_refused_before_they_are_allocated() -> None:
    sources = {
        "png": png_header(30_000, 30_000),
        "png, larger than Pillow's own limit": png_header(13_000, 13_000),
        "jpeg": resized_header(jpeg(), 30_000, 30_000),
        "progressive jpeg": resized_header(jpeg(progressive=True), 13_000, 13_000),
    }
    for name, data in sources.items():
        tracemalloc.start()
        try:
            text = reason(data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "too large" in text and "million pixels" in text, name
        assert peak < 8 << 20, name


def test_a_large_jpeg_is_fine_where_it_can_be_decoded_small() -> None:
    side = 13_000
    assert side * side > MAX_PIXELS
    buffer = io.BytesIO()
    Image.new("L", (side, side), 77).save(buffer, "JPEG", quality=30)
    found = decode(buffer.getvalue(), 384)
    assert (found.width, found.height) == (side, side)
    assert found.image.size == (side // 8, side // 8)
    assert "too large" in reason(buffer.getvalue(), None), "but not at its full size"


def test_folders_pipes_and_missing_files(tmp_path: Path) -> None:
    assert "folder" in reason(tmp_path)
    assert "does not exist" in reason(tmp_path / "none.jpg")
    assert "zero byte" in reason("a\0b.jpg")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "pipe" in reason(tmp_path / "pipe.jpg")
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        assert "symbolic links" in reason(tmp_path / "loop.jpg")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(jpeg())
    path.chmod(0)
    assert "permission" in reason(path)


def test_permission_is_named_whoever_runs_this(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(jpeg())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "permission denied" in reason(path)


def test_a_file_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.jpg"
    path.write_bytes(jpeg())
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 1000)
    assert "limit" in reason(path)
    assert "limit" in reason(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_library_says_what_to_install(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    text = reason(b"\0\0\0\x18ftyp" + brand + b"\0" * 100)
    assert "pip install pillow-heif" in text


@pytest.mark.parametrize("target", [0, -1])
def test_a_target_below_one_pixel(target: int) -> None:
    with pytest.raises(ValueError, match="at least 1 pixel"):
        decode(jpeg(), target)
