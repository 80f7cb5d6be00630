"""stream(): every path comes out once, as a photo or a reason why not; threads end with their consumer."""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from fastcbir.errors import ModelError
from fastcbir.extract import Extractor, Failure, Photo, load_extractor, pipeline
from fastcbir.extract.card import ModelCard, Preprocessing


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return load_extractor("color-layout")


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    yield
    assert not decoders()


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastcbir-decode")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 photos of five shapes, and what else lies in folders."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0132] = "2020:05:06 07:08:09"
    exif[0x0112] = 6
    for number in range(60):
        size = [(160, 120), (120, 160), (160, 90), (100, 100), (300, 40)][number % 5]
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize(size)
        image.save(tmp_path / f"{number:02}.jpg", exif=exif if number == 7 else Image.Exif())
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "folder.jpg").mkdir()
    data = (tmp_path / "00.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    return tmp_path


@pytest.mark.parametrize(("workers", "batch"), [(None, None), (1, 1), (3, 4), (8, 64)])
def test_every_path_once(extractor: Extractor, folder: Path, workers: int | None, batch: int | None) -> None:
    paths = [*sorted(folder.iterdir()), folder / "missing.jpg"]
    found = list(extractor.stream(paths, workers=workers, batch=batch))
    assert sorted(result.path for result in found) == sorted(paths)
    photos = {result.path.name: result for result in found if isinstance(result, Photo)}
    failures = {result.path.name: result.reason for result in found if isinstance(result, Failure)}
    assert len(photos) == 60
    assert set(failures) == {"empty.jpg", "text.jpg", "folder.jpg", "cut.jpg", "missing.jpg"}
    for name, word in (
        ("empty", "empty"),
        ("text", "not an image"),
        ("folder", "folder"),
        ("cut", "damaged"),
    ):
        assert word in failures[f"{name}.jpg"]
    assert "does not exist" in failures["missing.jpg"]
    names = sorted(photos)
    expected = extractor.extract([folder / name for name in names])
    np.testing.assert_allclose([photos[name].vector for name in names], expected, atol=1e-6)


def test_what_a_photo_says(extractor: Extractor, folder: Path) -> None:
    path = folder / "07.jpg"
    (found,) = extractor.stream([str(path)])
    assert isinstance(found, Photo)
    data, status = path.read_bytes(), path.stat()
    assert found.path == path and isinstance(found.path, Path)
    assert (found.width, found.height) == (90, 160), "upright"
    assert found.captured_at == datetime(2020, 5, 6, 7, 8, 9)
    assert found.content_hash == hashlib.sha256(data).hexdigest()
    assert (found.size, found.mtime_ns) == (len(data), status.st_mtime_ns)
    assert found.vector.shape == (extractor.dim,) and found.vector.dtype == np.float32
    assert found.vector.base is None, "does not keep its batch alive"


def test_the_same_path_twice(extractor: Extractor, folder: Path) -> None:
    assert len(list(extractor.stream([folder / "00.jpg"] * 5))) == 5


def test_nothing(extractor: Extractor) -> None:
    assert list(extractor.stream([])) == []


def test_paths_are_pulled_as_needed_and_in_the_callers_thread(extractor: Extractor, folder: Path) -> None:
    pulled: list[int] = []

    def endless() -> Iterator[Path]:
        while True:
            pulled.append(threading.get_ident())
            yield folder / "00.jpg"

    results = extractor.stream(endless(), workers=2, batch=4)
    assert not pulled, "nothing happens before the first result is asked for"
    for count in range(1, 41):
        next(results)
        assert len(pulled) <= count + 2 * 2 + 2 * 4 + 4, "no further ahead than the window and one batch"
    assert set(pulled) == {threading.get_ident()}
    results.close()  # type: ignore[attr-defined]


def test_stopping_early_ends_the_threads(extractor: Extractor, folder: Path) -> None:
    for _ in extractor.stream([folder / "00.jpg"] * 500, workers=4):
        break
    assert not decoders()
    results = extractor.stream([folder / "00.jpg"] * 500, workers=4)
    next(results)
    assert decoders()
    del results
    assert not decoders()


def test_an_exception_in_the_paths_comes_through(extractor: Extractor, folder: Path) -> None:
    def paths() -> Iterator[Path]:
        yield folder / "00.jpg"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        list(extractor.stream(paths()))


def test_an_exception_of_the_consumer(extractor: Extractor, folder: Path) -> None:
    def consume() -> None:
        for _ in extractor.stream([folder / "00.jpg"] * 100):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()


def test_an_exception_of_the_model(folder: Path) -> None:
    def broken(batch: np.ndarray) -> np.ndarray:
        raise ModelError("out of order")

    card = ModelCard("test", 4, "cosine", "", "", "", "", "", Preprocessing(32), "x", "photos")
    with pytest.raises(ModelError, match="out of order"):
        list(Extractor(card, broken).stream([folder / "00.jpg"] * 50))


def test_batches_are_of_one_shape_and_no_larger_than_asked(folder: Path) -> None:
    shapes: list[tuple[int, ...]] = []

    def model(batch: np.ndarray) -> np.ndarray:
        shapes.append(batch.shape)
        return np.ones((len(batch), 4), np.float32)

    card = ModelCard("test", 4, "cosine", "", "", "", "", "", Preprocessing(128), "x", "photos")
    paths = [folder / f"{n:02}.jpg" for n in range(60)]
    assert len(list(Extractor(card, model).stream(paths, batch=6))) == 60
    assert sum(shape[0] for shape in shapes) == 60
    assert max(shape[0] for shape in shapes) <= 6


def test_a_slow_model_gets_full_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    arrived = threading.Semaphore(0)

    class Counted(queue.Queue):  # type: ignore[type-arg]
        def put(self, *arguments: Any, **options: Any) -> None:
            super().put(*arguments, **options)
            arrived.release()

    def model(batch: np.ndarray) -> np.ndarray:
        sizes.append(len(batch))
        if len(sizes) == 1:  # the decoders run on while the model is busy
            for _ in range(12):
                assert arrived.acquire(timeout=30)
        return np.ones((len(batch), 4), np.float32)

    monkeypatch.setattr(pipeline, "SimpleQueue", Counted)
    card = ModelCard("test", 4, "cosine", "", "", "", "", "", Preprocessing(128), "x", "photos")
    list(Extractor(card, model).stream([folder / "00.jpg"] * 16, workers=4, batch=4))
    assert sum(sizes) == 16 and sizes[1] == 4


def test_a_file_that_changes_while_it_is_read(
    extractor: Extractor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = folder / "00.jpg", folder / "01.jpg"
    opened: list[Path] = []
    changes = 1
    honest = Path.open

    def restless(self: Path, *arguments: Any, **options: Any) -> Any:
        opened.append(self)
        file = honest(self, *arguments, **options)
        if self == path and len(opened) <= changes:
            with honest(self, "ab") as writer:
                writer.write(b"\0")
        return file

    monkeypatch.setattr(Path, "open", restless)
    (found,) = extractor.stream([path])
    assert isinstance(found, Photo) and len(opened) == 2, "changed once: read again"
    assert found.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    opened.clear()
    changes = 99
    (found,) = extractor.stream([path])
    assert found == Failure(path, "the file changed while it was read")
    assert len(opened) == 2
    opened.clear()
    list(extractor.stream([other]))
    assert opened == [other], "a file at rest is read once"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the file system takes UTF-8 names alone")
def test_names_that_are_not_utf8(extractor: Extractor, folder: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    (folder / name).write_bytes((folder / "00.jpg").read_bytes())
    (found,) = extractor.stream([folder / name])
    assert isinstance(found, Photo) and found.path.name == name
    (folder / name).write_bytes(b"text")
    (found,) = extractor.stream([folder / name])
    assert isinstance(found, Failure)
    found.reason.encode("utf-8")
    with pytest.raises(ValueError, match="image 0") as caught:
        extractor.extract([folder / name])
    str(caught.value).encode("utf-8")


def test_a_zero_byte_in_a_path(extractor: Extractor) -> None:
    (found,) = extractor.stream(["a\0b.jpg"])
    assert isinstance(found, Failure) and "zero byte" in found.reason


@pytest.mark.parametrize("paths", ["a.jpg", b"a.jpg", Path("a.jpg")])
def test_one_path_instead_of_many(extractor: Extractor, paths: Any) -> None:
    with pytest.raises(ValueError, match="put it in a list"):
        extractor.stream(paths)


@pytest.mark.parametrize("options", [{"workers": 0}, {"batch": 0}])
def test_options_below_one(extractor: Extractor, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        extractor.stream([], **options)


def test_two_streams_at_once(extractor: Extractor, folder: Path) -> None:
    paths = [folder / f"{n:02}.jpg" for n in range(60)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(len(list(extractor.stream(paths, workers=2)))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [60] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_a_program_at_once(folder: Path) -> None:
    code = (
        "import sys, itertools; from fastcbir.extract import load_extractor\n"
        "e = load_extractor('color-layout')\n"
        "for n, _ in enumerate(e.stream(itertools.repeat(sys.argv[1]))):\n"
        "    if n == 20: print('running', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "00.jpg")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert errors.rstrip().endswith("KeyboardInterrupt")
