"""Input of the compiler, ready for any schedule: a network that takes data in, or a state to draw from."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from qiskit.circuit import ParameterVector

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.born.state import site_index
from qtnml.compile.assemble import inward, node_angles, outward
from qtnml.compile.compiled import Compiled, CompiledCircuit
from qtnml.compile.expected import Decisions, Expected, Strings
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.nodes import OnNode, counted, outward_nodes, synthesized_nodes
from qtnml.compile.schedule import Schedule, schedule_network
from qtnml.encoding import Encoding, FeatureScaler
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeGates, Synthesis, SynthesizedNode
from qtnml.noise import DeviceNoise
from qtnml.structure import Topology

C = TypeVar("C", bound=Compiled)


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(ABC, Generic[C]):
    """What is the same in all circuits of a model.

    Attributes:
        network: Unitaries.
        on_node: Called with the nodes synthesised so far and their number, for a progress bar.
    """

    network: TensorNetwork
    on_node: OnNode | None = None

    @property
    def topology(self) -> Topology:
        """Of the network."""
        return self.network.topology

    @property
    def prescribes_gates(self) -> bool:
        """Whether nodes come with gates of their own, so that their inputs stay in order."""
        return False

    def on(self, network: TensorNetwork) -> "Source[C]":
        """Another network of the same meaning."""
        return replace(self, network=network)

    def scheduled(self, num_qubits: int | None, synthesis: Synthesis) -> C:
        """On a number of qubits, None for the fewest, by list scheduling."""
        nodes = self._nodes([synthesis] * len(self.topology.nodes))
        durations = [max(1, node.circuit.depth()) for node in nodes]
        return self._circuit(schedule_network(self.topology, num_qubits, durations, 1.0), nodes)

    def compiled(self, schedule: Schedule, synthesis: Sequence[Synthesis]) -> C:
        """On a given schedule, each node by its own synthesis."""
        return self._circuit(schedule, self._nodes(synthesis))

    def _nodes(self, synthesis: Sequence[Synthesis]) -> list[NodeGates]:
        return list(counted(self._gates(synthesis), len(self.topology.nodes), self.on_node))

    @abstractmethod
    def _gates(self, synthesis: Sequence[Synthesis]) -> Iterator[NodeGates]:
        """Gates of every node."""

    @abstractmethod
    def _circuit(self, schedule: Schedule, nodes: Sequence[NodeGates]) -> C:
        """Nodes laid out."""

    @abstractmethod
    def check_samples(self) -> None:
        """Refuse samples that do not fit, before anything is compiled.

        Raises:
            InvalidInputError: Another shape, or none.
        """

    @abstractmethod
    def expected(self, compiled: C, noise: DeviceNoise) -> Expected:
        """What a circuit of this model will do under noise, exactly.

        Raises:
            InvalidInputError: Too many qubits of the circuit are entangled at once.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkSource(Source[CompiledCircuit]):
    """A network with its encoding.

    Attributes:
        own: Gates that the ansatz prescribes for a node, or None.
        encoding: Data gates.
        encoding_parameters: Their trained values.
        scaler: Features to [0, 1].
        postselected: Whether discarded qubits count only in |0>.
        samples: Features (samples, features) that circuits are compared on; None makes some up.
    """

    own: tuple[SynthesizedNode | None, ...]
    encoding: Encoding
    encoding_parameters: tuple[NDArray, ...]
    scaler: FeatureScaler | None
    postselected: bool = False
    samples: NDArray | None = None

    @property
    def prescribes_gates(self) -> bool:
        """Whether the ansatz has gates of its own."""
        return any(node is not None for node in self.own)

    def _gates(self, synthesis: Sequence[Synthesis]) -> Iterator[NodeGates]:
        return synthesized_nodes(self.network, self.own, synthesis, postselected=self.postselected)

    def _circuit(self, schedule: Schedule, nodes: Sequence[NodeGates]) -> CompiledCircuit:
        gates, weights, w = _weights(nodes)
        x = ParameterVector("x", self.topology.num_data_qubits)
        return CompiledCircuit(
            program=inward(
                self.topology, self.encoding, schedule, gates, x, w, postselected=self.postselected
            ),
            x=x,
            w=w,
            weights=weights,
            schedule=schedule,
            infidelity=_infidelity(nodes),
            encoding=self.encoding,
            encoding_parameters=self.encoding_parameters,
            scaler=self.scaler,
            nodes=tuple(nodes),
            topology=self.topology,
            network=self.network,
            postselected=self.postselected,
        )

    def check_samples(self) -> None:
        """Of features."""
        _ = self._decisions

    def expected(self, compiled: CompiledCircuit, noise: DeviceNoise) -> Expected:
        """By decisions on samples, or on features that spread its probabilities evenly."""
        return self._decisions.expected(compiled, noise)

    @cached_property
    def _decisions(self) -> Decisions:
        """The same for all candidates."""
        scaled = None
        if self.samples is not None:
            X = np.asarray(self.samples, dtype=np.float64)
            count = self.topology.num_data_qubits // self.encoding.qubits_per_feature
            if X.ndim != 2 or X.shape[1] != count or not len(X):
                raise InvalidInputError(f"samples must have shape (samples, {count}), got {X.shape}")
            scaled = X if self.scaler is None else self.scaler(X)
        return Decisions.of(
            self.network,
            self.encoding,
            self.encoding_parameters,
            postselected=self.postselected,
            scaled=scaled,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class StateSource(Source[GenerativeCircuit]):
    """A state as a network that is run outward.

    Attributes:
        state: The state itself.
        strings: Levels (samples, sites) that circuits are compared on; None draws some.
    """

    state: TreeState
    strings: NDArray | None = None

    def _gates(self, synthesis: Sequence[Synthesis]) -> Iterator[NodeGates]:
        return outward_nodes(self.network, synthesis)

    def _circuit(self, schedule: Schedule, nodes: Sequence[NodeGates]) -> GenerativeCircuit:
        dims, infidelity = self.state.sites.dims, _infidelity(nodes)
        return _outward_circuit(self.topology, schedule, nodes, dims, infidelity, gates_given=False)

    def check_samples(self) -> None:
        """Of strings."""
        _ = self._compared

    def expected(self, compiled: GenerativeCircuit, noise: DeviceNoise) -> Expected:
        """By the likelihood of strings."""
        return self._compared.expected(compiled, noise)

    @cached_property
    def _compared(self) -> Strings:
        """The same for all candidates."""
        return _strings_of(self.state, self.strings)


@dataclass(frozen=True, kw_only=True, eq=False)
class GatesSource(Source[GenerativeCircuit]):
    """Gates that are given, and are kept as they are: those of an approximate circuit.

    Attributes:
        network: None: nobody needs the unitaries of nodes whose gates are there.
        shape: How the nodes are joined.
        nodes: Gates of each, in the direction of the circuit, of shape's nodes from the leaves to the root.
        state: What strings should be drawn from.
        site_dims: Levels of each site.
        strings: Levels (samples, sites) that circuits are compared on; None draws some.
        infidelity: Of the circuit to the state.
    """

    network: Any = None
    shape: Topology
    nodes: tuple[NodeGates, ...]
    state: TreeState
    strings: NDArray | None = None
    infidelity: float

    @property
    def topology(self) -> Topology:
        """How the nodes are joined."""
        return self.shape

    @property
    def prescribes_gates(self) -> bool:
        """All of them."""
        return True

    def _gates(self, synthesis: Sequence[Synthesis]) -> Iterator[NodeGates]:  # noqa: ARG002
        return iter(self.nodes)

    def _circuit(self, schedule: Schedule, nodes: Sequence[NodeGates]) -> GenerativeCircuit:
        return _outward_circuit(
            self.shape, schedule, nodes, self.state.sites.dims, self.infidelity, gates_given=True
        )

    def check_samples(self) -> None:
        """Of strings."""
        _ = self._compared

    def expected(self, compiled: GenerativeCircuit, noise: DeviceNoise) -> Expected:
        """By the likelihood of strings under the state that is meant: noise and approximation together."""
        return self._compared.expected(compiled, noise)

    @cached_property
    def _compared(self) -> Strings:
        return _strings_of(self.state, self.strings)


def _strings_of(state: TreeState, levels: NDArray | None) -> Strings:
    """Strings that the circuits of a state are compared on, checked."""
    if levels is not None:
        levels = site_index(state.sites, levels)
        if not len(levels):
            raise InvalidInputError("samples must hold at least one string, got none")
    return Strings.of(state, levels)


def _outward_circuit(
    topology: Topology,
    schedule: Schedule,
    nodes: Sequence[NodeGates],
    site_dims: tuple[int, ...],
    infidelity: float,
    *,
    gates_given: bool,
) -> GenerativeCircuit:
    gates, weights, w = _weights(nodes)
    return GenerativeCircuit(
        program=outward(topology, schedule, gates, w),
        w=w,
        weights=weights,
        schedule=schedule,
        topology=topology,
        infidelity=infidelity,
        site_dims=site_dims,
        nodes=tuple(nodes),
        gates_given=gates_given,
    )


def _weights(nodes: Sequence[NodeGates]) -> tuple[list, NDArray, ParameterVector]:  # type: ignore[type-arg]
    gates = [node.circuit for node in nodes]
    weights = np.array([angle for node in gates for angle in node_angles(node)])
    return gates, weights, ParameterVector("w", len(weights))


def _infidelity(nodes: Sequence[NodeGates]) -> float:
    return float(1.0 - np.prod([1.0 - node.infidelity for node in nodes]))
