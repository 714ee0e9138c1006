"""Which noise costs most: derivatives of the probability of the right outcome by parts of the noise."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.contract import contract, contract_postselected
from qtnml.contract.bloch_plan import contraction_plan
from qtnml.errors import InvalidInputError
from qtnml.noise.circuit import NoisyCircuit
from qtnml.noise.instructions import Instructions, Sources
from qtnml.shown import PrintedHtml

_NONE = Sources(False, False, False, False, False, False)
SOURCES = {
    "gate errors": replace(_NONE, gate_errors=True),
    "relaxation in gates": replace(_NONE, gate_time=True),
    "waiting": replace(_NONE, waiting=True),
    "resets": replace(_NONE, resets=True),
    "read-out": replace(_NONE, readout=True),
    "start": replace(_NONE, start=True),
}
_STEP = 1e-3  # of the strength, for the difference of maps that are nearly linear in it


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(PrintedHtml):
    """Loss of the mean probability of the right outcome by each part of the noise, to first order.

    Each number is minus the derivative by the strength of that part. It is about the gain if the part were
    removed.

    Attributes:
        sources: Names of the columns.
        by_qubit: Shape (qubits, sources), physical qubits of the circuit.
        by_node: Shape (nodes, sources), nodes of the circuit's tree in topological order.
        qubits: Physical qubit of each row of `by_qubit`.
        probability: Mean probability of the right outcome under the full noise.
    """

    sources: tuple[str, ...]
    by_qubit: NDArray
    by_node: NDArray
    qubits: tuple[int, ...]
    probability: float

    @property
    def worst_qubit(self) -> int:
        """The physical qubit whose noise costs most."""
        return self.qubits[int(self.by_qubit.sum(axis=1).argmax())]

    def __str__(self) -> str:
        heads = [wrap(name, 10) for name in (*self.sources, "all")]
        height, widths = max(map(len, heads)), [max(8, *map(len, head)) for head in heads]
        lines = [
            f"mean probability of the right outcome {self.probability:.4f}; lost to first order, by qubit"
        ]

        def line(name: Any, cells: Iterable[Any]) -> str:
            return f"{name:>5}  " + "  ".join(
                f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
            )

        padded = [[""] * (height - len(head)) + head for head in heads]
        for k, words in enumerate(zip(*padded, strict=True)):
            lines.append(line("qubit" if k == height - 1 else "", words))
        rows = [*((self.qubits[k], self.by_qubit[k]) for k in np.argsort(-self.by_qubit.sum(axis=1)))]
        for name, values in (*rows, ("all", self.by_qubit.sum(axis=0))):
            lines.append(line(name, (f"{value:.5f}" for value in (*values, values.sum()))))
        return "\n".join(lines)


def sensitivity(noisy: NoisyCircuit, X: NDArray, outcomes: NDArray) -> Sensitivity:
    """Derivatives of the probability of the right outcome by the strength of every part of the noise.

    For a post-selected circuit the probability is conditional on success.

    One exact reverse pass gives the derivatives of the probability by all transfer maps. Derivatives of a map
    by a strength are central differences, taken for one qubit of every node at a time. So the time does not
    grow with the number of qubits times the number of gates.

    Args:
        noisy: A circuit under noise.
        X: Samples (samples, features).
        outcomes: The right outcome of each sample, integers (samples,).
    """
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
    place_of = {qubit: place for place, qubit in enumerate(used)}
    by_qubit = np.zeros((len(used), len(SOURCES)))
    by_node = np.zeros((len(noisy.tree.topology.nodes), len(SOURCES)))
    for column, source in enumerate(SOURCES.values()):
        for node, qubit, loss in _losses(noisy, slopes, source):
            by_qubit[place_of[qubit], column] += loss
            by_node[node, column] += loss
    return Sensitivity(tuple(SOURCES), by_qubit, by_node, tuple(used), probability)


def _slopes(noisy: NoisyCircuit, angles: NDArray, outcomes: NDArray) -> tuple[float, list[NDArray]]:
    """Mean probability of the right outcome, and its derivative by the transfer map of every node."""
    bloch, right = jnp.asarray(noisy.leaves(angles)), jnp.asarray(outcomes)
    topology = noisy.tree.topology

    def mean(maps: tuple[jax.Array, ...]) -> jax.Array:
        if noisy.tree.postselected:
            found = jnp.asarray(contract_postselected(topology, maps, bloch)[0])
        else:
            found = jnp.asarray(contract(topology, maps, bloch))
        return jnp.mean(jnp.take_along_axis(found, right[None], axis=0))

    found, stacked = jax.jit(jax.value_and_grad(mean))(tuple(map(jnp.asarray, noisy.maps)))
    slopes = [np.empty(0)] * len(topology.nodes)
    for group, stack in zip(contraction_plan(topology).groups, stacked, strict=True):
        for node, slope in zip(group.nodes, np.asarray(stack, dtype=np.float64), strict=True):
            slopes[node] = slope
    return float(found), slopes


def _losses(noisy: NoisyCircuit, slopes: list[NDArray], source: Sources) -> Iterator[tuple[int, int, float]]:
    """Minus the derivative by the strength of a source: node, qubit, and what the qubit costs in that node.

    Different nodes do not meet in any map, so that the first qubit of every node is changed at once, then
    the second, and so on; all of them are strengths of one walk.
    """
    rows, owners = noisy.instructions, noisy.tree.owners
    number_of: dict[tuple[int, int], int] = {}  # of a node's qubit
    places: list[tuple[int, int, int]] = []
    count: dict[int, int] = {}
    for row, place in _places(rows, source):
        node, qubit = owners[row], rows.qubits[row][place]
        if node < 0:
            continue
        if (node, qubit) not in number_of:
            number_of[node, qubit] = count.get(node, 0)
            count[node] = count.get(node, 0) + 1
        places.append((row, place, number_of[node, qubit]))
    if not places:
        return
    factors = np.ones((len(rows.names), 2, 2 * max(count.values())))
    for row, place, number in places:
        factors[row, place, 2 * number : 2 * number + 2] += (_STEP, -_STEP)
    maps = noisy.tree_of(rows.scaled(factors, source)).maps()
    for (node, qubit), number in number_of.items():
        change = maps[node][2 * number] - maps[node][2 * number + 1]
        yield node, qubit, -float((slopes[node] * change).sum()) / (2 * _STEP)


def _places(rows: Instructions, source: Sources) -> Iterator[tuple[int, int]]:
    """Rows and places in them where a source does anything."""
    relaxation = rows.decay + rows.coherence
    busy, idle = (1 - rows.waiting) * relaxation, rows.waiting * relaxation
    starts = {where: rows.start_error[qubit] for qubit, where in rows.first_uses().items()}
    for row, qubits in enumerate(rows.qubits):
        errs = rows.depolarizing[row] > 0 or row in rows.extra
        for place in range(len(qubits)):
            if (
                (source.gate_errors and errs)
                or (source.gate_time and busy[row, place] > 0)
                or (source.waiting and idle[row, place] > 0)
                or (source.resets and rows.reset_error[row] > 0)
                or (source.readout and rows.readout[row].any())
                or (source.start and starts.get((row, place), 0.0) > 0)
            ):
                yield row, place
