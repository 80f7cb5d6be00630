"""Promise: ground truth of ROxford and RParis, FASTA and image folders are read strictly, and run nothing."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastcbir.datasets import (
    FastaRecord,
    image_folder,
    load_revisitop,
    read_fasta,
    save_revisitop_json,
    write_fasta,
)
from fastcbir.errors import FormatError
from fastcbir.metrics import evaluate_revisitop

DEV_DATA = os.environ.get("FASTCBIR_DEV_DATA")
needs_dev_data = pytest.mark.skipif(not DEV_DATA, reason="FASTCBIR_DEV_DATA is not set")


def truth() -> dict[str, Any]:
    return {
        "imlist": ["a", "b", "c", "d"],
        "qimlist": ["q0", "q1"],
        "gnd": [
            {"easy": [0, 2], "hard": [1], "junk": [], "bbx": [0.5, 1.0, 10.0, 20.0]},
            {"easy": [], "hard": [3], "junk": [0], "bbx": [1, 2, 3, 4]},
        ],
    }


def as_arrays(content: dict[str, Any]) -> dict[str, Any]:
    """The same with NumPy's arrays and scalars, as some copies of the files have them."""
    content["gnd"] = [
        {key: np.array(value, dtype=float if key == "bbx" else np.int32) for key, value in entry.items()}
        for entry in content["gnd"]
    ]
    content["gnd"][1]["junk"] = [np.int64(0)]
    return content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("arrays", [False, True])
def test_pickle_and_json_say_the_same(tmp_path: Path, protocol: int, arrays: bool) -> None:
    path = tmp_path / "gnd_toy.pkl"
    content = as_arrays(truth()) if arrays else truth()
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_revisitop(path)
    assert (read.images, read.queries) == (("a", "b", "c", "d"), ("q0", "q1"))
    assert [entry["easy"].tolist() for entry in read.gnd] == [[0, 2], []]
    assert read.gnd[1]["junk"].tolist() == [0] and read.gnd[1]["junk"].dtype == np.int64
    assert read.gnd[0]["bbx"].tolist() == [0.5, 1.0, 10.0, 20.0]
    save_revisitop_json(tmp_path / "gnd_toy.json", read)
    twin = load_revisitop(tmp_path / "gnd_toy.json")
    assert (twin.images, twin.queries) == (read.images, read.queries)
    for one, other in zip(twin.gnd, read.gnd, strict=True):
        for key in ("easy", "hard", "junk", "bbx"):
            np.testing.assert_array_equal(one[key], other[key])  # type: ignore[literal-required]


def test_the_names_numpy_1_pickled_by_are_known(tmp_path: Path) -> None:
    data = pickle.dumps(as_arrays(truth()), protocol=2).replace(b"numpy._core.", b"numpy.core.")
    (tmp_path / "x.pkl").write_bytes(data)
    assert "numpy.core.multiarray" in str([arg for _, arg, _ in pickletools.genops(data)])
    assert load_revisitop(tmp_path / "x.pkl").gnd[0]["easy"].tolist() == [0, 2]


class Harmful:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._marker),)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_something_is_refused_by_name(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "it-ran"
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({**truth(), "extra": Harmful(marker)}, protocol=protocol))
    with pytest.raises(
        FormatError, match=r"x.pkl: this pickle asks for (posix|nt|os).mkdir, which isn't data"
    ):
        load_revisitop(path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__", "open", "type", "object"])
def test_builtins_that_are_no_data_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.pkl").write_bytes(b"cbuiltins\n" + name.encode() + b"\n.")
    with pytest.raises(FormatError, match=rf"asks for builtins.{name}"):
        load_revisitop(tmp_path / "x.pkl")
    # Protocol 4 could spell attributes of admitted names with dots.
    (tmp_path / "y.pkl").write_bytes(
        b"\x80\x04\x8c\x08builtins\x8c" + bytes([4 + len("__class__")]) + b"int.__class__\x93."
    )
    with pytest.raises(FormatError, match=r"asks for builtins.int.__class__"):
        load_revisitop(tmp_path / "y.pkl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("imlist"), r"expected imlist, qimlist and gnd but found \['gnd', 'qimlist'\]"),
        (lambda c: c["imlist"].append(7), "imlist should be a list of names"),
        (lambda c: c["gnd"].pop(), "one gnd entry for each of 2 queries but found 1"),
        (lambda c: c["gnd"][1].pop("hard"), r"gnd\[1\] should have .* but has \['bbx', 'easy', 'junk'\]"),
        (lambda c: c["gnd"][1].update(hard=[4]), r"gnd\[1\]\['hard'\] should index 4 images"),
        (lambda c: c["gnd"][0].update(easy=[-1]), r"reaches from -1 to -1"),
        (lambda c: c["gnd"][0].update(easy=[0.5]), r"gnd\[0\]\['easy'\] should be a list of indices"),
        (lambda c: c["gnd"][0].update(bbx=[5, 1, 5, 9]), r"should be x1 < x2, y1 < y2"),
        (lambda c: c["gnd"][0].update(bbx="no"), r"gnd\[0\]\['bbx'\] should be four numbers"),
    ],
)
def test_bad_ground_truth(tmp_path: Path, change: Any, message: str) -> None:
    content = truth()
    change(content)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "x.json").write_text(json.dumps(content))
    for name in ("x.pkl", "x.json"):
        with pytest.raises(FormatError, match=message):
            load_revisitop(tmp_path / name)


def test_damaged_ground_truth(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    data = pickle.dumps(truth())
    for damaged in (data[:-10], b"", b"\x80\x04garbage", pickle.dumps([1, 2])):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"x.pkl: expected"):
            load_revisitop(path)
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(FormatError, match="expected JSON"):
        load_revisitop(tmp_path / "x.json")


@needs_dev_data
@pytest.mark.parametrize(("name", "images", "no_easy"), [("roxford5k", 4993, 2), ("rparis6k", 6322, 0)])
def test_the_published_ground_truth(name: str, images: int, no_easy: int) -> None:
    folder = Path(str(DEV_DATA)) / "revisitop"
    read, twin = (load_revisitop(folder / f"gnd_{name}.{form}") for form in ("pkl", "json"))
    assert (len(read.images), len(read.queries)) == (images, 70)
    assert (read.images, read.queries) == (twin.images, twin.queries)
    # A ranking that puts the right answers first is perfect under all three protocols.
    ranks = []
    for entry in read.gnd:
        front = np.concatenate([entry["easy"], entry["hard"]])
        ranks.append(np.concatenate([front, np.setdiff1d(np.arange(images), front)]))
    scores = evaluate_revisitop(np.stack(ranks), read.gnd)
    for protocol in (scores.easy, scores.medium, scores.hard):
        assert protocol.mean_average_precision == 1.0
        assert protocol.mean_precision.tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(scores.easy.average_precision).sum() == no_easy


def test_fasta_round_trip(tmp_path: Path) -> None:
    records = [FastaRecord("one", "first of two", "ACGT" * 40), FastaRecord("two", "", "NNN")]
    for name in ("x.fa", "x.fa.gz"):
        write_fasta(tmp_path / name, records)
        assert read_fasta(tmp_path / name) == records
    assert (tmp_path / "x.fa").read_text().splitlines()[:2] == [">one first of two", ("ACGT" * 18)[:70]]
    for bad in (FastaRecord("two words", "", "A"), FastaRecord("", "", "A"), FastaRecord("x", "", "")):
        with pytest.raises(ValueError, match=r"must be one word|has no sequence"):
            write_fasta(tmp_path / "y.fa", [bad])


def test_fasta_reads_what_occurs(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_bytes(b"; an old comment\r\n>gi|1| lambda phage\r\nacgt\r\nNN\r\n\r\n>b\r\nA\r\n")
    assert read_fasta(path) == [FastaRecord("gi|1|", "lambda phage", "ACGTNN"), FastaRecord("b", "", "A")]
    path.write_text(">p\nMKV\n")
    assert read_fasta(path, alphabet="KMV")[0].sequence == "MKV"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (">a\nACGT\nAC-T\n", "line 3, column 3: '-' isn't in the alphabet ACGTN"),
        (">a\nAC GT\n", "line 2, column 3: ' ' isn't"),
        (">a\nACRT\n", "'R' isn't in the alphabet"),
        ("ACGT\n>a\nA\n", "line 1: expected a header that starts with '>', not 'ACGT'"),
        (">a\n>b\nA\n", "line 1: 'a' has no sequence"),
        (">a\nA\n>b\n", "line 3: 'b' has no sequence"),
        (">\nA\n", "line 1: expected a name after '>'"),
        ("", "expected at least one sequence"),
    ],
)
def test_bad_fasta(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.fa"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as told:
        read_fasta(path)
    assert str(path) in str(told.value)


def test_damaged_fasta(tmp_path: Path) -> None:
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(b">a\n" + b"ACGT\n" * 1000)[:-20])
    with pytest.raises(FormatError, match="its gzip stream is damaged or cut"):
        read_fasta(path)
    path.write_bytes(b">a\nAC\xff\n")
    with pytest.raises(FormatError, match="expected text but found the byte 0xff"):
        read_fasta(path)


@needs_dev_data
def test_phage_lambda() -> None:
    (record,) = read_fasta(Path(str(DEV_DATA)) / "dna" / "lambda_virus.fa.gz")
    assert len(record.sequence) == 48_502
    assert record.description.startswith("Enterobacteria phage lambda")


def test_image_folder(tmp_path: Path) -> None:
    for name in (
        "b.JPG",
        "cats/2.png",
        "cats/1.jpeg",
        "dogs/deep/x.webp",
        ".hidden/a.jpg",
        "cats/.b.png",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = image_folder(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found.paths]
    assert names == ["b.JPG", "cats/1.jpeg", "cats/2.png", "dogs/deep/x.webp"]
    assert found.labels == ("", "cats", "cats", "dogs")
    with pytest.raises(NotADirectoryError):
        image_folder(tmp_path / "b.JPG")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"expected images .* but found none"):
        image_folder(tmp_path / "empty")
