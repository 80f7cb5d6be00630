"""Across drawing styles: how often the same emoji in another style is the nearest of all.

    python -m benchmarks.extract.emoji FOLDER [MODEL ...]

FOLDER holds emoji64_google.zip and emoji64_twitter.zip: pictures of 64 x 64 pixels, the same name for the
same emoji. Each picture of one style is searched for among all of the other.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np

from fastcbir.extract import load_extractor
from fastcbir.extract.projection import fit_whitening

MODELS = ("efficientnet-lite0@128", "efficientnet-lite0@128+gem3", "color-layout")


def pictures(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {Path(name).stem: archive.read(name) for name in archive.namelist() if name.endswith(".png")}


def main() -> None:
    folder, models = Path(sys.argv[1]), sys.argv[2:] or MODELS
    styles = [pictures(folder / f"emoji64_{style}.zip") for style in ("google", "twitter")]
    names = sorted(set(styles[0]) & set(styles[1]))
    print(f"{len(names)} emoji, recall@1 from one style to the other, both ways")
    for model in models:
        extractor = load_extractor(model)
        vectors = [extractor.extract([style[name] for name in names]) for style in styles]
        projection = fit_whitening(np.concatenate(vectors), strength=0.5)
        for label, (one, other) in (
            (model, vectors),
            (f"{model}, whitened 0.5", [projection(each) for each in vectors]),
        ):
            similarity = one @ other.T
            there = np.mean(similarity.argmax(axis=1) == np.arange(len(names)))
            back = np.mean(similarity.argmax(axis=0) == np.arange(len(names)))
            print(f"  {label:<44} {there:.3f} {back:.3f}")


if __name__ == "__main__":
    main()
