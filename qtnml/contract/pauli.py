"""Pauli transfer maps of unitaries, in real arithmetic.

A wire of v qubits carries the expectations r_a = Tr(rho s_a) of its 4**v Pauli strings s_a, so that
rho = 2**-v sum_a r_a s_a. A node has a unitary U on m input qubits (and fresh qubits in |0>) and keeps its
first v qubits. It maps the expectations by the real matrix

    T[o, a] = 2**-m Tr[(s_o (x) 1) U (s_a (x) |0><0|) U^+].

Expectations are used instead of coefficients of a normalised basis. So r_0 = 1 carries the trace, and the row
T[0] = (1, 0, 0, ...) preserves it; both are exact in any precision.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from qtnml.arrays import Array, NDArray, namespace

# sigma[i, j] as rows over (i, j); Y stands as the real matrix -iY.
_REAL_PAULIS = {"I": (1, 0, 0, 1), "X": (0, 1, 1, 0), "Y": (0, -1, 1, 0), "Z": (1, 0, 0, -1)}
_GROUP = 2  # qubits transformed by one matrix product: 16 x 16, measured best for m = 2 to 6


def pauli_transfer_maps(
    unitaries: Array,
    width: int,
    fresh: int,
    out_paulis: str,
    in_paulis: tuple[str, ...],
    *,
    postselection: "Array | float" = 0.0,
) -> Array:
    """Transfer maps of a stack of unitaries.

    Args:
        unitaries: Complex, shape (n, 2**q, 2**q).
        width: Number v of kept qubits.
        fresh: Number of trailing input qubits in |0>.
        out_paulis: Pauli labels wanted on each kept qubit, starting with "I".
        in_paulis: Pauli labels that can occur on each input qubit that is not fresh, each
            starting with "I".
        postselection: Weight p of the branch in which every discarded qubit is found in |0>: the map is
            (1 - p) times the traced one plus p times that branch's. The plain number 0 traces (and
            makes the trace row exact), the plain number 1 post-selects.

    Returns:
        Real array (n, len(out_paulis)**v, product of len(in_paulis[i])).
    """
    xp = namespace(unitaries)
    labels = (out_paulis,) * width + in_paulis
    count, size = unitaries.shape[0], len(labels)
    choi = _real_choi(unitaries[:, :, :: 2**fresh], width, postselection)
    maps: Any = xp.permute_dims(choi.reshape(count, *(2,) * (2 * size)), _interleaved(size))
    for start in range(0, size, _GROUP):
        matrix = _transform(labels[start : start + _GROUP])
        maps = maps.reshape(count, matrix.shape[1], -1)
        # Transposed product: the transformed axis moves to the end, the next one to the front.
        maps = xp.matmul(maps.swapaxes(1, 2), xp.asarray(matrix.T, dtype=maps.dtype))
    signs = _signs(out_paulis, width, in_paulis)
    maps = maps.reshape(count, *signs.shape) * xp.asarray(signs, dtype=maps.dtype)
    if not isinstance(postselection, float) or postselection != 0.0:
        return maps  # type: ignore[no-any-return]
    trace_row = np.zeros((count, 1, signs.shape[1]))
    trace_row[:, :, 0] = 1
    joined: Array = xp.concat([xp.asarray(trace_row, dtype=maps.dtype), maps[:, 1:]], axis=1)
    return joined


def _real_choi(isometries: Array, width: int, postselection: Array | float) -> Array:
    """Re C + Im C for C[(k, a), (l, b)] = sum_d conj(A[k, d, a]) A[l, d, b], shape (n, K M, K M).

    C is Hermitian: its real part is symmetric and its imaginary part antisymmetric. A Pauli string
    with an even number of Y sees only the former, with an odd number only the latter, so their sum
    loses nothing and everything after it is real.
    """
    xp = namespace(isometries)
    count, rows, columns = isometries.shape
    kept = 2**width
    if isinstance(postselection, float) and postselection == 1.0:
        isometries, rows = isometries[:, :: rows // kept], kept
    split = isometries.reshape(count, kept, rows // kept, columns)
    blocks = split.swapaxes(1, 2).reshape(count, rows // kept, kept * columns)
    real, imag = xp.real(blocks), xp.imag(blocks)
    left = xp.concat([real, imag], axis=1)
    right = xp.concat([real + imag, imag - real], axis=1)
    if not isinstance(postselection, float) or 0.0 < postselection < 1.0:
        weights = xp.ones(2 * (rows // kept), dtype=left.dtype) - postselection
        first = np.arange(2 * (rows // kept)) % (rows // kept) == 0
        left = left * xp.where(xp.asarray(first), 1.0, weights)[:, None]
    return xp.matmul(left.swapaxes(1, 2), right)  # type: ignore[no-any-return]


def _interleaved(size: int) -> tuple[int, ...]:
    """Axes that bring each qubit's row and column bit together, behind the stack axis."""
    return (0, *(axis for qubit in range(size) for axis in (1 + qubit, 1 + size + qubit)))


@lru_cache(maxsize=64)
def _transform(labels: tuple[str, ...]) -> NDArray:
    """Matrix-unit coefficients -> (real) Pauli coefficients of a few neighbouring qubits."""
    matrix = np.eye(1)
    for allowed in labels:
        matrix = np.kron(matrix, np.array([_REAL_PAULIS[label] for label in allowed], dtype=float))
    return matrix


@lru_cache(maxsize=64)
def _signs(out_paulis: str, width: int, in_paulis: tuple[str, ...]) -> NDArray:
    """Sign and scale of each entry, shape (outputs, inputs).

    A string with y letters Y is i**y times its real stand-in; Re(i**y (Re C + i Im C)) picks
    +Re, -Im, -Re, +Im for y = 0 to 3. An input's Pauli enters transposed, which turns its Y around.
    """
    out_ys, in_ys = _count_y((out_paulis,) * width), _count_y(in_paulis)
    phase = np.array([1.0, -1.0, -1.0, 1.0])[np.add.outer(out_ys, in_ys) % 4]
    return np.asarray(phase * (-1.0) ** in_ys * 2.0 ** -len(in_paulis))


def _count_y(labels: tuple[str, ...]) -> NDArray:
    counts = np.zeros(1, dtype=int)
    for allowed in labels:
        counts = np.add.outer(counts, np.array([label == "Y" for label in allowed], dtype=int)).ravel()
    return counts
