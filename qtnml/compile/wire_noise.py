"""A device's noise on the wires of a model, by the schedule of its circuit, for training under noise.

If the ansatz has operations, noise acts after each of them exactly as in the circuit. A node that is one
unitary gets channels that stand for its gates. One is a depolarising channel on all its qubits, with the
fidelity of all gate errors together. The others are a channel on each qubit for relaxation during the time in
the node, half of it before the node and half after. This relaxation is approximate: the compiler rotates a
node's wire against its qubits where that saves gates, and the rotation is known only after training.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import NDArray
from qtnml.compile.circuit import compile_model
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.schedule import Schedule
from qtnml.contract import Model, Parameters
from qtnml.errors import InvalidInputError
from qtnml.noise.device import DeviceNoise
from qtnml.noise.instructions import Instructions
from qtnml.noise.rows import rows_of
from qtnml.noise.wires import GateRates, Rates, WireNoise, no_noise
from qtnml.program import Barrier, Encode, Node, Operation, Reset
from qtnml.structure import Topology


def scheduled_noise(
    model: Model,
    parameters: Parameters,
    noise: DeviceNoise,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    schedule: Schedule | None = None,
) -> WireNoise:
    """Rates at every place of a model, for the circuit that its parameters are compiled into.

    Args:
        model: It traces what it discards.
        parameters: Any; what matters is how many gates their nodes have.
        noise: Of the circuit's qubits.
        reuse_qubits, num_qubits, schedule: As for `compile_model`.
    """
    if model.discard != "trace":
        raise InvalidInputError(
            "training under noise needs discard='trace'; post-selected models are not built yet"
        )
    if noise.one_qubit_channel is not None or noise.two_qubit_channel is not None:
        raise InvalidInputError(
            "training knows relaxation, gate errors, resets and read-out of a device, not channels of "
            "your own; train under a Channel (noise=channel), which acts between the layers"
        )
    compiled = generic_circuit(
        model, parameters, reuse_qubits=reuse_qubits, num_qubits=num_qubits, schedule=schedule
    )
    return wire_rates(compiled, noise, by_gate=hasattr(model.ansatz, "operations"))


def generic_circuit(model: Model, parameters: Parameters, **how: Any) -> CompiledCircuit:
    """A circuit with the gates of any other parameters; `how` are arguments of `compile_model`.

    Nodes of one shape take the same number of gates, so that one of each is synthesised, not all.
    """
    alike = parameters._replace(
        nodes=tuple(np.broadcast_to(np.asarray(s)[:1], np.shape(s)).copy() for s in parameters.nodes)
    )
    return compile_model(model, model.project(alike), **how)


def wire_rates(compiled: CompiledCircuit, noise: DeviceNoise, *, by_gate: bool) -> WireNoise:
    """Rates at every place of the network that a circuit (for no device) was compiled from."""
    rows = rows_of(compiled.trained_program, noise)
    found = _Collected(compiled.topology, rows, by_gate=by_gate)
    for operation in compiled.program.operations:
        found.add(operation)
    return found.wire_noise(noise, compiled.schedule.measured)


class _Collected:
    """Rates by data qubit and by node, as they are found."""

    def __init__(self, topology: Topology, rows: Instructions, *, by_gate: bool) -> None:
        self._topology, self._rows, self._by_gate = topology, rows, by_gate
        data = topology.num_data_qubits
        self._row = 0
        # Of each qubit how it may err before it is used, and data gates on it since it left a node.
        self._errs: dict[int, float] = {}
        self._uploads: list[int] = []
        self._seen: set[int] = set()
        self._leaf_rates, self._leaf_kept = np.zeros((data, 2)), np.ones(data)
        self._turned_leaf_rates = np.zeros((data, 2))
        self._out_rates = [np.zeros((size, 2)) for size in topology.num_qubits]
        self._fidelity = np.ones(len(topology.nodes))
        self._gates: list[list[tuple[NDArray, float]]] = [[] for _ in topology.nodes]
        self._fresh = [np.zeros(size) for size in topology.num_qubits]

    def add(self, operation: Operation) -> None:
        """The next operation of the program."""
        if isinstance(operation, Barrier):
            return
        row = self._row
        self._row += len(operation.gates) if isinstance(operation, Node) else 1
        if isinstance(operation, Reset):
            self._errs[operation.qubits[0]] = float(self._rows.reset_error[row])
        elif isinstance(operation, Encode):
            if operation.place in self._seen:
                self._uploads.append(row)
            else:
                self._seen.add(operation.place)
                self._add_leaf(row, operation.place)
        elif isinstance(operation, Node):
            self._add_node(operation, range(row, self._row))

    def _error_before(self, qubit: int) -> float:
        return self._errs.pop(qubit, float(self._rows.start_error[qubit]))

    def _add_leaf(self, row: int, data: int) -> None:
        """Preparation: what is left of a reset, the gate, waiting."""
        rows = self._rows
        (qubit,) = rows.qubits[row]
        self._leaf_rates[data] += (rows.decay[row, 0], rows.coherence[row, 0])
        self._leaf_kept[data] *= (1 - 2 * self._error_before(qubit)) * (1 - rows.depolarizing[row])

    def _add_node(self, node: Node, gates: range) -> None:
        """Gates and what follows them until the next node."""
        rows, k = self._rows, node.number
        local = {qubit: j for j, qubit in enumerate(node.qubits)}
        if fresh := self._topology.nodes[k].fresh:
            self._fresh[k][len(local) - fresh :] = [self._error_before(q) for q in node.qubits[-fresh:]]
        inside = np.zeros((len(local), 2))
        for row in self._uploads:  # their noise counts as that of the wire before
            self._before(
                k, local[rows.qubits[row][0]], np.array([rows.decay[row, 0], rows.coherence[row, 0]])
            )
            self._fidelity[k] *= 1 - 0.75 * rows.depolarizing[row]
        self._uploads.clear()
        if self._by_gate:
            for row in gates:
                width = len(rows.qubits[row])
                both = np.stack([rows.decay[row, :width], rows.coherence[row, :width]])
                self._gates[k].append((both, rows.depolarizing[row]))
            return
        last = {qubit: row for row in gates for qubit in rows.qubits[row]}
        for row in gates:
            qubits = rows.qubits[row]
            for column, qubit in enumerate(qubits):
                total = np.array([rows.decay[row, column], rows.coherence[row, column]])
                trailing = total * rows.waiting[row, column] if last[qubit] == row else 0 * total
                self._out_rates[k][local[qubit]] += trailing
                inside[local[qubit]] += total - trailing
            strings = 4 ** len(qubits)
            self._fidelity[k] *= 1 - (strings - 1) / strings * rows.depolarizing[row]
        for j in range(len(local)):
            self._out_rates[k][j] += inside[j] / 2
            self._before(k, j, inside[j] / 2)

    def _before(self, k: int, place: int, rates: NDArray) -> None:
        """Add to the wire's qubit that enters a node at a place."""
        for wire in self._topology.nodes[k].children:
            width = self._topology.wire_width(wire)
            if place < width:
                if wire < self._topology.num_leaves:
                    self._turned_leaf_rates[self._topology.leaf_qubits[wire][place]] += rates
                else:
                    self._out_rates[wire - self._topology.num_leaves][place] += rates
                return
            place -= width
        # A fresh qubit in |0> suffers nothing before the node that counts.

    def wire_noise(self, noise: DeviceNoise, measured: tuple[int, ...]) -> WireNoise:
        """All of it as stacks."""
        stacks = stacking(self._topology)
        outgoing = [np.array([self._out_rates[k] for k in nodes]) for _, nodes in stacks]
        sizes = [4.0**size for size, _ in stacks]
        # (1 + (4**m - 1)(1 - p)) / 4**m is the fidelity of a depolarising channel on m qubits.
        depolarizing = tuple(
            (1 - self._fidelity[list(nodes)]) * size / (size - 1)
            for (_, nodes), size in zip(stacks, sizes, strict=True)
        )
        leaf_kept = self._leaf_kept * (1 - _twirled(self._turned_leaf_rates).depolarizing)
        plain = no_noise(self._topology)
        return replace(
            plain,
            leaves=Rates(self._leaf_rates[:, 0], self._leaf_rates[:, 1], 1 - leaf_kept),
            nodes=tuple(_exact(rates) if self._by_gate else _twirled(rates) for rates in outgoing),
            depolarizing=depolarizing,
            readout=np.array([noise.readout(qubit) for qubit in measured]),
            fresh_error=tuple(np.array([self._fresh[k] for k in nodes]) for _, nodes in stacks),
            excited=np.asarray(noise.excited_population),
            gates=tuple(self._gate_rates(nodes) for _, nodes in stacks) if self._by_gate else (),
        )

    def _gate_rates(self, nodes: tuple[int, ...]) -> tuple[GateRates, ...]:
        found = []
        for each in zip(*(self._gates[k] for k in nodes), strict=True):
            both = np.array([rates for rates, _ in each])
            zeros = np.zeros(both[:, 0].shape)
            found.append(GateRates(Rates(both[:, 0], both[:, 1], zeros), np.array([p for _, p in each])))
        return tuple(found)


def _exact(rates: NDArray) -> Rates:
    """Relaxation in the basis of the wire, which is that of the qubits."""
    return Rates(rates[..., 0], rates[..., 1], np.zeros(rates.shape[:-1]))


def _twirled(rates: NDArray) -> Rates:
    """A depolarising channel as faithful as relaxation, for a wire that is turned against its qubits."""
    kept = (np.exp(-rates[..., 0]) + 2 * np.exp(-rates[..., 1])) / 3
    return Rates(np.zeros(kept.shape), np.zeros(kept.shape), 1 - kept)
