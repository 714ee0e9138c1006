"""Models on a backend: files, pickles, interruptions, and the width of their circuits."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from qtnml import JobStore, MPSBornMachine, TreeClassifier, get_backend, load_model
from qtnml.backends.aer import Aer
from qtnml.backends.ibm import fake_device
from qtnml.backends.local import LocalBackend
from qtnml.compile import minimal_order
from qtnml.data import Dataset
from qtnml.errors import BackendError, InvalidInputError, ModelFileError
from qtnml.hybrid import SPSA, HybridTraining
from qtnml.models import BackendBornMachine, BackendClassifier
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.storage import load_archive, save_archive

pytestmark = pytest.mark.portable

HOW = HybridTraining(steps=2, batch_size=4, random_state=0)


@pytest.fixture(scope="module")
def bits() -> np.ndarray:
    return np.repeat(np.random.default_rng(0).integers(0, 2, (80, 1)), 5, axis=1)


@pytest.fixture(scope="module")
def tuned(trained: TreeClassifier, small_digits: Dataset) -> BackendClassifier:
    """Fine-tuned on a device's snapshot."""
    qclf = trained.to_backend(
        "fake:torino", shots=200, num_qubits=5, jobs=JobStore("sqlite://"), training=HOW, label="kept"
    )
    return qclf.fit(small_digits.X_train[:40], small_digits.y_train[:40])


def test_a_fine_tuned_classifier_comes_back(
    tuned: BackendClassifier, small_digits: Dataset, tmp_path: Path
) -> None:
    X, store = small_digits.X_test[:4], tuned.jobs
    before = tuned.predict_proba(X)
    bought = store.bought_shots
    tuned.save(tmp_path / "tuned.qtnml")
    found = load_model(tmp_path / "tuned.qtnml").set_params(jobs=store)
    for other in (found, pickle.loads(pickle.dumps(tuned.set_params(jobs=None))).set_params(jobs=store)):
        np.testing.assert_array_equal(
            other.predict_proba(X), before
        )  # the very same circuits: nothing is bought
        assert store.bought_shots == bought
        np.testing.assert_array_equal(other.trained.weights, tuned.trained.weights)
        assert other.history_ == tuned.history_
        assert (other.stopped_, other.label, other.shots) == ("steps", "kept", 200)
    tuned.set_params(jobs=store)
    assert found.training == HOW
    watched = replace(HOW, callback=print)  # who watches is not saved
    tuned.set_params(training=watched).save(tmp_path / "watched.qtnml")
    assert load_model(tmp_path / "watched.qtnml").training == HOW
    tuned.set_params(training=HOW)
    assert found.backend == "fake:torino"
    assert found.compiled.layout == tuned.compiled.layout
    assert "for fake:torino" in repr(found.compiled)
    assert found.compiled.verify(X) < 1e-9  # its network came along
    assert found.compiled.report().two_qubit_gates == tuned.compiled.two_qubit_gates


def test_classes_names_and_settings_come_back(trained: TreeClassifier, tmp_path: Path) -> None:
    backend = get_backend("aer:density_matrix", optimization_level=1)
    qclf = BackendClassifier(
        trained.compile(), np.array(["drei", "fünf"], dtype=object), backend, mitigation="readout", repeat=3,
        feature_names=np.array([f"p{k}" for k in range(16)], dtype=object),
    )  # fmt: skip
    qclf.save(tmp_path / "m")
    found = load_model(tmp_path / "m")
    assert found.classes_.tolist() == ["drei", "fünf"]
    assert found.feature_names_in_.tolist() == qclf.feature_names_in_.tolist()
    assert (found.mitigation, found.repeat) == ("readout", 3)
    assert found.backend.settings == backend.settings
    assert not hasattr(found, "compiled_")
    assert clone(found).backend.settings == backend.settings


def test_noise_that_no_file_holds_must_be_given_again(
    trained: TreeClassifier, small_digits: Dataset, tmp_path: Path
) -> None:
    noise = DeviceNoise(two_qubit_error=0.01)
    qclf = trained.to_backend(get_backend("aer", noise=noise), shots=50, jobs=JobStore("sqlite://"))
    expected = qclf.predict_proba(small_digits.X_test[:2])
    qclf.save(tmp_path / "m")
    found = load_model(tmp_path / "m").set_params(jobs=qclf.jobs)
    with pytest.raises(BackendError, match=r"measured on aer .*DeviceNoise.*set_params\(backend=...\)"):
        found.predict(small_digits.X_test[:2])
    found.set_params(backend=get_backend("aer", noise=noise))
    np.testing.assert_array_equal(found.predict_proba(small_digits.X_test[:2]), expected)
    np.testing.assert_array_equal(  # a pickle holds the noise itself
        pickle.loads(pickle.dumps(qclf.set_params(jobs=None))).backend.simulator.device_noise.digest,
        noise.digest,
    )


def test_a_born_machine_on_a_backend_comes_back(bits: np.ndarray, tmp_path: Path) -> None:
    born, store = MPSBornMachine(2, random_state=0).fit(bits), JobStore("sqlite://")
    how = HybridTraining(steps=2, loss="clipped-nll", batch_size=30, random_state=0)
    machine = born.to_backend("aer", shots=300, jobs=store, training=how).fit(bits)
    machine.save(tmp_path / "m")
    found = load_model(tmp_path / "m").set_params(jobs=store)
    assert isinstance(found, BackendBornMachine)
    drawn = machine.sample(100, random_state=0)
    bought = store.bought_shots
    np.testing.assert_array_equal(found.sample(100, random_state=0), drawn)
    assert store.bought_shots == bought
    assert found.score(bits) == machine.score(bits)
    again = pickle.loads(pickle.dumps(machine.set_params(jobs=None))).set_params(jobs=store)
    np.testing.assert_array_equal(again.trained.weights, machine.trained.weights)


def test_what_no_file_can_hold_is_refused(trained: TreeClassifier, tmp_path: Path) -> None:
    class Mine(LocalBackend):
        """A user's own."""

    from qtnml.mitigation import ReadoutMitigation

    for settings, message in (
        ({"training": HybridTraining(optimizer=SPSA())}, "training has the object optimizer="),
        ({"mitigation": ReadoutMitigation()}, "the mitigation .* is an object; name it"),
    ):
        qclf = trained.to_backend("aer").set_params(**settings)
        with pytest.raises(ModelFileError, match=message):
            qclf.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    from qiskit_aer import AerSimulator

    unnamed = trained.to_backend(AerSimulator())
    with pytest.raises(pickle.PicklingError, match="has no name to make it again by"):
        pickle.dumps(unnamed)


def test_damaged_files(tuned: BackendClassifier, tmp_path: Path) -> None:
    path = tmp_path / "m"
    tuned.save(path)
    header, arrays = load_archive(path)
    for change in (
        {"circuit": {**header["circuit"], "topology": {"leaf_widths": [1], "nodes": [[[0], 0, 1]]}}},
        {"circuit": {**header["circuit"], "weights": [1.0]}},
        {"settings": {"shots": 1, "backdoor": 2}},
        {"training": {"steps": "many"}},
        {"backend": 3},
    ):
        save_archive(
            path, {k: v for k, v in header.items() if k not in ("format", "version")} | change, arrays
        )
        with pytest.raises(ModelFileError, match="is damaged"):
            load_model(path)
    for name in ("circuits", "tuned", "classes", "owed_0"):
        broken = {**arrays, name: arrays[name][: len(arrays[name]) // 2]}
        save_archive(path, {k: v for k, v in header.items() if k not in ("format", "version")}, broken)
        with pytest.raises(ModelFileError, match="is damaged"):
            load_model(path)


@pytest.mark.parametrize("kind", ["classifier", "born"])
def test_ctrl_c_keeps_the_weights_and_stops_the_script(
    kind: str,
    trained: TreeClassifier,
    small_digits: Dataset,
    bits: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how = HybridTraining(steps=5, batch_size=2, random_state=0)
    model: Any
    if kind == "classifier":
        model, data = (
            trained.to_backend("aer", shots=10, jobs=JobStore("sqlite://"), training=how),
            (
                small_digits.X_train[:10],
                small_digits.y_train[:10],
            ),
        )
    else:
        born = MPSBornMachine(2, epochs=2, random_state=0).fit(bits)
        model, data = born.to_backend("aer", shots=10, jobs=JobStore("sqlite://"), training=how), (bits,)
    sampled, calls = Aer.sample, []

    def sample(self: Any, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 4:
            raise KeyboardInterrupt
        return sampled(self, *arguments)

    monkeypatch.setattr(Aer, "sample", sample)
    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted after . steps and .* shots; the weights so far are"
    ):
        model.fit(*data)
    assert model.stopped_ == "interrupted"
    assert 1 <= len(model.history_) < 5
    assert not np.array_equal(model.trained.weights, model.compiled.weights)


@pytest.mark.slow
def test_circuits_for_simulated_devices_are_as_wide_as_they_can_be(trained: TreeClassifier) -> None:
    for name in ("fake:torino", get_backend("aer", noise="fake:torino")):
        qclf = trained.to_backend(name)
        assert qclf.compiled.num_qubits <= 10
    assert trained.to_backend("fake:torino", num_qubits=16).compiled.num_qubits <= 16
    least = minimal_order(trained.model_.topology)[0]
    assert trained.to_backend("fake:torino", num_qubits=least).compiled.num_qubits == least


def test_a_device_may_be_named(trained: TreeClassifier) -> None:
    named = trained.compile(target="fake:torino", num_qubits=5)
    assert named.device is not None
    assert named.layout == trained.compile(target=get_backend("fake:torino"), num_qubits=5).layout
    with pytest.raises(InvalidInputError, match="backend 'aer' has no map of its qubits to compile for"):
        trained.compile(target="aer")
    with pytest.raises(BackendError, match="no snapshot 'fake:nowhere'"):
        trained.compile(target="fake:nowhere")


@pytest.mark.slow
def test_exact_noise_of_a_device_finds_a_circuit_that_it_can_evaluate(digits: Dataset) -> None:
    """Circuits of 64 pixels that are routed are too entangled: none of them is chosen before an exact one."""
    tree = TreeClassifier(epochs=2, random_state=0).fit(digits.X_train, digits.y_train)
    compiled = tree.compile(target="fake:torino")
    assert "lane" in compiled.method
    assert compiled.expected is not None
    found = tree.predict_proba(digits.X_test[:3], noise="fake:torino", reuse_qubits=True)
    noise = DeviceNoise.from_backend(fake_device("fake:torino"))
    exact = NoisyCircuit(compiled, noise).probabilities(digits.X_test[:3])
    np.testing.assert_allclose(found, exact, atol=1e-12)


def test_submissions_to_a_snapshot_read_its_noise_once(
    trained: TreeClassifier, small_digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device of 133 qubits takes seconds to be read: once, not for every submission."""
    from qiskit_aer.noise import NoiseModel

    backend = get_backend("fake:torino")
    compiled = trained.compile(target=backend, num_qubits=5)
    bound = compiled.bind(small_digits.X_test[:2])
    first = backend.fetch(backend.submit(bound, shots=20_000, seed=1)).counts
    read: list[Any] = []
    monkeypatch.setattr(NoiseModel, "from_backend", read.append)
    again = backend.fetch(backend.submit(bound, shots=20_000, seed=1)).counts
    assert (first, read) == (again, [])
    # What is measured is the calibration's noise: gates, resets and read-out, as Aer has it on all qubits.
    noise = get_backend("aer", noise="fake:torino")
    ones = noise.probabilities(bound)[:, 1]
    measured = np.array([each.get(1, 0) for each in first]) / 20_000
    np.testing.assert_allclose(measured, ones, atol=0.05)  # IBM's own simulator leaves idle qubits alone
