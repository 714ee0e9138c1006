"""Derivatives by parts of the noise against differences of whole circuits."""

from dataclasses import replace

import numpy as np
import pytest

from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.errors import InvalidInputError
from qtnml.noise import DeviceNoise, NoisyCircuit, dephasing, sensitivity
from qtnml.noise.sensitivity import SOURCES
from qtnml.noise.tree import evaluated
from qtnml.structure import balanced_tree
from tests.noise.test_circuit import EVERYTHING
from tests.references import ENCODING


@pytest.fixture(scope="module")
def noisy(trained):
    return NoisyCircuit(trained.compile(), EVERYTHING)


@pytest.fixture(scope="module")
def found(noisy, small_digits):
    return sensitivity(noisy, small_digits.X_test, (small_digits.y_test == 5).astype(int))


def mean_right(noisy, data):
    proba = noisy.probabilities(data.X_test)
    return proba[np.arange(len(proba)), (data.y_test == 5).astype(int)].mean()


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("resets", lambda n, s: replace(n, reset_error=s * n.reset_error)),
        ("read-out", lambda n, s: replace(n, readout_error=tuple(s * e for e in n.readout_error))),
    ],
)
def test_sources_against_differences(source, change, noisy, found, small_digits):
    step = 1e-3
    more, less = (
        mean_right(NoisyCircuit(noisy.compiled, change(EVERYTHING, 1 + sign * step)), small_digits)
        for sign in (1, -1)
    )
    column = found.sources.index(source)
    assert found.by_qubit[:, column].sum() == pytest.approx((less - more) / (2 * step), rel=1e-4)


def test_all_sources_together_are_the_strength_of_the_whole(noisy, found, small_digits):
    step = 1e-3
    more, less = (
        mean_right(NoisyCircuit(noisy.compiled, EVERYTHING.scaled(1 + sign * step)), small_digits)
        for sign in (1, -1)
    )
    # Rates are linear in the strength, but for the excited population, which is not scaled at all.
    assert found.by_qubit.sum() == pytest.approx((less - more) / (2 * step), rel=1e-3)
    np.testing.assert_allclose(found.by_node.sum(axis=0), found.by_qubit.sum(axis=0), rtol=1e-4, atol=1e-9)
    assert found.probability == pytest.approx(mean_right(noisy, small_digits), abs=1e-6)


def test_one_qubits_relaxation_against_a_difference(noisy, found, small_digits):
    step, qubit = 1e-3, 0
    circuits = []
    for sign in (1, -1):
        times = [[t] * 5 for t in (EVERYTHING.t1, EVERYTHING.t2)]
        for values in times:
            values[qubit] /= 1 + sign * step
        # Gate errors are left out: a calibrated error contains relaxation.
        changed = replace(
            EVERYTHING, t1=tuple(times[0]), t2=tuple(times[1]), one_qubit_error=0, two_qubit_error=0
        )
        circuits.append(NoisyCircuit(noisy.compiled, changed))
    plain = NoisyCircuit(noisy.compiled, replace(EVERYTHING, one_qubit_error=0, two_qubit_error=0))
    outcomes = (small_digits.y_test == 5).astype(int)
    row = sensitivity(plain, small_digits.X_test, outcomes).by_qubit[qubit]
    more, less = (mean_right(circuit, small_digits) for circuit in circuits)
    columns = [found.sources.index(name) for name in ("relaxation in gates", "waiting")]
    assert row[columns].sum() == pytest.approx((less - more) / (2 * step), rel=1e-3)


def test_channels_of_ones_own_count_as_gate_errors(trained, small_digits):
    step = 1e-3
    X, outcomes = small_digits.X_test, (small_digits.y_test == 5).astype(int)
    circuits = [
        NoisyCircuit(trained.compile(), DeviceNoise(two_qubit_channel=dephasing(0.1 * (1 + sign * step))))
        for sign in (1, 0, -1)
    ]
    found = sensitivity(circuits[1], X, outcomes)
    more, less = mean_right(circuits[0], small_digits), mean_right(circuits[2], small_digits)
    assert found.by_qubit[:, 0].sum() == pytest.approx((less - more) / (2 * step), rel=0.05)


@pytest.mark.parametrize("discard", ["trace", "postselect"])
def test_every_qubit_against_differences_of_the_whole_circuit(discard, rng):
    """Each source on each qubit, by circuits whose noise is that much stronger and weaker there."""
    network = TensorNetwork.random(balanced_tree(8), rng, scale=1.0)
    noise = replace(EVERYTHING, start_error=0.03)
    plain = NoisyCircuit(compile_network(network, ENCODING, discard=discard), noise)
    X, outcomes, step = rng.random((6, 8)), rng.integers(0, 2, 6), 1e-3
    found = sensitivity(plain, X, outcomes)
    rows, angles = plain.instructions, plain.compiled.angles(X)

    def right(qubit, source, factor):
        factors = np.array([[factor if q == qubit else 1.0 for q in (qs[0], qs[-1])] for qs in rows.qubits])
        tree = plain.tree_of(rows.scaled(factors, source))
        proba = evaluated(tree, tree.stacked_maps(), plain.leaves, angles)[0]
        return proba[np.arange(6), outcomes].mean()

    for row, qubit in enumerate(found.qubits):
        for column, source in enumerate(SOURCES.values()):
            wanted = (right(qubit, source, 1 - step) - right(qubit, source, 1 + step)) / (2 * step)
            assert found.by_qubit[row, column] == pytest.approx(wanted, rel=1e-4, abs=1e-8)
    np.testing.assert_allclose(found.by_node.sum(axis=0), found.by_qubit.sum(axis=0), atol=1e-9)
    assert np.abs(found.by_qubit[:, found.sources.index("start")]).max() > 1e-4


def test_the_table_names_the_worst_qubit_first(found):
    lines = str(found).splitlines()
    assert lines[2].split()[0] == "qubit"  # below names of two words
    assert lines[3].split()[0] == str(found.worst_qubit)
    assert len(lines) == 4 + len(found.qubits)
    assert max(map(len, lines)) <= 80


def test_bad_input(noisy, small_digits):
    with pytest.raises(InvalidInputError, match="give one outcome for each"):
        sensitivity(noisy, small_digits.X_test[:3], np.array([0, 1]))
    with pytest.raises(InvalidInputError, match="outcomes must be integers"):
        sensitivity(noisy, small_digits.X_test[:2], np.array([0.0, 1.0]))
    with pytest.raises(InvalidInputError, match="outcomes must be 0 to 1"):
        sensitivity(noisy, small_digits.X_test[:2], np.array([0, 2]))
