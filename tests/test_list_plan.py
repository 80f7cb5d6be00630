"""Promise: `Ivf(memory=...)` says beforehand what an index will take, chooses what fits, and explains it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference import make_vectors, recall

import fastcbir as fc
from fastcbir.list_plan import bytes_named, plan_lists


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        (1000, 1000),
        ("8GB", 8 * 10**9),
        ("7.5 GiB", 7.5 * 2**30),
        ("500mb", 5 * 10**8),
        ("12k", 12_000),
        ("9", 9),
    ],
)
def test_sizes_are_read(memory: str | int, size: float) -> None:
    assert bytes_named(memory) == size


@pytest.mark.parametrize("memory", [0, -3, "", "GB", "8 gigabytes", "-1GB", True, "1e9"])
def test_other_sizes_are_refused(memory: str | int) -> None:
    with pytest.raises(ValueError, match='memory must be a number of bytes or a text like "8GB"'):
        fc.Index(8, fc.Ivf(memory=memory))


@pytest.mark.parametrize(("dim", "dtype"), [(20, "float32"), (96, "float16"), (70, "uint8")])
@pytest.mark.parametrize("codec", ["rabitq1", "rabitq2"])
def test_what_a_plan_foretells_is_what_an_index_takes(dim: int, dtype: str, codec: str) -> None:
    vectors = make_vectors(6000, dim, dtype, 1)
    index = fc.Index(dim, fc.Ivf(codec=codec), dtype=dtype)  # type: ignore[arg-type]
    index.add(vectors)
    plan = plan_lists(6000, dim, dtype, 10**9, codecs=(codec,))  # type: ignore[arg-type]
    assert plan.nlist == index.info()["nlist"]
    assert 0.9 < plan.resident_bytes / index.memory_bytes < 1.1


def test_the_budget_decides_between_codecs_and_where_vectors_lie() -> None:
    plans = [plan_lists(10**8, 96, "float32", bytes_named(size)) for size in ("60GB", "41GB", "8GB", "3GB")]
    assert [(plan.codec, plan.map_rows) for plan in plans] == [
        ("rabitq2", False),
        ("rabitq1", False),
        ("rabitq2", True),
        ("rabitq1", True),
    ]
    assert [plan.resident_bytes for plan in plans] == sorted((p.resident_bytes for p in plans), reverse=True)
    assert "20,000 lists with codes of 2 bits a dimension" in plans[0].explanation
    assert "load(path, mmap=True), which re-ranks from the file" in plans[2].explanation
    assert (
        'with dtype="float16" the vectors would fit'
        in plan_lists(10**8, 96, "float32", 30 * 10**9).explanation
    )
    with pytest.raises(
        ValueError, match="memory is 1 GB, but 100,000,000 vectors of 96 x float32 need at least"
    ):
        plan_lists(10**8, 96, "float32", 10**9)


def test_an_index_keeps_to_its_plan(tmp_path: Path) -> None:
    vectors = make_vectors(5000, 32, "float32", 2)
    tight = fc.Index(32, fc.Ivf(memory="250kB"))
    assert "plan" not in tight.info()
    tight.add(vectors)
    plan = tight.info()["plan"]
    assert (plan.codec, plan.map_rows, tight.method.codec) == ("rabitq2", True, "rabitq2")  # type: ignore[union-attr]
    least = fc.Index(32, fc.Ivf(memory="85kB", nlist=30))
    least.train(vectors)
    least.add(vectors)
    assert least.method == fc.Ivf(nlist=30, codec="rabitq1", memory="85kB")
    assert least.memory_bytes - vectors.nbytes <= 85_000
    tight.save(tmp_path / "tight.fcx")
    mapped = fc.load(tmp_path / "tight.fcx", mmap=True)
    flat = fc.Index(32, fc.Flat())
    flat.add(vectors)
    wanted = flat.search(vectors[:40], k=10).ids
    for index in (tight, mapped):
        assert recall(index.search(vectors[:40], k=10, nprobe=60, rerank=100).ids, wanted) > 0.8
    with pytest.raises(ValueError, match="memory is 20 kB, but 5,000 vectors of 32 x float32 need at least"):
        fc.Index(32, fc.Ivf(memory="20kB")).add(vectors)
    with pytest.raises(ValueError, match="memory is for lists with codes"):
        fc.Index(32, fc.Ivf(memory="1GB", codec=None))


def test_the_number_to_come_counts_where_it_is_given() -> None:
    vectors = make_vectors(2000, 16, "float32", 3)
    index = fc.Index(16, fc.Ivf(memory="1MB", expected=20_000))
    index.add(vectors)
    info = index.info()
    assert info["plan"].map_rows and info["nlist"] == info["plan"].nlist == round(2 * np.sqrt(20_000))
