"""A circuit that draws strings, under a device's noise: the exact distribution of what is read.

Every node is one Pauli transfer map from its parent's wire to its own wires, with its fresh qubits'
resets, its gates, the noise after each of them and the waiting; where a site is measured the errors of the
read-out turn Pauli expectations into probabilities of levels. So P(x) of any string, noise and all, is one
contraction of real
numbers: hundreds of sites cost what the noise-free circuit costs, times 2**V.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.law import TreeLaw
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.schedule import Apply
from qtnml.errors import InvalidInputError
from qtnml.noise.device import DeviceNoise
from qtnml.noise.instructions import Instructions, rows_of
from qtnml.structure.sites import Sites

_LARGEST_MAP = 2**24  # numbers: 134 MB
_ZERO: NDArray = np.array([1.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class NoisyGenerativeCircuit:
    """A generative circuit and the noise it runs under.

    Attributes:
        compiled: The circuit, with or without reuse.
        noise: By the circuit's own qubits.

    >>> from qtnml.born import TreeState
    >>> from qtnml.compile import compile_state
    >>> from qtnml.structure.sites import site_chain
    >>> state = TreeState.random(site_chain([2] * 100), 2, np.random.default_rng(0))
    >>> noise = DeviceNoise(t1=100e-6, t2=80e-6, two_qubit_time=70e-9, reset_time=1e-6, readout_error=0.01)
    >>> noisy = NoisyGenerativeCircuit(compile_state(state), noise)
    >>> noisy.law.log_probability(np.zeros((1, 100))).shape
    (1,)
    """

    compiled: GenerativeCircuit
    noise: DeviceNoise

    def __post_init__(self) -> None:
        if not isinstance(self.noise, DeviceNoise):
            raise InvalidInputError(f"noise must be a qtnml.noise.DeviceNoise, got {self.noise!r}")

    @cached_property
    def law(self) -> TreeLaw:
        """Of all bits as they are read; a site of k levels has 2**bits, those above k as well."""
        compiled = self.compiled
        topology = compiled.topology
        rows = rows_of(compiled.trained_circuit, self.noise, {})
        relaxation, kept = rows.noise_maps()
        singles = rows.gate_singles()
        cores: list[NDArray] = [np.zeros(0)] * len(topology.nodes)
        row, reads = 0, dict[int, list[NDArray]]()
        for operation in reversed(compiled.schedule.operations):
            if not isinstance(operation, Apply):
                reads[operation.leaf] = [_read(rows, row + k) for k in range(len(operation.qubits))]
                row += len(operation.qubits)
                continue
            k = operation.node
            width = topology.nodes[k].width if k < len(topology.nodes) - 1 else 0
            count = len(compiled.nodes[k].data)
            node = _NodeMap(operation.qubits, width)
            while rows.names[row] == "reset":
                node.reset(rows, row, relaxation[row, 0])
                row += 1
            for gate in range(row, row + count):
                node.apply(rows, gate, singles[gate], kept[gate], relaxation[gate])
            row += count
            cores[k] = node.core([4 ** topology.wire_width(wire) for wire in topology.nodes[k].children])
        for leaf, matrices in reads.items():
            k = next(n for n, node in enumerate(topology.nodes) if leaf in node.children)
            place = topology.nodes[k].children.index(leaf) + 1
            cores[k] = np.moveaxis(np.tensordot(cores[k], _levels(matrices), (place, 1)), -1, place)
        dims = tuple(2**width for width in topology.leaf_widths)
        return TreeLaw(Sites(dims, topology.tree), tuple(cores))

    def log_likelihood(self, X: NDArray) -> NDArray:
        """ln of the probability to read each string (samples, sites) of levels, -1 or NaN where missing;
        nats.

        Given that every site's bits are one of its levels (see `lost_mass`).
        """
        X = np.asarray(X, dtype=np.float64)
        valid = self._valid
        if valid is None:
            return self.law.log_probability(X)
        return np.asarray(valid.log_probability(X) - np.log1p(-self.lost_mass))

    @cached_property
    def lost_mass(self) -> float:
        """Probability that some site's bits are none of its levels; 0 if all have 2**m levels."""
        valid = self._valid
        if valid is None:
            return 0.0
        return float(1.0 - np.exp(valid.log_probability(np.full((1, len(self.compiled.site_dims)), -1)))[0])

    @cached_property
    def _valid(self) -> TreeLaw | None:
        """The distribution of the levels there are, of sum below 1; None where there are no others."""
        law, dims = self.law, self.compiled.site_dims
        if law.sites.dims == dims:
            return None
        cores = []
        for core, wires in zip(law.cores, law.tree.nodes, strict=True):
            for place, wire in enumerate(wires, 1):
                if wire < len(dims):
                    core = np.take(core, np.arange(dims[wire]), axis=place)
            cores.append(core)
        return TreeLaw(Sites(dims, law.tree), tuple(cores))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray:
        """Strings as they are read, (count, sites), given that all bits stand for levels."""
        # Drawn level by level from the restricted distribution, so whatever share of the shots is lost.
        return (self._valid or self.law).sample(rng, count)


class _NodeMap:
    """The transfer map of one node as it grows: (4,) * qubits + (4**parent wire,)."""

    def __init__(self, qubits: tuple[int, ...], width: int) -> None:
        size = len(qubits)
        if 4 ** (size + width) > _LARGEST_MAP:
            raise InvalidInputError(
                f"a node on {size} qubits has a noisy map of {4 ** (size + width):,} numbers, too many; "
                "truncate the model's bonds"
            )
        self._place = {qubit: k for k, qubit in enumerate(qubits)}
        self._width = width
        tensor: NDArray = np.eye(4**width)
        for _ in range(size - width):
            tensor = np.einsum("ap,b->abp", tensor, _ZERO).reshape(-1, tensor.shape[-1])
        self._tensor = tensor.reshape(*[4] * size, 4**width)

    def reset(self, rows: Instructions, row: int, relaxation: NDArray) -> None:
        """A fresh qubit that was used before."""
        (qubit,) = rows.qubits[row]
        state = relaxation @ np.array([1.0, 0.0, 0.0, 1 - 2 * rows.reset_error[row]])
        place = self._place[qubit]
        known = np.take(self._tensor, [0], axis=place)  # still in |0>, of trace 1
        self._tensor = known * state.reshape(-1, *[1] * (known.ndim - 1 - place))

    def apply(self, rows: Instructions, row: int, single: NDArray, kept: float, relaxation: NDArray) -> None:
        """A gate and the noise after it."""
        places = [self._place[qubit] for qubit in rows.qubits[row]]
        if len(places) == 1:
            depolarised = np.diag([1.0, kept, kept, kept])
            matrix = relaxation[0] @ depolarised @ single
        else:
            matrix = rows.pairs[row]
            if row in rows.extra:
                matrix = rows.extra[row] @ matrix
            matrix = np.kron(relaxation[0], relaxation[1]) @ np.diag([1.0, *[kept] * 15]) @ matrix
        moved = np.moveaxis(self._tensor, places, range(len(places)))
        flat = matrix @ moved.reshape(len(matrix), -1)
        self._tensor = np.moveaxis(flat.reshape(moved.shape), range(len(places)), places)

    def core(self, dims: list[int]) -> NDArray:
        """(parent, wires...)."""
        return np.moveaxis(self._tensor.reshape(*dims, -1), -1, 0)


def _read(rows: Instructions, row: int) -> NDArray:
    """Probabilities of reading 0 and 1 from Pauli expectations, (2, 4)."""
    up, down = rows.readout[row]
    zero = np.array([1 - up + down, 0.0, 0.0, 1 - up - down]) / 2
    return np.array([zero, np.array([1.0, 0.0, 0.0, 0.0]) - zero])


def _levels(matrices: list[NDArray]) -> NDArray:
    """Of a site's bits, the first the most significant: (2**bits, 4**bits)."""
    found: NDArray = np.eye(1)
    for matrix in matrices:
        found = np.kron(found, matrix)
    return found
