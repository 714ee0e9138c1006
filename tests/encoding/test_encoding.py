import numpy as np
import pytest
from qiskit.circuit.library import RYGate

from qtnml.encoding import (
    AngleEncoding,
    FeatureScaler,
    MultiQubitEncoding,
    RationalEncoding,
    bloch_vectors,
    check_encoding,
    data_angles,
    get_encoding,
    leaf_paulis,
    state_vectors,
)
from qtnml.encoding.registry import ENCODINGS
from qtnml.errors import ClippedDataWarning, InvalidInputError
from tests.references import PhaseEncoding


@pytest.mark.sampled
@pytest.mark.parametrize(
    "encoding",
    [
        *sorted(ENCODINGS),
        MultiQubitEncoding(3, "frequency"),
        MultiQubitEncoding(1),
        RationalEncoding(-2, 3),
        PhaseEncoding(),
    ],
    ids=str,
)
def test_every_encoding_keeps_the_contract(encoding: object, rng: np.random.Generator) -> None:
    check_encoding(get_encoding(encoding), np.concatenate([rng.random((4, 3)), np.eye(3), np.zeros((1, 3))]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"gate": lambda _self, angle: RYGate(angle / 2)}, "the gate prepares another state"),
        ({"amplitudes": lambda _self, a: (np.cos(a), np.cos(a))}, "squared norm is off 1 by"),
        ({"qubits_per_feature": 2}, "angles have shape"),
    ],
)
def test_the_contract_is_enforced(broken: dict[str, object], message: str) -> None:
    encoding = type("Broken", (AngleEncoding,), broken)()
    with pytest.raises(InvalidInputError, match=message):
        check_encoding(encoding, np.array([[0.1, 0.7]]))


def test_bloch_vectors_are_the_states(rng: np.random.Generator) -> None:
    X = rng.random((5, 3))
    for encoding in (AngleEncoding(), PhaseEncoding()):
        vectors, bloch = state_vectors(encoding, X), bloch_vectors(encoding, X)
        for label, components in zip(leaf_paulis(encoding), bloch, strict=True):
            pauli = {"I": np.eye(2), "X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": np.diag([1, -1])}
            expected = np.einsum("nfa,ab,nfb->fn", vectors.conj(), pauli[label], vectors).real
            np.testing.assert_allclose(components, expected, atol=1e-14)


def test_angle_encoding_is_the_papers() -> None:
    x = np.linspace(0, 1, 7)
    expected = np.stack([np.cos(np.pi * x / 2), np.sin(np.pi * x / 2)], axis=-1)
    np.testing.assert_allclose(state_vectors(AngleEncoding(), x), expected, atol=1e-15)


def test_rational_encoding_is_its_formula() -> None:
    x = np.array([-2.0, 0.0, 0.3, 5.0])
    expected = np.stack([np.ones(4), x], axis=-1) / np.sqrt(1 + x**2)[:, None]
    np.testing.assert_allclose(state_vectors(RationalEncoding(), x), expected, atol=1e-15)


@pytest.mark.parametrize("bad", [-0.1, 1.0001, np.nan, np.inf])
def test_values_outside_are_refused(bad: float) -> None:
    for function in (state_vectors, data_angles):
        with pytest.raises(InvalidInputError, match="features in|must be finite"):
            function(AngleEncoding(), np.array([0.5, bad]))


def test_unknown_encoding() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown encoding 'amplitude'; choose one of \['angle', "):
        get_encoding("amplitude")


def test_scaler_learns_clips_and_says_how_much() -> None:
    scaler = FeatureScaler.learn(np.array([[0.0, 5.0, 7.0], [10.0, 6.0, 7.0]]))
    np.testing.assert_allclose(scaler(np.array([[5.0, 5.5, 7.0]])), [[0.5, 0.5, 0.0]])
    with pytest.warns(ClippedDataWarning, match=r"2 of 3 values \(67 %\).*by up to 10,"):
        clipped = scaler(np.array([[20.0, 4.0, 7.0]]))
    np.testing.assert_allclose(clipped, [[1.0, 0.0, 0.0]])


def test_scaler_survives_huge_ranges() -> None:
    scaler = FeatureScaler.learn(np.array([[-1.7e308], [1.7e308]]))
    np.testing.assert_allclose(scaler(np.array([[0.0], [1.7e308]])), [[0.5], [1.0]])


@pytest.mark.parametrize("bad", [(1, 0), (0, 0), (0, np.inf), "wide", (0, 1, 2), None, ("a", "b")])
def test_impossible_ranges(bad: object) -> None:
    with pytest.raises(InvalidInputError, match="feature_range must be 'learn' or two numbers"):
        FeatureScaler.fixed(bad, 3)  # type: ignore[arg-type]


def test_scaler_refuses_wrong_width_and_nan() -> None:
    scaler = FeatureScaler.fixed((0, 1), 2)
    with pytest.raises(InvalidInputError, match=r"samples with 2 features, got shape \(1, 3\)"):
        scaler(np.zeros((1, 3)))
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        scaler(np.array([[np.nan, 0.0]]))
