"""Promise: vector files are read back as written; a bad one is named, with what was expected and found."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcbir.datasets import (
    Dataset,
    load_hdf5,
    neighbor_distances,
    read_npy,
    read_truth,
    read_vecs,
    read_xbin,
    save_hdf5,
    write_truth,
    write_vecs,
    write_xbin,
)
from fastcbir.errors import FormatError

RNG_SEED = 6
VECS = {".fvecs": np.float32, ".ivecs": np.int32, ".bvecs": np.uint8}
XBIN = {
    ".fbin": np.float32,
    ".f16bin": np.float16,
    ".u8bin": np.uint8,
    ".i8bin": np.int8,
    ".ibin": np.int32,
}


def numbers(shape: tuple[int, int], dtype: Any) -> np.ndarray:
    rng = np.random.default_rng(RNG_SEED)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (50, 128)])
@pytest.mark.parametrize("suffix", VECS)
def test_vecs_round_trip(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    path = tmp_path / f"x{suffix}"
    vectors = numbers(shape, VECS[suffix])
    write_vecs(path, vectors)
    assert path.stat().st_size == shape[0] * (4 + vectors[0].nbytes)
    read = read_vecs(path)
    assert read.dtype == vectors.dtype
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, vectors)
    np.testing.assert_array_equal(read_vecs(path, n=1), vectors[:1])
    # The plain layout, byte by byte.
    assert path.read_bytes()[: 4 + vectors[0].nbytes] == struct.pack("<i", shape[1]) + vectors[0].tobytes()


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (50, 128)])
@pytest.mark.parametrize("suffix", XBIN)
def test_xbin_round_trip(tmp_path: Path, suffix: str, shape: tuple[int, int]) -> None:
    path = tmp_path / f"x{suffix}"
    vectors = numbers(shape, XBIN[suffix])
    write_xbin(path, vectors)
    assert path.read_bytes() == struct.pack("<II", *shape) + vectors.tobytes()
    read = read_xbin(path)
    assert read.dtype == vectors.dtype
    assert isinstance(read, np.memmap)
    np.testing.assert_array_equal(read, vectors)
    np.testing.assert_array_equal(read_xbin(path, n=1), vectors[:1])


def test_writers_refuse_what_they_would_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bvecs holds uint8"):
        write_vecs(tmp_path / "x.bvecs", [[300]])
    with pytest.raises(ValueError, match="i8bin holds int8"):
        write_xbin(tmp_path / "x.i8bin", [[0.5]])
    for shape in ((0, 4), (4, 0), (4,)):
        with pytest.raises(ValueError, match=r"must be \(N, d\)"):
            write_vecs(tmp_path / "x.fvecs", np.zeros(shape))
        with pytest.raises(ValueError, match=r"must be \(N, d\)"):
            write_xbin(tmp_path / "x.fbin", np.zeros(shape))
    with pytest.raises(FormatError, match=r"expected a name that ends in .fvecs, .ivecs, .bvecs"):
        write_vecs(tmp_path / "x.bin", [[1]])
    assert list(tmp_path.iterdir()) == []


def test_vecs_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.fvecs"
    write_vecs(path, numbers((10, 5), np.float32))
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(
        FormatError, match=r"multiple of 24 bytes.*it has 237, 21 more than 9 vectors.*n=9"
    ) as told:
        read_vecs(path)
    assert str(path) in str(told.value)
    assert read_vecs(path, n=9).shape == (9, 5)
    with pytest.raises(FormatError, match="n=10 vectors were asked for but it holds 9"):
        read_vecs(path, n=10)


def test_vecs_wrong_dimension_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "x.bvecs"
    write_vecs(path, numbers((10, 8), np.uint8))
    data = bytearray(path.read_bytes())
    data[12 * 4 : 12 * 4 + 4] = struct.pack("<i", 9)
    path.write_bytes(data)
    with pytest.raises(FormatError, match=r"vector 4 should have dimension 8.*byte 48 says 9"):
        read_vecs(path)
    assert read_vecs(path, n=4).shape == (4, 8)


@pytest.mark.parametrize("dim", [0, -1, 2**31 - 1])
def test_vecs_absurd_first_dimension(tmp_path: Path, dim: int) -> None:
    path = tmp_path / "x.fvecs"
    path.write_bytes(struct.pack("<i", dim) + bytes(16))
    with pytest.raises(FormatError, match=f"first dimension field should be 1..65536 but is {dim}"):
        read_vecs(path)


@pytest.mark.parametrize("read", [read_vecs, read_xbin, read_npy])
def test_no_file_and_empty_file(tmp_path: Path, read: Any) -> None:
    suffix = {read_vecs: ".fvecs", read_xbin: ".fbin", read_npy: ".npy"}[read]
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read(tmp_path / f"absent{suffix}")
    (tmp_path / f"empty{suffix}").touch()
    with pytest.raises(FormatError, match=f"empty{suffix}"):
        read(tmp_path / f"empty{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(FormatError, match="not a regular file"):
        read(tmp_path / f"folder{suffix}")
    with pytest.raises(ValueError, match="n must be at least 1"):
        read(tmp_path / f"empty{suffix}", n=0)


def test_xbin_size_must_fit_the_header(tmp_path: Path) -> None:
    path = tmp_path / "x.u8bin"
    write_xbin(path, numbers((10, 6), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(
        FormatError, match=r"10 x 6 uint8, 68 bytes, but it has 67: it is truncated.*n=9 reads"
    ):
        read_xbin(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(FormatError, match="68 bytes, but it has 69"):
        read_xbin(path)
    path.write_bytes(struct.pack("<II", 0, 6))
    with pytest.raises(FormatError, match="header says 0 x 6"):
        read_xbin(path)
    path.write_bytes(b"1234567")
    with pytest.raises(FormatError, match="expected a header of 8 bytes, but it has 7"):
        read_xbin(path)


def test_first_part_of_a_billion_scale_file(tmp_path: Path) -> None:
    path = tmp_path / "base.1B.fbin"
    vectors = numbers((20, 4), np.float32)
    path.write_bytes(struct.pack("<II", 10**9, 4) + vectors.tobytes() + b"cut")
    with pytest.raises(FormatError, match="first part of a larger file; n=20"):
        read_xbin(path)
    np.testing.assert_array_equal(read_xbin(path, n=20), vectors)
    with pytest.raises(
        FormatError, match="n=21 rows were asked for but its header says 1000000000 and it holds 20"
    ):
        read_xbin(path, n=21)


def test_ground_truth_in_one_file_and_in_two(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    ids = rng.integers(-1, 1000, (5, 8))
    ids[0, 0] = 2**32 - 2
    distances = rng.random((5, 8)).astype(np.float32)
    path = tmp_path / "truth.bin"
    write_truth(path, ids, distances)
    got_ids, got_distances = read_truth(path)
    np.testing.assert_array_equal(got_ids, ids)
    np.testing.assert_array_equal(got_distances, distances)
    assert (got_ids.dtype, got_distances.dtype) == (np.int64, np.float32)

    write_xbin(tmp_path / "gt.neighbors.ibin", ids[1:].astype(np.int32))
    write_xbin(tmp_path / "gt.distances.fbin", distances[1:])
    got_ids, got_distances = read_truth(tmp_path / "gt.neighbors.ibin", tmp_path / "gt.distances.fbin")
    np.testing.assert_array_equal(got_ids, ids[1:])
    np.testing.assert_array_equal(got_distances, distances[1:])
    assert read_truth(tmp_path / "gt.neighbors.ibin")[1] is None
    write_xbin(tmp_path / "other.fbin", distances)
    with pytest.raises(FormatError, match=r"holds \(4, 8\) ids but .* holds \(5, 8\) distances"):
        read_truth(tmp_path / "gt.neighbors.ibin", tmp_path / "other.fbin")

    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(FormatError, match=r"168 bytes \(ids\) or 328 \(ids and distances\), but it has 324"):
        read_truth(path)
    with pytest.raises(ValueError, match="ids must lie in"):
        write_truth(path, [[2**32 - 1]], [[0.0]])
    with pytest.raises(ValueError, match="ids has shape"):
        write_truth(path, [[1]], [[0.0, 1.0]])


def test_npy(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    vectors = numbers((9, 4), np.float16)
    np.save(path, vectors)
    np.testing.assert_array_equal(read_npy(path), vectors)
    np.testing.assert_array_equal(read_npy(path, n=3), vectors[:3])
    with pytest.raises(FormatError, match="n=10 rows were asked for but it holds 9"):
        read_npy(path, n=10)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"expected a whole .npy file"):
        read_npy(path)
    np.save(path, np.zeros(4))
    with pytest.raises(FormatError, match=r"expected \(N, d\) numbers but found \(4,\)"):
        read_npy(path)
    np.save(path, np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match=r"expected a whole .npy file of numbers"):
        read_npy(path)


def made(metric: str) -> Dataset:
    rng = np.random.default_rng(8)
    if metric == "hamming":
        base, queries = (rng.integers(0, 2, (n, 16), dtype=np.uint8) for n in (40, 5))
    else:
        base, queries = (rng.normal(size=(n, 6)).astype(np.float32) for n in (40, 5))
    everything = np.tile(np.arange(40), (5, 1))
    far = neighbor_distances(base, queries, everything, metric)
    order = np.argsort(far, axis=1, kind="stable")[:, :10]
    distances = np.take_along_axis(far, order, axis=1)
    return Dataset("made", base, queries, metric, neighbors=order, distances=distances)


@pytest.mark.parametrize(
    ("metric", "name"), [("l2", "euclidean"), ("cosine", "angular"), ("ip", "ip"), ("hamming", "hamming")]
)
def test_hdf5_round_trip(tmp_path: Path, metric: str, name: str) -> None:
    h5py = pytest.importorskip("h5py")
    path, data = tmp_path / "made.hdf5", made(metric)
    save_hdf5(path, data)
    with h5py.File(path) as file:
        assert file.attrs["distance"] == name
        assert file["train"].dtype == (bool if metric == "hamming" else np.float32)
        if metric == "l2":
            np.testing.assert_allclose(file["distances"][()] ** 2, data.distances, rtol=1e-5)
    read = load_hdf5(path)
    assert (read.name, read.metric) == ("made", metric)
    for role in ("base", "queries", "neighbors"):
        np.testing.assert_array_equal(getattr(read, role), getattr(data, role))
    np.testing.assert_allclose(read.distances, data.distances, rtol=1e-5, atol=1e-6)
    part = load_hdf5(path, n=30)
    assert part.base.shape[0] == 30
    assert part.neighbors is None and part.distances is None
    with pytest.raises(FormatError, match="n=41 vectors were asked for but it holds 40"):
        load_hdf5(path, n=41)
    with pytest.raises(ValueError, match="metric is"):
        load_hdf5(path, metric="ip" if metric != "ip" else "l2")


def test_hdf5_refuses(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "x.hdf5"
    path.write_bytes(b"GIF89a" + bytes(100))
    with pytest.raises(FormatError, match=r"x.hdf5: an HDF5 file should start with .*GIF89a"):
        load_hdf5(path)

    def write(**parts: Any) -> None:
        attributes = parts.pop("attributes", {})
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)
            for name, value in parts.items():
                file[name] = value

    vectors = numbers((10, 3), np.float32)
    write(train=vectors, attributes={"distance": "euclidean"})
    with pytest.raises(FormatError, match="expected train and test but found train"):
        load_hdf5(path)
    write(train=vectors, test=vectors)
    with pytest.raises(FormatError, match="no attribute 'distance'"):
        load_hdf5(path)
    assert load_hdf5(path, metric="cosine").metric == "cosine"
    write(train=vectors, test=vectors, attributes={"distance": "jaccard"})
    with pytest.raises(FormatError, match="'jaccard' isn't supported"):
        load_hdf5(path)
    write(train=vectors, test=vectors[:, :2], attributes={"distance": "euclidean"})
    with pytest.raises(FormatError, match=r"train \(10, 3\) and test \(10, 2\)"):
        load_hdf5(path)
    write(
        train=vectors, test=vectors[:1], neighbors=np.array([[0, 99]]), attributes={"distance": "euclidean"}
    )
    with pytest.raises(FormatError, match="the truth belongs to another base"):
        load_hdf5(path)
    save_hdf5(path, made("l2"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="HDF5 can't read this file of"):
        load_hdf5(path)


def test_save_hdf5_needs_the_truth(tmp_path: Path) -> None:
    vectors = numbers((4, 2), np.float32)
    with pytest.raises(ValueError, match="needs neighbors and distances"):
        save_hdf5(tmp_path / "x.hdf5", Dataset("x", vectors, vectors, "l2"))
