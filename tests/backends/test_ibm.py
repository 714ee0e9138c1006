"""IBM's client: the code of a real device, with a stand-in for the service that needs an account."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qtnml import JobStore, TreeClassifier, get_backend
from qtnml.backends import JobStatus, check_backend
from qtnml.backends.ibm import RuntimeJobs, _merged, _with_mid_circuit_instructions
from qtnml.data import Dataset
from qtnml.errors import BackendError
from qtnml.jobs import Patience, Price
from qtnml.ledger.identity import job_ids

runtime = pytest.importorskip("qiskit_ibm_runtime")
pytestmark = pytest.mark.filterwarnings("ignore")


INSTANCES = ("crn:v1:one", "crn:v1:two")


class Account:
    """Stands in for an account: jobs of two instances, listed late, charged later still.

    `service` has the real client's methods with their real signatures, and no others: a call that the client
    does not have, or an argument that it does not take, fails.
    """

    def __init__(self, device: Any, lag: float = 0.0) -> None:
        self.device, self.lag = device, lag
        self.active = INSTANCES[0]
        self.kept: dict[str, Any] = {}
        self.listed: dict[str, tuple[str, list[str], float]] = {}  # instance, tags, time of acceptance
        self.charged: dict[str, float] = {}
        self.service = create_autospec(runtime.QiskitRuntimeService, instance=True)
        self.service.backend.side_effect = self._backend
        self.service.least_busy.side_effect = lambda **_: self.device
        self.service.instances.side_effect = lambda: [
            {"crn": crn, "plan": "x", "name": crn} for crn in INSTANCES
        ]
        self.service.active_instance.side_effect = lambda: self.active
        self.service.job.side_effect = self._job
        self.service.jobs.side_effect = self._jobs

    def _backend(self, name: str, *_: Any, **__: Any) -> Any:
        if name != "torino":
            raise ValueError(f"no backend {name}")
        return self.device

    def accept(self, job: Any, tags: list[str]) -> Any:
        """A job of the instance that is active."""
        job_id = job.job_id()
        self.kept[job_id] = Job(job, lambda: self.charged.get(job_id))
        self.listed[job_id] = (self.active, tags, time.time())
        return self.kept[job_id]

    def _job(self, job_id: str) -> Any:
        if job_id not in self.kept:
            raise KeyError(f"Job not found: {job_id}")
        return self.kept[job_id]

    def _jobs(
        self,
        limit: int | None = 10,
        backend_name: str | None = None,
        instance: str | None = None,
        job_tags: list[str] | None = None,
    ) -> list[Any]:
        self.active = instance or self.active  # as the real client does
        found = [
            self.kept[job_id]
            for job_id, (crn, tags, at) in self.listed.items()
            if crn == self.active and set(job_tags or []) <= set(tags) and time.time() - at >= self.lag
        ]
        assert backend_name == self.device.name
        return found[:limit]


class Job:
    """A local job with the figures that IBM's have."""

    def __init__(self, job: Any, charged: Callable[[], float | None]) -> None:
        self._job, self._charged = job, charged

    def __getattr__(self, name: str) -> Any:
        return getattr(self._job, name)

    def metrics(self) -> dict[str, Any]:
        seconds = self._charged()
        status = "pending" if seconds is None else "completed"
        return {"usage": {"status": status, "qpu_charge_time_seconds": seconds or 0}}


@pytest.fixture(scope="module")
def torino() -> Any:
    """Aer with Torino's noise: seconds to make."""
    from qiskit_aer import AerSimulator

    return AerSimulator.from_backend(runtime.fake_provider.FakeTorino())


@pytest.fixture
def account(torino: Any, monkeypatch: pytest.MonkeyPatch) -> Account:
    from qtnml.backends import ibm

    found = Account(torino)
    real = ibm._sampler

    def keeping(mode: Any, options: Any) -> Any:
        sampler = real(mode, options)

        class Keeping:
            def run(self, pubs: Any, *, shots: int) -> Any:
                job = sampler.run(pubs, shots=shots)
                return found.accept(job, options.get("environment", {}).get("job_tags", []))

        return Keeping()

    monkeypatch.setattr(ibm, "_sampler", keeping)
    return found


@pytest.fixture
def service(account: Account) -> Any:
    return account.service


def circuit() -> QuantumCircuit:
    made = QuantumCircuit(1, 1)
    made.x(0)
    made.measure(0, 0)
    return made


@pytest.mark.slow
def test_a_job_is_found_by_another_process(service: Any) -> None:
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


@pytest.mark.slow
def test_a_job_is_found_in_another_instance(account: Account) -> None:
    """An account has several, and the client looks through the active one alone."""
    backend = get_backend("ibm:torino", service=account.service, mode="job")
    account.active = INSTANCES[1]
    job_id = backend.submit([circuit()], shots=50, tag="theirs")
    account.active = INSTANCES[0]
    later = get_backend("ibm:torino", service=account.service)
    assert later.find("theirs") == job_id
    given = get_backend("ibm:torino", service=account.service, instance=INSTANCES[0])
    account.service.jobs.reset_mock()
    assert given.find("theirs") is None
    assert [call.kwargs["instance"] for call in account.service.jobs.call_args_list] == [INSTANCES[0]]


@pytest.mark.slow
def test_an_answer_lost_at_the_gateway_is_found_though_it_is_listed_late(
    account: Account, tmp_path: Path
) -> None:
    account.lag = 0.4
    backend = get_backend("ibm:torino", service=account.service)
    real = backend._launcher.launch  # type: ignore[attr-defined]

    def cut_off(*arguments: Any) -> Any:
        real(*arguments)
        raise TimeoutError("504 Gateway Time-out")

    backend._launcher.launch = cut_off  # type: ignore[attr-defined]
    patience = Patience(3, 0.01, 0.02, search_for=5.0)
    store = JobStore(tmp_path / "jobs.sqlite", patience=patience)
    assert store.run([circuit()], backend, shots=50)
    assert len(account.kept) == 1


@pytest.mark.slow
def test_what_is_charged_is_read_when_it_is_known(account: Account, tmp_path: Path) -> None:
    backend = get_backend("ibm:torino", service=account.service)
    store = JobStore(tmp_path / "jobs.sqlite", max_seconds=10.0, max_cost=100.0, price=Price(per_second=1.6))
    job = store.submit([circuit()], backend, shots=50)
    result = job.result()
    assert (result.seconds, result.cost) == (None, None)
    reserved = store.spent.seconds
    assert 0 < reserved < 1  # as planned: 50 shots and the pauses between them
    account.charged[next(iter(account.kept))] = 3.0
    result = job.result()
    assert (result.seconds, result.cost, result.currency) == (3.0, pytest.approx(4.8), "USD")
    assert (store.spent.seconds, store.spent.cost) == (3.0, pytest.approx(4.8))


@pytest.mark.slow
def test_who_pays_is_not_what_is_measured(service: Any) -> None:
    options = {"dynamical_decoupling": {"enable": True}}
    backend = get_backend(
        "ibm:torino", service=service, options=options, mode="batch", instance="crn:v1:one", qubits=[3, 4]
    )
    assert backend.settings == {"options": options, "qubits": [3, 4]}
    assert backend.billing == {"mode": "batch", "instance": "crn:v1:one"}  # type: ignore[attr-defined]
    plain = get_backend("ibm:torino", service=service, options=options, qubits=[3, 4])
    assert job_ids([circuit()], backend) == job_ids([circuit()], plain)
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
    service: Any, trained: TreeClassifier, small_digits: Dataset
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
def test_stand_in_keeps_the_contract(service: Any) -> None:
    check_backend(get_backend("ibm:torino", service=service), tolerance=0.3)
