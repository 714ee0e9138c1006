"""Compiled circuits to JSON types and arrays and back: everything except a device's description."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.ansatz import TensorNetwork
from qtnml.arrays import NDArray
from qtnml.compile.compiled import Compiled, CompiledCircuit
from qtnml.compile.export import circuit_facts, rebuilt_circuit
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import ModelFileError
from qtnml.gates import NodeGates
from qtnml.program.qpy_bytes import circuits_of, qpy_bytes

Stored = tuple[dict[str, Any], dict[str, NDArray]]


def circuit_entry(compiled: Compiled) -> Stored:
    """Any compiled circuit; of the device it was compiled for the name, layout and time of calibration."""
    facts = circuit_facts(compiled, free_weights=True)
    known = [node.infidelity for node in compiled.nodes]
    facts["node_infidelities"] = [None if np.isnan(each) else each for each in known]
    arrays = {"circuits": _packed([compiled.circuit, *(node.circuit for node in compiled.nodes)])}
    arrays |= {f"owed_{k}": node.owed for k, node in enumerate(compiled.nodes)}
    if isinstance(compiled, CompiledCircuit):
        if facts["encoding"] is None:
            raise ModelFileError("a circuit with an encoding of your own cannot be saved; export_circuit it")
        if compiled.network is not None:
            parts = enumerate(compiled.network.unitaries)
            arrays |= {f"unitary_{k}": np.asarray(part) for k, part in parts}
    return facts, arrays


def restored_circuit(facts: dict[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    """The inverse of `circuit_entry`; whatever does not fit raises."""
    circuit, *gates = _unpacked(arrays["circuits"])
    compiled = rebuilt_circuit(circuit, facts, None)
    count, widths = len(gates), [node.width for node in compiled.topology.nodes]
    # Circuits that draw strings were once stored without these two.
    owed = _numbered(arrays, "owed") or [np.eye(2**width) for width in widths[:count]]
    stored = facts.get("node_infidelities", [None] * count)
    infidelities = [float("nan") if each is None else float(each) for each in stored]
    above_root = -1 if isinstance(compiled, GenerativeCircuit) else count  # where nothing is owed
    shapes = [part.shape for part in owed]
    if count != len(widths) or shapes[:above_root] != [(2**width, 2**width) for width in widths[:above_root]]:
        raise ModelFileError("its nodes are not its topology's")
    nodes = tuple(map(NodeGates, gates, owed, infidelities))
    compiled = replace(compiled, nodes=nodes)
    if not isinstance(compiled, CompiledCircuit):
        return compiled
    unitaries = _numbered(arrays, "unitary")
    network = TensorNetwork(compiled.topology, tuple(unitaries)) if unitaries else None
    if network is not None:
        network.check_shapes()
    return replace(compiled, network=network)


def _numbered(arrays: Mapping[str, NDArray], name: str) -> list[NDArray]:
    count = sum(key.startswith(f"{name}_") for key in arrays)
    return [arrays[f"{name}_{k}"] for k in range(count)]


def _packed(circuits: list[QuantumCircuit]) -> NDArray:
    return np.frombuffer(qpy_bytes(circuits), dtype=np.uint8)


def _unpacked(content: NDArray) -> list[QuantumCircuit]:
    return circuits_of(content.tobytes())
