import jax.numpy as jnp
import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qtnml.encoding import AngleEncoding, FeatureScaler, get_encoding
from qtnml.encoding.registry import ENCODINGS
from qtnml.errors import ClippedDataWarning, InvalidInputError

PAULIS = {"I": np.eye(2), "X": np.array([[0, 1], [1, 0]]), "Z": np.diag([1, -1])}


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test_vectors_gates_and_bloch_agree(name: str, rng: np.random.Generator) -> None:
    encoding = get_encoding(name)
    X = np.concatenate([rng.random(20), [0.0, 0.5, 1.0]])
    bloch, bloch_jax = encoding.bloch(X), encoding.bloch(jnp.asarray(X))
    np.testing.assert_allclose(bloch, bloch_jax, atol=1e-6)
    for x, vector, angle, components in zip(X, encoding.vectors(X), encoding.angles(X), bloch.T, strict=True):
        circuit = QuantumCircuit(1)
        circuit.append(encoding.gate(angle), [0])
        np.testing.assert_allclose(Operator(circuit).data[:, 0], vector, atol=1e-14, err_msg=str(x))
        expected = [vector @ PAULIS[label] @ vector for label in encoding.paulis]
        np.testing.assert_allclose(components, expected, atol=1e-14)


def test_angle_encoding_is_the_papers() -> None:
    x = np.linspace(0, 1, 7)
    expected = np.stack([np.cos(np.pi * x / 2), np.sin(np.pi * x / 2)], axis=-1)
    np.testing.assert_allclose(AngleEncoding().vectors(x), expected, atol=1e-15)


@pytest.mark.parametrize("bad", [-0.1, 1.0001, np.nan, np.inf])
def test_values_outside_are_refused(bad: float) -> None:
    for method in (AngleEncoding().vectors, AngleEncoding().angles):
        with pytest.raises(InvalidInputError, match="features in|must be finite"):
            method(np.array([0.5, bad]))


def test_unknown_encoding() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown encoding 'amplitude'; choose one of \['angle'\]"):
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
