"""`Approximation`: a shallow circuit of a state, with its exact fidelity, ready for any device."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.compile import GenerativeCircuit
from qtnml.compile.circuit import compile_gates
from qtnml.program.timing import two_qubit_depth
from qtnml.shallow.blocks import Blocks, Point
from qtnml.shallow.certificate import fidelity_of
from qtnml.shallow.emit import nodes_of
from qtnml.shallow.fidelity import Fidelity
from qtnml.shallow.target import Target
from qtnml.shown import facts_html
from qtnml.states import State
from qtnml.states.chains import Chain
from qtnml.states.evolution import MovingChain


@dataclass(frozen=True, eq=False, repr=False)
class Approximation:
    """A circuit with few two-qubit gates that approximates a state.

    Attributes:
        target: The state that it approximates.
        blocks: Places of its gates.
        point: Parameters of its gates.
        fidelity: Exact fidelity |<target|circuit>|**2.
        layout: Name of the order of gates.
    """

    target: Target
    blocks: Blocks
    point: Point
    fidelity: float
    layout: str

    @property
    def infidelity(self) -> float:
        """1 - fidelity."""
        return 1.0 - self.fidelity

    @cached_property
    def compiled(self) -> GenerativeCircuit:
        """The compiled circuit with one qubit for each qubit of the state, measured at the end."""
        return self.compile(reuse_qubits=False)

    def compile(
        self,
        *,
        reuse_qubits: bool = True,
        num_qubits: int | None = None,
        target: Any = None,
        samples: NDArray | None = None,
        passes: Any = (),
    ) -> GenerativeCircuit:
        """Compile the same gates into a generative circuit: on fewer qubits with resets, or for a device.

        Args:
            reuse_qubits: Whether to reset and reuse qubits. The circuit then needs as many qubits as the
                layout's window, for example L + 1 for L staircases.
            num_qubits, target, samples, passes: As for `qtnml.compile.compile_state`.
        """
        shape, nodes = self._nodes
        return compile_gates(
            shape,
            nodes,
            self.target.state.tree_state,
            infidelity=self.infidelity,
            reuse_qubits=reuse_qubits,
            num_qubits=num_qubits,
            target=target,
            samples=samples,
            passes=passes,
        )

    @cached_property
    def _nodes(self) -> Any:
        return nodes_of(self.blocks, self.point, self.target.bits, self.target.sites)

    @property
    def circuit(self) -> QuantumCircuit:
        """The Qiskit circuit without measurements; qubit k is site k.

        If sites have several qubits, the qubits are the bits of the sites.
        """
        compiled = self.compiled
        places = [bit for bits in compiled.site_bits for bit in bits]
        found, measured = QuantumCircuit(len(places)), compiled.trained_circuit
        qubit_of = {}
        for instruction in measured.data:
            if instruction.operation.name == "measure":
                bit = measured.find_bit(instruction.clbits[0]).index
                qubit_of[instruction.qubits[0]] = places.index(bit)
        for instruction in measured.data:
            if instruction.operation.name != "measure":
                found.append(instruction.operation, [qubit_of[qubit] for qubit in instruction.qubits])
        return found

    @property
    def two_qubit_gates(self) -> int:
        """Number of CX gates."""
        return self.compiled.two_qubit_gates

    @property
    def two_qubit_depth(self) -> int:
        """Length of the longest path of CX gates."""
        return two_qubit_depth(self.compiled.circuit)

    @property
    def num_parameters(self) -> int:
        """Number of angles."""
        return len(self.compiled.w)

    def state(self) -> State:
        """The exact state that the gates prepare; site k is qubit k of `circuit`."""
        return State(Chain(tuple(_prepared(self)), self.target.qubits).state())

    def verify(self) -> float:
        """Deviation of `fidelity` from the fidelity of the Qiskit circuit, computed gate by gate."""
        place_of_bit = self._place_of_bit()
        other = fidelity_of(self.compiled.trained_circuit, self.target.tensors, place_of_bit)
        return abs(other - self.fidelity)

    def _place_of_bit(self) -> list[int]:
        """Place in the chain of each classical bit of the compiled circuit."""
        starts = np.cumsum([0, *self.target.bits])
        first = {site: int(starts[turn]) for turn, site in enumerate(self.target.sites)}
        found = [0] * self.target.num_places
        for site, bits in enumerate(self.compiled.site_bits):
            for k, bit in enumerate(bits):
                found[bit] = first[site] + k
        return found

    def _facts(self) -> dict[str, str]:
        return {
            "layout": f"{self.layout}, blocks {self.blocks.kind!r}",
            "fidelity": f"{self.fidelity:.6g} (1 - F = {self.infidelity:.2e})",
            "qubits": str(self.target.num_places),
            "two-qubit gates": f"{self.two_qubit_gates} (depth {self.two_qubit_depth})",
            "parameters": str(self.num_parameters),
        }

    def __repr__(self) -> str:
        return (
            f"Approximation({self.target.num_places} qubits, 1 - fidelity {self.infidelity:.2e}, "
            f"{self.two_qubit_gates} two-qubit gates in depth {self.two_qubit_depth}, {self.layout})"
        )

    def _repr_html_(self) -> str:
        return facts_html("Approximation", self._facts())


def _prepared(approximation: Approximation) -> list[NDArray]:
    """Tensors of what a circuit prepares, in the order of the chain."""
    moving = MovingChain.zeros(approximation.target.num_places, cutoff=1e-14)
    gates = approximation.blocks.gates(approximation.point)
    for pair, gate in zip(approximation.blocks.pairs, gates, strict=True):
        moving.apply(gate, *pair)
    return moving.tensors


def approximation_of(
    target: Target, blocks: Blocks, point: Point, layout: str, log_fidelity: float | None = None
) -> Approximation:
    """With its exact fidelity, computed where it is not known already."""
    if log_fidelity is None:
        log_fidelity = Fidelity(blocks, target.tensors).log_fidelity(point)
    return Approximation(target, blocks, point, float(np.exp(min(log_fidelity, 0.0))), layout)
