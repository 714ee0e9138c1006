"""Regressors on backends: predictions are means over shots, errors are what shots leave, files keep all."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qtnml import TreeClassifier, TreeRegressor, get_backend, load_model
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.hybrid import SPSA, AveragedSPSA, HybridTraining
from qtnml.jobs import JobStore
from qtnml.models import BackendRegressor
from qtnml.noise import DeviceNoise

NOISE = DeviceNoise(t1=30e-6, t2=30e-6, readout_error=0.08, two_qubit_time=100e-9)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((150, 4))
    return X, 5 + 3 * np.sin(2 * X[:, 0]) + X[:, 1] - X[:, 2]


@pytest.fixture(scope="module")
def regressor(data: tuple[np.ndarray, np.ndarray]) -> TreeRegressor:
    return TreeRegressor(1, epochs=60, random_state=0).fit(*data)


def test_many_shots_give_the_contraction(
    regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    measured = regressor.to_backend("exact", shots=200_000, jobs=False)
    found, errors = measured.predict(X, return_std=True)
    wanted = regressor.predict(X)
    assert errors.max() < 0.02
    assert (np.abs(found - wanted) < 5 * errors + 1e-6).all()
    assert measured.score(X, y) == pytest.approx(regressor.score(X, y), abs=0.01)


def test_on_aer_as_well(regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]) -> None:
    X = data[0][:5]
    measured = regressor.to_backend("aer", shots=4000, jobs=JobStore("sqlite://"))
    found, errors = measured.predict(X, return_std=True)
    assert (np.abs(found - regressor.predict(X)) < 5 * errors).all()


def test_errors_are_those_of_repeated_runs(
    regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
) -> None:
    measured = regressor.to_backend("exact", shots=500, jobs=False)
    runs = np.array([measured.predict(data[0][:20]) for _ in range(300)])
    _, errors = measured.predict(data[0][:20], return_std=True)
    np.testing.assert_allclose(runs.std(axis=0), errors, rtol=0.3)


def test_readout_mitigation_brings_values_back(
    regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X = data[0][:40]
    backend = get_backend("exact", noise=DeviceNoise(readout_error=0.1))
    plain = regressor.to_backend(backend, shots=50_000, jobs=False)
    undone = regressor.to_backend(backend, shots=50_000, jobs=False, mitigation="readout")
    wanted = regressor.predict(X)
    off = [np.abs(model.predict(X) - wanted).mean() for model in (plain, undone)]
    assert off[1] < 0.3 * off[0]
    found, errors = undone.predict(X, return_std=True)
    assert (np.abs(found - wanted) < 6 * errors).mean() > 0.9


@pytest.mark.slow
def test_training_there_lowers_the_error(
    regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, y = data
    gains = []
    for seed in range(5):
        how = HybridTraining(
            AveragedSPSA(4, spsa=SPSA(learning_rate=0.05)), steps=40, shots=500, random_state=seed
        )
        backend = get_backend("exact", noise=NOISE.scaled(3))
        measured = regressor.to_backend(backend, shots=20_000, jobs=False, training=how)
        before = ((measured.predict(X) - y) ** 2).mean()
        measured.fit(X, y)
        gains.append(before - ((measured.predict(X) - y) ** 2).mean())
    assert np.median(gains) > 0


def test_files(regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, y = data
    how = HybridTraining(steps=2, shots=50, batch_size=4, random_state=0)
    jobs = JobStore(tmp_path / "jobs.sqlite")
    measured = regressor.to_backend("exact", shots=300, jobs=jobs, training=how, label="a").fit(X, y)
    wanted = measured.predict(X[:5])
    measured.save(tmp_path / "m.qtnml")
    back = load_model(tmp_path / "m.qtnml")
    assert isinstance(back, BackendRegressor)
    np.testing.assert_array_equal(back.values, measured.values)
    back.set_params(jobs=JobStore(tmp_path / "jobs.sqlite"))
    np.testing.assert_array_equal(back.predict(X[:5]), wanted)  # from the ledger, with the tuned weights


def test_values_that_are_no_numbers(regressor: TreeRegressor, tmp_path: Path) -> None:
    measured = regressor.to_backend("exact", jobs=False)
    measured.values = np.array([1.0, np.nan])
    with pytest.raises(ModelFileError, match="its values are not 2 finite numbers"):
        measured.save(tmp_path / "m.qtnml")
    assert not (tmp_path / "m.qtnml").exists()


def test_bad_input(regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    measured = regressor.to_backend("exact", jobs=False, training=HybridTraining(steps=1, loss="hinge"))
    with pytest.raises(InvalidInputError, match="a regressor's loss is 'squared-error', got 'hinge'"):
        measured.fit(X, y)
    measured.set_params(training=None)
    with pytest.raises(InvalidInputError, match="values to learn must be finite"):
        measured.fit(X, np.where(y > 5, np.nan, y))
    with pytest.raises(InvalidInputError, match="values to learn must be numbers"):
        measured.fit(X, np.array(["a"] * 150))
    with pytest.raises(InvalidInputError, match="150 samples but 3 labels or values"):
        measured.fit(X, y[:3])
    with pytest.raises(InvalidInputError, match="feature"):
        measured.predict(X[:, :2])


class TestPlans:
    def test_what_a_plan_promises_is_what_comes(self, trained: TreeClassifier, small_digits: Any) -> None:
        """The promise is computed, what comes is counted: the same frequencies within their errors."""
        X = small_digits.X_test[:60]
        measured = trained.to_backend(get_backend("exact", noise=NOISE), shots=400, jobs=False)
        plan = measured.plan(X)
        assert plan.expected is not None
        assert plan.standard_error is not None
        ideal = trained.predict_proba(X).argmax(axis=1)
        runs = [measured.outcome_frequencies(X) for _ in range(200)]
        decided = np.mean([(run.argmax(axis=1) == ideal).mean() for run in runs])
        assert decided == pytest.approx(plan.expected.decided, abs=0.02)
        assert np.std(runs, axis=0).mean() == pytest.approx(plan.standard_error, rel=0.1)
        text = str(plan)
        assert "expected there: " in text
        assert "by 400 shots" in text
        assert "standard error of a probability about 0.02" in text
        assert plan.to_dict()["expected"]["shots"] == 400

    def test_of_a_regressor_in_units_of_its_targets(
        self, regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
    ) -> None:
        X = data[0][:50]
        measured = regressor.to_backend(get_backend("exact", noise=NOISE), shots=400, jobs=False)
        found = re.search(
            r"off by ([\d.e-]+) on average, with a standard error of ([\d.e-]+)", str(measured.plan(X))
        )
        assert found is not None
        runs = np.array([measured.predict(X) for _ in range(200)])
        off = np.abs(runs.mean(axis=0) - regressor.predict(X)).mean()
        assert float(found[1]) == pytest.approx(off, rel=0.1)
        assert float(found[2]) == pytest.approx(runs.std(axis=0).mean(), rel=0.1)
        assert measured.plan(X).expected is None

    def test_whoever_confirms_sees_it(self, trained: TreeClassifier, small_digits: Any) -> None:
        X, seen = small_digits.X_test[:3], []
        for mitigation in (None, "readout"):
            measured = trained.to_backend(
                get_backend("exact", noise=NOISE), shots=10, jobs=JobStore("sqlite://"), mitigation=mitigation
            )
            ask = measured.outcome_frequencies if mitigation is None else measured.mitigated_outcomes
            ask(X, confirm=lambda plan: seen.append(plan) or True)
        assert [plan.expected is not None for plan in seen] == [True, True]

    def test_noise_that_is_not_known(
        self, regressor: TreeRegressor, data: tuple[np.ndarray, np.ndarray]
    ) -> None:
        simulator = AerSimulator(noise_model=NoiseModel(), method="density_matrix")
        plan = regressor.to_backend(simulator, shots=10, jobs=JobStore("sqlite://")).plan(data[0][:3])
        assert plan.expected is None
        assert "expected" not in str(plan)

    def test_nothing_to_run(self, regressor: TreeRegressor) -> None:
        plan = JobStore("sqlite://").plan([], "exact", shots=10)
        assert str(plan) == "nothing to run on exact: there are no circuits"


class TestUnstored:
    def test_paid_shots_need_a_ledger(self, regressor: TreeRegressor) -> None:
        backend = get_backend("exact")
        backend.capabilities = replace(backend.capabilities, paid=True)
        measured = regressor.to_backend(backend, jobs=False)
        with pytest.raises(InvalidInputError, match="are paid for, so that a ledger has to keep them"):
            measured.predict(np.full((1, 4), 0.5))

    def test_every_run_is_new(self, regressor: TreeRegressor) -> None:
        measured = regressor.to_backend("exact", shots=1000, jobs=False)
        X = np.full((1, 4), 0.5)
        assert len({float(measured.predict(X)[0]) for _ in range(5)}) > 1
        assert measured.plan(X).shots == 1000
