"""`fastcbir match`: two photos, their matches counted, drawn, and written for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastcbir.cli.codes import FAILED, OK, USAGE, CommandError
from fastcbir.cli.output import document, say, shown

__all__ = ["match"]

_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def match(
    first: Path,
    second: Path,
    out: Path | None,
    *,
    matcher: str | None,
    model: str,
    hloc: Path | None,
    json: bool,
) -> int:
    """Match and tell; two photos without a match are no failure."""
    from fastcbir.extract.decode import DecodeError
    from fastcbir.match import Verification, load_matcher, verify

    if out is not None and out.suffix.lower() not in _KINDS:
        raise CommandError(f"can't draw to {out}: expected a name ending in {', '.join(_KINDS)}", USAGE)
    for target in (out, hloc):
        if target is not None and not target.expanduser().absolute().parent.is_dir():
            raise CommandError(f"can't write {target}: its folder does not exist", USAGE)
    if model not in ("homography", "fundamental", "auto"):
        raise CommandError(f"--model is {model!r}; it takes homography, fundamental or auto", USAGE)
    chosen: Any = model
    opened = load_matcher(matcher)
    features = []
    for path in (first, second):
        try:
            features.append(opened.extract(path))
        except DecodeError as error:
            raise CommandError(f"can't match {path}: {error}", FAILED) from error
    found = verify(opened.match(*features), Verification(chosen, opened.tolerance))
    if out is not None:
        from fastcbir.match.drawing import draw_matches

        title = f"{found.inliers} of {len(found)} matches agree ({opened.name})"
        target = out.expanduser()
        draw_matches(first, second, found, title=title).save(target, _KINDS[out.suffix.lower()])
    if hloc is not None:
        from fastcbir.match.hloc import export_hloc

        base = hloc.expanduser()
        names = (first.name, second.name)
        export_hloc(
            {names: found},
            base.with_name(f"{base.name}-features.h5"),
            base.with_name(f"{base.name}-matches.h5"),
        )
    if json:
        document(
            "match",
            {
                "a": first.absolute(),
                "b": second.absolute(),
                "matcher": opened.name,
                "keypoints": [len(each) for each in features],
                "matches": len(found),
                "inliers": found.inliers,
                "same": found.inliers >= opened.min_inliers,
                "H": None if found.H is None else found.H.tolist(),
                "F": None if found.F is None else found.F.tolist(),
                "points_a": found.points_a.tolist(),
                "points_b": found.points_b.tolist(),
                "confidence": found.confidence.tolist(),
                "inlier": found.inlier.tolist(),
            },
        )
        return OK
    verdict = "the same thing" if found.inliers >= opened.min_inliers else "no sure sign of the same thing"
    say(f"{found.inliers} of {len(found)} matches agree: {verdict} ({opened.name})")
    if out is not None:
        say(shown(out))
    return OK
