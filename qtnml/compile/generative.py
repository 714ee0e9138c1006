"""Generative circuits: they draw strings, from the root of a tree of sites to its leaves.

Every core of a canonical state is an isometry from the bond to its parent to its other bonds. As a circuit it
is a unitary on the bonds' qubits, some of which enter in |0>. A site is measured as soon as its node has run,
so that its qubits can be reset and used again. A matrix product state of bond 2**V draws any number of bits
on V + 1 qubits (arXiv:1803.11537). The gates are those of a post-selected classifier run backwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray

from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood
from qtnml.born.state import site_index
from qtnml.compile.compiled import Compiled
from qtnml.compile.strings import log_probabilities
from qtnml.structure.sites import Sites


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class GenerativeCircuit(Compiled):
    """A circuit whose measured bits are strings drawn from a state's distribution.

    Time runs backwards in its schedule, from the leaves to the root. A node whose upper bond holds all its
    qubits is part of the node above.

    Attributes:
        site_dims: Levels of each site. A site of k levels is measured in ceil(log2 k) bits; the first bit is
            the most significant.
        gates_given: Whether its gates are those of an approximation. Compiling for another device then keeps
            these gates; otherwise gates are made again from the state they prepare.
    """

    site_dims: tuple[int, ...]
    gates_given: bool = False

    @property
    def num_sites(self) -> int:
        """Number of sites of a string."""
        return len(self.site_dims)

    @property
    def num_features(self) -> int:
        """Number of sites; each site is a feature."""
        return self.num_sites

    def pub(self, *, free_weights: bool = False) -> tuple[QuantumCircuit, BindingsArray]:
        """The circuit as one PUB of a Qiskit sampler: `sampler.run([compiled.pub()], shots=1000)`.

        The sampler must handle resets correctly, see `CompiledCircuit.pub`.

        Args:
            free_weights: Leave the weights as parameters, bound to their trained values in the array.
        """
        self._warn_of_resets()
        if not free_weights:
            return self.trained_circuit.copy(), BindingsArray()
        circuit = self.circuit.copy()
        used = [(p, value) for p, value in zip(self.w, self.weights, strict=True) if p in circuit.parameters]
        names = tuple(parameter.name for parameter, _ in used)
        return circuit, BindingsArray({names: np.array([value for _, value in used])})

    def bound(self, weights: NDArray) -> QuantumCircuit:
        """The circuit bound to given values of `w`."""
        return self._with_values(self._checked(weights))

    @cached_property
    def site_bits(self) -> tuple[tuple[int, ...], ...]:
        """Classical bits of each site, the most significant first."""
        ends = list(accumulate(self.topology.leaf_widths))
        return tuple(
            tuple(range(end - 1, end - 1 - width, -1))
            for width, end in zip(self.topology.leaf_widths, ends, strict=True)
        )

    def levels(self, outcomes: Sequence[int]) -> NDArray:
        """Levels (outcomes, sites) of measured outcomes.

        An outcome is all classical bits read as a binary number, bit 0 least significant. A site whose bits
        stand for no level gets -1. This happens if k is no power of two and gates or noise cause errors.
        """
        count = sum(self.topology.leaf_widths)
        if not len(outcomes):
            return np.empty((0, self.num_sites), dtype=np.int64)
        raw = b"".join(int(outcome).to_bytes((count + 7) // 8, "little") for outcome in outcomes)
        bits = np.frombuffer(raw, dtype=np.uint8).reshape(len(outcomes), -1)
        bits = np.unpackbits(bits, axis=1, bitorder="little")[:, :count]
        levels = np.empty((len(outcomes), self.num_sites), dtype=np.int64)
        for site, places in enumerate(self.site_bits):
            value = np.zeros(len(outcomes), dtype=np.int64)
            for place in places:
                value = 2 * value + bits[:, place]
            levels[:, site] = np.where(value < self.site_dims[site], value, -1)
        return levels

    def state(self, weights: NDArray | None = None) -> TreeState:
        """The state that the gates prepare; its sites have 2**bits levels.

        Args:
            weights: Values of `w`; the trained values by default.
        """
        weights = self.weights if weights is None else self._checked(weights)
        cores = []
        for k, (node, matrix) in enumerate(
            zip(self.topology.nodes, self.node_matrices(weights), strict=True)
        ):
            is_root = k == len(self.nodes) - 1
            width = 0 if is_root else node.width
            columns = matrix[:, :: 2 ** (self.topology.num_qubits[k] - width)]
            legs = (2 ** self.topology.wire_width(wire) for wire in node.children)
            core = columns.T.reshape(-1, *legs)
            cores.append(core.real if np.abs(core.imag).max() < 1e-14 else core)
        dims = tuple(2**width for width in self.topology.leaf_widths)
        return TreeState(Sites(dims, self.topology.tree), tuple(cores))

    def verify(self, state: TreeState, X: NDArray) -> float:
        """Largest difference in ln P of strings (samples, sites) between the circuit and a state, in nats.

        The circuit is simulated gate by gate, with its resets and read-outs (see `qtnml.compile.strings`).
        Strings that are impossible under both count as equal.

        Raises:
            InvalidInputError: The circuit resets a qubit that it still needs, or does not read each bit once.
        """
        wanted = log_likelihood(state, X)
        own = log_probabilities(self.trained_circuit, self._bits(site_index(state.sites, X)))
        both = np.isneginf(own) & np.isneginf(wanted)
        return float(np.abs(np.where(both, 0.0, own - wanted)).max(initial=0.0))

    def _bits(self, levels: NDArray) -> NDArray:
        """Classical bits (strings, bits) that stand for levels: the inverse of `levels`."""
        bits = np.empty((len(levels), sum(self.topology.leaf_widths)), dtype=np.int64)
        for site, places in enumerate(self.site_bits):
            for shift, place in enumerate(reversed(places)):
                bits[:, place] = levels[:, site] >> shift & 1
        return bits

    def _size(self) -> str:
        return f"{self.num_sites} sites on "
