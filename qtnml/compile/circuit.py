"""Entry points of the compiler: a trained model becomes a circuit, for any device or a given one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from qiskit import QuantumCircuit

from qtnml.ansatz import FullUnitary, TensorNetwork, unitarity_error
from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.compile.assemble import gates_on, node_angles
from qtnml.compile.choice import with_passes
from qtnml.compile.compiled import Compiled, CompiledCircuit
from qtnml.compile.expected import Expected
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.nodes import OnNode, prescribed_gates, remark_on_size
from qtnml.compile.on_device import best_on_device, with_expected
from qtnml.compile.schedule import Schedule, all_qubits
from qtnml.compile.source import C, GatesSource, NetworkSource, Source, StateSource
from qtnml.compile.state_tree import circuit_tree
from qtnml.contract import Model, Parameters
from qtnml.encoding import Encoding, FeatureScaler
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeGates, Synthesis
from qtnml.noise.calibration import calibrated
from qtnml.program.device import device_of
from qtnml.structure import Topology

_UNITARITY_TOLERANCE = 1e-9


def compile_model(
    model: Model,
    parameters: Parameters,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    target: Any = None,
    synthesis: Synthesis | None = None,
    scaler: FeatureScaler | None = None,
    schedule: Schedule | None = None,
    samples: NDArray | None = None,
    passes: Any = (),
    on_node: OnNode | None = None,
) -> CompiledCircuit:
    """Compile a trained model into a circuit with the same outcome probabilities.

    Args:
        model: With discard="postselect", discarded qubits are measured in the middle of the circuit, and only
            shots in which all of them are 0 count: see `CompiledCircuit.postselected`.
        parameters: Parameters whose matrices are exactly unitary (to 1e-9).
        reuse_qubits: Reset and reuse discarded qubits (7 qubits instead of 64 for 64 features).
        num_qubits: Largest number of physical qubits with reuse. More qubits make the circuit less deep. None
            takes the fewest, or with a target the number that decides best under its noise.
        target: A Qiskit backend or `Target` to compile for: its gates, couplings and errors.
        synthesis: How nodes become gates; by default exactly, with the fewest two-qubit gates.
        scaler: Kept for `bind`, which then takes the same features as the model.
        schedule: Which qubits each node acts on, instead of a schedule made by the compiler.
        samples: Features (samples, features). Circuits for a target are compared by their decisions on them.
            By default features that spread the model's probabilities evenly.
        passes: Passes that rewrite the circuit, see `Compiled.with_passes`. "auto" takes the best ones under
            the target's calibration.
        on_node: Called with the number of nodes synthesised so far and their total; for a device there are
            many candidates.
    """
    source = network_source(model, parameters, scaler=scaler, samples=samples, on_node=on_node)
    return _compiled(source, target, synthesis, schedule, reuse_qubits, num_qubits, passes)


def network_source(
    model: Model,
    parameters: Parameters,
    *,
    scaler: FeatureScaler | None = None,
    samples: NDArray | None = None,
    on_node: OnNode | None = None,
) -> NetworkSource:
    """What is compiled of a trained model; arguments as for `compile_model`."""
    network = model.network(parameters)
    error = max(unitarity_error(np.asarray(stack)) for stack in network.unitaries)
    if not error <= _UNITARITY_TOLERANCE:
        raise InvalidInputError(
            f"the network's matrices are off unitary by {error:.1e}; call Model.project(parameters) first"
        )
    return NetworkSource(
        network=network,
        own=tuple(prescribed_gates(model, parameters)),
        encoding=model.encoding,
        encoding_parameters=tuple(np.asarray(p, dtype=np.float64) for p in parameters.encoding),
        scaler=scaler,
        postselected=model.discard == "postselect",
        on_node=on_node,
        samples=samples,
    )


def compile_state(
    state: TreeState,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    target: Any = None,
    synthesis: Synthesis | None = None,
    schedule: Schedule | None = None,
    samples: NDArray | None = None,
    passes: Any = (),
    on_node: OnNode | None = None,
) -> GenerativeCircuit:
    """Compile a state into a circuit that draws its strings.

    Args:
        state: State to draw from. Bonds are padded to powers of two, and isometries are completed so that
            they take the fewest gates.
        reuse_qubits: Measure a site as soon as possible, then reset its qubits and use them again.
        num_qubits: Largest number of physical qubits with reuse. More qubits make the circuit less deep. None
            takes the fewest, or with a target the number under which strings of the state are most likely.
        target: A Qiskit backend or `Target` to compile for: its gates, couplings and errors.
        synthesis: How nodes become gates; by default exactly, with the fewest two-qubit gates.
        schedule: Which qubits each node acts on, from the leaves to the root, instead of a schedule made by
            the compiler.
        samples: Strings (samples, sites) of levels. Circuits for a target are compared by their likelihood.
            None takes all strings, or draws 500 if there are more than 4,096.
        passes: Passes that rewrite the circuit, as for `compile_model`.
        on_node: Called with the number of nodes synthesised so far and their total.

    >>> from qtnml.structure.sites import site_chain
    >>> state = TreeState.random(site_chain([2] * 20), 2, np.random.default_rng(0))
    >>> compiled = compile_state(state)
    >>> compiled.num_qubits, compiled.verify(state, np.ones((1, 20))) < 1e-9
    (2, True)
    """
    source = StateSource(network=circuit_tree(state), state=state, on_node=on_node, strings=samples)
    return _compiled(source, target, synthesis, schedule, reuse_qubits, num_qubits, passes)


def compile_gates(
    shape: Topology,
    nodes: Sequence[NodeGates],
    state: TreeState,
    *,
    infidelity: float,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    target: Any = None,
    samples: NDArray | None = None,
    passes: Any = (),
) -> GenerativeCircuit:
    """Compile given gates into a generative circuit. Only a device's translation changes the gates.

    Args:
        shape: Tree of the nodes; its leaves are the sites.
        nodes: Gates of each node from the leaves to the root, each in the direction of the circuit.
        state: State that the strings should be drawn from. Circuits for a target are compared by it.
        infidelity: Infidelity of the circuit to the state.
        reuse_qubits, num_qubits, target, samples, passes: As for `compile_state`.
    """
    source = GatesSource(shape=shape, nodes=tuple(nodes), state=state, infidelity=infidelity, strings=samples)
    return _compiled(source, target, None, None, reuse_qubits, num_qubits, passes)


def _compiled(
    source: Source[C],
    target: Any,
    synthesis: Synthesis | None,
    schedule: Schedule | None,
    reuse_qubits: bool,
    num_qubits: int | None,
    passes: Any,
) -> C:
    if num_qubits is not None and not reuse_qubits:
        raise InvalidInputError(f"num_qubits={num_qubits} needs reuse_qubits=True; leave one of them out")
    if isinstance(synthesis, str) or (synthesis is not None and not isinstance(synthesis, Synthesis)):
        raise InvalidInputError(f"synthesis must be a qtnml.Synthesis, got {synthesis!r}")
    synthesis = synthesis or Synthesis()
    if schedule is not None:
        compiled = source.compiled(schedule, [synthesis] * len(source.topology.nodes))
    elif target is not None:
        compiled = best_on_device(
            source, device_of(target), synthesis, reuse_qubits=reuse_qubits, num_qubits=num_qubits
        )
    else:
        compiled = source.scheduled(num_qubits if reuse_qubits else all_qubits(source.topology), synthesis)
    remark_on_size(compiled.two_qubit_gates)
    return with_passes(source, compiled, passes)


def compile_network(
    network: TensorNetwork,
    encoding: Encoding,
    *,
    reuse_qubits: bool = True,
    num_qubits: int | None = None,
    target: Any = None,
    synthesis: Synthesis | None = None,
    scaler: FeatureScaler | None = None,
    encoding_parameters: tuple[NDArray, ...] | None = None,
    discard: Literal["trace", "postselect"] = "trace",
    samples: NDArray | None = None,
) -> CompiledCircuit:
    """Compile a network of any unitaries; see `compile_model`.

    `encoding_parameters` are an encoding's trained values (by default its initial values). `discard` says
    whether discarded qubits are traced out or post-selected.

    >>> from qtnml.encoding import AngleEncoding
    >>> from qtnml.structure import balanced_tree
    >>> network = TensorNetwork.random(balanced_tree(64), np.random.default_rng(0))
    >>> compiled = compile_network(network, AngleEncoding())
    >>> compiled.num_qubits, compiled.two_qubit_gates, compiled.verify(np.full((1, 64), 0.3)) < 1e-10
    (7, 188, True)
    """
    network.check_shapes()
    model = Model(network.topology, encoding, FullUnitary(), discard)
    if encoding_parameters is None:
        encoding_parameters = encoding.parameters(model.num_features)
    parameters = Parameters(network.unitaries, encoding_parameters)
    return compile_model(
        model,
        parameters,
        reuse_qubits=reuse_qubits,
        num_qubits=num_qubits,
        target=target,
        synthesis=synthesis,
        scaler=scaler,
        samples=samples,
    )


def recalibrated(
    compiled: Compiled, target: Any, *, reuse_qubits: bool = True, samples: NDArray | None = None
) -> Any:
    """Compile the same network again, with its current weights, for a device's current calibration.

    Args:
        compiled: A circuit compiled for any device, or for none.
        target: A Qiskit backend or `Target`, or a backend of this package that has one.
        reuse_qubits, samples: As for `compile_model`.
    """
    passes = compiled.passes
    if isinstance(compiled, GenerativeCircuit) and compiled.gates_given:
        given = _given_source(compiled, samples)
        return _compiled(given, target, None, None, reuse_qubits, None, passes)
    if isinstance(compiled, GenerativeCircuit):
        return compile_state(
            compiled.state(), reuse_qubits=reuse_qubits, target=target, samples=samples, passes=passes
        )
    found = _source_of(compiled, samples)
    return _compiled(found, target, None, None, reuse_qubits, None, passes)


def expected_on(compiled: Compiled, target: Any) -> Expected | None:
    """Exact outcome of a circuit on a device's own qubits under the device's current calibration.

    It is None if the circuit has no exact distribution.
    """
    device = device_of(target)
    source: Any
    if isinstance(compiled, CompiledCircuit):
        source = _source_of(compiled, None)
    elif isinstance(compiled, GenerativeCircuit) and compiled.gates_given:
        source = _given_source(compiled, None)
    else:
        state = compiled.state()  # type: ignore[attr-defined]
        source = StateSource(network=circuit_tree(state), state=state)
    found: Compiled = with_expected(source, replace(compiled, device=device), calibrated(device.target))
    return found.expected


def _given_source(compiled: GenerativeCircuit, samples: NDArray | None) -> GatesSource:
    """The given gates of a circuit with the weights it has now, for the strings that they draw."""
    nodes, start = [], 0
    for node in compiled.nodes:
        trained = node_angles(node.circuit)
        angles = list(compiled.weights[start : start + len(trained)]) if len(compiled.weights) else trained
        start += len(trained)
        bound = QuantumCircuit(node.circuit.num_qubits)
        for gate in gates_on(node.circuit, range(bound.num_qubits), angles):
            bound.append(gate.instruction, gate.qubits)
        nodes.append(replace(node, circuit=bound))
    return GatesSource(
        shape=compiled.topology,
        nodes=tuple(nodes),
        state=compiled.state(),
        infidelity=compiled.infidelity,
        strings=samples,
    )


def _source_of(compiled: Any, samples: NDArray | None) -> NetworkSource:
    """The network that a circuit's own gates are."""
    matrices = compiled.node_matrices()
    stacks = (np.array([matrices[node] for node in nodes]) for _, nodes in stacking(compiled.topology))
    return NetworkSource(
        network=TensorNetwork(compiled.topology, tuple(stacks)),
        own=(None,) * len(matrices),
        encoding=compiled.encoding,
        encoding_parameters=compiled.encoding_parameters,
        scaler=compiled.scaler,
        postselected=compiled.postselected,
        samples=samples,
    )
