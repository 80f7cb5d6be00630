"""`fastcbir models` and `fastcbir export`: what there is, fetching, adding, checking, converting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastcbir.cli.codes import FAILED, OK, USAGE, CommandError
from fastcbir.cli.output import complain, document, plural, say, shown
from fastcbir.cli.progress import progress_bar

__all__ = ["add", "export", "models", "pull", "verify"]


def models(*, json: bool, everything: bool = False) -> int:
    """The models that can be used now; with `everything`, also those that could be fetched."""
    from fastcbir.extract import DEFAULT_MODEL, zoo
    from fastcbir.extract import models as cards

    here = cards()
    names = {card.name for card in here}
    absent = [entry for entry in zoo.ZOO if entry.name not in names]
    if json:
        told: dict[str, Any] = {
            "models": [
                {**asdict(card), "model_id": card.model_id, "default": card.name == DEFAULT_MODEL}
                for card in here
            ]
        }
        if everything:
            told["available"] = [{**asdict(entry.card), "url": entry.url} for entry in absent]
        document("models", told)
        return OK
    for card in here:
        say(f"{card.name}{'  (default)' if card.name == DEFAULT_MODEL else ''}")
        say(f"  {card.summary}")
        weights = f"weights: {card.source}" if card.sha256 else "no weights"
        say(f"  {card.dim} numbers a photo, {_size(card.preprocessing)}; {card.licence}; {weights}")
    if everything:
        say("")
        say("Could be fetched with `fastcbir models pull NAME` and converted with `fastcbir export NAME`:")
        for entry in absent:
            say(f"  {entry.name:<20} {entry.card.dim:>5}  {entry.licence:<13} {entry.card.summary}")
    else:
        say(f"({len(absent)} more could be fetched: fastcbir models list)")
    return OK


def _size(rule: Any) -> str:
    return f"longest side {rule.size} px" if rule.fit == "longest" else f"{rule.size} x {rule.size} px"


def pull(name: str, *, json: bool) -> int:
    """Fetch weights."""
    from fastcbir.extract import supply, zoo

    with progress_bar() as tell:
        files = supply.pull(name, progress=lambda done, total: tell("Fetching", done, total))
    entry = zoo.find(name)
    assert entry is not None
    if json:
        document("models", {"pulled": files, "licence": entry.licence})
        return OK
    say(f"Fetched {shown(files[0])} ({entry.licence}: {entry.card.licence_url})")
    say(f"Now convert it: fastcbir export {name}")
    return OK


def add(file: Path, name: str, options: dict[str, Any], *, json: bool) -> int:
    """Take in a ready-made ONNX file."""
    from fastcbir.extract import supply

    try:
        card = supply.add(file, name, **options)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    if json:
        document("models", {"added": {**asdict(card), "model_id": card.model_id}})
        return OK
    say(f"Added {card.name}: {card.dim} numbers a photo from {card.output}, {_size(card.preprocessing)}.")
    say(f"Now try: fastcbir index FOLDER --extractor {card.name} --album NEW.fcbir")
    return OK


def verify(names: Sequence[str], *, json: bool) -> int:
    """Check added models; all of them where none is named."""
    from fastcbir.extract import store, supply

    chosen = list(names) or sorted(path.stem for path in store.models_folder().glob("*.json"))
    problems = {name: supply.check(name) for name in chosen}
    wrong = {name: said for name, said in problems.items() if said}
    if json:
        document("models", {"checked": chosen, "problems": wrong})
    else:
        for name, said in wrong.items():
            complain(f"{name}: {'; '.join(said)}")
        say(f"{plural(len(chosen) - len(wrong), 'model')} of {len(chosen)} whole.")
    return FAILED if wrong else OK


def export(
    name: str,
    weights: Path | None,
    alias: str | None,
    variants: Sequence[str],
    photos: Path | None,
    *,
    json: bool,
) -> int:
    """Convert weights to ONNX, with the proof; and make smaller variants, with what they cost."""
    from fastcbir.extract import load_extractor, store, supply, zoo
    from fastcbir.extract import models as cards

    told: dict[str, Any] = {}
    if zoo.find(name) is not None:
        from fastcbir.export import export_model

        found = weights or supply.weights_of(name)
        if not found.is_file():
            raise CommandError(
                f"there are no weights at {found}; run: fastcbir models pull {name}, or name a file with "
                "--weights",
                FAILED,
            )
        card, told = export_model(name, found, alias=alias)
        say_unless(json, f"Exported {card.name}; largest difference to torch {_largest(told):.2g}.")
        name = card.name
    elif weights is not None or alias is not None or not (variants or name in {m.name for m in cards()}):
        known = ", ".join(entry.name for entry in zoo.ZOO)
        raise CommandError(f"there is nothing to convert for {name!r}; weights are taken for {known}", USAGE)
    elif not variants:
        raise CommandError(f"{name} is an ONNX model already; its variants are made with --variant", USAGE)
    if variants:
        from fastcbir.export import make_variant

        if photos is None:
            raise CommandError(
                "--variant needs --photos, a folder to calibrate with and to compare on", USAGE
            )
        exact = load_extractor(name)
        told["variants"] = {}
        for kind in variants:
            card, loss = make_variant(exact, kind, photos)
            told["variants"][kind] = {"name": card.name, **asdict(loss)}
            say_unless(
                json,
                f"Made {card.name}: same nearest neighbour for {loss.first:.1%} of {loss.photos} photos, "
                f"{loss.overlap:.1%} of the ten nearest, mean cosine {loss.cosine:.4f}.",
            )
    if json:
        document("export", {"folder": store.models_folder(), "name": name, **told})
    return OK


def say_unless(json: bool, text: str) -> None:
    """For people; scripts get the document."""
    if not json:
        say(text)


def _largest(told: dict[str, Any]) -> float:
    return max(float(max(told[key]["max_abs_error"].values())) for key in told if key.endswith("parity"))
