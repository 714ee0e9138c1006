import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtnml.data import PIXEL_ORDERS, area_average, pixel_order
from qtnml.errors import InvalidInputError


@given(st.sampled_from(sorted(PIXEL_ORDERS)), st.integers(1, 9), st.integers(1, 9))
def test_every_order_is_a_permutation(order: str, rows: int, columns: int) -> None:
    assert sorted(pixel_order(order, rows, columns)) == list(range(rows * columns))


def test_z_order_keeps_quad_tree_blocks_together() -> None:
    order = pixel_order("z", 8, 8)
    for start in range(0, 64, 16):
        rows, columns = np.divmod(order[start : start + 16], 8)
        assert np.ptp(rows) == 3
        assert np.ptp(columns) == 3


def test_snake_neighbours_touch() -> None:
    rows, columns = np.divmod(pixel_order("snake", 5, 4), 4)
    assert (np.abs(np.diff(rows)) + np.abs(np.diff(columns)) == 1).all()


def test_patches_of_two_by_two_touch() -> None:
    blocks = pixel_order("patches", 6, 4).reshape(-1, 4)
    rows, columns = np.divmod(blocks, 4)
    assert (np.ptp(rows, axis=1) == 1).all()
    assert (np.ptp(columns, axis=1) == 1).all()
    steps = np.abs(np.diff(rows[:, 0])) + np.abs(np.diff(columns[:, 0]))
    assert (steps == 2).all()  # from one patch to its neighbour


def test_unknown_order_is_named() -> None:
    with pytest.raises(InvalidInputError, match="unknown pixel order 'spiral'.*'raster', 'snake', 'z'"):
        pixel_order("spiral", 2, 2)


def test_area_average_equals_averaging_a_finer_grid(rng: np.random.Generator) -> None:
    """28 -> 8 by 3.5-pixel cells is the plain block mean after doubling every pixel."""
    images = rng.random((3, 28, 28))
    doubled = images.repeat(2, axis=1).repeat(2, axis=2)
    blocks = doubled.reshape(3, 8, 7, 8, 7).mean(axis=(2, 4))
    np.testing.assert_allclose(area_average(images, 8, 8), blocks, atol=1e-14)


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_area_average_keeps_the_mean(height: int, width: int, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    images = np.random.default_rng(0).random((2, height, width))
    small = area_average(images, rows, columns)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1e-12)


@pytest.mark.parametrize("size", [(0, 3), (4, 3)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInputError, match=r"between 1x1 and the pictures' own 3x3, got "):
        area_average(np.ones((1, 3, 3)), *size)
