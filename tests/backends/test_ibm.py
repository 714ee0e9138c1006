"""IBM's client: the code of a real device, with a stand-in for the service that needs an account."""

import sys
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qtnml import JobStore, TreeClassifier, get_backend
from qtnml.backends import JobStatus, check_backend
from qtnml.backends.ibm import RuntimeJobs, _merged, _with_mid_circuit_instructions
from qtnml.data import Dataset
from qtnml.errors import BackendError

runtime = pytest.importorskip("qiskit_ibm_runtime")
pytestmark = pytest.mark.filterwarnings("ignore")


class Service:
    """Keeps jobs by id and tag, as the account's service does."""

    def __init__(self, device: Any) -> None:
        self._device, self.kept, self.tags = device, {}, {}

    def backend(self, name: str) -> Any:
        if name != "torino":
            raise ValueError(f"no backend {name}")
        return self._device

    def least_busy(self, **_: Any) -> Any:
        return self._device

    def job(self, job_id: str) -> Any:
        if job_id not in self.kept:
            raise KeyError(f"Job not found: {job_id}")
        return self.kept[job_id]

    def jobs(self, *, job_tags: list[str], **_: Any) -> list[Any]:
        return [self.kept[job_id] for job_id, tags in self.tags.items() if set(job_tags) <= set(tags)]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    from qiskit_aer import AerSimulator

    from qtnml.backends import ibm

    found = Service(AerSimulator.from_backend(runtime.fake_provider.FakeTorino()))
    real = ibm._sampler

    def keeping(mode: Any, options: Any) -> Any:
        sampler = real(mode, options)

        class Keeping:
            def run(self, pubs: Any, *, shots: int) -> Any:
                job = sampler.run(pubs, shots=shots)
                found.kept[job.job_id()] = job
                found.tags[job.job_id()] = options.get("environment", {}).get("job_tags", [])
                return job

        return Keeping()

    monkeypatch.setattr(ibm, "_sampler", keeping)
    return found


def circuit() -> QuantumCircuit:
    made = QuantumCircuit(1, 1)
    made.x(0)
    made.measure(0, 0)
    return made


def test_a_job_is_found_by_another_process(service: Service) -> None:
    backend = get_backend("ibm:torino", service=service, mode="job")
    assert backend.capabilities.durable
    assert backend.capabilities.searchable
    assert backend.capabilities.paid
    assert backend.capabilities.num_qubits == 133
    job_id = backend.submit([circuit()], shots=50, tag="mine")
    another = get_backend("ibm:least_busy", service=service)  # as a new process would make it
    assert another.find("mine") == job_id
    assert another.find("other") is None
    result = another.fetch(job_id)
    assert sum(result.counts[0].values()) == 50
    assert another.status(job_id) is JobStatus.DONE
    with pytest.raises(BackendError, match="cannot find job 'nothing'"):
        another.fetch("nothing")
    with pytest.raises(BackendError, match="cannot be reached .*no backend nowhere"):
        get_backend("ibm:nowhere", service=service)


def test_settings_tell_backends_apart_and_hold_no_account(service: Service) -> None:
    options = {"dynamical_decoupling": {"enable": True}}
    backend = get_backend("ibm:torino", service=service, options=options, mode="batch", qubits=[3, 4])
    assert backend.settings == {"options": options, "mode": "batch", "qubits": [3, 4]}
    assert _merged({"a": {"b": 1}, "l": [1]}, {"a": {"c": 2}, "l": [2]}) == {
        "a": {"b": 1, "c": 2},
        "l": [1, 2],
    }


def test_snapshot_runs_through_the_ledger_with_its_calibration(
    trained: TreeClassifier, small_digits: Dataset
) -> None:
    store = JobStore("sqlite://")
    on_fake = trained.to_backend("fake:torino", shots=300, jobs=store, num_qubits=5)
    X = small_digits.X_test[:2]
    measured = on_fake.predict_proba(X)
    assert on_fake.compiled.device is not None  # compiled for the device's own qubits
    assert np.abs(measured - trained.predict_proba(X)).max() < 0.25
    (row, _) = store.export()
    assert row["calibration"].startswith("2025-02-26")
    assert row["backend"] == "fake:torino"
    plan = on_fake.plan(X)
    assert (plan.shots, plan.paid) == (0, False)


def test_plan_estimates_seconds_of_a_real_device(
    service: Service, trained: TreeClassifier, small_digits: Dataset
) -> None:
    backend = get_backend("ibm:torino", service=service)
    plan = trained.to_backend(backend, shots=1000, jobs=JobStore("sqlite://"), num_qubits=5).plan(
        small_digits.X_test[:10]
    )
    assert plan.paid
    # 10,000 shots of tens of microseconds, and 250 microseconds between two.
    assert plan.seconds is not None
    assert 2.5 < plan.seconds < 4
    assert "about" in str(plan)


def test_quicker_resets_where_the_device_has_them() -> None:
    from qiskit.circuit import Measure, Reset
    from qiskit_ibm_runtime import circuit as instructions

    device = runtime.fake_provider.FakeTorino()
    assert _with_mid_circuit_instructions(device) is None
    target = device.target
    measures = instructions.MidCircuitMeasure("measure_2")
    target.add_instruction(measures, {(q,): None for q in range(133)})
    resets = getattr(instructions, "MidCircuitReset", None)
    if resets is not None:
        target.add_instruction(resets("reset_2"), {(q,): None for q in range(133)})
    convert = _with_mid_circuit_instructions(type("Device", (), {"target": target})())
    made = QuantumCircuit(133, 2)
    made.append(Measure(), [0], [0])
    made.append(Reset(), [0])
    made.x(0)
    made.append(Measure(), [0], [1])
    names = convert(made).count_ops()
    assert names["measure_2"] == 1
    assert names["measure"] == 1
    if resets is not None:
        assert names["reset_2"] == 1


def test_the_old_sampler_where_there_is_no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qiskit_ibm_runtime.executor_sampler", None)
    from qiskit_aer import AerSimulator

    jobs = RuntimeJobs(AerSimulator(), None, "job", {})
    from qtnml.backends.translation import Translator

    groups = list(Translator(None).groups([circuit()]))
    assert jobs.counts(jobs.launch(groups, 20, 1, "tag")) == [{1: 20}]


def test_a_session_is_opened_once_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Session:
        def __init__(self, *, backend: Any) -> None:
            told.append(f"open {backend}")

        def close(self) -> None:
            told.append("close")

    monkeypatch.setattr(runtime, "Session", Session)
    jobs = RuntimeJobs("device", object(), "session", {})
    assert jobs._execution_mode() is jobs._execution_mode()
    jobs.close()
    jobs.close()
    assert told == ["open device", "close"]
    assert RuntimeJobs("device", object(), "job", {})._execution_mode() == "device"
    with get_backend("fake:torino", mode="session") as backend:  # nothing is reserved on this machine
        assert backend.name == "fake:torino"


@pytest.mark.slow
def test_stand_in_keeps_the_contract(service: Service) -> None:
    check_backend(get_backend("ibm:torino", service=service), tolerance=0.3)
