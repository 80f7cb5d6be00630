"""The development set of places and things: who is relevant to whom, and average precision by the protocol.

A folder with labels.json: for each photo `instance`, `junk_group` (photos of the same place that do not show
the same thing are ignored) and `role` ("easy", "hard", or others that are no queries).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Instances", "load_instances"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instances:
    """Attributes: paths, and of each photo its instance, its place and its role."""

    paths: list[Path]
    instances: npt.NDArray[np.str_]
    places: npt.NDArray[np.str_]
    roles: npt.NDArray[np.str_]

    def average_precisions(self, similarity: Floats) -> Floats:
        """(N,) of each photo as a query, itself left out; NaN where it is no query.

        Args:
            similarity: (N, N), row i of query i; the larger the better.
        """
        found = np.full(len(self.paths), np.nan)
        for query in range(len(self.paths)):
            relevant = self.instances == self.instances[query]
            relevant[query] = False
            if self.roles[query] not in ("easy", "hard") or not relevant.any():
                continue
            ignored = (self.places == self.places[query]) & ~relevant
            order = np.argsort(-similarity[query], kind="stable")
            order = order[~ignored[order]]
            ranks = np.flatnonzero(relevant[order]) + 1
            found[query] = np.mean(np.arange(1, len(ranks) + 1) / ranks)
        return found

    def mean(self, precisions: Floats, role: str, among: npt.NDArray[np.bool_] | None = None) -> float:
        """mAP of the queries of a role."""
        chosen = (self.roles == role) & ~np.isnan(precisions)
        return float(precisions[chosen if among is None else chosen & among].mean())

    def halves(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Two disjoint sets of photos: of each role every other place, in the order of names."""
        first = np.zeros(len(self.paths), bool)
        for role in sorted(set(self.roles)):
            places = sorted(set(self.places[self.roles == role]))
            first |= np.isin(self.places, places[::2]) & (self.roles == role)
        return first, ~first

    def bootstrap(
        self, ours: Floats, theirs: Floats, role: str, *, rounds: int = 10_000, seed: int = 0
    ) -> tuple[float, float, float]:
        """Mean gain in mAP, and its 95 % interval; whole places are drawn, for their photos go together."""
        chosen = (self.roles == role) & ~np.isnan(ours)
        gains, places = (ours - theirs)[chosen], self.places[chosen]
        names = np.unique(places)
        sums = np.array([gains[places == name].sum() for name in names])
        counts = np.array([(places == name).sum() for name in names])
        drawn = np.random.default_rng(seed).integers(0, len(names), (rounds, len(names)))
        means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return float(gains.mean()), float(low), float(high)


def load_instances(folder: Path) -> Instances:
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    names = sorted(labels)
    return Instances(
        paths=[folder / name for name in names],
        instances=np.array([labels[name]["instance"] for name in names]),
        places=np.array([labels[name].get("junk_group") or name for name in names]),
        roles=np.array([labels[name]["role"] for name in names]),
    )
