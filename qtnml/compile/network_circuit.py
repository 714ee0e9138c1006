"""A network with its encoding, ready to be compiled onto any schedule."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from qiskit.circuit import ParameterVector

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.compile.assemble import inward, node_angles
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.nodes import OnNode, counted, synthesized_nodes
from qtnml.compile.schedule import Schedule, schedule_network
from qtnml.encoding import Encoding, FeatureScaler
from qtnml.gates import NodeGates, Synthesis, SynthesizedNode
from qtnml.structure import Topology


@dataclass(frozen=True)
class NetworkCircuit:
    """What is the same in all circuits of a model.

    Attributes:
        network: Unitaries.
        own: Gates that the ansatz prescribes for a node, or None.
        encoding: Data gates.
        encoding_parameters: Their trained values.
        scaler: Features to [0, 1].
        postselected: Whether discarded qubits count only in |0>.
        on_node: Called with the nodes synthesised so far and their number, for a progress bar.
    """

    network: TensorNetwork
    own: tuple[SynthesizedNode | None, ...]
    encoding: Encoding
    encoding_parameters: tuple[NDArray, ...]
    scaler: FeatureScaler | None
    postselected: bool = False
    on_node: OnNode | None = None

    @property
    def topology(self) -> Topology:
        """Of the network."""
        return self.network.topology

    @property
    def prescribes_gates(self) -> bool:
        """Whether the ansatz has gates of its own."""
        return any(node is not None for node in self.own)

    def on(self, network: TensorNetwork) -> "NetworkCircuit":
        """Another network of the same meaning."""
        return replace(self, network=network)

    def scheduled(self, num_qubits: int | None, synthesis: Synthesis) -> CompiledCircuit:
        """On a number of qubits, None for the fewest, by list scheduling."""
        nodes = self._nodes([synthesis] * len(self.own))
        durations = [max(1, node.circuit.depth()) for node in nodes]
        return self._circuit(schedule_network(self.topology, num_qubits, durations, 1.0), nodes)

    def compiled(self, schedule: Schedule, synthesis: Sequence[Synthesis]) -> CompiledCircuit:
        """On a given schedule, each node by its own synthesis."""
        return self._circuit(schedule, self._nodes(synthesis))

    def _nodes(self, synthesis: Sequence[Synthesis]) -> list[NodeGates]:
        found = synthesized_nodes(self.network, self.own, synthesis, postselected=self.postselected)
        return list(counted(found, len(self.own), self.on_node))

    def _circuit(self, schedule: Schedule, nodes: Sequence[NodeGates]) -> CompiledCircuit:
        gates = [node.circuit for node in nodes]
        weights = np.array([angle for node in gates for angle in node_angles(node)])
        x = ParameterVector("x", self.topology.num_data_qubits)
        w = ParameterVector("w", len(weights))
        return CompiledCircuit(
            program=inward(
                self.topology, self.encoding, schedule, gates, x, w, postselected=self.postselected
            ),
            x=x,
            w=w,
            weights=weights,
            schedule=schedule,
            infidelity=float(1.0 - np.prod([1.0 - node.infidelity for node in nodes])),
            encoding=self.encoding,
            encoding_parameters=self.encoding_parameters,
            scaler=self.scaler,
            nodes=tuple(nodes),
            topology=self.topology,
            network=self.network,
            postselected=self.postselected,
        )
