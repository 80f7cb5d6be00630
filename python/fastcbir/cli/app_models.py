"""The options of `fastcbir models ...` and `fastcbir export`; modelling.py does what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Json", "export", "models_app"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for scripts.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the model.")]

models_app = typer.Typer(
    help="List the models that can look at photos; fetch, add and check others.",
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: half the time, for rich is not loaded
)


@models_app.callback()
def models(context: typer.Context, json: Json = False) -> int:
    """List the models that can look at photos; fetch, add and check others."""
    if context.invoked_subcommand is not None:
        return 0
    from fastcbir.cli import modelling

    return modelling.models(json=json)


@models_app.command("list")
def list_all(json: Json = False) -> int:
    """List all models, also those that could be fetched."""
    from fastcbir.cli import modelling

    return modelling.models(json=json, everything=True)


@models_app.command()
def pull(name: Name, json: Json = False) -> int:
    """Fetch the weights of a model, checked; the same again resumes where it stopped."""
    from fastcbir.cli import modelling

    return modelling.pull(name, json=json)


@models_app.command()
def add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="An .onnx file.")],
    name: Annotated[str | None, typer.Option(show_default="the file's", help="What to call it.")] = None,
    size: Annotated[int | None, typer.Option(help="Longest side of its input, in pixels.")] = None,
    mean: Annotated[str, typer.Option(help="Of red, green, blue in 0..1.")] = "0.485,0.456,0.406",
    std: Annotated[str, typer.Option(help="Deviation of red, green, blue.")] = "0.229,0.224,0.225",
    output: Annotated[str | None, typer.Option(help="The output that is the vector.")] = None,
    feature_map: Annotated[str, typer.Option(help="An output that can be pooled.")] = "",
    multiple: Annotated[int, typer.Option(min=1, help="Both sides are multiples of this.")] = 32,
    licence: Annotated[str, typer.Option(help="Of its weights, for the card.")] = "unknown",
    json: Json = False,
) -> int:
    """Add a ready-made ONNX model: RGB photos (N, 3, H, W) in, vectors (N, dim) out."""
    from fastcbir.cli import modelling

    options = {
        "size": size,
        "mean": _numbers("mean", mean),
        "std": _numbers("std", std),
        "output": output,
        "feature_map": feature_map,
        "multiple": multiple,
        "licence": licence,
    }
    return modelling.add(file, name or file.stem.lower(), options, json=json)


@models_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", show_default="all")] = None,
    json: Json = False,
) -> int:
    """Check added models: their checksums, and that they run."""
    from fastcbir.cli import modelling

    return modelling.verify(names or [], json=json)


def export(
    name: Name,
    weights: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, metavar="FILE", show_default="what was pulled")
    ] = None,
    alias: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="What to call the result.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(metavar="fp16|int8", help="Also make this form of it. Repeatable.")
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, metavar="DIR", help="Photos to calibrate and compare on."),
    ] = None,
    json: Json = False,
) -> int:
    """Convert weights to an ONNX model, and prove that it equals the original.

    Needs the extra "export" (torch and the libraries that have the networks); a variant of a model that is
    here already does not.
    """
    from fastcbir.cli import modelling

    return modelling.export(name, weights, alias, variant or [], photos, json=json)


def _numbers(what: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"--{what} must be three numbers such as 0.5,0.5,0.5, got {text!r}"
        ) from None
