"""Gates on a matrix product state, and its evolution in time by Trotter steps (TEBD, quant-ph/0301063)."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.linalg import expm

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states.hamiltonian import Hamiltonian

_SWAP = np.eye(4)[[0, 2, 1, 3]]


class MovingChain:
    """A matrix product state that gates act on, canonical around one place that moves with them.

    Args:
        tensors: (left bond, level, right bond) of each place.
        max_bond: Largest bond; None keeps all singular values above `cutoff`.
        cutoff: Share of the norm below which singular values are dropped.
    """

    def __init__(
        self, tensors: Sequence[NDArray], max_bond: int | None = None, cutoff: float = 1e-12
    ) -> None:
        self._tensors = [np.asarray(tensor) for tensor in tensors]
        self._max_bond, self._cutoff, self._centre = max_bond, cutoff, 0
        for place in range(len(tensors) - 1, 0, -1):
            self._to_the_left(place)
        #: ln of the share of the norm squared that truncations have kept.
        self.log_kept = 0.0

    @classmethod
    def zeros(cls, count: int, max_bond: int | None = None, cutoff: float = 1e-12) -> "MovingChain":
        """All qubits in |0>."""
        return cls([np.array([1.0, 0.0]).reshape(1, 2, 1)] * count, max_bond, cutoff)

    @property
    def tensors(self) -> list[NDArray]:
        """Of each place; all but the centre's are isometries towards it."""
        return list(self._tensors)

    def apply_one(self, gate: NDArray, place: int) -> None:
        """A matrix (2, 2) on one place."""
        self._tensors[place] = np.einsum("ts,lsr->ltr", gate, self._tensors[place])

    def apply(self, gate: NDArray, first: int, second: int) -> None:
        """A matrix (4, 4) on two places, the first one's level varying slowest; swaps bring them together."""
        if first > second:
            gate = gate.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2).reshape(4, 4)
            first, second = second, first
        for place in range(second - 1, first, -1):
            self._apply_at(_SWAP, place)
        self._apply_at(gate, first)
        for place in range(first + 1, second):
            self._apply_at(_SWAP, place)

    def _apply_at(self, gate: NDArray, place: int) -> None:
        while self._centre < place:
            self._to_the_right(self._centre)
        while self._centre > place + 1:
            self._to_the_left(self._centre)
        pair = np.tensordot(self._tensors[place], self._tensors[place + 1], (2, 0))
        left, right = pair.shape[0], pair.shape[3]
        # (out, in) on the levels of (left, level, level, right)
        pair = np.einsum("ts,lsr->ltr", gate, pair.reshape(left, 4, right))
        u, s, vh = np.linalg.svd(pair.reshape(left * 2, 2 * right), full_matrices=False)
        norm = np.linalg.norm(s)
        kept = max(1, int((s > self._cutoff * norm).sum()))
        kept = kept if self._max_bond is None else min(kept, self._max_bond)
        share = np.linalg.norm(s[:kept]) / norm
        self.log_kept += 2 * math.log(share)
        self._tensors[place] = u[:, :kept].reshape(left, 2, kept)
        scaled = s[:kept] / share
        self._tensors[place + 1] = (scaled[:, None] * vh[:kept]).reshape(kept, 2, right)
        self._centre = place + 1

    def _to_the_right(self, place: int) -> None:
        tensor = self._tensors[place]
        q, r = np.linalg.qr(tensor.reshape(-1, tensor.shape[2]))
        self._tensors[place] = q.reshape(*tensor.shape[:2], -1)
        self._tensors[place + 1] = np.tensordot(r, self._tensors[place + 1], (1, 0))
        self._centre = place + 1

    def _to_the_left(self, place: int) -> None:
        tensor = self._tensors[place]
        q, r = np.linalg.qr(tensor.reshape(tensor.shape[0], -1).T)
        self._tensors[place] = q.T.reshape(-1, *tensor.shape[1:])
        self._tensors[place - 1] = np.tensordot(self._tensors[place - 1], r.T, (2, 0))
        self._centre = place - 1


def trotter_steps(
    hamiltonian: Hamiltonian, time: float, steps: int, *, order: int = 2
) -> tuple[tuple[tuple[int, int], NDArray], ...]:
    """Gates exp(-i h t) of a product formula, even pairs before odd ones.

    Args:
        hamiltonian: A sum over pairs; fields are shared among the pairs of their site.
        time: In units of 1 over the couplings.
        steps: Equal steps.
        order: 1, 2 (symmetric, the half steps between two steps merged) or 4 (Suzuki's, of second-order
            ones).

    Returns:
        (sites, unitary (4, 4)) of each gate, in order of time.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise InvalidInputError(f"steps must be an integer of at least 1, got {steps!r}")
    if isinstance(time, bool) or not isinstance(time, float | int | np.floating | np.integer):
        raise InvalidInputError(f"time must be a real number, got {time!r}")
    if not np.isfinite(time):
        raise InvalidInputError(f"time must be finite, got {time}")
    if order not in (1, 2, 4):
        raise InvalidInputError(f"order must be 1, 2 or 4, got {order!r}")
    groups = commuting_groups(hamiltonian)
    if not groups:
        return ()
    sequence = list[tuple[int, float]]()  # (group, share of a step)
    for share in _shares(order):
        if order == 1:
            sequence += [(group, share) for group in range(len(groups))]
        else:
            half = [(group, share / 2) for group in range(len(groups) - 1)]
            sequence += [*half, (len(groups) - 1, share), *half[::-1]]
    merged = list[tuple[int, float]]()
    for group, share in sequence * int(steps):
        if merged and merged[-1][0] == group:
            merged[-1] = (group, merged[-1][1] + share)
        else:
            merged.append((group, share))
    gates: dict[tuple[int, float, tuple[int, int]], NDArray] = {}
    found = []
    for group, share in merged:
        for pair, matrix in groups[group]:
            key = (group, round(share, 15), pair)
            if key not in gates:
                gates[key] = expm(-1j * matrix * (time / steps) * share)
            found.append((pair, gates[key]))
    return tuple(found)


def _shares(order: int) -> list[float]:
    if order < 4:
        return [1.0]
    outer = 1 / (4 - 4 ** (1 / 3))
    return [outer, outer, 1 - 4 * outer, outer, outer]


def commuting_groups(hamiltonian: Hamiltonian) -> list[list[tuple[tuple[int, int], NDArray]]]:
    """Pairs and their terms in groups that share no site: for a chain even pairs, then odd ones."""
    groups: list[list[tuple[tuple[int, int], NDArray]]] = []
    for pair, matrix in sorted(hamiltonian.bonds().items(), key=lambda item: item[0]):
        for group in groups:
            if not any(set(pair) & set(other) for other, _ in group):
                group.append((pair, matrix))
                break
        else:
            groups.append([(pair, matrix)])
    return groups
