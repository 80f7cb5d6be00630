"""99 photos of 31 places and things: each photo a query, itself left out, the same place's others ignored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Ranking = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Instances:
    """Attributes: paths; instance, group (ignored unless the instance is the same) and role of each."""

    paths: list[Path]
    instance: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    role: npt.NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path) -> Instances:
        labels = json.loads((folder / "labels.json").read_text())
        names = sorted(labels)
        return cls(
            [folder / name for name in names],
            np.array([labels[name]["instance"] for name in names]),
            np.array([labels[name].get("junk_group") or name for name in names]),
            np.array([labels[name]["role"] for name in names]),
        )

    def queries(self, role: str) -> list[int]:
        """Photos of a role that show something another photo shows."""
        return [
            number
            for number in np.flatnonzero(self.role == role)
            if np.count_nonzero(self.instance == self.instance[number]) > 1
        ]

    def half_of(self, number: int) -> int:
        """0 or 1: every second place, so that thresholds can be chosen on places that are not reported."""
        return int(np.unique(self.group).tolist().index(self.group[number]) % 2)

    def average_precision(self, number: int, order: Ranking) -> float:
        """Of a ranking of all photos; the query itself and the ignored are passed over."""
        relevant = self.instance == self.instance[number]
        ignored = (self.group == self.group[number]) & ~relevant
        relevant[number], ignored[number] = False, True
        kept = order[~ignored[order]]
        ranks = np.flatnonzero(relevant[kept]) + 1
        return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def by_vectors(vectors: Matrix, number: int) -> Ranking:
    """All photos by their cosine with one."""
    return np.argsort(-(vectors @ vectors[number]), kind="stable")


def verified(order: Ranking, inliers: npt.NDArray[np.integer], least: int, first: int = 100) -> Ranking:
    """What fastcbir.rerank.rerank does to a ranking: the confirmed of the first move ahead, by inliers."""
    head, tail = order[:first], order[first:]
    sure = inliers[head] >= least
    ahead = head[sure][np.argsort(-inliers[head[sure]], kind="stable")]
    return np.concatenate([ahead, head[~sure], tail])


def naive(order: Ranking, inliers: npt.NDArray[np.integer], first: int = 100) -> Ranking:
    """All of the first by inliers: what not to do."""
    head, tail = order[:first], order[first:]
    return np.concatenate([head[np.argsort(-inliers[head], kind="stable")], tail])
