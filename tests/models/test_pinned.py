"""The same script on another day: a device was calibrated in between, and what was bought is found again."""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.circuit.library import CZGate
from qiskit.providers.fake_provider import GenericBackendV2

from qtnml import JobStore, MPSBornMachine, TreeClassifier, TreeRegressor, get_backend, load_model
from qtnml.backends import Capabilities
from qtnml.errors import InvalidInputError, PinnedCircuitWarning
from qtnml.ledger.identity import job_ids

DAYS = ("2026-11-01T06:00:00", "2026-11-08T06:00:00")


class Device:
    """A paid device that draws shots from its exact noise, and is calibrated now and then."""

    name = "paid"

    def __init__(self, day: int, *, without: tuple[int, int] | None = None) -> None:
        made = GenericBackendV2(
            12,
            basis_gates=["cz", "sx", "rz", "x", "reset"],
            coupling_map=[(a, a + 1) for a in range(11)],
            seed=3,
            noise_info=True,
        )
        self.target = copy.deepcopy(made.target)
        rng = np.random.default_rng(day)
        for name in ("cz", "sx", "x", "measure"):
            for qubits, given in list(self.target[name].items()):
                changed = copy.copy(given)
                changed.error = float(np.clip(given.error * np.exp(2 * rng.normal()), 1e-6, 0.2))
                self.target.update_instruction_properties(name, qubits, changed)
        if without is not None:
            kept = {q: p for q, p in self.target["cz"].items() if set(q) != set(without)}
            target = copy.deepcopy(self.target)
            self.target = type(target)(num_qubits=target.num_qubits, dt=target.dt,
                                       qubit_properties=target.qubit_properties)  # fmt: skip
            for name in target.operation_names:
                gate = CZGate() if name == "cz" else target.operation_from_name(name)
                self.target.add_instruction(gate, kept if name == "cz" else dict(target[name]), name=name)
        self._inner = get_backend("exact", seed=7)
        self.settings: dict[str, Any] = {}
        self.day = day
        self.capabilities = Capabilities(
            resets=True, exact=True, seeds=True, durable=True, searchable=True, paid=True, num_qubits=12
        )
        self.submit, self.status = self._inner.submit, self._inner.status
        self.fetch, self.cancel, self.find = self._inner.fetch, self._inner.cancel, self._inner.find

    def calibration_now(self) -> str:
        return DAYS[self.day]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((60, 4))
    return X, (X[:, 0] + X[:, 2] > 1).astype(int)


@pytest.fixture
def clf(data: tuple[np.ndarray, np.ndarray]) -> TreeClassifier:
    return TreeClassifier(epochs=2, random_state=0).fit(*data)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", PinnedCircuitWarning)
        yield


@pytest.mark.slow
def test_after_a_recalibration_nothing_is_bought_again(
    clf: TreeClassifier, data: tuple[np.ndarray, np.ndarray], ledger: Path
) -> None:
    X = data[0][:5]
    first = clf.to_backend(Device(0), shots=100, jobs=JobStore(ledger))
    bought = first.predict_proba(X)
    other = clf.compile(target=Device(1))
    assert other.layout != first.compiled.layout  # or this would prove nothing
    store = JobStore(ledger)
    with pytest.warns(
        PinnedCircuitWarning, match="is the one compiled on 20.*its layout is of that day.*would"
    ):
        again = clf.to_backend(Device(1), shots=100, jobs=store)
    np.testing.assert_array_equal(again.predict_proba(X), bought)
    assert store.bought_jobs == 0
    assert again.compiled.layout == first.compiled.layout
    assert again.compiled.device is not None
    assert job_ids(again.circuits(X), Device(1)) == job_ids(first.circuits(X), Device(0))
    with pytest.warns(PinnedCircuitWarning, match="expected today: .*there: "):  # noted, not compiled again
        clf.to_backend(Device(1), shots=100, jobs=store)


@pytest.mark.usefixtures("_silent")
def test_other_models_and_options_are_other_circuits(
    clf: TreeClassifier, data: tuple[np.ndarray, np.ndarray], ledger: Path
) -> None:
    store = JobStore(ledger)
    first = clf.to_backend(Device(0), jobs=store)
    assert clf.to_backend(Device(0), jobs=store).compiled.layout == first.compiled.layout
    another = TreeClassifier(epochs=3, random_state=0).fit(*data)
    for made in (
        another.to_backend(Device(1), jobs=store),
        clf.to_backend(Device(1), jobs=store, reuse_qubits=False),
        clf.to_backend(Device(1), jobs=store, recalibrate=True),
    ):
        assert made.compiled.device is not None
        assert made.pin is not None
    assert clf.to_backend("exact", jobs=store).pin is None  # shots of simulators cost nothing


@pytest.mark.usefixtures("_silent")
def test_recalibrated_on_request(
    clf: TreeClassifier, data: tuple[np.ndarray, np.ndarray], ledger: Path
) -> None:
    store, X = JobStore(ledger), data[0][:3]
    first = clf.to_backend(Device(0), shots=50, jobs=store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PinnedCircuitWarning)
        today = clf.to_backend(Device(1), shots=50, jobs=store).recalibrated()
    assert today.compiled.layout == clf.compile(target=Device(1)).layout != first.compiled.layout
    np.testing.assert_allclose(today.compiled.probabilities(X), first.compiled.probabilities(X), atol=1e-12)
    assert today.get_params()["shots"] == 50
    later = clf.to_backend(Device(1), shots=50, jobs=store)  # without a word: it is pinned now
    assert later.compiled.layout == today.compiled.layout
    with pytest.raises(InvalidInputError, match="has no description to compile for"):
        clf.to_backend("exact").recalibrated()


def test_a_coupling_that_has_gone_makes_a_new_circuit(clf: TreeClassifier, ledger: Path) -> None:
    store = JobStore(ledger)
    first = clf.to_backend(Device(0), jobs=store)
    used = {
        tuple(first.compiled.circuit.find_bit(q).index for q in gate.qubits)
        for gate in first.compiled.circuit.data
        if gate.operation.name == "cz"
    }
    gone = next(iter(used))
    with pytest.warns(PinnedCircuitWarning, match="no longer runs on paid.*compiled anew"):
        again = clf.to_backend(Device(0, without=gone), jobs=store)
    assert again.compiled.layout != first.compiled.layout


@pytest.mark.slow
@pytest.mark.usefixtures("_silent")
def test_regressors_and_born_machines(data: tuple[np.ndarray, np.ndarray], ledger: Path) -> None:
    store = JobStore(ledger)
    regressor = TreeRegressor(epochs=2, random_state=0).fit(data[0], data[0].sum(axis=1))
    born = MPSBornMachine(2, random_state=0).fit((data[0] > 0.5).astype(int))
    for model in (regressor, born):
        first = model.to_backend(Device(0), shots=50, jobs=store)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PinnedCircuitWarning)
            again = model.to_backend(Device(1), shots=50, jobs=store)
        assert again.compiled.layout == first.compiled.layout
        assert again.recalibrated().compiled.layout == model.compile(target=Device(1)).layout


@pytest.mark.usefixtures("_silent")
def test_a_saved_classifier_finds_what_it_bought(
    clf: TreeClassifier, data: tuple[np.ndarray, np.ndarray], ledger: Path, tmp_path: Path
) -> None:
    X = data[0][:4]
    first = clf.to_backend(Device(0), shots=80, jobs=JobStore(ledger))
    bought = first.predict_proba(X)
    first.save(tmp_path / "measured.qtnml")
    store = JobStore(ledger)
    loaded = load_model(tmp_path / "measured.qtnml").set_params(backend=Device(1), jobs=store)
    np.testing.assert_array_equal(loaded.predict_proba(X), bought)
    assert store.bought_jobs == 0
    assert loaded.compiled.device.target.operation_names  # it knows how the device errs today


@pytest.mark.usefixtures("_silent")
def test_pins_depend_on_numbers_and_not_on_how_they_are_shown(
    clf: TreeClassifier, data: tuple[np.ndarray, np.ndarray], ledger: Path
) -> None:
    store = JobStore(ledger)
    first = clf.to_backend(Device(0), jobs=store).pin
    with np.printoptions(precision=2, threshold=1):
        again = clf.to_backend(Device(0), jobs=store).pin
    assert first is not None
    assert again is not None
    assert first.key == again.key
    X, y = data
    other = TreeClassifier(epochs=2, random_state=0, feature_range=(0.0, 1.0001)).fit(X, y).to_backend(
        Device(0), jobs=store
    )  # fmt: skip
    assert other.pin is not None
    assert other.pin.key != first.key


@pytest.mark.usefixtures("_silent")
def test_a_recalibration_for_another_device_leaves_the_pin(clf: TreeClassifier, ledger: Path) -> None:
    store = JobStore(ledger)
    first = clf.to_backend(Device(0), jobs=store)
    other = Device(1)
    other.name = "another"
    first.set_params(backend=other).recalibrated()
    assert clf.to_backend(Device(0), jobs=store).compiled.layout == first.compiled.layout


@pytest.mark.usefixtures("_silent")
def test_two_processes_that_compile_at_once_use_one_circuit(clf: TreeClassifier, ledger: Path) -> None:
    store = JobStore(ledger)
    mine = clf.to_backend(Device(0), jobs=store)
    assert mine.pin is not None
    theirs = clf.compile(target=Device(1))
    assert theirs.layout != mine.compiled.layout
    mine.pin.keep(theirs, anew=True)  # another process has kept this one while we compiled
    assert mine.pin.keep(mine.compiled).layout == theirs.layout
