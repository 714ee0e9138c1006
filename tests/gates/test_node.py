from itertools import pairwise

import numpy as np
import pytest
from qiskit.quantum_info import Operator, random_unitary
from scipy.stats import special_ortho_group

from qtnml.ansatz import BrickWall
from qtnml.errors import InvalidInputError
from qtnml.gates import (
    NodeGates,
    NodeShape,
    Synthesis,
    channel_infidelity,
    own_gates,
    synthesize_node,
)
from qtnml.gates.fitting import all_pairs, generic_skeleton, line_pairs
from qtnml.gates.skeleton import Skeleton

pytestmark = pytest.mark.portable


def matrix(node: NodeGates, shape: NodeShape) -> np.ndarray:
    """The gates and what is owed, qubit 0 most significant."""
    let_go = np.eye(2 ** (shape.num_qubits - shape.width))
    return np.kron(node.owed, let_go) @ Operator(node.circuit.reverse_bits()).data


def unitary(shape: NodeShape, *, real: bool = False, seed: int = 0) -> np.ndarray:
    dim = 2**shape.num_qubits
    return special_ortho_group(dim, seed=seed).rvs() if real else random_unitary(dim, seed=seed).data


FEWEST = [  # shape, real, CX by counting parameters
    (NodeShape(2, 1), False, 3),
    (NodeShape(2, 1), True, 2),
    (NodeShape(2, 1, 1), False, 2),
    (NodeShape(2, 1, 0, "measured"), False, 2),
    (NodeShape(2, 2), False, 0),
    (NodeShape(3, 2), False, 12),
    (NodeShape(3, 2), True, 11),
    (NodeShape(3, 1), False, 12),
    (NodeShape(3, 2, 1), False, 8),
    (NodeShape(4, 2), False, 57),
    (NodeShape(4, 2), True, 54),
    (NodeShape(4, 2, 2), False, 21),
    (NodeShape(4, 2, 0, "fixed"), False, 59),
    (NodeShape(4, 1, 0, "measured"), False, 32),
    (NodeShape(4, 3), False, 48),
]


@pytest.mark.parametrize(("shape", "real", "cx"), FEWEST)
def test_fewest_gates_of_each_shape(shape: NodeShape, real: bool, cx: int) -> None:
    """Exact on a random node, with the gates one counts, and its matrix what it says."""
    wanted = unitary(shape, real=real)
    node = synthesize_node(wanted, shape, Synthesis())
    assert node.circuit.count_ops().get("cx", 0) == cx
    assert set(node.circuit.count_ops()) <= {"u", "ry", "cx"}
    assert node.infidelity < 1e-12
    assert channel_infidelity(wanted, matrix(node, shape), shape) < 1e-12
    assert np.abs(node.owed @ node.owed.conj().T - np.eye(len(node.owed))).max() < 1e-12


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("shape", "cx"),
    [
        (NodeShape(3, 2), 12),
        pytest.param(NodeShape(4, 2), 57, marks=pytest.mark.slow),
        (NodeShape(4, 2, 2), 21),
    ],
)
def test_one_gate_fewer_cannot_be_exact(shape: NodeShape, cx: int) -> None:
    node = synthesize_node(unitary(shape), shape, Synthesis(max_two_qubit_gates=cx - 1))
    assert node.circuit.count_ops()["cx"] == cx - 1
    assert 1e-9 < node.infidelity < 0.1


@pytest.mark.parametrize("gate", ["cz", "ecr", "rzz"])
@pytest.mark.parametrize("shape", [NodeShape(2, 1), NodeShape(3, 2), NodeShape(3, 2, 0, "fixed")])
def test_gate_sets(shape: NodeShape, gate: str) -> None:
    wanted = unitary(shape)
    node = synthesize_node(wanted, shape, Synthesis(two_qubit_gate=gate))
    assert set(node.circuit.count_ops()) <= {"u", "ry", gate}
    assert channel_infidelity(wanted, matrix(node, shape), shape) < 1e-10
    assert (
        node.circuit.num_nonlocal_gates()
        == synthesize_node(wanted, shape, Synthesis()).circuit.num_nonlocal_gates()
    )


def test_a_line_joins_neighbours_only() -> None:
    shape = NodeShape(4, 2)
    node = synthesize_node(unitary(shape), shape, Synthesis(method="fitted", pairs="line"))
    qubits = [[node.circuit.find_bit(b).index for b in i.qubits] for i in node.circuit.data]
    assert all(abs(pair[0] - pair[1]) == 1 for pair in qubits if len(pair) == 2)
    assert (node.circuit.count_ops()["cx"], node.infidelity < 1e-12) == (57, True)


@pytest.mark.slow
def test_fewer_gates_for_a_wanted_infidelity() -> None:
    shape = NodeShape(3, 2)
    near = unitary(NodeShape(3, 2), seed=1)
    values, vectors = np.linalg.eig(near)
    near = (vectors * values**0.1) @ np.linalg.inv(vectors)
    found = [synthesize_node(near, shape, Synthesis(target_infidelity=e)) for e in (1e-2, 1e-4)]
    gates = [node.circuit.count_ops()["cx"] for node in found]
    assert [node.infidelity < e for node, e in zip(found, (1e-2, 1e-4), strict=True)] == [True, True]
    assert gates[0] < gates[1] < 12


def test_analytic_synthesis_is_exact_too() -> None:
    shape = NodeShape(3, 2)
    node = synthesize_node(unitary(shape), shape, Synthesis(method="analytic"))
    assert (node.circuit.count_ops()["cx"], node.infidelity < 1e-12) == (19, True)


def test_the_analytic_route_wins_where_it_needs_fewer() -> None:
    node = synthesize_node(np.eye(8), NodeShape(3, 2), Synthesis())
    assert not node.circuit.num_nonlocal_gates()


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("pairs", [all_pairs(3), line_pairs(3)])
def test_derivatives_of_a_skeleton(pairs: tuple, real: bool) -> None:
    skeleton = Skeleton(3, (*pairs, *pairs), real)
    angles = np.random.default_rng(0).uniform(-3, 3, skeleton.num_angles)
    prefixes = skeleton.prefixes(angles)
    generators = skeleton.generators(angles, prefixes, np.arange(8))
    for k, generator in enumerate(generators):
        step = 1e-6 * np.eye(len(angles))[k]
        ends = [skeleton.prefixes(angles + sign * step)[-1] for sign in (1, -1)]
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, -0.5j * prefixes[-1] @ generator, atol=1e-8)


def test_all_pairs_are_each_there_once() -> None:
    assert all_pairs(4) == ((0, 1), (2, 3), (0, 2), (1, 3), (0, 3), (1, 2))
    assert generic_skeleton(NodeShape(4, 2), all_pairs(4), False).num_angles == 12 + 4 * 57


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "method must be 'auto', 'fitted' or 'analytic', got 'magic'"),
        ({"max_two_qubit_gates": -1}, "max_two_qubit_gates must be an integer of at least 0 or None, got -1"),
        ({"target_infidelity": 1.5}, r"target_infidelity must be in \[0, 1\), got 1.5"),
        ({"two_qubit_gate": "iswap"}, "two_qubit_gate must be one of .*, got 'iswap'"),
        (
            {"pairs": "ring"},
            "pairs must be 'all', 'line' or a tuple of pairs of different qubits, got 'ring'",
        ),
        ({"pairs": ((0, 0),)}, "pairs of different qubits"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"target_infidelity": "a"}, r"target_infidelity must be in .* got 'a'"),
        ({"method": "analytic", "max_two_qubit_gates": 3}, "analytic synthesis is exact"),
    ],
)
def test_impossible_settings(arguments: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Synthesis(**arguments)


@pytest.mark.slow
def test_more_gates_are_never_worse() -> None:
    """A node near the identity, where a CX too many does harm: fewer are used then."""
    generator = unitary(NodeShape(3, 2), seed=1)
    values, vectors = np.linalg.eig(generator)
    near, shape = (vectors * values**0.1) @ np.linalg.inv(vectors), NodeShape(3, 2)
    found = [synthesize_node(near, shape, Synthesis(max_two_qubit_gates=k)).infidelity for k in range(6)]
    assert all(after <= before + 1e-9 for before, after in pairwise(found))
    some = synthesize_node(near, shape, Synthesis(target_infidelity=found[0] * 1.01))
    assert not some.circuit.num_nonlocal_gates()


@pytest.mark.slow
def test_an_infidelity_out_of_reach_of_fits_is_reached_exactly() -> None:
    shape = NodeShape(3, 2)
    node = synthesize_node(unitary(shape, seed=4), shape, Synthesis(target_infidelity=1e-13))
    assert node.infidelity <= 1e-13
    assert node.circuit.count_ops()["cx"] >= 12


def test_pairs_of_ones_own() -> None:
    shape = NodeShape(3, 2)
    node = synthesize_node(unitary(shape), shape, Synthesis("fitted", pairs=[[0, 1], [0, 2]]))  # type: ignore[arg-type]
    joined = {tuple(node.circuit.find_bit(b).index for b in i.qubits) for i in node.circuit.data}
    assert {pair for pair in joined if len(pair) == 2} == {(0, 1), (0, 2)}
    assert node.infidelity < 1e-12
    with pytest.raises(
        InvalidInputError, match=r"pairs \(\(0, 1\),\) do not join the 3 qubits of a node, 0 to 2"
    ):
        synthesize_node(unitary(shape), shape, Synthesis("fitted", pairs=((0, 1),)))


def test_results_are_ones_own() -> None:
    shape = NodeShape(2, 1)
    synthesize_node(unitary(shape), shape, Synthesis()).circuit.x(0)
    assert synthesize_node(unitary(shape), shape, Synthesis()).circuit.count_ops()["cx"] == 3
    assert "x" not in synthesize_node(unitary(shape), shape, Synthesis()).circuit.count_ops()


def test_limits_that_cannot_be_kept() -> None:
    shape = NodeShape(6, 3)
    with pytest.raises(InvalidInputError, match="no fit of a node on 6 qubits with 900 two-qubit gates"):
        synthesize_node(unitary(shape), shape, Synthesis(max_two_qubit_gates=900))
    wall = BrickWall(3).gates(np.zeros(42), 4)
    with pytest.raises(
        InvalidInputError, match="the ansatz prescribes 5 two-qubit gates for a node, more than"
    ):
        own_gates(wall, np.eye(16), NodeShape(4, 2), Synthesis(max_two_qubit_gates=4))


def test_impossible_shapes() -> None:
    with pytest.raises(InvalidInputError, match="no node keeps 3 of 2 qubits"):
        NodeShape(2, 3)
