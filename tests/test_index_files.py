"""Promise: an .fcx file is written whole or not at all, and anything but a whole one is refused.

The files in tests/golden were written by released versions and are read for ever.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from reference import DTYPES, make_vectors

import fastcbir as fc
from fastcbir.types import Method

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("flat", "hnsw", "ivf", "imi")


def make_index(method: Method, dtype: str = "float32") -> fc.Index:
    """With everything a file can hold: own ids, removed and updated vectors."""
    packed = getattr(method, "codec", None) is not None
    index = fc.Index(9, method, dtype=dtype, metric="l2" if packed else "cosine")
    index.add(make_vectors(300, 9, dtype, 1), np.arange(300) * 7 + 5)
    index.remove([5, 12])
    index.update(make_vectors(1, 9, dtype, 2), [19])
    return index


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "method",
    [
        fc.Flat(),
        fc.Hnsw(m=5, ef_construction=33, keep_pruned=True, seed=9),
        fc.Hnsw(seed=4, codec="rabitq2"),
        fc.Ivf(nlist=20, seed=3, codec=None),
        fc.Ivf(codec="rabitq1"),
        fc.Imi(bits=2, seed=2**40),
    ],
)
def test_round_trip(tmp_path: Path, method: Method, dtype: str, mmap: bool) -> None:
    index = make_index(method, dtype)
    path = tmp_path / "a.fcx"
    index.save(path)
    again = fc.load(path, mmap=mmap)
    queries = make_vectors(20, 9, dtype, 3)
    for name in ("dim", "metric", "dtype", "method"):
        assert getattr(again, name) == getattr(index, name)
    assert again.info()["removed"] == 3 and len(again) == 298
    np.testing.assert_array_equal(again.ids, index.ids)
    for ours, theirs in zip(index.search(queries, k=9), again.search(queries, k=9), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(again.reconstruct(index.ids), index.reconstruct(index.ids))
    with pytest.raises(KeyError):
        again.reconstruct([5])
    again.save(tmp_path / "b.fcx")
    assert (tmp_path / "b.fcx").read_bytes() == path.read_bytes()
    if mmap:
        for change in (
            lambda: again.add(queries),
            lambda: again.remove([19]),
            lambda: again.update(queries[:1], [19]),
            again.compact,
        ):
            with pytest.raises(RuntimeError, match="mmap=True, which is read-only; load it without mmap"):
                change()
    else:
        assert again.add(queries)[0] == index.ids.max() + 1
        again.compact()
        assert len(again) == 318


@pytest.mark.parametrize("method", [fc.Flat(), fc.Hnsw(), fc.Ivf(), fc.Imi(bits=1)])
def test_an_empty_index_is_a_file_too(tmp_path: Path, method: Method) -> None:
    fc.Index(4, method).save(tmp_path / "empty.fcx")
    index = fc.load(tmp_path / "empty.fcx")
    assert len(index) == 0
    index.add(np.eye(4))
    assert index.search(np.eye(4)[2], k=1).ids[0, 0] == 2


def test_saving_over_a_mapped_file_leaves_the_mapping_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.fcx"
    make_index(fc.Hnsw()).save(path)
    mapped = fc.load(path, mmap=True)
    before = mapped.search(np.ones(9), k=5)
    fc.Index(9).save(path)
    np.testing.assert_array_equal(mapped.search(np.ones(9), k=5).ids, before.ids)
    assert len(fc.load(path)) == 0


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_byte_is_noticed(tmp_path: Path, kind: str, mmap: bool) -> None:
    whole = (GOLDEN / f"{kind}-v1.fcx").read_bytes()
    path = tmp_path / "damaged.fcx"
    index = fc.load(GOLDEN / f"{kind}-v1.fcx")
    positions = np.random.default_rng(0).permutation(len(whole))[:150].tolist() + list(range(96))
    for position in positions:
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            survivor = fc.load(path, mmap=mmap)
        except fc.FormatError as error:
            assert str(path) in str(error)
        else:  # padding between sections is nobody's
            np.testing.assert_array_equal(survivor.ids, index.ids)
            np.testing.assert_array_equal(survivor.reconstruct(index.ids), index.reconstruct(index.ids))


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_noticed(tmp_path: Path, kind: str) -> None:
    whole = (GOLDEN / f"{kind}-v1.fcx").read_bytes()
    path = tmp_path / "short.fcx"
    for size in [0, 1, 8, 63, 64, 95, *range(100, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(fc.FormatError, match=r"is no \.fcx file|truncated"):
            fc.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(fc.FormatError, match="too long"):
        fc.load(path)


def test_foreign_and_future_files(tmp_path: Path) -> None:
    path = tmp_path / "some.fcx"
    path.write_bytes(b"\x89PNG\r\n" + bytes(500))
    with pytest.raises(
        fc.FormatError, match=r"is no \.fcx file: it does not begin with the letters FCXINDEX"
    ):
        fc.load(path)
    future = bytearray((GOLDEN / "flat-v1.fcx").read_bytes())
    future[8] = 2
    path.write_bytes(future)
    with pytest.raises(
        fc.FormatError, match="version 2, this fastcbir reads up to version 1; install a newer"
    ):
        fc.load(path)
    with pytest.raises(FileNotFoundError, match=r"none\.fcx"):
        fc.load(tmp_path / "none.fcx")
    with pytest.raises(IsADirectoryError):
        fc.load(tmp_path)


def test_golden_files_are_read_for_ever() -> None:
    queries = np.load(GOLDEN / "queries.npy")
    for kind in (*KINDS, "ivf-product"):
        expected = np.load(GOLDEN / f"{kind}-v1.npz")
        index = fc.load(GOLDEN / f"{kind}-v1.fcx")
        hits = index.search(queries, k=5, ef=200)
        np.testing.assert_array_equal(hits.ids, expected["ids"])
        np.testing.assert_allclose(hits.distances, expected["distances"], rtol=1e-5)
        assert index.add(queries[:1]).tolist() == [int(expected["next_id"])]


def test_a_golden_file_that_has_learned_when_to_stop() -> None:
    expected = np.load(GOLDEN / "stop-v2.npz")
    index = fc.load(GOLDEN / "stop-v2.fcx")
    hits = index.search(np.load(GOLDEN / "queries.npy"), k=3, recall=0.8)
    np.testing.assert_array_equal(hits.ids, expected["ids"])
    np.testing.assert_array_equal(hits.cost, expected["cost"])
    assert hits.stop_reason is not None
    assert (hits.stop_reason == fc.StopReason.TARGET).all()


def limited(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.fcx"
    make_index(fc.Flat()).save(path)
    before = path.read_bytes()
    script = (
        "import signal, sys, numpy as np, fastcbir as fc\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "index = fc.Index(64, fc.Flat()); index.add(np.ones((5000, 64)))\n"
        "try: index.save(sys.argv[1])\n"
        "except OSError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        preexec_fn=limited(100_000),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"can't write {path}: File too large" in done.stdout
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.fcx"]


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"can't create .*a\.fcx"):
        fc.Index(3).save(tmp_path / "none" / "a.fcx")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.fcx"))
    make_index(fc.Flat()).save(path)
    assert len(fc.load(path, mmap=True)) == 298


def test_killed_while_saving(tmp_path: Path) -> None:
    """Whenever the writer dies, the name leads to a whole file: the old one or the new one."""
    path = tmp_path / "a.fcx"
    fc.Index(256, fc.Flat()).save(path)
    script = (
        "import sys, numpy as np, fastcbir as fc\n"
        "index = fc.Index(256, fc.Flat()); index.add(np.ones((20000, 256)))\n"
        "print('ready', flush=True)\n"
        "while True: index.save(sys.argv[1])\n"
    )
    for delay in (0.01, 0.04, 0.09):
        writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        writer.stdout.readline()
        timer = threading.Timer(delay, writer.kill)
        timer.start()
        writer.wait()
        writer.stdout.close()
        assert len(fc.load(path)) in (0, 20000)
