"""Pixel orders: in which sequence the pixels of a picture become features."""

from collections.abc import Callable

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError


def raster(rows: int, columns: int) -> NDArray:
    """Row by row, each from the left."""
    return np.arange(rows * columns)


def snake(rows: int, columns: int) -> NDArray:
    """Row by row, every second one from the right, so that neighbours in the order touch."""
    grid = np.arange(rows * columns).reshape(rows, columns)
    grid[1::2] = grid[1::2, ::-1].copy()
    return grid.ravel()


def z_order(rows: int, columns: int) -> NDArray:
    """The quad-tree (Morton) order: every aligned 2^k x 2^k block is contiguous.

    In a balanced tree over this order each node joins two neighbouring blocks of the picture.
    """
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.argsort(2 * _spread_bits(row) + _spread_bits(column), kind="stable")


def patches(rows: int, columns: int) -> NDArray:
    """Patches of 2x2 pixels, each row by row, in snake order; for chains of four pixels a node.

    Where the picture has an odd number of rows or columns, its last patches are smaller.
    """
    corners = [(row, column) for row in range(0, rows, 2) for column in range(0, columns, 2)]
    corners = [corners[k] for k in snake(-(-rows // 2), -(-columns // 2))]
    grid = np.arange(rows * columns).reshape(rows, columns)
    return np.concatenate([grid[row : row + 2, column : column + 2].ravel() for row, column in corners])


def _spread_bits(values: NDArray) -> NDArray:
    """Move bit k of every value to bit 2k."""
    spread = np.zeros_like(values)
    for bit in range(int(values.max(initial=0)).bit_length()):
        spread |= ((values >> bit) & 1) << (2 * bit)
    return spread


#: The named orders; add a function `(rows, columns) -> raster positions` to name another.
PIXEL_ORDERS: dict[str, Callable[[int, int], NDArray]] = {
    "raster": raster,
    "snake": snake,
    "z": z_order,
    "patches": patches,
}


def pixel_order(order: str, rows: int, columns: int) -> NDArray:
    """Raster positions of a `rows` x `columns` picture in the named order, shape (rows * columns,).

    >>> pixel_order("z", 2, 4)
    array([0, 1, 4, 5, 2, 3, 6, 7])
    """
    if order not in PIXEL_ORDERS:
        raise InvalidInputError(f"unknown pixel order {order!r}; choose one of {sorted(PIXEL_ORDERS)}")
    return PIXEL_ORDERS[order](rows, columns)
