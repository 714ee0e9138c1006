"""Exact samples of squared amplitudes, also given evidence.

As long as nothing is drawn in a subtree, the bond to its neighbour is in a mixture of states. One of these
states is drawn with its weight, and the sites below the bond are drawn from it. Then the state is forgotten.
The samples have the distribution of the mixture, and every bond carries a vector instead of a matrix.
"""

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.drawing import Walk, draw, draw_in_parts, parts_of, together
from qtnml.born.evidence import messages_up, through
from qtnml.born.state import TreeState
from qtnml.contract.environments import as_reals
from qtnml.errors import InvalidInputError

_MESSAGE_FLOATS = 2**22  # of the rows of a part

Matrices = tuple[NDArray | None, ...]


def sample(
    state: TreeState, rng: np.random.Generator, count: int, evidence: tuple[NDArray, ...] | None = None
) -> NDArray:
    """Strings drawn from P(x | evidence).

    Args:
        state: The distribution.
        rng: Draws them.
        count: Strings, or for each row of the evidence.
        evidence: See `qtnml.born.evidence.observed`; None for nothing known.

    Returns:
        Levels, (count, sites), or (rows, count, sites) with evidence.

    Raises:
        InvalidInputError: Evidence of probability zero.
    """
    sites = state.tree.num_leaves
    if evidence is None:
        parts = parts_of(count, together(state.cores))
        drawn = draw_in_parts(parts, rng, lambda _, own, size: _Amplitudes(state, own, size).run())
        return np.concatenate([np.empty((0, sites), np.int64), *drawn])
    rows = len(evidence[0])
    bonds = [core.shape[0] ** 2 for core in state.cores]
    # A sample takes the matrices of its row at one node after the other; a row has those of all nodes.
    most = together(state.cores, extra=2 * max(bonds))
    group = max(1, min(most // max(count, 1), _MESSAGE_FLOATS // sum(bonds)))
    found = np.empty((rows, count, sites), np.int64)
    places = [
        (slice(start, min(start + group, rows)), slice(first, min(first + most, count)))
        for start in range(0, rows, group)
        for first in range(0, count, most)
    ]

    def walk(part: int, own: np.random.Generator, size: int) -> NDArray:
        some, draws = places[part]
        weights = tuple(of_site[some] for of_site in evidence)
        messages = messages_up(state, weights)
        if (impossible := np.flatnonzero(np.isneginf(messages.log_evidence))).size:
            raise InvalidInputError(
                f"row {some.start + int(impossible[0])} has probability zero under the model: nothing can be "
                "drawn given it; mark some of its values as missing"
            )
        row_of = np.repeat(np.arange(len(weights[0])), draws.stop - draws.start)
        return _Amplitudes(state, own, size, _Evidence(weights, messages.up, row_of)).run()

    sizes = [found[place].shape[0] * found[place].shape[1] for place in places]
    for place, drawn_there in zip(places, draw_in_parts(sizes, rng, walk), strict=True):
        found[place] = drawn_there.reshape(found[place].shape)
    return found


class _Evidence:
    """What is known behind each wire, for every sample.

    Args:
        weights: Of sites, each (rows, levels).
        messages: Of nodes; see `Messages.up`.
        row_of: Of each sample its row.
    """

    def __init__(self, weights: Matrices, messages: Matrices, row_of: NDArray) -> None:
        self._sites, self._row_of = len(weights), row_of
        self._known = (*(None if w is None or (w == 1).all() else w for w in weights), *messages)
        self._roots: dict[int, NDArray] = {}

    def of(self, wire: int) -> NDArray | None:
        """Weights (samples, levels) of a site, or a matrix (samples, d, d); None where nothing is known."""
        known = self._known[wire]
        return None if known is None else known[self._row_of]

    def root_of(self, wire: int) -> NDArray | None:
        """S with S S^+ the matrix, or square roots of the weights."""
        known = self._known[wire]
        if known is None:
            return None
        if wire not in self._roots:
            self._roots[wire] = np.sqrt(known) if wire < self._sites else _root(known)
        return self._roots[wire][self._row_of]


def _root(matrix: NDArray) -> NDArray:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0))[:, None, :])


class _Amplitudes(Walk):
    """Walk over a state."""

    def __init__(
        self, state: TreeState, rng: np.random.Generator, count: int, evidence: _Evidence | None = None
    ) -> None:
        super().__init__(state.tree, state.cores, rng, count)
        self._evidence = evidence

    def _level(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        if self._evidence is None:
            return draw(_squares(tensor), self._rng)
        weighed = _through(tensor, [None, *map(self._evidence.of, wires[1:])])
        shape = (*tensor.shape[:2], -1)
        weights = np.einsum("bxr,bxr->bx", weighed.reshape(shape), tensor.conj().reshape(shape)).real
        weights = np.maximum(weights, 0.0)
        if (own := self._evidence.of(wires[0])) is not None:
            weights = weights * own
            # Where rounding has eaten a distribution, at least the evidence is kept.
            weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, own)
        return draw(weights, self._rng)

    def _entering(self, tensor: NDArray, wires: tuple[int, ...]) -> NDArray:
        if len(wires) == 1:
            return tensor
        if self._evidence is not None:
            tensor = _through(tensor, [None, *map(self._evidence.root_of, wires[1:])])
        states = np.swapaxes(tensor.reshape(*tensor.shape[:2], -1), 1, 2)  # (samples, others, bond)
        seen = states
        if self._evidence is not None:
            # Squares of amplitudes: a matrix of squares would lose what evidence asks of tiny weight.
            seen = _through(states, [None, self._evidence.root_of(wires[0])])
        drawn = draw(_squares(seen), self._rng)
        return np.asarray(states[np.arange(len(states)), drawn])


def _through(tensor: NDArray, legs: list[NDArray | None]) -> NDArray:
    """A tensor (samples, dimensions of legs) with what is known behind them."""
    return through(tensor[:, None], legs)[:, 0]


def _squares(tensor: NDArray) -> NDArray:
    """Squared absolute values, summed over all but the first two axes."""
    parts = as_reals(tensor.reshape(*tensor.shape[:2], -1))
    return np.asarray(np.einsum("bxr,bxr->bx", parts, parts))
