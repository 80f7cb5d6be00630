"""Promise: a name of the catalogue leads to a data set, downloading no more than is asked for."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loopback import Site, web_server

from fastcbir.datasets import (
    CATALOGUE,
    Dataset,
    DownloadError,
    dataset_names,
    exact_neighbors,
    load_dataset,
    save_hdf5,
    write_truth,
    write_vecs,
    write_xbin,
)
from fastcbir.datasets.catalogue import Entry, RemoteFile
from fastcbir.datasets.unpack import unpack
from fastcbir.errors import FormatError

RNG = np.random.default_rng(16)
BASE = RNG.normal(size=(50, 4)).astype(np.float32)
QUERIES = RNG.normal(size=(5, 4)).astype(np.float32)
IDS, DISTANCES = exact_neighbors(BASE, QUERIES, 8, "l2")


@pytest.fixture
def site() -> Iterator[Site]:
    with web_server() as server:
        yield server


def known(monkeypatch: pytest.MonkeyPatch, entry: Entry) -> None:
    monkeypatch.setitem(CATALOGUE, entry.name, entry)


def toy(site: Site, form: str, path: str, **more: object) -> Entry:
    entry = Entry("toy", form, RemoteFile(site.url + path), "l2", 50, 4, 5, 1, "CC0", "https://example.org")
    return replace(entry, **more)  # type: ignore[arg-type]


def test_entries_are_well_formed() -> None:
    for name, entry in CATALOGUE.items():
        assert name == entry.name
        for file in (entry.base, entry.asks, *entry.truths.values()):
            if file is not None:
                assert re.match(r"(https?|ftp)://[a-z0-9./_-]+$", file.url, re.I), file.url
                assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert entry.form in ("hdf5", "texmex", "glove", "big-ann")
        assert min(entry.rows, entry.dim, entry.queries, entry.megabytes) > 0
        assert entry.licence and entry.source.startswith("http")
        assert (entry.asks is not None) == entry.sliced == (entry.form == "big-ann")
    assert CATALOGUE["deep1b"].megabytes == 384_000


def test_the_document_lists_every_name() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert [name for name in dataset_names() if f"| `{name}` |" not in text] == []


def test_hdf5(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py")
    data = Dataset("x", BASE, QUERIES, "l2", neighbors=IDS, distances=DISTANCES)
    save_hdf5(tmp_path / "made.hdf5", data)
    site.files["/toy.hdf5"] = (tmp_path / "made.hdf5").read_bytes()
    known(monkeypatch, toy(site, "hdf5", "/toy.hdf5"))
    for _ in range(2):
        got = load_dataset("toy", cache=tmp_path / "cache")
        assert (got.name, got.licence, got.source) == ("toy", "CC0", "https://example.org")
        np.testing.assert_array_equal(got.base, BASE)
        np.testing.assert_array_equal(got.neighbors, IDS)
    assert len(site.requests) == 1
    part = load_dataset("toy", n=20, cache=tmp_path / "cache")
    assert (part.name, len(part.base), part.neighbors) == ("toy-20", 20, None)
    with pytest.raises(ValueError, match="n=51 vectors were asked for but toy has 50"):
        load_dataset("toy", n=51)


def test_texmex_archive(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vecs(tmp_path / "sift_base.fvecs", BASE)
    write_vecs(tmp_path / "sift_query.fvecs", QUERIES)
    write_vecs(tmp_path / "sift_learn.fvecs", QUERIES)
    write_vecs(tmp_path / "sift_groundtruth.ivecs", IDS)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted(tmp_path.iterdir()):
            archive.add(path, f"sift/{path.name}")
    site.files["/sift.tar.gz"] = packed.getvalue()
    known(monkeypatch, toy(site, "texmex", "/sift.tar.gz", member="sift"))
    for _ in range(2):
        got = load_dataset("toy", cache=tmp_path / "cache")
        np.testing.assert_array_equal(got.base, BASE)
        np.testing.assert_array_equal(got.neighbors, IDS)
        np.testing.assert_array_equal(got.learn, QUERIES)
    # Once unpacked, the archive isn't needed any more.
    (tmp_path / "cache" / "sift.tar.gz").unlink()
    load_dataset("toy", cache=tmp_path / "cache")
    assert len(site.requests) == 1


def test_glove_archive(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"w{i} {i} {i % 7}\n" for i in range(1, 1021))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("glove.toy.2d.txt", lines)
        archive.writestr("glove.toy.1d.txt", "w 1\n")
    site.files["/glove.toy.zip"] = packed.getvalue()
    known(monkeypatch, toy(site, "glove", "/glove.toy.zip", member="glove.toy.2d.txt", metric="cosine"))
    got = load_dataset("toy", cache=tmp_path)
    assert (got.name, got.metric, got.base.shape, got.queries.shape) == ("toy", "cosine", (20, 2), (1000, 2))


def test_only_the_part_of_a_large_base_that_is_asked_for(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_xbin(tmp_path / "base.fbin", BASE)
    write_xbin(tmp_path / "query.fbin", QUERIES)
    ids, distances = exact_neighbors(BASE[:20], QUERIES, 8, "l2")
    write_truth(tmp_path / "gt20", ids, distances)
    write_truth(tmp_path / "gt50", IDS, DISTANCES)
    for name in ("base.fbin", "query.fbin", "gt20", "gt50"):
        site.files[f"/{name}"] = (tmp_path / name).read_bytes()
    entry = toy(
        site,
        "big-ann",
        "/base.fbin",
        asks=RemoteFile(f"{site.url}/query.fbin"),
        truths={20: RemoteFile(f"{site.url}/gt20"), 50: RemoteFile(f"{site.url}/gt50")},
        megabytes=100_000,
    )
    known(monkeypatch, entry)
    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match=r"toy has 50 vectors, 100 GB: say how many .* n=50 fetches all"):
        load_dataset("toy", cache=cache)
    assert site.requests == []

    got = load_dataset("toy", n=20, cache=cache)
    np.testing.assert_array_equal(got.base, BASE[:20])
    np.testing.assert_array_equal(got.neighbors, ids)
    assert (cache / "toy" / "base-20.fbin").stat().st_size == 8 + 20 * 16
    assert ("/base.fbin", "bytes=0-327") in [(path, headers.get("range")) for path, headers in site.requests]

    got = load_dataset("toy", n=30, cache=cache)
    assert (got.name, len(got.base), got.neighbors) == ("toy-30", 30, None)
    got = load_dataset("toy", n=50, cache=cache)
    np.testing.assert_array_equal(got.neighbors, IDS)
    np.testing.assert_allclose(got.distances, DISTANCES, rtol=1e-5)


def test_a_failed_download_leaves_nothing_that_looks_whole(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, toy(site, "hdf5", "/absent.hdf5"))
    with pytest.raises(DownloadError, match="404"):
        load_dataset("toy", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unpack_takes_what_was_named_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../escape", "a/data", "b"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"12345"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    target = tmp_path / "out" / "data"
    unpack(path, {"a/data": target})
    assert target.read_bytes() == b"12345"
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["data", "out", "x.tar.gz"]
    with pytest.raises(FormatError, match=r"expected absent in it but it has no such member"):
        unpack(path, {"absent": tmp_path / "absent"})
    with pytest.raises(FormatError, match="expected link in it"):
        unpack(path, {"link": tmp_path / "link"})
    unpack(path, {"b": tmp_path / "b"})
    (tmp_path / "b").unlink()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FormatError, match=r"expected a whole .tar.gz or .zip.*delete it"):
        unpack(path, {"absent": tmp_path / "absent"})
    path.write_bytes(b"no archive")
    with pytest.raises(FormatError, match="expected a whole"):
        unpack(path, {"b": tmp_path / "b"})
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.part").exists()
