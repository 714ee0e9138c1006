"""Compiled circuits as JSON types and arrays: everything but a device's description, and back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.transpiler import Target

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.export import circuit_facts, read_schedule, rebuilt_circuit, stored_schedule
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import ModelFileError
from qtnml.gates import NodeGates
from qtnml.gates.node import GATE_SETS
from qtnml.program import Program
from qtnml.program.device import Device
from qtnml.program.qpy_bytes import circuits_of, qpy_bytes
from qtnml.structure import Topology

Stored = tuple[dict[str, Any], dict[str, NDArray]]


def circuit_entry(compiled: CompiledCircuit) -> Stored:
    """A network's circuit; of the device it was compiled for the name and the layout."""
    facts = circuit_facts(compiled, free_weights=True) | {
        "layout": None if compiled.layout is None else [int(qubit) for qubit in compiled.layout],
        "method": compiled.method,
        "estimated_success": compiled.estimated_success,
        "device": None if compiled.device is None else [compiled.device.name, compiled.device.two_qubit_gate],
        "node_infidelities": [node.infidelity for node in compiled.nodes],
    }
    if facts["encoding"] is None:
        raise ModelFileError("a circuit with an encoding of your own cannot be saved; export_circuit it")
    arrays = {"circuits": _packed([compiled.circuit, *(node.circuit for node in compiled.nodes)])}
    arrays |= {f"owed_{k}": node.owed for k, node in enumerate(compiled.nodes)}
    if compiled.network is not None:
        arrays |= {f"unitary_{k}": np.asarray(part) for k, part in enumerate(compiled.network.unitaries)}
    return facts, arrays


def restored_circuit(facts: dict[str, Any], arrays: Mapping[str, NDArray]) -> CompiledCircuit:
    """The inverse of `circuit_entry`; whatever does not fit raises."""
    circuit, *gates = _unpacked(arrays["circuits"])
    compiled = rebuilt_circuit(circuit, facts, None)
    unitaries = _numbered(arrays, "unitary")
    network = TensorNetwork(compiled.topology, tuple(unitaries)) if unitaries else None
    if network is not None:
        network.check_shapes()
    owed = _numbered(arrays, "owed")
    if [part.shape for part in owed] != [(2**node.width,) * 2 for node in compiled.topology.nodes]:
        raise ModelFileError("its nodes are not its topology's")
    parts = zip(gates, owed, facts["node_infidelities"], strict=True)
    device = None
    if facts["device"] is not None:
        name, gate = map(str, facts["device"])
        if gate not in GATE_SETS:
            raise ModelFileError(f"its device has the two-qubit gate {gate!r}")
        # Its description is the vendor's, and of another day: what is not known costs nothing.
        device = Device(name, Target(num_qubits=circuit.num_qubits), gate)
    success = facts["estimated_success"]
    return replace(
        compiled,
        nodes=tuple(NodeGates(each, owed, float(infidelity)) for each, owed, infidelity in parts),
        network=network,
        device=device,
        layout=None if facts["layout"] is None else tuple(int(qubit) for qubit in facts["layout"]),
        method=str(facts["method"]),
        estimated_success=None if success is None else float(success),
    )


def generative_entry(compiled: GenerativeCircuit) -> Stored:
    """A circuit that draws strings."""
    facts = {
        "weights": compiled.weights.tolist(),
        "topology": compiled.topology.to_dict(),
        "schedule": stored_schedule(compiled.schedule),
        "infidelity": None if np.isnan(compiled.infidelity) else compiled.infidelity,
        "site_dims": list(compiled.site_dims),
        "outline": compiled.program.outline(),
        "node_infidelities": [node.infidelity for node in compiled.nodes],
    }
    return facts, {"circuits": _packed([compiled.circuit, *(node.circuit for node in compiled.nodes)])}


def restored_generative(facts: dict[str, Any], arrays: Mapping[str, NDArray]) -> GenerativeCircuit:
    """The inverse of `generative_entry`; whatever does not fit raises."""
    circuit, *nodes = _unpacked(arrays["circuits"])
    topology = Topology.from_dict(facts["topology"])
    w = ParameterVector("w", len(facts["weights"]))
    places = {parameter.name: parameter for parameter in w}
    dims = tuple(int(dim) for dim in facts["site_dims"])
    if len(nodes) != len(topology.nodes) or len(dims) != topology.num_leaves:
        raise ModelFileError("its nodes or sites are not its topology's")
    widths = [node.width for node in topology.nodes]
    infidelities = facts.get("node_infidelities", [float("nan")] * len(nodes))
    named = circuit.assign_parameters({old: places[old.name] for old in circuit.parameters})
    program = Program.read(named, direction="outward")
    return GenerativeCircuit(
        program=program.outlined(facts.get("outline", [])),
        w=w,
        weights=np.array(facts["weights"], dtype=np.float64),
        schedule=read_schedule(facts["schedule"], topology),
        topology=topology,
        infidelity=float("nan") if facts["infidelity"] is None else float(facts["infidelity"]),
        site_dims=dims,
        nodes=tuple(
            NodeGates(each, np.eye(2**width), float(infidelity))
            for each, width, infidelity in zip(nodes, widths, infidelities, strict=True)
        ),
    )


def _numbered(arrays: Mapping[str, NDArray], name: str) -> list[NDArray]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{k}"] for k in range(count)]


def _packed(circuits: list[QuantumCircuit]) -> NDArray:
    return np.frombuffer(qpy_bytes(circuits), dtype=np.uint8)


def _unpacked(content: NDArray) -> list[QuantumCircuit]:
    return circuits_of(content.tobytes())
