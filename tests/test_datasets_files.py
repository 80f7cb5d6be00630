"""Promise: load_dataset tells what a file or folder is and reads it, or says what it expected."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastcbir.datasets import (
    ADAPTERS,
    Dataset,
    dataset_cache,
    dataset_names,
    exact_neighbors,
    load_dataset,
    read_glove,
    read_parts,
    write_truth,
    write_vecs,
    write_xbin,
)
from fastcbir.errors import FormatError

RNG = np.random.default_rng(12)
BASE = RNG.normal(size=(60, 8)).astype(np.float32)
QUERIES = RNG.normal(size=(6, 8)).astype(np.float32)
LEARN = RNG.normal(size=(9, 8)).astype(np.float32)
IDS, DISTANCES = exact_neighbors(BASE, QUERIES, 10, "l2")


def check(data: Dataset, *, truth: bool = True, distances: bool = False) -> None:
    np.testing.assert_array_equal(data.base, BASE)
    np.testing.assert_array_equal(data.queries, QUERIES)
    assert data.metric == "l2"
    if truth:
        np.testing.assert_array_equal(data.neighbors, IDS)
    else:
        assert data.neighbors is None
    if distances:
        np.testing.assert_allclose(data.distances, DISTANCES, rtol=1e-5)
    else:
        assert data.distances is None


def texmex(folder: Path) -> None:
    write_vecs(folder / "toy_base.fvecs", BASE)
    write_vecs(folder / "toy_query.fvecs", QUERIES)
    write_vecs(folder / "toy_learn.fvecs", LEARN)
    write_vecs(folder / "toy_groundtruth.ivecs", IDS)


def test_texmex_folder_and_base_file(tmp_path: Path) -> None:
    texmex(tmp_path)
    data = load_dataset(tmp_path)
    check(data)
    np.testing.assert_array_equal(data.learn, LEARN)
    assert (data.name, data.source) == (tmp_path.name, str(tmp_path / "toy_base.fvecs"))
    check(load_dataset(str(tmp_path / "toy_base.fvecs")))
    part = load_dataset(tmp_path, n=20)
    np.testing.assert_array_equal(part.base, BASE[:20])
    assert part.neighbors is None
    check(load_dataset(tmp_path, n=60))


def test_a_base_file_finds_its_own_among_many(tmp_path: Path) -> None:
    texmex(tmp_path)
    write_vecs(tmp_path / "other_base.fvecs", LEARN)
    write_vecs(tmp_path / "other_query.fvecs", LEARN)
    with pytest.raises(
        FormatError, match=r"expected one file of base but found other_base.fvecs, toy_base.fvecs"
    ):
        load_dataset(tmp_path)
    check(load_dataset(tmp_path / "toy_base.fvecs"))
    with pytest.raises(FormatError, match="expected a file of base vectors, but its name says queries"):
        load_dataset(tmp_path / "toy_query.fvecs")


def test_big_ann_folder_in_both_forms_of_truth(tmp_path: Path) -> None:
    write_xbin(tmp_path / "base.1B.fbin", BASE)
    write_xbin(tmp_path / "query.public.10K.fbin", QUERIES)
    check(load_dataset(tmp_path), truth=False)
    write_truth(tmp_path / "groundtruth.public.bin", IDS, DISTANCES)
    check(load_dataset(tmp_path), distances=True)
    (tmp_path / "groundtruth.public.bin").unlink()
    write_xbin(tmp_path / "groundtruth.neighbors.ibin", IDS.astype(np.int32))
    check(load_dataset(tmp_path))
    # Euclidean distances, as cuVS's tools write them, come back squared.
    write_xbin(tmp_path / "groundtruth.distances.fbin", np.sqrt(DISTANCES))
    check(load_dataset(tmp_path), distances=True)


def test_metric_is_the_callers_word_where_files_have_none(tmp_path: Path) -> None:
    write_xbin(tmp_path / "base.fbin", BASE)
    write_xbin(tmp_path / "query.fbin", QUERIES)
    assert load_dataset(tmp_path, metric="ip").metric == "ip"
    with pytest.raises(ValueError, match="metric must be one of"):
        load_dataset(tmp_path, metric="angular")
    ids, distances = exact_neighbors(BASE, QUERIES, 10, "ip")
    write_truth(tmp_path / "gt.bin", ids, -distances)
    np.testing.assert_allclose(load_dataset(tmp_path, metric="ip").distances, distances, rtol=1e-5)
    with pytest.raises(FormatError, match="the metric isn't l2"):
        load_dataset(tmp_path)


def test_numpy_folder(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", BASE)
    np.save(tmp_path / "test.npy", QUERIES)
    np.save(tmp_path / "neighbors.npy", IDS)
    np.save(tmp_path / "distances.npy", DISTANCES)
    check(load_dataset(tmp_path), distances=True)
    np.save(tmp_path / "neighbors.npy", IDS.astype(np.float32))
    with pytest.raises(FormatError, match=r"neighbors.npy: expected the ids of neighbours but found float32"):
        load_dataset(tmp_path)


def test_bigann_folder_with_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(13)
    base = rng.integers(0, 256, (40, 128), dtype=np.uint8)
    queries = rng.integers(0, 256, (4, 128), dtype=np.uint8)
    write_vecs(tmp_path / "bigann_base.bvecs", base)
    (tmp_path / "gnd").mkdir()
    with pytest.raises(FormatError, match=r"expected bigann_query.bvecs, but it is missing"):
        load_dataset(tmp_path)
    write_vecs(tmp_path / "bigann_query.bvecs", queries)
    data = load_dataset(tmp_path)
    assert (data.name, data.base.dtype, data.neighbors) == ("bigann", np.uint8, None)
    # A million is too much for a test: ten stand for it.
    monkeypatch.setattr("fastcbir.datasets.bigann._MILLION", 10)
    for millions in (2, 4):
        ids, distances = exact_neighbors(base[: 10 * millions], queries, 5, "l2")
        write_vecs(tmp_path / "gnd" / f"idx_{millions}M.ivecs", ids)
        write_vecs(tmp_path / "gnd" / f"dis_{millions}M.fvecs", distances)
    for n, rows in ((20, 20), (None, 40)):
        ids, distances = exact_neighbors(base[:rows], queries, 5, "l2")
        data = load_dataset(tmp_path, n=n)
        np.testing.assert_array_equal(data.neighbors, ids)
        np.testing.assert_allclose(data.distances, distances)
    assert load_dataset(tmp_path, n=30).neighbors is None
    (tmp_path / "bigann_base.bvecs").rename(tmp_path / "bigann_base.bvecs.gz")
    with pytest.raises(FormatError, match=r"it is packed: run gunzip .*bigann_base.bvecs.gz"):
        load_dataset(tmp_path)


def test_deep1b_parts(tmp_path: Path) -> None:
    for number, part in enumerate(np.split(BASE, 3)):
        write_vecs(tmp_path / f"base_{number:02d}.fvecs", part)
    # The parts may lack the suffix.
    (tmp_path / "base_01.fvecs").rename(tmp_path / "base_01")
    with pytest.raises(FormatError, match=r"expected deep1B_queries.fvecs"):
        load_dataset(tmp_path)
    write_vecs(tmp_path / "deep1B_queries.fvecs", QUERIES)
    write_vecs(tmp_path / "deep1B_groundtruth.ivecs", IDS)
    write_vecs(tmp_path / "learn_00.fvecs", LEARN)
    data = load_dataset(tmp_path)
    check(data)
    np.testing.assert_array_equal(data.learn, LEARN)
    for n in (5, 20, 25, 60):
        np.testing.assert_array_equal(read_parts(tmp_path, "base", n=n), BASE[:n])
    assert isinstance(read_parts(tmp_path, "base", n=20), np.memmap)
    assert load_dataset(tmp_path, n=25).neighbors is None
    with pytest.raises(FormatError, match="n=61 vectors were asked for but its parts hold 60"):
        load_dataset(tmp_path, n=61)
    (tmp_path / "base_01").rename(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match=r"part base_01 is missing; the next is base_02.fvecs"):
        load_dataset(tmp_path)


def glove_lines(words: int, dim: int) -> bytes:
    rng = np.random.default_rng(14)
    lines = [f"w{i} " + " ".join(f"{x:.4f}" for x in rng.normal(size=dim)) for i in range(words)]
    return ("\n".join(lines) + "\n").encode()


def test_glove_text_and_zip(tmp_path: Path) -> None:
    text = tmp_path / "glove.toy.5d.txt"
    text.write_bytes(glove_lines(1100, 5))
    words, vectors = read_glove(text)
    assert words[:2] == ["w0", "w1"] and vectors.shape == (1100, 5) and vectors.dtype == np.float32
    data = load_dataset(text)
    assert (data.name, data.metric, data.base.shape, data.queries.shape) == (
        "glove.toy.5d",
        "cosine",
        (100, 5),
        (1000, 5),
    )
    together = np.concatenate([data.base, data.queries])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(vectors, axis=0))
    np.testing.assert_array_equal(load_dataset(text).queries, data.queries)
    assert load_dataset(text, n=50).base.shape == (50, 5)

    packed = tmp_path / "glove.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(text, "glove.toy.5d.txt")
    np.testing.assert_array_equal(load_dataset(packed).base, data.base)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("glove.toy.2d.txt", glove_lines(3, 2))
    assert read_glove(packed, member="glove.toy.2d.txt").vectors.shape == (3, 2)
    with pytest.raises(FormatError, match=r"expected one .txt, or member= to choose"):
        read_glove(packed)
    packed.write_bytes(packed.read_bytes()[:1000])
    with pytest.raises(FormatError, match="expected a zip archive, but it is damaged or truncated"):
        load_dataset(packed)


def test_glove_words_with_blanks_and_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("the 1 2\n. . . 3 4\nname@mail 5 6\n", encoding="utf-8")
    words, vectors = read_glove(path)
    assert words == ["the", ". . .", "name@mail"]
    np.testing.assert_array_equal(vectors, [[1, 2], [3, 4], [5, 6]])
    assert read_glove(path, n=2).words == ["the", ". . ."]
    with pytest.raises(FormatError, match="n=4 words were asked for but it holds 3"):
        read_glove(path, n=4)
    for text, message in (
        ("the 1 2\nof 3\n", "line 2: expected a word and 2 numbers"),
        ("the 1 2\nof 3 x\n", "line 2: expected a word and 2 numbers"),
        ("the 1 2\nof 3 nan\n", "line 2"),
        ("the\n", "line 1: expected a word and numbers"),
        ("", "expected words and vectors but it is empty"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(FormatError, match=message):
            read_glove(path)
    path.write_bytes(glove_lines(1000, 2))
    with pytest.raises(FormatError, match="expected more than 1000 words"):
        load_dataset(path)


def test_what_is_no_data_set_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"did you mean sift-128-euclidean"):
        load_dataset("sift-128-euclidian")
    with pytest.raises(FileNotFoundError, match="check the path"):
        load_dataset(tmp_path / "absent.hdf5")
    for name, hint in (("gnd.pkl", "load_revisitop"), ("x.fasta", "read_fasta"), ("x.gz", "unpack it first")):
        (tmp_path / name).touch()
        with pytest.raises(FormatError, match=f"{name} is no data set .*{hint}.*ann-benchmarks' .hdf5"):
            load_dataset(tmp_path / name)
    photos = tmp_path / "photos"
    photos.mkdir()
    with pytest.raises(FormatError, match="is no data set; expected"):
        load_dataset(photos)
    (photos / "a.JPG").touch()
    with pytest.raises(FormatError, match=r"it holds images: search those with fastcbir.ImageIndex"):
        load_dataset(photos)
    write_vecs(photos / "base.fvecs", BASE)
    with pytest.raises(FormatError, match="no file of queries; expected a name with 'query' or"):
        load_dataset(photos)
    with pytest.raises(ValueError, match="n must be at least 1"):
        load_dataset(photos, n=0)


def test_names_and_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = dataset_names()
    assert len(set(names)) == len(names)
    assert {"sift-photos", "cnn-tiles", "sift-128-euclidean", "gist-960-euclidean", "deep1b"} <= set(names)
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    monkeypatch.setenv("FASTCBIR_CACHE", str(tmp_path / "here"))
    assert dataset_cache() == tmp_path / "here" / "datasets"
    assert dataset_cache(tmp_path) == tmp_path


def test_a_gzip_in_disguise(tmp_path: Path) -> None:
    path = tmp_path / "base.fvecs"
    path.write_bytes(gzip.compress(b"x" * 100))
    with pytest.raises(FormatError, match="no file of queries"):
        load_dataset(path)
    write_vecs(tmp_path / "query.fvecs", QUERIES)
    with pytest.raises(FormatError, match="first dimension field should be"):
        load_dataset(path)
