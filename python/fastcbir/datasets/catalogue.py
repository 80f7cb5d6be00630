"""The public data sets that `load_dataset` knows by name: where they lie, what they hold, whose they are.

No checksum is pinned: we have none from the sources, and invent none. What arrives first is recorded (see
`download`), so that a file that changes later is noticed. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CATALOGUE", "Entry", "RemoteFile"]

_STATED = "see the source"


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        url: http, https or ftp.
        sha256: of its bytes as hex; None: not pinned.
    """

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Entry:
    """A public data set.

    Attributes:
        name: what `load_dataset` takes.
        form: "hdf5", "texmex" (a .tar.gz of fvecs), "glove" (a .zip of text) or "big-ann".
        base: the file with the base vectors, or with everything.
        metric: as in `Dataset`.
        rows, dim: of the base.
        queries: their number.
        megabytes: about how much is downloaded; of big-ann sets for all rows.
        licence: as far as the source states it.
        source: its page.
        asks: big-ann: the file of queries.
        truths: big-ann: number of base rows -> the truth for so many.
        member: what is taken from an archive: a .txt, or the stem of the fvecs.
    """

    name: str
    form: str
    base: RemoteFile
    metric: str
    rows: int
    dim: int
    queries: int
    megabytes: int
    licence: str
    source: str
    asks: RemoteFile | None = None
    truths: dict[int, RemoteFile] = field(default_factory=dict)
    member: str = ""

    @property
    def sliced(self) -> bool:
        """Whether only the first part is fetched when n says so."""
        return self.form == "big-ann"


def _hdf5(name: str, metric: str, rows: int, dim: int, queries: int, megabytes: int, licence: str) -> Entry:
    url = f"http://ann-benchmarks.com/{name}.hdf5"
    page = "https://github.com/erikbern/ann-benchmarks"
    return Entry(name, "hdf5", RemoteFile(url), metric, rows, dim, queries, megabytes, licence, page)


def _texmex(name: str, stem: str, rows: int, dim: int, queries: int, megabytes: int) -> Entry:
    url = f"ftp://ftp.irisa.fr/local/texmex/corpus/{stem}.tar.gz"
    page = "http://corpus-texmex.irisa.fr"
    return Entry(
        name, "texmex", RemoteFile(url), "l2", rows, dim, queries, megabytes, _STATED, page, member=stem
    )


def _glove(corpus: str, rows: int, dim: int, megabytes: int) -> Entry:
    stem = f"glove.{corpus}"
    return Entry(
        f"{stem}.{dim}d",
        "glove",
        RemoteFile(f"https://nlp.stanford.edu/data/{stem}.zip"),
        "cosine",
        rows,
        dim,
        1000,
        megabytes,
        "PDDL-1.0",
        "https://nlp.stanford.edu/projects/glove/",
        member=f"{stem}.{dim}d.txt",
    )


_META = "https://dl.fbaipublicfiles.com/billion-scale-ann-benchmarks/"
_YANDEX = "https://storage.yandexcloud.net/yandex-research/ann-datasets/"
_AZURE = "https://comp21storage.z5.web.core.windows.net/comp21/"
_MILLION = 1_000_000


def _big_ann(
    name: str, folder: str, base: str, asks: str, metric: str, dim: int, queries: int, truths: dict[int, str]
) -> Entry:
    rows = max(truths) * _MILLION
    width = {"fbin": 4, "u8bin": 1, "i8bin": 1}[base.rpartition(".")[2]]
    return Entry(
        name,
        "big-ann",
        RemoteFile(folder + base),
        metric,
        rows,
        dim,
        queries,
        rows * dim * width // _MILLION,
        _STATED,
        "https://big-ann-benchmarks.com/neurips21.html",
        asks=RemoteFile(folder + asks),
        truths={
            millions * _MILLION: RemoteFile(truth if "://" in truth else folder + truth)
            for millions, truth in truths.items()
        },
    )


_ENTRIES = (
    _hdf5("sift-128-euclidean", "l2", 1_000_000, 128, 10_000, 501, _STATED),
    _hdf5("gist-960-euclidean", "l2", 1_000_000, 960, 1_000, 3600, _STATED),
    _hdf5("fashion-mnist-784-euclidean", "l2", 60_000, 784, 10_000, 217, "MIT"),
    _hdf5("mnist-784-euclidean", "l2", 60_000, 784, 10_000, 217, _STATED),
    _hdf5("glove-25-angular", "cosine", 1_183_514, 25, 10_000, 121, "PDDL-1.0"),
    _hdf5("glove-50-angular", "cosine", 1_183_514, 50, 10_000, 235, "PDDL-1.0"),
    _hdf5("glove-100-angular", "cosine", 1_183_514, 100, 10_000, 463, "PDDL-1.0"),
    _hdf5("glove-200-angular", "cosine", 1_183_514, 200, 10_000, 918, "PDDL-1.0"),
    _hdf5("deep-image-96-angular", "cosine", 9_990_000, 96, 10_000, 3600, _STATED),
    _hdf5("nytimes-256-angular", "cosine", 290_000, 256, 10_000, 301, _STATED),
    _hdf5("lastfm-64-dot", "cosine", 292_385, 65, 50_000, 135, _STATED),
    _texmex("siftsmall", "siftsmall", 10_000, 128, 100, 5),
    _texmex("sift1m", "sift", 1_000_000, 128, 10_000, 161),
    _texmex("gist1m", "gist", 1_000_000, 960, 1_000, 2600),
    *(_glove("6B", 400_000, dim, 862) for dim in (50, 100, 200, 300)),
    *(_glove("twitter.27B", 1_193_514, dim, 1520) for dim in (25, 50, 100, 200)),
    _big_ann(
        "bigann",
        f"{_META}bigann/",
        "base.1B.u8bin",
        "query.public.10K.u8bin",
        "l2",
        128,
        10_000,
        {1000: "GT.public.1B.ibin", 100: f"{_META}GT_100M/bigann-100M", 10: f"{_META}GT_10M/bigann-10M"},
    ),
    _big_ann(
        "deep1b",
        f"{_YANDEX}DEEP/",
        "base.1B.fbin",
        "query.public.10K.fbin",
        "l2",
        96,
        10_000,
        {
            1000: f"{_YANDEX}deep_new_groundtruth.public.10K.bin",
            100: f"{_META}GT_100M/deep-100M",
            10: f"{_META}GT_10M/deep-10M",
        },
    ),
    _big_ann(
        "text2image1b",
        f"{_YANDEX}T2I/",
        "base.1B.fbin",
        "query.public.100K.fbin",
        "ip",
        200,
        100_000,
        {
            1000: f"{_YANDEX}t2i_new_groundtruth.public.100K.bin",
            100: f"{_META}GT_100M/text2image-100M",
            10: f"{_META}GT_10M/text2image-10M",
        },
    ),
    _big_ann(
        "spacev1b",
        f"{_AZURE}spacev1b/",
        "spacev1b_base.i8bin",
        "query.i8bin",
        "l2",
        100,
        29_316,
        {1000: "public_query_gt100.bin", 100: "msspacev-gt-100M", 10: "msspacev-gt-10M", 1: "msspacev-gt-1M"},
    ),
    _big_ann(
        "turing1b",
        f"{_AZURE}MSFT-TURING-ANNS/",
        "base1b.fbin",
        "query100K.fbin",
        "l2",
        100,
        100_000,
        {1000: "query_gt100.bin", 100: "msturing-gt-100M", 10: "msturing-gt-10M", 1: "msturing-gt-1M"},
    ),
    _big_ann(
        "yfcc10m",
        f"{_META}yfcc100M/",
        "base.10M.u8bin",
        "query.public.100K.u8bin",
        "l2",
        192,
        100_000,
        {10: "unfiltered.GT.public.ibin"},
    ),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
