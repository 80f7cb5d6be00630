"""Promise: verification finds the geometry that is there, every time the same, and none where none is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("cv2")

from match_helpers import corner_homography, mapped

from fastcbir.rerank import Matches, Ranked, Verification, rerank, verify

SIZE = (640, 480)
Points = npt.NDArray[np.floating]


def matches(a: Points, b: Points, size: tuple[int, int] = SIZE) -> Matches:
    confidence = np.linspace(1, 0.5, len(a)).astype(np.float32)
    return Matches(a.astype(np.float32), b.astype(np.float32), confidence, size, size)


def points(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Points:
    return np.random.default_rng(seed).uniform(0, 1, (count, 2)) * size


@pytest.mark.parametrize("enlarged", [1, 7])
def test_a_homography_among_outliers(enlarged: int) -> None:
    matrix = corner_homography(SIZE, 0.15, 1)
    a = points(200)
    b = mapped(matrix, a)
    b[120:] = points(80, 5)
    size = (SIZE[0] * enlarged, SIZE[1] * enlarged)
    found = verify(matches(a * enlarged, b * enlarged, size))
    assert found.F is None and found.H is not None
    assert found.inlier[:120].all() and found.inliers <= 124
    np.testing.assert_allclose(
        mapped(found.H, points(9) * enlarged), mapped(matrix, points(9)) * enlarged, atol=0.2 * enlarged
    )
    back = found.swapped()
    assert back.H is not None
    np.testing.assert_allclose(mapped(back.H, mapped(found.H, points(5))), points(5), atol=1e-6)


def test_equal_matches_give_equal_answers() -> None:
    a = points(100)
    b = mapped(corner_homography(SIZE, 0.1, 2), a) + np.random.default_rng(1).normal(0, 1, (100, 2))
    b[50:] = points(50, 6)
    first, second = verify(matches(a, b)), verify(matches(a, b))
    assert first.H is not None and second.H is not None
    assert np.array_equal(first.H, second.H) and np.array_equal(first.inlier, second.inlier)


def two_views(count: int, depth: float) -> tuple[Points, Points]:
    """Points in space, as a camera sees them before and after a step aside."""
    rng = np.random.default_rng(7)
    space = np.c_[rng.uniform(-2, 2, count), rng.uniform(-1.5, 1.5, count), rng.uniform(4, 4 + depth, count)]
    centre = np.array([SIZE[0] / 2, SIZE[1] / 2])
    moved = space - np.array([0.5, 0.1, 0.2])
    return tuple(500 * part[:, :2] / part[:, 2:] + centre for part in (space, moved))  # type: ignore[return-value]


def test_a_general_scene_has_a_fundamental_matrix_and_a_flat_one_a_homography() -> None:
    a, b = two_views(150, 4.0)
    a, b = np.r_[a, points(50, 3)], np.r_[b, points(50, 4)]
    general = verify(matches(a, b), Verification("auto", threshold=1.5))
    assert general.H is None and general.F is not None
    assert general.inlier[:150].sum() > 140
    lifted_a, lifted_b = (np.c_[each[:150], np.ones(150)] for each in (a, b))
    lines = lifted_a @ general.F.T
    away = np.abs((lines * lifted_b).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)
    assert np.median(away) < 0.5
    a, b = two_views(150, 0.0)
    assert verify(matches(a, b), Verification("auto")).H is not None


def far_apart(count: int) -> Points:
    return points(count, 8)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (points(0), points(0)),
        (points(4), points(4)),
        (
            np.c_[np.linspace(0, 600, 50), np.linspace(0, 400, 50)],
            np.c_[np.linspace(9, 600, 50), np.full(50, 7.0)],
        ),
        (np.ones((60, 2)), points(60)),
        (points(60), points(60) * [-1, 1] + [SIZE[0], 0]),  # a mirror
        (points(60), points(60) * 0.001),  # all of it in one place
    ],
    ids=["none", "four", "on a line", "one point", "mirrored", "shrunk to a point"],
)
@pytest.mark.parametrize("model", ["homography", "auto"])
def test_what_no_camera_makes_is_not_confirmed(a: Points, b: Points, model: str) -> None:
    if model == "auto" and len(a) == 60 and np.array_equal(a[:, 1], b[:, 1]):
        pytest.skip("a mirror image has an epipolar geometry, too")
    found = verify(matches(a, b), Verification(model))  # type: ignore[arg-type]
    assert found.inliers == 0 and found.H is None and found.F is None
    assert len(found) == len(a)


def test_many_matches_to_one_place_are_one() -> None:
    a = points(6)
    crowded = np.repeat(a, 20, axis=0) + np.random.default_rng(1).uniform(-0.05, 0.05, (120, 2))
    assert verify(matches(crowded, mapped(corner_homography(SIZE, 0.1, 3), crowded))).inliers <= 24


@pytest.mark.parametrize(
    "bad", [{"model": "affine"}, {"threshold": 0}, {"iterations": 0}, {"confidence": 1.0}]
)
def test_options_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Verification(**bad)  # type: ignore[arg-type]


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="expected points_a and points_b"):
        Matches(
            np.zeros((3, 2), np.float32), np.zeros((2, 2), np.float32), np.zeros(3, np.float32), SIZE, SIZE
        )


def test_outline() -> None:
    a = points(30)
    matrix = np.array([[0.5, 0, 10], [0, 0.5, 20], [0, 0, 1]])
    outline = verify(matches(a, mapped(matrix, a))).outline()
    assert outline is not None
    np.testing.assert_allclose(outline[[0, 2]], [[9.75, 19.75], [329.75, 259.75]], atol=0.02)
    assert Matches.none(SIZE, SIZE).outline() is None


# --- re-ranking ---------------------------------------------------------------------------------------------


def counted(inliers: int, of: int) -> Matches:
    flags = np.arange(of) < inliers
    blank = np.zeros((of, 2), np.float32)
    return Matches(blank, blank, np.zeros(of, np.float32), SIZE, SIZE, flags)


Look = Callable[[int], "Matches | None"]


def reranked(
    inliers: list[int], of: list[int], *, k: int, enough: int | None = None
) -> tuple[list[Ranked[int]], list[int]]:
    """The new order, and which candidates were verified."""
    verified: list[int] = []

    def match(item: int) -> Matches | None:
        return None if of[item] < 0 else counted(item, of[item])

    def check(found: Matches) -> Matches:
        item = found.inliers  # where match() hid the number
        verified.append(item)
        return counted(inliers[item], len(found))

    return rerank(range(len(inliers)), match, check, k=k, min_inliers=10, enough=enough), verified


def test_the_confirmed_move_ahead_and_the_others_keep_their_order() -> None:
    found, _ = reranked([0, 9, 10, 3, 50, 10], [60] * 6, k=6)
    assert [one.item for one in found] == [4, 2, 5, 0, 1, 3]
    assert [one.confirmed for one in found] == [True] * 3 + [False] * 3
    assert [one.before for one in found] == [4, 2, 5, 0, 1, 3]


def test_a_photo_that_cannot_be_read_keeps_its_place() -> None:
    found, _ = reranked([0, 0, 20], [30, -1, 30], k=3)
    assert [one.item for one in found] == [2, 0, 1]
    assert found[2].matches is None


@pytest.mark.parametrize("seed", range(5))
def test_skipping_what_cannot_enter_the_first_k_changes_no_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    of = rng.integers(40, 90, 40).tolist()
    inliers = [int(rng.integers(0, n + 1)) if rng.random() < 0.4 else 3 for n in of]
    found, verified = reranked(inliers, of, k=3)
    confirmed = sorted((i for i in range(40) if inliers[i] >= 10), key=lambda i: (-inliers[i], i))
    assert [one.item for one in found[:3]] == confirmed[:3]
    assert set(verified) >= set(confirmed[:3])


def test_pairs_with_too_few_matches_are_not_verified() -> None:
    found, verified = reranked([30, 40, 0, 20, 60], [30, 40, 9, 30, 60], k=2)
    assert [one.item for one in found] == [4, 1, 0, 2, 3]
    assert verified == [0, 1, 4]


def test_enough_ends_it() -> None:
    found, verified = reranked([30, 31, 89, 90], [90] * 4, k=2, enough=30)
    assert [one.item for one in found] == [1, 0, 2, 3]
    assert verified == [0, 1]
