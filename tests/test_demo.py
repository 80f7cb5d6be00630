"""Promise: the demo asks the same in every run, judges rightly, and leaves alone what is not its own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("typer")

from cli_helpers import FAST, make_photos
from PIL import Image

from fastcbir.cli import main
from fastcbir.datasets.package_photos import package_photos
from fastcbir.demo import run as demo_run
from fastcbir.demo import run_demo
from fastcbir.demo.evaluate import Query, ask, summarise
from fastcbir.demo.gallery import make_gallery
from fastcbir.demo.views import KINDS, Kind, make_view
from fastcbir.errors import MissingExtraError
from fastcbir.extract import load_extractor
from fastcbir.image_index import ImageIndex

needs_photographs = pytest.mark.skipif(
    len(package_photos()) < 5,
    reason='the packages that carry photographs are not installed: pip install "fastcbir[demo]"',
)


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return image.convert("RGB")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize("shape", [(160, 120), (61, 200), (33, 33)])
def test_a_view_is_the_same_in_every_run_and_has_no_empty_border(kind: Kind, shape: tuple[int, int]) -> None:
    white = Image.new("RGB", shape, "white")
    first = make_view(kind, white, "name")
    assert first == make_view(kind, white, "name")
    darkest = min(low for low, _ in opened(first).getextrema())  # type: ignore[misc]
    assert darkest > (60 if kind.name == "exposure" else 110), "an empty corner would be black"


def test_chance_depends_on_the_photograph_and_the_seed() -> None:
    image = Image.effect_mandelbrot((160, 120), (-2, -1, 1, 1), 60).convert("RGB")
    crop = next(kind for kind in KINDS if kind.name == "crop")
    views = {make_view(crop, image, name, seed) for name in ("one", "two") for seed in (0, 1)}
    assert len(views) == 4


def test_a_crop_is_a_part_of_the_photograph() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    crop = next(kind for kind in KINDS if kind.name == "crop")
    view = opened(make_view(crop, image, "name"))
    assert abs(view.width * view.height / (120 * 90) - 0.35) < 0.02


@needs_photographs
def test_the_gallery_is_photographs_and_tiles_that_do_not_overlap(tmp_path: Path) -> None:
    gallery = make_gallery(tmp_path / "photos", tmp_path / "tiles", tmp_path / "others")
    assert 5 <= len(gallery.photos) == len({photo.name for photo in gallery.photos})
    assert all(photo.credit for photo in gallery.photos)
    for photo in gallery.photos:
        with Image.open(photo.path) as image:
            width, height = image.size
        areas = 0
        for tile in gallery.tiles[photo.name]:
            with Image.open(tile) as image:
                areas += image.width * image.height
                assert min(image.size) >= 192
        assert areas <= width * height
    asked = {other.photo.path for other in gallery.others}
    assert not asked & {photo.path for photo in gallery.photos}


def test_without_photographs_it_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastcbir.demo.gallery.package_photos", lambda: [])
    with pytest.raises(MissingExtraError, match=r"fastcbir\[demo\]"):
        make_gallery(tmp_path / "photos", tmp_path / "tiles", tmp_path / "others")


def test_judgement(tmp_path: Path) -> None:
    """A photo, a copy of it that is as right, wrong ones in front, and ignored ones in front."""
    folder = make_photos(tmp_path / "photos", 4).resolve()
    (folder / "copy.jpg").write_bytes((folder / "0.jpg").read_bytes())
    model = load_extractor(FAST)
    kind = KINDS[0]
    with ImageIndex.open(tmp_path / "a.fcbir", create=True, extractor=model) as album:
        album.add(folder)
        order = [hit.path for hit in album.search(folder / "0.jpg")]
        assert set(order[:2]) == {folder / "0.jpg", folder / "copy.jpg"}

        def outcome(right: Path, ignored: tuple[Path, ...] = ()) -> tuple[bool, float]:
            done = ask(album, model, Query(kind, "0", folder / "0.jpg", right, ignored))
            assert done.extract_s > 0
            assert done.search_s > 0
            return done.first, done.average_precision

        assert outcome(folder / "0.jpg") == (True, 1.0)
        assert outcome(folder / "copy.jpg") == (True, 1.0)
        first, precision = outcome(order[2])  # two wrong ones in front
        assert (first, round(precision, 6)) == (False, round((0 + 1 / 3) / 2, 6))
        assert outcome(order[2], (order[0], order[1])) == (True, 1.0)
        tolerated = ask(album, model, Query(kind, "0", folder / "0.jpg", order[2], order[:2]))
        done = ask(album, model, Query(kind, "0", folder / "0.jpg", folder / "0.jpg"))
        missed = ask(album, model, Query(kind, "0", folder / "0.jpg", order[3]))
    assert summarise([tolerated], KINDS)[-1].recall_at_1 == 1.0
    assert summarise([tolerated], KINDS)[-1].strict_recall_at_1 == 0.0
    kinds, overall = summarise([done, missed], KINDS)
    assert (kinds.title, kinds.queries, kinds.recall_at_1) == (kind.title, 2, 0.5)
    assert (overall.queries, overall.recall_at_1) == (2, 0.5)


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds of view and six photographs instead of all, to be quick."""
    some = tuple(kind for kind in KINDS if kind.name in ("blur", "compression"))
    monkeypatch.setattr(demo_run, "KINDS", some)
    names = {"coffee", "chelsea", "motorcycle_left", "motorcycle_right", "rocket", "camera"}
    photos = [photo for photo in package_photos() if photo.name in names]
    monkeypatch.setattr("fastcbir.demo.gallery.package_photos", lambda: photos)


@needs_photographs
@pytest.mark.usefixtures("small_demo")
def test_the_whole_demo(tmp_path: Path) -> None:
    told: list[str] = []
    result = run_demo(
        tmp_path / "out", extractor=FAST, tell=lambda what, done, total: told.append(f"{what} {done}/{total}")
    )
    assert [line.title for line in result.summaries][-1] == "All views"
    assert result.summaries[-1].queries == len(result.outcomes) >= 10
    assert result.summaries[-1].recall_at_1 > 0.7  # these two kinds are easy even for colours alone
    assert result.album.photos == len(result.gallery.photos) + sum(map(len, result.gallery.tiles.values()))
    assert any(each.startswith("Searching ") for each in told)
    page = result.page.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    for outcome in result.outcomes:
        assert outcome.query.path.is_file()
        assert outcome.hits[0].distance <= outcome.hits[1].distance
    again = run_demo(tmp_path / "out", extractor=FAST)
    assert [outcome.hits for outcome in again.outcomes] == [outcome.hits for outcome in result.outcomes]


@needs_photographs
@pytest.mark.usefixtures("small_demo")
def test_photos_of_the_users_are_searched_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the demo's own folder lies among them."""
    mine = make_photos(tmp_path / "my [photos]", 3)
    (mine / "broken.jpg").write_text("no picture")
    before = sorted(mine.iterdir())
    monkeypatch.setattr("fastcbir.demo.run.DEFAULT_MODEL", FAST)
    monkeypatch.setattr(run_demo, "__kwdefaults__", {**(run_demo.__kwdefaults__ or {}), "extractor": FAST})
    monkeypatch.chdir(mine)
    assert main(["demo", "--photos", ".", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(mine.iterdir()) == sorted([*before, mine / "fastcbir-demo"])
    assert told["your_photos"] == 3
    assert [Path(each["path"]).name for each in told["failed"]] == ["broken.jpg"]
    assert told["pictures"] == told["photographs"] + told["tiles"] + 3
    assert told["overall"]["queries"] == 2 * (told["photographs"] + 3) + 1
    assert set(told["figures"]) == {
        "index_ms_per_photo",
        "extract_ms_p50",
        "extract_ms_p99",
        "search_ms_p50",
        "search_ms_p99",
        "model_load_s",
        "total_s",
        "peak_memory_bytes",
        "index_bytes",
    }
    assert main(["demo", "--photos", "."]) == 0
    out = capsys.readouterr().out
    assert "recall@1" in out
    assert "demo.html" in out


def test_a_folder_of_others_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dear.jpg").write_text("mine")
    with pytest.raises(FileExistsError, match="other things in it"):
        run_demo(tmp_path, extractor=FAST)
    with pytest.raises(FileExistsError, match="is a file"):
        run_demo(tmp_path / "photos" / "dear.jpg", extractor=FAST)
    assert (tmp_path / "photos" / "dear.jpg").read_text() == "mine"
