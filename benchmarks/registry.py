"""Every algorithm the harness knows. A new peer is a module in peers/ and its name here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks import own
from benchmarks.peers import (
    faiss,
    glass,
    hnswlib,
    lorann,
    ngt,
    nmslib,
    rabitqlib,
    scann,
    svs,
    usearch,
    voyager,
    vsag,
)
from benchmarks.protocol import Algorithm

__all__ = ["OWN", "PEERS", "select"]

OWN: Sequence[Algorithm] = own.ALGORITHMS
PEERS: Sequence[Algorithm] = [
    algorithm
    for module in (hnswlib, faiss, usearch, voyager, glass, svs, ngt, vsag, rabitqlib, scann, lorann, nmslib)
    for algorithm in module.ALGORITHMS
]


def select(names: Iterable[str], peers: bool) -> list[Algorithm]:
    """The algorithms of a run. The first is the anchor.

    Args:
        names: what was asked for, by full name or by the start of it ("faiss" means all of faiss); when empty
            all of fastcbir's own, and with peers=True all peers.
        peers: whether peers take part when no names are given; names may always mean peers.

    Raises:
        ValueError: a name means nothing; the message lists what there is.
    """
    wanted = list(names)
    if not wanted:
        # hnswlib first where it takes part: a steady reference outside this project
        return [*PEERS, *OWN] if peers else list(OWN)
    known = [*OWN, *PEERS]
    chosen: dict[str, Algorithm] = {}
    for name in wanted:
        exact = [algorithm for algorithm in known if algorithm.name == name]
        found = exact or [algorithm for algorithm in known if algorithm.name.startswith(f"{name}-")]
        if not found:
            listing = ", ".join(algorithm.name for algorithm in known)
            raise ValueError(f"no algorithm is called {name!r}; there are {listing}")
        chosen.update((algorithm.name, algorithm) for algorithm in found)
    if peers:
        chosen.update((algorithm.name, algorithm) for algorithm in PEERS)
    return list(chosen.values())
