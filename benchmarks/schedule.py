"""The order of the measured passes: algorithms take turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.protocol import Params

__all__ = ["MODES", "Pass", "interleaved"]

MODES = ("single", "batch")


@dataclass(frozen=True)
class Pass:
    """One timed walk over the queries."""

    algorithm: str
    setting: int  # index into the algorithm's grid for this k
    k: int
    mode: str  # "single": one query per call; "batch": all queries in one call


def interleaved(
    grids: Mapping[str, Mapping[int, Sequence[Params]]], rounds: int, modes: Sequence[str] = MODES
) -> list[list[Pass]]:
    """The passes of each round.

    Within a round the algorithms take turns at every setting, and the one that begins changes from turn to
    turn, so that none always follows the same neighbour.

    Args:
        grids: per algorithm and k, its settings from cheap to dear.
        rounds: how often every setting is measured.
        modes: which ways of calling.
    """
    ks = sorted({k for settings in grids.values() for k in settings})
    plan: list[list[Pass]] = []
    for number in range(rounds):
        passes: list[Pass] = []
        for k in ks:
            deepest = max((len(settings.get(k, ())) for settings in grids.values()), default=0)
            for mode in modes:
                for setting in range(deepest):
                    names = [name for name, settings in grids.items() if setting < len(settings.get(k, ()))]
                    first = (setting + number) % len(names) if names else 0
                    passes += [Pass(name, setting, k, mode) for name in names[first:] + names[:first]]
        plan.append(passes)
    return plan
