"""Grids of noise: what a point is, files, bands, figures."""

import csv
import json
import math

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from qtnml import TreeClassifier, TreeRegressor, noise_study
from qtnml.errors import InvalidInputError
from qtnml.models.noise_study import AXES, at_point
from qtnml.noise import DeviceNoise, NoisyCircuit, dephasing, sensitivity
from qtnml.plots import plot_noise_study, plot_sensitivity

NOISE = DeviceNoise(t1=50e-6, t2=50e-6, two_qubit_time=100e-9, reset_time=1e-6, two_qubit_error=0.01)


def test_what_a_point_changes():
    point = at_point(NOISE, {"t1": 10e-6, "gate_time": 2e-7, "readout_error": 0.1})
    assert (point.t1, point.t2) == (10e-6, 20e-6)  # T2 is at most 2 T1
    assert (point.one_qubit_time, point.two_qubit_time, point.readout_error) == (2e-7, 2e-7, 0.1)
    assert at_point(NOISE, {"strength": 0.5}).relaxation_times(0)[0] == 100e-6
    turned = at_point(NOISE, {"dephasing": 0.2})
    np.testing.assert_allclose(turned.one_qubit_channel.transfer_map, dephasing(0.2).transfer_map)
    assert turned.two_qubit_channel.num_qubits == 2
    assert at_point(NOISE, {"num_qubits": 7}) == NOISE


def test_points_are_exact(trained, small_digits):
    X, y = small_digits.X_test, small_digits.y_test
    study = noise_study({"tree": trained}, X, y, {"t1": [1e-5, 1e-4], "num_qubits": [5, 16]}, noise=NOISE)
    assert [(row["t1"], row["num_qubits"]) for row in study.rows] == [
        (1e-5, 5),
        (1e-5, 16),
        (1e-4, 5),
        (1e-4, 16),
    ]
    for row in study.rows:
        noise = at_point(NOISE, {"t1": row["t1"]})
        accuracy = trained.score(X, y, noise=noise, reuse_qubits=True, num_qubits=row["num_qubits"])
        assert row["accuracy"] == accuracy
        assert row["qubits"] == row["num_qubits"]


def test_of_a_device(trained, small_digits, tmp_path):
    FakeNairobiV2 = pytest.importorskip("qiskit_ibm_runtime.fake_provider").FakeNairobiV2
    X, y = small_digits.X_test[:20], small_digits.y_test[:20]
    grid = {"strength": [1, 2], "num_qubits": [5, 7]}
    study = noise_study({"tree": trained}, X, y, grid, noise="fake:nairobi", path=tmp_path / "s.jsonl")
    for row in study.rows:
        assert row["qubits"] <= row["num_qubits"]
        if row["strength"] == 1:
            circuit = trained.compile(target="fake:nairobi", num_qubits=row["num_qubits"], samples=X)
            noisy = NoisyCircuit(circuit, DeviceNoise.from_backend(FakeNairobiV2()))
            chosen = trained.classes_[noisy.probabilities(X)[:, :2].argmax(axis=1)]
            assert row["accuracy"] == pytest.approx((chosen == y).mean())
            assert not circuit.expected.made_up
    of = {(row["strength"], row["num_qubits"]): row["mean_probability"] for row in study.rows}
    assert of[2, 5] < of[1, 5]
    assert study.noise["device"] == "fake:nairobi"
    again = noise_study({"tree": trained}, X, y, grid, noise="fake:nairobi", path=tmp_path / "s.jsonl")
    assert again.rows == study.rows
    with pytest.raises(
        InvalidInputError, match="a backend has its own t1; of it, strength and num_qubits may"
    ):
        noise_study({"tree": trained}, X, y, {"t1": [1e-5]}, noise="fake:nairobi")


def test_bands_files_and_figures(small_digits, tmp_path):
    X, y = small_digits.X_train, small_digits.y_train
    seeds = [TreeClassifier(epochs=5, feature_range=(0, 1), random_state=s).fit(X, y) for s in (0, 1)]
    grid = {"t1": [2e-6, 1e-4]}
    study = noise_study({"tree": seeds}, X, y, grid, noise=NOISE)
    mean, low, high = study.bands()["tree"][(2e-6,)]
    found = sorted(row["accuracy"] for row in study.rows if row["t1"] == 2e-6)
    assert [low, high] == found
    assert mean == pytest.approx(np.mean(found))
    study.to_csv(tmp_path / "s.csv")
    study.to_json(tmp_path / "s.json")
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy"]) for row in rows] == [row["accuracy"] for row in study.rows]
    assert json.loads((tmp_path / "s.json").read_text())["axes"] == ["t1"]
    plot_noise_study(study, title="x").savefig(tmp_path / "line.png")
    flat = noise_study({"a": seeds[0], "b": seeds[1]}, X, y, {**grid, "gate_time": [1e-8, 1e-7]}, noise=NOISE)
    plot_noise_study(flat).savefig(tmp_path / "map.png")
    noisy = NoisyCircuit(seeds[0].compile(), NOISE)
    hurt = sensitivity(noisy, X[:20], np.searchsorted(seeds[0].classes_, y[:20]))
    plot_sensitivity(hurt).savefig(tmp_path / "bars.png")
    assert (
        hurt.worst_qubit
        == seeds[0].noise_sensitivity(X[:20], y[:20], noise=NOISE, reuse_qubits=True).worst_qubit
    )


def test_a_study_goes_on_where_it_was(trained, small_digits, tmp_path):
    X, y, path = small_digits.X_test, small_digits.y_test, tmp_path / "r.jsonl"
    seen = []
    settings = {"noise": NOISE, "path": path, "on_result": lambda task, _: seen.append(task["point"])}
    noise_study({"tree": trained}, X, y, {"t1": [1e-5]}, **settings)
    noise_study({"tree": trained}, X, y, {"t1": [1e-5, 1e-4]}, **settings)
    assert seen == [{"t1": 1e-5}, {"t1": 1e-4}]
    noise_study({"tree": trained}, X[:50], y[:50], {"t1": [1e-5]}, **settings)  # other data, another task
    assert len(seen) == 3


def test_on_other_processes(trained, small_digits, tmp_path):
    X, y = small_digits.X_test, small_digits.y_test
    study = noise_study({"tree": trained}, X, y, {"t1": [1e-5, 1e-4]}, noise=NOISE, engine="loky", workers=1)
    alone = noise_study({"tree": trained}, X, y, {"t1": [1e-5, 1e-4]}, noise=NOISE)
    assert study.rows == alone.rows


def test_bad_grids(trained, small_digits):
    X, y = small_digits.X_test, small_digits.y_test
    for grid, message in (
        ({}, "needs at least one axis with values"),
        ({"t1": 1e-5}, "axis 't1' takes a list of numbers"),
        ({"t1": ["a"]}, "axis 't1' takes a list of numbers"),
        ({"num_qubits": [float("nan")]}, "num_qubits must be integers"),
        ({"t3": [1]}, "unknown axis 't3'; choose of t1, t2"),
        ({"t1": []}, "axis 't1' has no values"),
        ({"t1": [-1.0]}, "t1 must be a number of seconds"),
        ({"readout_error": [2.0]}, "readout_error must be a probability"),
        ({"num_qubits": [7.5]}, "num_qubits must be integers"),
        ({"num_qubits": [2]}, "needs 5 to 16 qubits, got num_qubits=2"),
    ):
        with pytest.raises((InvalidInputError, RuntimeError), match=message):
            noise_study({"tree": trained}, X, y, grid, noise=NOISE)
    assert "strength" in AXES
    for models in ({}, trained, [trained]):
        with pytest.raises(InvalidInputError, match="needs at least one model under a name"):
            noise_study(models, X, y, {"t1": [1.0]})
    with pytest.raises(InvalidInputError, match="is no tree or chain that classifies"):
        noise_study({"reg": TreeRegressor()}, X, y, {"t1": [1.0]})
    with pytest.raises(NotFittedError):
        noise_study({"tree": TreeClassifier()}, X, y, {"t1": [1.0]})
    with pytest.raises(InvalidInputError, match="are none of the model's classes"):
        noise_study({"tree": trained}, X, y - 1, {"t1": [1.0]})
    with pytest.raises(InvalidInputError, match="samples but"):
        noise_study({"tree": trained}, X, y[:5], {"t1": [1.0]})


def test_t2_follows_t1_where_it_was_not_given():
    base = DeviceNoise(t1=1e-5)
    assert at_point(base, {"t1": 1e-3}).t2 == 2e-3
    per_qubit = DeviceNoise(t1=(1e-4,) * 3, t2=(1e-4,) * 3)
    assert at_point(per_qubit, {"t1": 1e-5}).t2 == (2e-5,) * 3


def test_infinite_times_are_written_down(trained, small_digits, tmp_path):
    path = tmp_path / "r.jsonl"
    study = noise_study(
        {"tree": trained}, small_digits.X_test, small_digits.y_test, {"t1": [math.inf]}, path=path
    )
    assert study.rows[0]["accuracy"] == trained.score(small_digits.X_test, small_digits.y_test)
    assert json.loads(path.read_text().splitlines()[0])["settings"]["point"] == {"t1": "inf"}
