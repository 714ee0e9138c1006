"""Orthonormal functions of a number, as vectors over the cells of its column.

A column of numbers is divided into fine cells. A Born machine learns amplitudes of a few smooth functions of
it, so that the density is smooth as well. This feature map is an isometry (arXiv:2310.20498): probabilities
are normalised for every state.
"""

from typing import Literal, get_args

import numpy as np
from scipy.special import ndtri

from qtnml.arrays import NDArray

Functions = Literal["legendre", "fourier", "hermite"]
FUNCTIONS: tuple[str, ...] = get_args(Functions)


def isometry(kind: str, masses: NDArray, count: int) -> NDArray:
    """Orthonormal columns (cells, count): functions of a number's rank u at the middle of each cell.

    The first is the square root of the masses, so that it alone is the column's own distribution. Others are
    this times polynomials of u ("legendre"), sines and cosines of 2 pi u ("fourier", where the ends of the
    range are neighbours), or polynomials of the number whose rank under a normal distribution is u
    ("hermite": of numbers that are jointly normal, what is left out falls geometrically with the count).

    >>> isometry("legendre", np.full(4, 0.25), 2).round(3).tolist()
    [[0.5, -0.671], [0.5, -0.224], [0.5, 0.224], [0.5, 0.671]]
    """
    masses = masses / masses.sum()
    rank = np.cumsum(masses) - masses / 2
    if kind == "legendre":
        basis = np.polynomial.legendre.legvander(2 * rank - 1, count - 1)
    elif kind == "hermite":
        basis = np.polynomial.hermite_e.hermevander(ndtri(rank), count - 1)
    else:
        waves = np.arange(1, count // 2 + 1) * 2 * np.pi * rank[:, None]
        pairs = np.stack([np.cos(waves), np.sin(waves)], axis=2).reshape(len(masses), -1)
        basis = np.concatenate([np.ones((len(masses), 1)), pairs], axis=1)[:, :count]
    found, upper = np.linalg.qr(np.sqrt(masses)[:, None] * basis)
    return np.asarray(found * np.where(np.diag(upper) < 0, -1.0, 1.0))
