"""Alternating least squares: each core in turn is optimised, with the others fixed."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from qtnml.arrays import NDArray
from qtnml.graphs.network import Edge, axis_of, contracted

_RIDGE = 1e-14  # of the mean of a Gram matrix's diagonal


def fitted(
    target: NDArray, cores: Sequence[NDArray], *, sweeps: int, tolerance: float, loss: float = np.inf
) -> tuple[list[NDArray], float]:
    """Cores after so many sweeps, or fewer where they gain nothing, and the squared error as a share of the
    target's squared norm.

    Args:
        target: The tensor.
        cores: To begin with.
        sweeps: Most of them.
        tolerance: Ends where the error falls by a smaller share of itself, or below `loss`.
        loss: See above.
    """
    found, last = list(cores), np.inf
    norm = float(np.vdot(target, target).real)
    error = np.inf
    for _ in range(sweeps):
        for mode in range(len(found)):
            found[mode], error = solved(target, found, mode, norm)
        if error < loss or last - error < tolerance * last:
            break
        last = error
    return found, error


def solved(target: NDArray, cores: Sequence[NDArray], mode: int, norm: float) -> tuple[NDArray, float]:
    """The best core of a mode, and the squared error as a share of the target's squared norm."""
    count = len(cores)
    others = tuple(k for k in range(count) if k != mode)
    bonds = tuple((min(mode, k), max(mode, k)) for k in others)
    rest = [None if k == mode else core for k, core in enumerate(cores)]
    environment = contracted(rest, others, bonds)  # type: ignore[arg-type]
    shape = environment.shape[len(others) :]
    flat = environment.reshape(-1, int(np.prod(shape)))
    seen = np.moveaxis(target, mode, 0).reshape(target.shape[mode], -1)
    gram = flat.T @ flat
    gram[np.diag_indices(len(gram))] += _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-300)
    wanted = seen @ flat
    try:
        core = cho_solve(cho_factor(gram), wanted.T).T
    except LinAlgError:
        core = np.linalg.lstsq(flat, seen.T, rcond=None)[0].T
    error = seen - core @ flat.T
    return core.reshape(target.shape[mode], *shape), float((error**2).sum()) / norm


def raised(
    residual: NDArray, cores: Sequence[NDArray], edge: Edge, rng: np.random.Generator, sweeps: int = 2
) -> tuple[NDArray, NDArray, float]:
    """New slices of the two cores of a bond, fitted to what is left of the target, and the error with them.

    The rank-one step of arXiv:2008.05437: the network gains one term in which only these two are new.
    """
    one, other = edge
    parts = list(cores)
    for mode, near in ((one, other), (other, one)):
        shape = list(cores[mode].shape)
        shape[axis_of(mode, near)] = 1
        parts[mode] = rng.normal(size=shape)
    norm, error = float((residual**2).sum()), np.inf
    for _ in range(sweeps):
        for mode in (one, other):
            parts[mode], error = solved(residual, parts, mode, max(norm, 1e-300))
    return parts[one], parts[other], error * norm
