"""Generative circuits: gates = state = what Qiskit's own simulators draw."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
from qiskit_aer.primitives import SamplerV2 as AerSampler
from scipy.stats import chisquare

from qtnml import Synthesis, get_backend
from qtnml.backends import run_circuits
from qtnml.born import TreeState, log_likelihood
from qtnml.born.sampling import sample
from qtnml.compile import GenerativeCircuit, compile_state, export_circuit, import_circuit
from qtnml.compile.strings import log_probabilities
from qtnml.errors import InvalidInputError, SamplerWarning
from qtnml.program import Program
from qtnml.structure.sites import balanced_site_tree, site_chain
from tests.born.trees import TREES, all_strings, dense, p_value

SHOTS = 2048


@pytest.mark.sampled
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("is_complex", [False, True])
def test_gates_prepare_the_state(name: str, is_complex: bool, rng: np.random.Generator) -> None:
    state = TreeState.random(TREES[name], 3, rng, is_complex=is_complex)
    compiled = compile_state(state, reuse_qubits=False)
    distribution, dims = np.abs(dense(state)) ** 2, state.sites.dims
    # Its own gates, by Qiskit's dense state vector.
    circuit = compiled.trained_circuit
    found = Statevector(circuit.remove_final_measurements(inplace=False)).probabilities_dict(
        [circuit.find_bit(q).index for q in _measured(circuit)]
    )
    built = np.zeros_like(distribution)
    outcomes = [int(key, 2) for key in found]
    levels = compiled.levels(outcomes)
    for row, value in zip(levels, found.values(), strict=True):
        if (row >= 0).all():
            built[tuple(row)] += value
        else:
            assert value < 1e-12
    np.testing.assert_allclose(built, distribution, atol=1e-10)
    # The nodes' matrices, contracted.
    strings = all_strings(dims)
    np.testing.assert_allclose(
        np.exp(log_likelihood(compiled.state(), strings)), distribution.ravel(), atol=1e-10
    )
    assert compiled.infidelity < 1e-12
    # With reuse, drawn by Aer.
    reused = compile_state(state)
    assert reused.num_qubits <= compiled.num_qubits
    counts = run_circuits(get_backend("aer"), [reused.trained_circuit], shots=SHOTS, seed=3)[0]
    drawn = np.repeat(reused.levels(list(counts)), list(counts.values()), axis=0)
    assert p_value(drawn, distribution) > 1e-4


def _measured(circuit):
    """Qubits in the order of their classical bits."""
    order = {}
    for instruction in circuit.data:
        if instruction.operation.name == "measure":
            order[circuit.find_bit(instruction.clbits[0]).index] = instruction.qubits[0]
    return [order[k] for k in sorted(order)]


@pytest.mark.parametrize("bond_qubits", [1, 2])
def test_a_chain_takes_one_qubit_more_than_its_bond(bond_qubits: int, rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 40), 2**bond_qubits, rng)
    compiled = compile_state(state)
    assert compiled.num_qubits == bond_qubits + 1
    assert compiled.num_resets == 40 - (bond_qubits + 1)
    X = sample(state, rng, 50)
    assert compiled.verify(state, X) < 1e-7
    if bond_qubits == 1:  # an isometry from one qubit to two takes two CX
        assert compiled.two_qubit_gates <= 2 * 39
    counts = run_circuits(get_backend("aer"), [compiled.trained_circuit], shots=500, seed=1)[0]
    drawn = compiled.levels([k for k, n in counts.items() for _ in range(n)])
    # The likelihood of drawn strings is that of exact samples.
    ours, exact = log_likelihood(state, drawn), log_likelihood(state, sample(state, rng, 500))
    assert abs(ours.mean() - exact.mean()) < 5 * np.hypot(ours.std(), exact.std()) / np.sqrt(500)


def test_a_tree_takes_its_least_number(rng: np.random.Generator) -> None:
    state = TreeState.random(balanced_site_tree([2] * 64), 2, rng)
    compiled = compile_state(state)
    assert compiled.num_qubits == 7
    assert compile_state(state, num_qubits=20).depth < compiled.depth
    assert compile_state(state, reuse_qubits=False).num_resets == 0
    assert "64 sites on 7 qubits" in repr(compiled)
    assert 0 < compile_state(state, reuse_qubits=False).duration() < compiled.duration()


def test_weights_are_parameters(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 6), 2, rng, is_complex=True)
    compiled = compile_state(state)
    moved = compiled.with_weights(compiled.weights + 0.1)
    assert np.isnan(moved.infidelity)
    strings = all_strings((2,) * 6)
    assert np.exp(log_likelihood(moved.state(), strings)).sum() == pytest.approx(1, abs=1e-10)
    assert moved.verify(state, strings) > 1e-3
    dense_distribution = np.exp(log_likelihood(compiled.state(compiled.weights), strings))
    np.testing.assert_allclose(dense_distribution, np.exp(log_likelihood(state, strings)), atol=1e-10)
    for wrong in (compiled.weights[:-1], np.full_like(compiled.weights, np.nan)):
        with pytest.raises(InvalidInputError, match="expected 72 weights|weights must be finite"):
            compiled.with_weights(wrong)


@pytest.mark.parametrize("gate", ["cz", "ecr"])
def test_other_gates(gate: str, rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 5), 2, rng)
    compiled = compile_state(state, synthesis=Synthesis(two_qubit_gate=gate))  # type: ignore[arg-type]
    assert compiled.circuit.count_ops()[gate] == compiled.two_qubit_gates
    assert compiled.verify(state, all_strings((2,) * 5)) < 1e-8


def test_errors(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 5), 2, rng)
    with pytest.raises(InvalidInputError, match="num_qubits=3 needs reuse_qubits=True"):
        compile_state(state, reuse_qubits=False, num_qubits=3)
    with pytest.raises(InvalidInputError, match="needs 2 to 5 qubits, got num_qubits=1"):
        compile_state(state, num_qubits=1)
    with pytest.raises(InvalidInputError, match=r"synthesis must be a qtnml\.Synthesis"):
        compile_state(state, synthesis="analytic")  # type: ignore[arg-type]
    wide = TreeState.random(site_chain([256] * 2), 256, rng)
    with pytest.raises(InvalidInputError, match="truncate its bonds first"):
        compile_state(wide)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("reuse_qubits", [True, False])
def test_the_certificate_simulates_the_circuit_itself(
    name: str, reuse_qubits: bool, rng: np.random.Generator
) -> None:
    state = TreeState.random(TREES[name], 3, rng, is_complex=True)
    compiled = compile_state(state, reuse_qubits=reuse_qubits)
    strings = all_strings(state.sites.dims)
    assert compiled.verify(state, strings) < 1e-9
    circuit = compiled.trained_circuit
    bits = np.array(list(itertools.product([0, 1], repeat=circuit.num_clbits)))
    assert np.exp(log_probabilities(circuit, bits)).sum() == pytest.approx(1, abs=1e-10)


def _without(circuit: QuantumCircuit, name: str, only: int | None = None) -> QuantumCircuit:
    found, seen = circuit.copy_empty_like(), 0
    for instruction in circuit.data:
        if instruction.operation.name == name:
            seen += 1
            if only is None or seen == only:
                continue
        found.append(instruction)
    return found


def _reading(compiled: GenerativeCircuit, circuit: QuantumCircuit) -> GenerativeCircuit:
    return replace(compiled, program=Program.read(circuit, direction="outward"))


def test_the_certificate_sees_what_is_missing(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 12), 4, rng)
    compiled = compile_state(state)
    X = sample(state, rng, 50)
    assert compiled.verify(state, X) < 1e-9
    for broken in (
        _without(compiled.circuit, "reset"),
        _without(compiled.circuit, "reset", 3),
        _without(compiled.circuit, "cx", 5),
    ):
        assert _reading(compiled, broken).verify(state, X) > 0.01
    unread = _reading(compiled, _without(compiled.circuit, "measure", 2))
    with pytest.raises(
        InvalidInputError, match="resets qubit . while its state still matters|reads the bits"
    ):
        unread.verify(state, X)


def test_the_certificate_goes_to_many_qubits(rng: np.random.Generator) -> None:
    state = TreeState.random(site_chain([2] * 60), 2, rng)
    assert compile_state(state, reuse_qubits=False).verify(state, sample(state, rng, 5)) < 1e-9


@pytest.mark.parametrize("reuse", [True, False])
def test_it_is_a_quantum_function_of_pennylane(reuse: bool, rng: np.random.Generator) -> None:
    qml = pytest.importorskip("pennylane")
    state = TreeState.random(site_chain([2] * 4), 2, rng)
    compiled = compile_state(state, reuse_qubits=reuse)
    circuit = compiled.to_pennylane()

    @qml.qnode(qml.device("default.qubit"))
    def probabilities(weights):  # type: ignore[no-untyped-def]
        return qml.probs(op=circuit(weights=weights))

    strings = all_strings((2,) * 4)
    found = np.asarray(probabilities(compiled.weights)).ravel()
    np.testing.assert_allclose(found, np.exp(log_likelihood(state, strings)), atol=1e-10)
    moved = compiled.weights + 0.1
    expected = np.exp(log_likelihood(compiled.state(moved), strings))
    np.testing.assert_allclose(np.asarray(probabilities(moved)).ravel(), expected, atol=1e-10)


@pytest.mark.parametrize("suffix", [".qpy", ".qasm"])
def test_files_of_circuits_that_draw_strings(suffix: str, tmp_path: Path, rng: np.random.Generator) -> None:
    if suffix == ".qasm":
        pytest.importorskip("qiskit_qasm3_import")
    state = TreeState.random(site_chain([2, 3, 2]), 2, rng)
    compiled = compile_state(state)
    for free in (False, True):
        export_circuit(compiled, tmp_path / f"c{suffix}", free_weights=free)
        found = import_circuit(tmp_path / f"c{suffix}")
        assert isinstance(found, GenerativeCircuit)
        assert found.site_dims == (2, 3, 2)
        assert found.site_bits == compiled.site_bits
        assert found.program.outline() == compiled.program.outline()
        assert found.verify(state, sample(state, rng, 50)) < 1e-9
        assert len(found.weights) == (len(compiled.weights) if free else 0)


@pytest.mark.parametrize("free_weights", [False, True])
def test_a_unit_of_work_for_a_sampler(free_weights: bool) -> None:
    """Aer's sampler draws the state's strings."""
    state = TreeState.random(site_chain([2] * 4), 2, np.random.default_rng(0))
    compiled = compile_state(state)
    with pytest.warns(SamplerWarning, match="resets qubits in the middle"):
        pub = compiled.pub(free_weights=free_weights)
    shots = 20_000
    (result,) = AerSampler(seed=1).run([pub], shots=shots).result()
    counts = np.zeros(16)
    for bits, number in result.data.c.get_counts().items():
        counts[int(bits, 2)] += number
    strings = all_strings((2, 2, 2, 2))
    outcomes = sum(strings[:, k] << bits[0] for k, bits in enumerate(compiled.site_bits))
    wanted = np.zeros(16)
    wanted[outcomes] = np.exp(log_likelihood(state, strings))
    assert chisquare(counts, wanted * shots).pvalue > 1e-3
