"""A compiled circuit at the level of nodes, for drawings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qtnml.compile.assemble import inward, outward
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.generative import GenerativeCircuit
from qtnml.program import Check, Encode, Node, Program, Read, Reset


@dataclass(frozen=True)
class Step:
    """One step of a circuit's drawing.

    Attributes:
        kind: "leaf" (prepares features), "node" (a node's gates), "reset", "read" (a measurement), or "check"
            (a measurement that must give 0).
        qubits: Rows of the drawing, in the order of the node's qubits.
        label: The number of a node (`U7`); the name of the feature or outcome bit of a leaf or read-out.
    """

    kind: Literal["leaf", "node", "reset", "read", "check"]
    qubits: tuple[int, ...]
    label: str


def overview(
    compiled: CompiledCircuit | GenerativeCircuit, feature_names: Sequence[str] | None = None
) -> list[Step]:
    """The steps of a circuit, in order.

    Args:
        compiled: A network's circuit or a generative circuit.
        feature_names: One name for each feature (or site); x0, x1, ... by default.
    """
    if isinstance(compiled, GenerativeCircuit):
        names = _names(compiled.num_sites, feature_names)
        sites = [names[site] for site, bits in enumerate(compiled.site_bits) for _ in bits]
        return list(_steps(_of_nodes(compiled), [], sites))
    per_feature = compiled.encoding.qubits_per_feature
    names = _names(compiled.num_features, feature_names)
    places = [names[place // per_feature] for place in range(len(compiled.x))]
    outcome = [f"c{bit}" for bit in range(compiled.program.num_bits)]
    return list(_steps(_of_nodes(compiled), places, outcome))


def _of_nodes(compiled: CompiledCircuit | GenerativeCircuit) -> Program:
    """The program; where translation for a device has mixed the nodes' gates, the schedule it was made of."""
    if any(isinstance(operation, Node) for operation in compiled.program.operations):
        return compiled.program
    topology, w = compiled.topology, ParameterVector("w", 0)
    nodes = [QuantumCircuit(size) for size in topology.num_qubits]
    if isinstance(compiled, GenerativeCircuit):
        return outward(topology, compiled.schedule, nodes, w)
    return inward(
        topology,
        compiled.encoding,
        compiled.schedule,
        nodes,
        compiled.x,
        w,
        postselected=compiled.postselected,
    )


def _names(count: int, given: Sequence[str] | None) -> list[str]:
    return [f"x{k}" for k in range(count)] if given is None else [str(name) for name in given]


def _steps(program: Program, data: Sequence[str], bits: Sequence[str]) -> Iterator[Step]:
    for operation in program.operations:
        if isinstance(operation, Reset):
            yield Step("reset", operation.qubits, "|0>")
        elif isinstance(operation, Node):
            yield Step("node", operation.qubits, f"U{operation.number}")
        elif isinstance(operation, Encode):
            yield Step("leaf", operation.qubits, data[operation.place])
        elif isinstance(operation, Read):
            yield Step("read", operation.qubits, bits[operation.bit])
        elif isinstance(operation, Check):
            yield Step("check", operation.qubits, "0?")
