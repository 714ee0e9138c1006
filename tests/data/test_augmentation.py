"""Pictures moved, turned and mirrored."""

import numpy as np
import pytest

from qtnml.data import PictureAugmentation, pixel_order
from qtnml.errors import InvalidInputError


def test_whole_shifts_are_those_of_the_interpolation() -> None:
    """The quick way for pictures that are only mirrored and shifted, against the general one."""
    X = np.random.default_rng(0).random((200, 35))
    quick = PictureAugmentation((7, 5), shift=2, mirror=True, whole_pixels=True)
    general = PictureAugmentation((7, 5), shift=2, mirror=True, whole_pixels=True, turn=1e-12)
    np.testing.assert_allclose(
        quick(X, np.random.default_rng(3)), general(X, np.random.default_rng(3)), atol=1e-9
    )


def test_whole_pixels_keep_pictures_sharp() -> None:
    X = np.zeros((300, 49))
    X[:, 24] = 1.0
    moved = PictureAugmentation((7, 7), shift=2, whole_pixels=True)(X, np.random.default_rng(0))
    rows, columns = np.divmod(moved.argmax(axis=1), 7)
    assert np.allclose(np.sort(moved, axis=1)[:, -1], 1.0, atol=1e-12)
    assert np.allclose(moved.sum(axis=1), 1.0, atol=1e-12)
    counts = np.bincount(rows * 7 + columns, minlength=49).reshape(7, 7)[1:6, 1:6]
    assert counts.sum() == 300
    assert counts.min() > 0  # corners too


def test_nothing_to_do_changes_nothing() -> None:
    X = np.random.default_rng(0).random((5, 12))
    assert np.allclose(PictureAugmentation((3, 4), shift=0.0)(X, np.random.default_rng(1)), X, atol=1e-12)


def test_a_moved_dot_keeps_its_brightness_and_stays_near() -> None:
    X = np.zeros((200, 81))
    X[:, 40] = 1.0  # the middle of 9x9
    moved = PictureAugmentation((9, 9), shift=2.0)(X, np.random.default_rng(0)).reshape(-1, 9, 9)
    assert np.allclose(moved.sum(axis=(1, 2)), 1.0)
    rows = (moved.sum(axis=2) * (np.arange(9) - 4)).sum(axis=1)
    columns = (moved.sum(axis=1) * (np.arange(9) - 4)).sum(axis=1)
    for place in (rows, columns):
        assert np.abs(place).max() <= 2.0 + 1e-9
        assert abs(place.std() - 2 / np.sqrt(3)) < 0.2  # evenly up to 2 pixels either way


def test_turning_keeps_the_distance_from_the_middle() -> None:
    X = np.zeros((100, 81))
    X[:, 4 * 9 + 7] = 1.0  # three pixels right of the middle
    turned = PictureAugmentation((9, 9), shift=0.0, turn=90.0)(X, np.random.default_rng(0)).reshape(-1, 9, 9)
    row, column = np.mgrid[-4:5, -4:5]
    distance = (turned * np.hypot(row, column)).sum(axis=(1, 2)) / turned.sum(axis=(1, 2))
    assert np.abs(distance - 3).max() < 0.4
    assert (turned * column).sum(axis=(1, 2)).min() < 1.0  # some by nearly 90 degrees


def test_half_of_the_pictures_are_mirrored_in_any_order_of_pixels() -> None:
    order = pixel_order("z", 4, 4)
    picture = np.arange(16.0).reshape(4, 4)
    X = np.repeat(picture.ravel()[order][None], 400, axis=0)
    out = PictureAugmentation((4, 4), order="z", shift=0.0, mirror=True)(X, np.random.default_rng(0))
    mirrored = picture[:, ::-1].ravel()[order]
    same, other = np.isclose(out, X).all(axis=1), np.isclose(out, mirrored).all(axis=1)
    assert (same | other).all()
    assert 150 < other.sum() < 250


@pytest.mark.parametrize(
    ("name", "value"), [("shift", -1.0), ("turn", np.nan), ("zoom", -0.1), ("shear", "a")]
)
def test_settings_that_cannot_be_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=name):
        PictureAugmentation((4, 4), **{name: value})  # type: ignore[arg-type]


def test_other_pictures_are_refused() -> None:
    for shape in ("ab", (4,), (0, 3), (2.5, 2)):
        with pytest.raises(InvalidInputError, match="shape"):
            PictureAugmentation(shape)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="16 pixels"):
        PictureAugmentation((4, 4))(np.zeros((2, 9)), np.random.default_rng(0))
    with pytest.raises(InvalidInputError, match=r"whole_pixels needs a whole number as shift, got 0\.6"):
        PictureAugmentation((4, 4), shift=0.6, whole_pixels=True)
