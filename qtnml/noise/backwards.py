"""A noisy circuit that reads many bits as a tree of maps. The walk goes from its end to its beginning.

This is the Heisenberg picture: the walk follows the effect that a read-out measures, not the state. A
read-out begins a leaf (a level for each value of its bits). A gate acts by its transposed map. A reset or the
first use of a qubit removes the qubit. A generative circuit spreads one state over many read-outs. Walked
backwards, it becomes a tree, just as a circuit that gathers data into one outcome does forwards.
"""

from collections.abc import Sequence

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.distribution import TreeDistribution
from qtnml.errors import InvalidInputError
from qtnml.noise.groups import TRACE, Group, Groups, kron
from qtnml.noise.instructions import Instructions, mixed, read_out
from qtnml.noise.tree import piece_maps
from qtnml.structure import Sites, Tree


def distribution_backwards(rows: Instructions, sites: Sequence[Sequence[int]]) -> TreeDistribution:
    """The distribution of what a circuit without data reads."""
    (distribution,) = distributions_backwards(rows, sites)
    return distribution


def distributions_backwards(rows: Instructions, sites: Sequence[Sequence[int]]) -> list[TreeDistribution]:
    """The distribution of what a circuit without data reads, for each setting of its weights.

    Args:
        rows: The circuit; each qubit that is read is reset next, or never used again. A check is read like
            any other bit.
        sites: Classical bits of each site of the distribution, the most significant first; all that are read.

    Raises:
        InvalidInputError: The circuit is no tree of maps, or a map is too large.
    """
    return _Backwards(rows, sites).run()


class _Backwards(Groups):
    def __init__(self, rows: Instructions, sites: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self._rows, self._sites = rows, sites
        self._site_of = {bit: site for site, bits in enumerate(sites) for bit in bits}
        self._readers: dict[int, list[tuple[int, int]]] = {}  # of each site that is not complete: bit, qubit
        self._roots: list[int] = []
        self._first = _first_uses(rows)

    def run(self) -> list[TreeDistribution]:
        rows = self._rows
        relaxation, kept = rows.noise_maps()
        after = rows.singles_under_noise()
        for row in reversed(range(len(rows.names))):
            name, qubits = rows.names[row], rows.qubits[row]
            if name == "measure":
                self._read(row, qubits[0])
            elif name == "reset":
                self._reset(row, qubits[0], relaxation[row, 0])
            elif len(qubits) == 1:
                self._turn(row, qubits[0], after[row])
            else:
                self._join(row, qubits, kept[row], relaxation[row])
            for qubit in qubits:
                if self._first[qubit] == row and qubit in self:
                    self._let_all_go(qubit, rows.start(qubit))
        return self._finished()

    def _read(self, row: int, qubit: int) -> None:
        bit = self._rows.bits[row]
        assert bit is not None
        if qubit in self:
            raise InvalidInputError(f"qubit {qubit} is read and used again without a reset")
        group = Group.known(qubit, read_out(*self._rows.readout[row]).T, [-1 - bit])
        group.rows.append(row)
        self._groups[qubit] = group
        # Bits of one site stay together, so that it is one leaf in the end.
        others = self._readers.setdefault(self._site_of[bit], [])
        others.append((bit, qubit))
        if len(others) > 1 and others[-2][1] in self:
            self._joined((others[-2][1], qubit))

    def _reset(self, row: int, qubit: int, relaxation: NDArray) -> None:
        if qubit in self:
            self._groups[qubit].rows.append(row)
            state = mixed(self._rows.reset_error[row])
            self._let_all_go(qubit, relaxation @ state)

    def _turn(self, row: int, qubit: int, matrix: NDArray) -> None:
        if qubit not in self:  # nothing that follows sees it
            return
        group = self._groups[qubit]
        place = group.places[qubit]
        group.pending[place] = matrix.swapaxes(-1, -2) @ group.pending[place]
        group.rows.append(row)

    def _join(self, row: int, qubits: tuple[int, ...], kept: float, relaxation: NDArray) -> None:
        if not any(qubit in self for qubit in qubits):
            return
        for qubit in qubits:
            if qubit not in self:
                self._groups[qubit] = Group.known(qubit, TRACE.T)
        group, (i, j) = self._joined(qubits)
        matrix = self._rows.pairs[row]
        if row in self._rows.extra:
            matrix = self._rows.extra[row] @ matrix
        matrix = matrix.copy()
        matrix[..., 1:, :] *= kept
        later = kron(relaxation[0].T @ group.pending[i], relaxation[1].T @ group.pending[j])
        group.pairs.append((i, j))
        group.maps.append(matrix.swapaxes(-1, -2) @ later)
        group.pending[i] = group.pending[j] = np.eye(4)
        group.rows.append(row)

    def _let_all_go(self, qubit: int, state: NDArray) -> None:
        group = self._let_go(qubit, state[None])
        if not group.places:
            self._roots.append(self._close(group, ()))

    def _finished(self) -> list[TreeDistribution]:
        sites = self._sites
        nodes, cores = list[tuple[int, ...]](), list[NDArray]()
        for piece, flat in zip(self._pieces, piece_maps(self._pieces, self._rows.settings or 1), strict=True):
            legs = [2 if child < 0 else 4 ** len(self._pieces[child].kept) for child in piece.children]
            bits = {-1 - child: axis for axis, child in enumerate(piece.children) if child < 0}
            wires, order, shape = list[int](), list[int](), list[int]()
            for axis, child in enumerate(piece.children):
                if child >= 0:
                    wires.append(len(sites) + child)
                    order.append(axis)
                    shape.append(legs[axis])
                    continue
                site = self._site_of[-1 - child]
                if site in wires:
                    continue
                if not set(sites[site]) <= bits.keys():
                    raise InvalidInputError(f"the bits {list(sites[site])} of one site are read far apart")
                wires.append(site)
                order += [bits[bit] for bit in sites[site]]
                shape.append(2 ** len(sites[site]))
            settings = flat.shape[0]
            core = flat.reshape(settings, -1, *legs).transpose(0, 1, *(2 + axis for axis in order))
            cores.append(np.ascontiguousarray(core).reshape(settings, -1, *shape))
            nodes.append(tuple(wires))
        # Parts that nothing joins hang at nodes of their own.
        root, *others = self._roots
        for other in others:
            nodes.append((len(sites) + root, len(sites) + other))
            cores.append(np.ones((len(cores[0]), 1, 1, 1)))
            root = len(nodes) - 1
        dims = tuple(2 ** len(bits) for bits in sites)
        tree = Sites(dims, Tree(len(sites), tuple(nodes)))
        return [TreeDistribution(tree, tuple(core[k] for core in cores)) for k in range(len(cores[0]))]


def _first_uses(rows: Instructions) -> dict[int, int]:
    found: dict[int, int] = {}
    for row, qubits in enumerate(rows.qubits):
        for qubit in qubits:
            found.setdefault(qubit, row)
    return found
