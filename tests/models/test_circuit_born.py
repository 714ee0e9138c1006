"""Circuit Born machines: started from tensor networks, trained on the exact loss, compiled, on backends."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qtnml import CircuitBornMachine, MPSBornMachine, load_model
from qtnml.compile.strings import log_probabilities
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.models.circuit_born_persistence import circuit_born_entry, restored_circuit_born
from qtnml.shallow.blocks import Point
from qtnml.structure import chain

X = np.repeat([[0, 0, 0, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 0, 1], [0, 1, 1, 1, 1]], 5, axis=0)


@pytest.fixture(scope="module")
def born() -> MPSBornMachine:
    return MPSBornMachine(max_bond=2, random_state=0, epochs=30, validation_fraction=0.0).fit(X)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_evolution_strategy_needs_losses_alone(born: MPSBornMachine) -> None:
    start = CircuitBornMachine.from_born(born, layers=1, extend=None, random_state=0)
    shaken = CircuitBornMachine.from_born(
        born, layers=1, extend=None, optimizer="cma-es", iterations=60, random_state=0
    )
    shaken.point_ = moved(shaken, 0.3)
    before = shaken.score(X)
    shaken.fit(X)
    assert before < shaken.score(X) <= start.fit(X).score(X) + 1e-9
    assert (np.diff(shaken.history_) <= 0).all()
    assert len(shaken.history_) == 61


def moved(model: CircuitBornMachine, size: float) -> Point:
    """Its gates a little way off."""
    rng = np.random.default_rng(0)
    steps = model.blocks_.start(rng, size).whole
    return model.point_._replace(whole=model.point_.whole @ steps)


@pytest.mark.slow
def test_a_file_holds_all_of_it(born: MPSBornMachine, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d", "e"]
    frame = pd.DataFrame(X, columns=names)
    model = CircuitBornMachine.from_born(born, extend=[(0, 4)], iterations=5, random_state=0).fit(frame)
    model.save(tmp_path / "circuit.npz")
    read = load_model(tmp_path / "circuit.npz")
    np.testing.assert_array_equal(read.score_samples(frame), model.score_samples(frame))
    assert read.feature_names_in_.tolist() == names
    assert read.get_params() == model.get_params() | {"extend": [[0, 4]]}
    np.testing.assert_allclose(read.fit(frame).score(frame), model.fit(frame).score(frame), atol=1e-9)
    with pytest.raises(ValueError, match="feature names"):
        read.score(frame[names[::-1]])


def test_a_damaged_file_is_refused(born: MPSBornMachine, tmp_path: Path) -> None:
    model = CircuitBornMachine.from_born(born, layers=1, extend=None)
    header, arrays = circuit_born_entry(model)
    for change in ({"qubits": 4}, {"kind": "so4"}, {"pairs": [[0, 1]]}, {"feature_names_in": ["a"]}):
        with pytest.raises(ModelFileError):
            restored_circuit_born(CircuitBornMachine, header | change, arrays)
    with pytest.raises(ModelFileError, match="unitary"):
        restored_circuit_born(CircuitBornMachine, header, {"gates": 2 * arrays["gates"]})
