"""The order of a circuit's gates does not matter to its exact distribution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtnml.ansatz import TensorNetwork
from qtnml.born import TreeState
from qtnml.compile import compile_network, compile_state
from qtnml.errors import InvalidInputError
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.noise.backwards import distributions_backwards
from qtnml.noise.distribution import with_copies
from qtnml.noise.instructions import Instructions
from qtnml.noise.order import joins_last
from qtnml.noise.rows import rows_of
from qtnml.noise.tree import evaluated
from qtnml.noise.walk import walk
from qtnml.structure import balanced_tree
from qtnml.structure.sites import site_chain
from tests.references import ENCODING

NOISE = DeviceNoise(t1=50e-6, t2=40e-6, two_qubit_time=70e-9, two_qubit_error=0.01, reset_time=1e-6)


def shuffled(rows: Instructions, rng: np.random.Generator) -> Instructions:
    """Rows in a random order that each qubit cannot tell from the given one."""
    waiting = {q: [r for r, qs in enumerate(rows.qubits) if q in qs] for qs in rows.qubits for q in qs}
    order: list[int] = []
    while any(waiting.values()):
        heads = {each[0] for each in waiting.values() if each}
        ready = sorted(r for r in heads if all(waiting[q][0] == r for q in rows.qubits[r]))
        row = ready[int(rng.integers(len(ready)))]
        order.append(row)
        for qubit in rows.qubits[row]:
            waiting[qubit].pop(0)
    return rows.taken(order)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 6, 16]), st.sampled_from([1, 2]))
def test_forwards(seed: int, num_qubits: int, bond: int) -> None:
    rng = np.random.default_rng(seed)
    network = TensorNetwork.random(balanced_tree(16, bond), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, ENCODING, num_qubits=max(num_qubits, 5 if bond == 1 else 8))
    rows = rows_of(compiled.trained_program, NOISE)
    angles = compiled.angles(rng.random((3, 16)))
    found = []
    for each in (rows, shuffled(rows, rng)):
        tree = walk(joins_last(each), 3)
        found.append(evaluated(tree, tree.stacked_maps(), tree.leaves_by_angle, angles)[0])
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_backwards(seed: int, reuse: bool) -> None:
    rng = np.random.default_rng(seed)
    state = TreeState.random(site_chain([2] * 12), 4, np.random.default_rng(0))
    compiled = compile_state(state, reuse_qubits=reuse)
    rows = with_copies(rows_of(compiled.trained_program, NOISE), before_resets=False)
    strings = rng.integers(0, 2, (5, 12))
    found = []
    for each in (rows, shuffled(rows, rng)):
        (distribution,) = distributions_backwards(
            joins_last(each, backwards=True), [(bit,) for bit in range(12)]
        )
        found.append(distribution.log_probability(strings))
    np.testing.assert_allclose(found[0], found[1], atol=1e-10)


@pytest.mark.slow
def test_maps_are_as_small_as_in_the_compilers_order() -> None:
    """With gates that join qubits first and all others late, maps would be larger."""
    network = TensorNetwork.random(balanced_tree(32, 2), np.random.default_rng(0), scale=2.0)
    compiled = compile_network(network, ENCODING, reuse_qubits=False)
    rows = rows_of(compiled.trained_program, NOISE)
    late = joins_first(rows)
    with pytest.raises(InvalidInputError, match="are entangled at once"):
        walk(late, 3, largest=2**12)
    angles = compiled.angles(np.full((1, 32), 0.3))
    wanted = NoisyCircuit(compiled, NOISE).evaluate(angles)[0]
    tree = walk(joins_last(late), 3, largest=2**12)
    found = evaluated(tree, tree.stacked_maps(), tree.leaves_by_angle, angles)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def joins_first(rows: Instructions) -> Instructions:
    """An order in which qubits are finished as late as they can be."""
    waiting = {q: [r for r, qs in enumerate(rows.qubits) if q in qs] for qs in rows.qubits for q in qs}
    group = {q: q for q in waiting}
    order: list[int] = []
    while any(waiting.values()):
        heads = {each[0] for each in waiting.values() if each}
        ready = [r for r in heads if all(waiting[q][0] == r for q in rows.qubits[r])]
        row = min(ready, key=lambda r: (-len({group[q] for q in rows.qubits[r]}), -min(rows.qubits[r])))
        order.append(row)
        qubits = rows.qubits[row]
        for qubit in [q for q in group if group[q] in {group[k] for k in qubits}]:
            group[qubit] = group[qubits[0]]
        for qubit in qubits:
            waiting[qubit].pop(0)
    return rows.taken(order)
