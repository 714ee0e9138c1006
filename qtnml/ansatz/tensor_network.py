"""A topology together with one unitary per node: a JAX pytree."""

from dataclasses import dataclass, field
from functools import lru_cache

import jax
import numpy as np

from qtnml.ansatz.base import FullUnitary
from qtnml.arrays import Array, NDArray
from qtnml.errors import InvalidInputError
from qtnml.structure.topology import Topology


@lru_cache(maxsize=256)
def stacking(topology: Topology) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """How node unitaries are stacked: ((number of qubits, nodes in ascending order), ...)."""
    by_size: dict[int, list[int]] = {}
    for node, size in enumerate(topology.num_qubits):
        by_size.setdefault(size, []).append(node)
    return tuple((size, tuple(nodes)) for size, nodes in sorted(by_size.items()))


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class TensorNetwork:
    """A tree of unitaries; pure functions act on it.

    Attributes:
        topology: The tree (static for JAX).
        unitaries: One complex array (nodes, 2**m, 2**m) for each number m of node qubits that occurs, in
            ascending order of m. Nodes are in ascending order within a stack. Qubit 0 of a node is the most
            significant bit of an index.
    """

    topology: Topology = field(metadata={"static": True})
    unitaries: tuple[Array, ...]

    @classmethod
    def random(cls, topology: Topology, rng: np.random.Generator, *, scale: float = 0.5) -> "TensorNetwork":
        """Full unitaries near the identity in float64; see `FullUnitary.start` for `scale`."""
        stacks = (
            FullUnitary().start(lambda shape: rng.normal(size=shape), len(nodes), size, scale)
            for size, nodes in stacking(topology)
        )
        return cls(topology, tuple(stacks))

    def node_unitaries(self) -> list[NDArray]:
        """The unitary of every node, in node order."""
        matrices: dict[int, NDArray] = {}
        for (_, nodes), stack in zip(stacking(self.topology), self.unitaries, strict=True):
            matrices |= dict(zip(nodes, np.asarray(stack), strict=True))
        return [matrices[node] for node in range(len(self.topology.nodes))]

    def check_shapes(self) -> None:
        """Refuse stacks that do not fit the topology."""
        expected = [(len(nodes), 2**size, 2**size) for size, nodes in stacking(self.topology)]
        found = [tuple(stack.shape) for stack in self.unitaries]
        if found != expected:
            raise InvalidInputError(f"the topology needs unitaries of shapes {expected}, got {found}")

    def __repr__(self) -> str:
        topology = self.topology
        return f"TensorNetwork({topology.num_data_qubits} data qubits, {len(topology.nodes)} nodes)"
