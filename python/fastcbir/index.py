"""Index: numpy in, typed results out. The compiled core does the work; this says what it takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastcbir import _core
from fastcbir.list_plan import ListPlan
from fastcbir.methods import make_core, make_lists, method_of, within_memory
from fastcbir.processor import isa
from fastcbir.types import Hits, Hnsw, Ivf, Method, RangeHits

if TYPE_CHECKING:
    from fastcbir.stop import RecallReport

__all__ = ["Index", "load"]

Progress = Callable[[int, int], object]


class Index:
    """Vectors that can be searched by nearness.

    Searches may run from many threads at once, and beside one `add`, `update`, `remove` or `compact`, which
    wait for one another; a search beside an `add` sees the vectors finished so far. Long calls release the
    GIL and stop at Ctrl-C (KeyboardInterrupt), or at whatever `progress` raises, with the index usable:
    `add` and `update` keep the vectors finished until then, `compact` keeps all as it was.

    Args:
        dim: coordinates of a vector, 1..65536.
        method: how to search: `Flat()`, `Hnsw(...)`, `Ivf(...)` or `Imi(...)`.
        metric: "l2" (squared Euclidean), "ip" (minus the inner product) or "cosine" (1 - cosine similarity;
            float vectors are stored normalised).
        dtype: what a coordinate is stored as: "float32", "float16", "uint8" or "int8". The 8-bit types take
            whole numbers only; float16 halves memory and takes float32 vectors and queries.

    Raises:
        ValueError: an argument is out of range.
    """

    __slots__ = ("_core", "_method", "_plan")

    def __init__(
        self,
        dim: int,
        method: Method = Hnsw(),  # noqa: B008  (frozen)
        *,
        metric: Literal["l2", "ip", "cosine"] = "l2",
        dtype: Literal["float32", "float16", "uint8", "int8"] = "float32",
    ) -> None:
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not 1 <= dim <= 65536:
            raise ValueError(f"dim must be an integer in 1..65536, got {dim!r}")
        dtype_name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
        core, method = make_core(dim, metric, dtype_name, method)
        self._core: _core.Index = core
        self._method: Method = method
        self._plan: ListPlan | None = None

    @classmethod
    def _from_core(cls, core: _core.Index) -> Index:
        index = cls.__new__(cls)
        index._core, index._method, index._plan = core, method_of(core), None
        return index

    def _keep_to_memory(self, vectors: npt.ArrayLike) -> None:
        """Ivf(memory=...): choose, now that it is known how many vectors there are."""
        method = self._method
        if self._plan is None and isinstance(method, Ivf) and method.memory is not None:
            method, self._plan = within_memory(method, len(np.asarray(vectors)), self.dim, self.dtype)
            self._method, self._core = method, make_lists(self.dim, self.metric, self.dtype, method)

    def add(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> npt.NDArray[np.int64]:
        """Add vectors.

        Args:
            vectors: (N, dim) finite real numbers.
            ids: (N,) integers >= 0 of your own, none of them in the index; None goes on counting from the
                largest.
            threads: None uses all cores. One thread gives the same graph every time.
            progress: called as progress(done, total) some twenty times a second; raising in it cancels. They
                are vectors; a graph with codes counts its last look at all links as three for every four.

        Returns:
            (N,) int64: the ids.

        Raises:
            ValueError: wrong shape or dtype, NaN or infinity, a zero vector under cosine, an id given twice
                or present already (`update` replaces). Then nothing has been added.
            RuntimeError: the index was loaded with mmap=True, or this is its own progress callback.
        """
        self._keep_to_memory(vectors)
        return self._core.add(vectors, ids, threads, progress)

    def train(
        self, vectors: npt.ArrayLike, *, threads: int | None = None, progress: Progress | None = None
    ) -> None:
        """`Ivf` and `Imi` only: learn where to draw lists, from a sample like what will be searched.

        `add` does it by itself with the first vectors it gets; call this where those are few or unlike the
        rest. An index that holds vectors keeps them and makes its lists anew; `fit_stop` is to follow.

        Args:
            vectors: (N, dim), as for `add`; at least as many as there are to be lists.
            threads, progress: as for `add`.

        Raises:
            ValueError: as for `add`, or too few vectors. Then nothing has changed.
            RuntimeError: as for `add`, or the method is not trained.
        """
        self._keep_to_memory(vectors)
        self._core.train(vectors, threads, progress)

    def update(
        self,
        vectors: npt.ArrayLike,
        ids: npt.ArrayLike,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Give ids that are in the index new vectors. The old ones stay in memory, unseen, until `compact()`.

        Args:
            vectors: (N, dim), as for `add`.
            ids: (N,) integers, distinct.
            threads, progress: as for `add`.

        Raises:
            KeyError: an id is not in the index. Then nothing has changed.
            ValueError, RuntimeError: as for `add`.
        """
        self._core.update(vectors, ids, threads, progress)

    def remove(self, ids: npt.ArrayLike) -> None:
        """Take vectors out of all results, at once. Their memory comes back with `compact()`.

        Args:
            ids: (N,) integers, distinct, or one integer.

        Raises:
            KeyError: an id is not in the index. Then nothing has changed.
        """
        self._core.remove(ids)

    def compact(self, *, threads: int | None = None, progress: Progress | None = None) -> None:
        """Forget removed and replaced vectors for good, and mend the graph around them."""
        self._core.compact(threads, progress)

    @_core.direct_search
    def search(
        self,
        queries: npt.ArrayLike,
        k: int = 10,
        *,
        ef: int | None = None,
        nprobe: int | None = None,
        rerank: int | None = None,
        allow: npt.ArrayLike | None = None,
        max_distances: int | None = None,
        recall: float | None = None,
        probability: float | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Hits:
        """Find the k nearest vectors of each query.

        Args:
            queries: (Q, dim) or (dim,) finite real numbers.
            k: 1..10000. Where there are fewer than k, ids are -1 and distances inf.
            ef: HNSW only: how many nodes the search keeps in view; recall and time grow with it. None: 64,
                and never less than k; with codes, for k of 32 and more, than half of it.
            nprobe: Ivf and Imi only: how many lists (Imi: that hold something) to visit, at most all; recall
                and time grow with it. None: 16, or a 32nd of the lists if that is more. With `allow`, as many
                more as hold that many allowed.
            rerank: Ivf and Imi with codes only: how many of the best estimates to compare exactly. None:
                3 * k + 50 for "rabitq1", 2 * k + 16 for "rabitq2", 5 * k + 100 for product codes.
            allow: what may be returned: a bool mask with an entry for each id up to the largest, or an array
                of ids (unknown ones are ignored). Where few pass, they are compared one by one.
            max_distances: end each search after about this many comparisons. None: no limit.
            recall: instead of `ef`, `nprobe` and `max_distances`: the mean recall@k wanted, above 0 and at
                most 1. Each search goes as far as it needs, by what `fit_stop` learned. Where that can't
                promise it, a search goes as far as was learned about, and `stop_reason` says why.
            probability: with `recall`: each query is to reach it with this probability, not only their mean.
            threads: for a batch; None uses all cores.
            progress: as for `add`; called for long batches only.

        Returns:
            Hits: ids (Q, k), distances (Q, k), cost (Q,); with `recall` also stop_reason and
            estimated_recall, both (Q,).

        Raises:
            ValueError: wrong shape, dtype or k; NaN or infinity; a zero query under cosine; too short a mask;
                a recall out of range, or before `fit_stop`.
        """
        return self._core.search(
            queries, k, ef, nprobe, rerank, max_distances, allow, recall, probability, threads, progress
        )

    def fit_stop(
        self,
        queries: npt.ArrayLike | None = None,
        *,
        k: int | Sequence[int] = (1, 10, 100),
        allow: Sequence[npt.ArrayLike] = (),
        max_queries: int = 8192,
        margin: float = 1.0,
        shadow_every: int = 1000,
        budget_s: float = 60.0,
        seed: int = 0,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> RecallReport:
        """Learn how far a search must go for a recall; `search(recall=...)` then works, also after `save`.

        Rules are chosen on some queries, calibrated on the others by conformal risk control (Angelopoulos et
        al., 2022): for queries drawn like these, the expected recall is what was asked for.

        Args:
            queries: (Q, dim), at least 200, like those to come: a thousand will do, a recall of 0.999 wants
                several. None: vectors of the index itself, each sought among the others; they say nothing
                of queries from elsewhere.
            k: the numbers of neighbours that will be asked for; a `k` between two is served by the larger.
            allow: filters like those to come, each as for `search`: promises then hold for searches with such
                filters too, those that let through about as much.
            max_queries: how many at most, drawn at random.
            margin: standard errors of the calibration that a promise keeps clear of its target; 0: none.
            shadow_every: one in so many searches by recall is done again at full length; where more is missed
                than was asked for, targets become stricter, and `recall_report` shows it. 0: none.
            budget_s: seconds, half of which finding the truth may take: if need be, of fewer queries.
            seed: of the draw.
            threads, progress: as for `add`; progress counts queries.

        Returns what can be promised now.

        Raises:
            ValueError: too few queries or vectors, a k out of range, wrong queries as for `search`.
            RuntimeError: the index compares everything (`Flat`).
        """
        from fastcbir.stop.fit import fit
        from fastcbir.stop.report import report_of

        fit(
            self._core,
            queries,
            ks=(k,) if isinstance(k, int) else tuple(k),
            allow=allow,
            shadow_every=shadow_every,
            max_queries=max_queries,
            margin=margin,
            budget_s=budget_s,
            seed=seed,
            threads=threads,
            progress=progress,
        )
        return report_of(self._core)

    def recall_report(self) -> RecallReport:
        """What `search(recall=...)` promises, on what grounds, and how old they are.

        Raises: ValueError if nothing has been learned yet.
        """
        from fastcbir.stop.report import report_of

        return report_of(self._core)

    def range_search(
        self,
        queries: npt.ArrayLike,
        radius: float,
        *,
        ef: int | None = None,
        nprobe: int | None = None,
        allow: npt.ArrayLike | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> RangeHits:
        """Find everything at a distance of at most `radius`, in the metric's own distances.

        Args:
            queries: (Q, dim) or (dim,).
            radius: l2: squared Euclidean; ip: minus the inner product; cosine: 1 - cosine similarity.
            ef: HNSW only: how far around the radius to look for a way into it. None: 64.
            nprobe: Ivf and Imi only: as for `search`; what lies in other lists is not found.
            allow, threads, progress: as for `search`.

        Raises:
            ValueError: as for `search`.
        """
        return RangeHits(*self._core.range_search(queries, radius, ef, nprobe, allow, threads, progress))

    def reconstruct(self, ids: npt.ArrayLike) -> npt.NDArray[np.float32 | np.uint8 | np.int8]:
        """The vectors of these ids as stored: (N, dim) float32 or the 8-bit dtype; normalised under cosine.

        Raises:
            KeyError: an id is not in the index.
        """
        return self._core.reconstruct(ids)

    def save(self, path: str | PathLike[str]) -> None:
        """Write an .fcx file. It appears under its name only once it is complete and on disk.

        Raises:
            OSError: it can't be written; a file of that name is then as it was.
        """
        self._core.save(Path(path))

    def info(self) -> dict[str, Any]:
        """What the index is and holds: kind, method, dim, metric, dtype, sizes, memory, instruction set; for
        inverted lists how many there are (`nlist`, 0 until trained), and the `plan` of `Ivf(memory=...)`."""
        lists: dict[str, Any] = {"nlist": self._core.nlist} if isinstance(self._core, _core.Ivf) else {}
        if self._plan is not None:
            lists["plan"] = self._plan
        return {
            "kind": self._core.kind,
            "method": self._method,
            "dim": self.dim,
            "metric": self.metric,
            "dtype": self.dtype,
            "size": len(self),
            "removed": self._core.removed_count(),
            "memory_bytes": self.memory_bytes,
            "read_only": self._core.read_only,
            "isa": isa(),
            **lists,
        }

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """(N,) int64: all ids, in the order they were added."""
        return self._core.ids()

    @property
    def dim(self) -> int:
        """Coordinates of a vector."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """ "l2", "ip" or "cosine"."""
        return self._core.metric

    @property
    def dtype(self) -> str:
        """What a coordinate is stored as."""
        return self._core.dtype

    @property
    def method(self) -> Method:
        """How the index searches."""
        return self._method

    @property
    def memory_bytes(self) -> int:
        """Bytes of vectors, links and ids, those of removed vectors included."""
        return self._core.memory_bytes()

    def __len__(self) -> int:
        return self._core.size()

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, (int, np.integer)):
            return False
        return -(2**63) <= int(id) < 2**63 and self._core.contains(int(id))

    def __repr__(self) -> str:
        return (
            f"<Index {self._method} dim={self.dim} metric={self.metric} dtype={self.dtype} size={len(self)}>"
        )


def load(path: str | PathLike[str], *, mmap: bool = False, verify: bool = True) -> Index:
    """Read an index from an .fcx file.

    Args:
        path: what `Index.save` wrote.
        mmap: search the file where it lies, read-only, without copying it into memory.
        verify: check every checksum and every link; False checks header, table and sizes only, and is for
            files known to be whole that are too large to read through.

    Raises:
        FormatError: it is no .fcx file, is truncated or damaged, or was written by a later version.
        OSError: it can't be read.
    """
    return Index._from_core(_core.load(Path(path), mmap, verify))
