"""Circuit Born machines: started from tensor networks, trained on the exact loss, compiled, on backends."""

import numpy as np
import pytest

from qtnml import CircuitBornMachine, MPSBornMachine
from qtnml.compile.strings import log_probabilities
from qtnml.errors import InvalidInputError
from qtnml.structure import chain

X = np.repeat([[0, 0, 0, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 1], [0, 1, 1, 1, 1]], 5, axis=0)


@pytest.fixture(scope="module")
def born() -> MPSBornMachine:
    return MPSBornMachine(max_bond=2, random_state=0, epochs=30, validation_fraction=0.0).fit(X)


def test_it_starts_near_the_machine(born: MPSBornMachine) -> None:
    start = CircuitBornMachine.from_born(born, layers=1, random_state=0)
    assert len(start.blocks_.pairs) == 10  # four neighbours, six other pairs
    strings = np.random.default_rng(0).integers(2, size=(10, 5))
    np.testing.assert_allclose(
        np.exp(start.score_samples(strings)), np.exp(born.log_likelihood(strings)), atol=0.05
    )
    exact = CircuitBornMachine.from_born(born, layers=1, extend=None)
    np.testing.assert_allclose(
        np.exp(exact.score_samples(strings)), np.exp(born.log_likelihood(strings)), atol=1e-5
    )


@pytest.mark.parametrize(("loss", "optimizer"), [("nll", "adam"), ("nll", "lbfgs"), ("mmd", "adam")])
def test_training_goes_on_from_there(born: MPSBornMachine, loss: str, optimizer: str) -> None:
    model = CircuitBornMachine.from_born(
        born, layers=1, loss=loss, optimizer=optimizer, iterations=150, random_state=0
    )
    before = model.score(X)
    model.fit(X)
    assert model.score(X) > before + 0.1
    assert model.history_[-1] < model.history_[0]
    if loss == "nll":
        assert model.history_[-1] == pytest.approx(-model.score(X), abs=1e-6)
        assert model.score(X) > -np.log(4) - 0.1
    drawn = model.sample(200, random_state=0)
    assert drawn.shape == (200, 5)


def test_random_and_identity_starts() -> None:
    for start in ("random", "identity"):
        model = CircuitBornMachine(1, start=start, iterations=100, random_state=0).fit(X)  # type: ignore[arg-type]
        assert model.score(X) > -5 * np.log(2)


def test_the_compiled_circuit_draws_what_the_model_says(born: MPSBornMachine) -> None:
    model = CircuitBornMachine.from_born(born, layers=1, iterations=30, random_state=0).fit(X)
    compiled = model.compile()
    strings = np.random.default_rng(0).integers(2, size=(12, 5))
    logs = log_probabilities(compiled.trained_circuit, compiled._bits(strings))
    np.testing.assert_allclose(np.exp(logs), np.exp(model.score_samples(strings)), atol=1e-9)
    measured = model.to_backend("exact", shots=200, jobs=False)
    assert measured.sample(50).shape == (50, 5)


def test_a_chain_in_another_order_keeps_its_bits() -> None:
    order = [3, 1, 4, 0, 2]
    born = MPSBornMachine(max_bond=2, order=order, random_state=0, epochs=20, validation_fraction=0.0).fit(X)
    assert born.state_.tree == chain(5, order)
    start = CircuitBornMachine.from_born(born, layers=1, extend=None)
    np.testing.assert_allclose(np.exp(start.score_samples(X)), np.exp(born.log_likelihood(X)), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "kl"}, "loss must be one of"),
        ({"optimizer": "spsa"}, "optimizer must be one of"),
        ({"start": "zero"}, "start must be one of"),
        ({"iterations": 0}, "iterations must be an integer"),
        ({"extend": "ring"}, "extend must be 'all'"),
        ({"extend": [(0, 9)]}, "extend joins two different qubits"),
        ({"extend": 3}, "extend is a list of pairs"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        CircuitBornMachine(1, **settings).fit(X)  # type: ignore[arg-type]


def test_bad_data(born: MPSBornMachine) -> None:
    model = CircuitBornMachine.from_born(born, layers=1)
    with pytest.raises(InvalidInputError, match="X has 4 features, the circuit 5 qubits"):
        model.fit(X[:, :4])
    with pytest.raises(InvalidInputError, match="no missing values"):
        model.fit(np.where(X == 1, 1, np.nan))
