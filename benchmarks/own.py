"""fastcbir's own methods, through the public API alone. A new method is one more entry in ALGORITHMS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from benchmarks.protocol import Algorithm, effort


class Fastcbir:
    """method: the name of a method dataclass of fastcbir; its parameters follow.

    Query parameters are passed to Index.search as they are.
    """

    def __init__(self, method: str, dtype: str = "float32", **parameters: Any) -> None:
        import fastcbir

        self._library: Any = fastcbir
        self._dtype = dtype
        self._method = getattr(fastcbir, method)(**parameters)

    def build(self, base: NDArray[Any], metric: str, threads: int) -> None:
        dim = base.shape[1]
        self._index = self._library.Index(dim, self._method, metric=metric, dtype=self._dtype)
        self._index.add(base, threads=threads)

    def set_query_params(
        self, ef: int | None = None, nprobe: int | None = None, rerank: int | None = None
    ) -> None:
        lists = self._index.info().get("nlist")  # small sets have fewer lists than the grid visits
        self._ef = ef
        self._nprobe = nprobe if nprobe is None or not lists else min(nprobe, lists)
        self._rerank = rerank

    def _rerank_for(self, k: int) -> int | None:
        """What is compared again beside the k goes with their root."""
        if self._rerank is None or k <= 10:
            return self._rerank
        return k + round((self._rerank - 10) * math.sqrt(k / 10))

    def query(self, query: NDArray[Any], k: int) -> Any:
        if self._rerank is None:
            return self._index.search(query, k, ef=self._ef, nprobe=self._nprobe, threads=1).ids
        return self._index.search(
            query, k, nprobe=self._nprobe, rerank=self._rerank if k <= 10 else self._rerank_for(k), threads=1
        ).ids

    def batch_query(self, queries: NDArray[Any], k: int) -> Any:
        return self._index.search(
            queries, k, ef=self._ef, nprobe=self._nprobe, rerank=self._rerank_for(k), threads=1
        ).ids

    def index_bytes(self) -> int:
        return int(self._index.memory_bytes)


def entry(name: str, method: str, build: Mapping[str, Any], **more: Any) -> Algorithm:
    """An algorithm of this library: name after "fastcbir-", the method's class name, its parameters."""
    return Algorithm(
        f"fastcbir-{name}",
        "benchmarks.own:Fastcbir",
        "fastcbir",
        "fastcbir",
        build={"method": method, **build},
        own=True,
        **more,
    )


def probes(*pairs: tuple[int, int]) -> tuple[dict[str, int], ...]:
    """Settings of inverted lists: lists visited, candidates compared exactly for k up to 10."""
    return tuple({"nprobe": nprobe, "rerank": rerank} for nprobe, rerank in pairs)


_LISTS = probes(
    (2, 12),
    (4, 16),
    (6, 20),
    (8, 24),
    (12, 28),
    (16, 32),
    (24, 40),
    (32, 50),
    (48, 64),
    (64, 80),
    (128, 120),
    (256, 200),
)
_CELLS = probes((16, 30), (32, 40), (64, 50), (128, 60), (256, 80), (512, 120), (1024, 200))
_M16 = {"m": 16, "ef_construction": 200}
ALGORITHMS = [
    entry("flat", "Flat", {}, note="exact"),
    entry("hnsw", "Hnsw", _M16, queries=effort(), effort="ef", note="m=16, ef_construction=200 as hnswlib"),
    entry(
        "hnsw-f16", "Hnsw", {**_M16, "dtype": "float16"}, queries=effort(), effort="ef", note="half precision"
    ),
    entry(
        "hnsw-u8",
        "Hnsw",
        {**_M16, "dtype": "uint8"},
        queries=effort(),
        effort="ef",
        metrics=("l2",),
        dtypes=("uint8",),
        note="bytes as they are stored",
    ),
    *(
        entry(
            f"hnsw-{codec}{suffix}",
            "Hnsw",
            {**_M16, "codec": codec, **more},
            queries=effort(),
            effort="ef",
            least_effort=0.5,
            note="codes of the neighbours beside each node, exact distances in the result",
            **only,
        )
        for codec in ("rabitq1", "rabitq2")
        for suffix, more, only in (
            ("", {}, {}),
            ("-f16", {"dtype": "float16"}, {}),
            ("-u8", {"dtype": "uint8"}, {"metrics": ("l2",), "dtypes": ("uint8",)}),
        )
    ),
    *(
        entry(
            f"hnsw-rabitq2-{name}",
            "Hnsw",
            {**_M16, **build, "codec": "rabitq2", "dtype": "float16"},
            queries=effort(),
            effort="ef",
            least_effort=0.5,
            note=note,
        )
        for name, build, note in (
            ("f16-ef500", {"ef_construction": 500}, "codes, built with more care"),
            (
                "f16-m32-ef500",
                {"m": 32, "ef_construction": 500},
                "the same with twice the links, for queries unlike the vectors",
            ),
        )
    ),
    *(
        entry(
            f"ivf{name}",
            "Ivf",
            {"codec": codec},
            queries=_LISTS,
            note=f"about 2 sqrt(N) lists, {note}, exact distances in the result",
        )
        for name, codec, note in (
            ("", "auto", "codes of 2 bits a dimension, above 256 dimensions 1 bit"),
            ("-rabitq1", "rabitq1", "codes of 1 bit a dimension"),
            ("-rows", None, "every vector of a list compared"),
        )
    ),
    entry(
        "ivf-f16",
        "Ivf",
        {"dtype": "float16"},
        queries=_LISTS,
        note="as ivf, the vectors in half precision: half their memory",
    ),
    entry(
        "ivf-pq16",
        "Ivf",
        {"codec": "pq16"},
        queries=_LISTS,
        note="product codes of 16 bytes a vector, exact distances in the result",
        min_dim=16,
    ),
    entry(
        "imi",
        "Imi",
        {"bits": 5},
        queries=_CELLS,
        note="inverted multi-index of 32 x 32 cells, codes of 2 bits a dimension",
    ),
]
