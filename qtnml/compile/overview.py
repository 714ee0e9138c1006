"""A compiled circuit at the level of nodes, to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.schedule import Apply, Schedule


@dataclass(frozen=True)
class Step:
    """Something that happens to qubits at once.

    Attributes:
        kind: "leaf" prepares features, "node" is a node's gates, "reset", "read" a measurement.
        qubits: Rows of the drawing, in the order of the node's qubits.
        label: Of a node its number (`U7`), of a leaf and a read-out the name of a feature or outcome bit.
    """

    kind: Literal["leaf", "node", "reset", "read"]
    qubits: tuple[int, ...]
    label: str


def overview(
    compiled: CompiledCircuit | GenerativeCircuit, feature_names: Sequence[str] | None = None
) -> list[Step]:
    """The steps of a circuit, in order.

    Args:
        compiled: Of a network, or one that draws strings.
        feature_names: One for each feature (or site); x0, x1, ... by default.
    """
    if isinstance(compiled, GenerativeCircuit):
        names = _names(compiled.num_sites, feature_names)
        return list(
            _outward(compiled.schedule, [names[site] for site in range(compiled.num_sites)], compiled)
        )
    per_feature = compiled.encoding.qubits_per_feature
    names = _names(compiled.num_features, feature_names)
    places = [names[place // per_feature] for place in range(len(compiled.x))]
    return list(_inward(compiled, places))


def _names(count: int, given: Sequence[str] | None) -> list[str]:
    return [f"x{k}" for k in range(count)] if given is None else [str(name) for name in given]


def _inward(compiled: CompiledCircuit, names: Sequence[str]) -> Iterator[Step]:
    schedule = compiled.schedule
    for operation in schedule.operations:
        for qubit in operation.resets:
            yield Step("reset", (qubit,), "|0>")
        if isinstance(operation, Apply):
            yield Step("node", operation.qubits, f"U{operation.node}")
            continue
        for place, qubit in zip(compiled.topology.leaf_qubits[operation.leaf], operation.qubits, strict=True):
            yield Step("leaf", (qubit,), names[place])
    for bit, qubit in enumerate(reversed(schedule.measured)):
        yield Step("read", (qubit,), f"c{bit}")


def _outward(schedule: Schedule, names: Sequence[str], compiled: GenerativeCircuit) -> Iterator[Step]:
    """As `compile_state` lays it out: time runs from the root to the leaves."""
    nodes, used = compiled.topology.nodes, set[int]()
    for operation in reversed(schedule.operations):
        if isinstance(operation, Apply):
            width = nodes[operation.node].width if operation.node < len(nodes) - 1 else 0
            for qubit in operation.qubits[width:]:
                if qubit in used:
                    yield Step("reset", (qubit,), "|0>")
            used.update(operation.qubits)
            yield Step("node", operation.qubits, f"U{operation.node}")
            continue
        for qubit in operation.qubits:
            yield Step("read", (qubit,), names[operation.leaf])
