"""Which noise hurts most: derivatives of the probability of the right outcome by its parts."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import contract
from qtnml.contract.bloch_plan import contraction_plan
from qtnml.errors import InvalidInputError
from qtnml.noise.circuit import NoisyCircuit
from qtnml.noise.instructions import Sources
from qtnml.shown import PrintedHtml

SOURCES = {
    "gate errors": Sources(False, False, True, False, False),
    "relaxation in gates": Sources(True, False, False, False, False),
    "waiting": Sources(False, True, False, False, False),
    "resets": Sources(False, False, False, True, False),
    "read-out": Sources(False, False, False, False, True),
}
_STEP = 1e-3  # of the strength, for the difference of maps that are nearly linear in it


@dataclass(frozen=True, eq=False)
class Sensitivity(PrintedHtml):
    """Loss of the mean probability of the right outcome by each part of the noise, to first order.

    A number is minus the derivative by that part's strength: what would be gained, about, if it were gone.

    Attributes:
        sources: Names of the columns.
        by_qubit: Shape (qubits, sources), physical qubits of the circuit.
        by_node: Shape (nodes, sources), nodes of the circuit's tree in topological order.
        qubits: Physical qubit of each row.
        probability: Mean probability of the right outcome under all of the noise.
    """

    sources: tuple[str, ...]
    by_qubit: NDArray
    by_node: NDArray
    qubits: tuple[int, ...]
    probability: float

    @property
    def worst_qubit(self) -> int:
        """The physical qubit that costs most."""
        return self.qubits[int(self.by_qubit.sum(axis=1).argmax())]

    def __str__(self) -> str:
        width = max(map(len, self.sources))
        lines = [
            f"mean probability of the right outcome {self.probability:.4f}; lost to first order, by qubit"
        ]
        lines.append("qubit  " + "  ".join(f"{name:>{width}}" for name in (*self.sources, "all")))
        for row in np.argsort(-self.by_qubit.sum(axis=1)):
            values = (*self.by_qubit[row], self.by_qubit[row].sum())
            lines.append(f"{self.qubits[row]:>5}  " + "  ".join(f"{value:>{width}.5f}" for value in values))
        totals = (*self.by_qubit.sum(axis=0), self.by_qubit.sum())
        lines.append("  all  " + "  ".join(f"{value:>{width}.5f}" for value in totals))
        return "\n".join(lines)


def sensitivity(noisy: NoisyCircuit, X: NDArray, outcomes: NDArray) -> Sensitivity:
    """Derivatives by the strength of every part of a circuit's noise.

    The derivative of the probability by the transfer maps is exact, that of the maps by a strength a central
    difference.

    Args:
        noisy: A circuit that traces what it discards.
        X: Samples (samples, features).
        outcomes: The right outcome of each, integers (samples,).
    """
    if noisy.tree.postselected:
        raise InvalidInputError("sensitivities of post-selected circuits are not built yet")
    outcomes = np.asarray(outcomes)
    angles = noisy.compiled.angles(X)
    if outcomes.shape != (len(angles),) or not len(angles):
        raise InvalidInputError(f"give one outcome for each of at least one sample, got {outcomes.shape}")
    if outcomes.dtype.kind not in "iu":
        raise InvalidInputError(f"outcomes must be integers, got type {outcomes.dtype}")
    if outcomes.min() < 0 or outcomes.max() >= noisy.compiled.num_outcomes:
        raise InvalidInputError(f"outcomes must be 0 to {noisy.compiled.num_outcomes - 1}")
    probability, slopes = _slopes(noisy, angles, outcomes)
    rows = noisy.instructions
    used = sorted({qubit for qubits in rows.qubits for qubit in qubits})
    place = np.array([[q[0], q[-1]] for q in rows.qubits])
    everything = np.ones(place.shape)
    by_node = [_loss(noisy, slopes, everything, source) for source in SOURCES.values()]
    by_qubit = [
        [_loss(noisy, slopes, 1.0 * (place == qubit), source).sum() for source in SOURCES.values()]
        for qubit in used
    ]
    return Sensitivity(tuple(SOURCES), np.array(by_qubit), np.array(by_node).T, tuple(used), probability)


def _slopes(noisy: NoisyCircuit, angles: NDArray, outcomes: NDArray) -> tuple[float, tuple[NDArray, ...]]:
    """Mean probability of the right outcome, and its derivative by every transfer map."""
    bloch, right = jnp.asarray(noisy.leaves(angles)), jnp.asarray(outcomes)

    def mean(maps: tuple[jax.Array, ...]) -> jax.Array:
        found = jnp.asarray(contract(noisy.tree.topology, maps, bloch))
        return jnp.mean(jnp.take_along_axis(found, right[None], axis=0))

    found, slopes = jax.jit(jax.value_and_grad(mean))(tuple(map(jnp.asarray, noisy.maps)))
    return float(found), tuple(np.asarray(slope, dtype=np.float64) for slope in slopes)


def _loss(noisy: NoisyCircuit, slopes: tuple[NDArray, ...], where: NDArray, source: Sources) -> NDArray:
    """Minus the derivative by the strength of a source on the qubits of instructions meant, for each node."""
    more, less = (
        noisy.tree_of(noisy.instructions.scaled(1 + sign * _STEP * where, source)).stacked_maps()
        for sign in (1, -1)
    )
    found = np.zeros(len(noisy.tree.topology.nodes))
    groups = contraction_plan(noisy.tree.topology).groups
    for group, slope, a, b in zip(groups, slopes, more, less, strict=True):
        found[list(group.nodes)] = -(slope * (a - b)).sum(axis=(1, 2)) / (2 * _STEP)
    return found
