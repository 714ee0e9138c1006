"""Quantinuum's clients: the local emulator, and Nexus' real client with a stand-in for the service."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit

from qtnml import JobStore, TreeClassifier, get_backend
from qtnml.backends import JobStatus, check_backend, run_circuits
from qtnml.data import Dataset
from qtnml.errors import BackendBusyError, BackendError, UnknownSubmissionError
from qtnml.jobs import Patience
from qtnml.ledger.identity import job_ids

pytestmark = [pytest.mark.vendor, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("pytket.extensions.quantinuum")
httpx = pytest.importorskip("httpx")
qnexus = pytest.importorskip("qnexus")

from pytket.circuit import Circuit, OpType  # noqa: E402

from qtnml.backends.quantinuum import credits_of, to_tket  # noqa: E402

NOW = "2026-11-01T00:00:00+00:00"
ANNOTATIONS: dict[str, Any] = {
    "name": "n",
    "description": "",
    "properties": {},
    "timestamps": {"created": NOW, "modified": NOW},
}


def status(word: str) -> dict[str, Any]:
    return {"status": word, "message": ""}


INFO = {
    "name": "QuantinuumBackend",
    "device_name": "H2-1",
    "version": "1",
    "device": {"nodes": [], "edges": [], "n_nodes": 56, "fully_connected": True},
    "gate_set": [],
    "misc": {},
    "supports_fast_feedforward": True,
    "supports_reset": True,
    "supports_midcircuit_measurement": True,
}


class Nexus:
    """Keeps projects, circuits and jobs, runs them on the local emulator, and answers as Nexus does."""

    def __init__(self) -> None:
        self.projects: dict[str, str] = {}
        self.circuits: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.answers: list[tuple[str, int]] = []  # path, and status to answer with after hearing
        self.heard: list[str] = []

    def __call__(self, request: Any) -> Any:
        path, method = request.url.path.rstrip("/"), request.method
        self.heard.append(f"{method} {path}")
        answer = self._answer(method, path, request)
        for k, (wanted, code) in enumerate(self.answers):
            if wanted in f"{method} {path}":
                del self.answers[k]
                return httpx.Response(code, json={"message": "stub"})
        return answer

    def _answer(self, method: str, path: str, request: Any) -> Any:
        body = json.loads(request.content or b"{}")
        parts = path.strip("/").split("/")
        if parts[1] == "projects":
            return self._projects(method, body, request)
        if parts[1] == "circuits" and method == "POST":
            key = str(uuid.uuid4())
            self.circuits[key] = body["data"]["attributes"]
            return httpx.Response(201, json={"data": {"id": key, "attributes": ANNOTATIONS}})
        if parts[1] == "circuits":
            return httpx.Response(200, json={
                "data": {"id": parts[3], "attributes": ANNOTATIONS,
                         "relationships": {"project": {"data": {"id": next(iter(self.projects.values()))}}}},
                "included": [self._project()],
            })  # fmt: skip
        if parts[1] == "jobs":
            return self._jobs(method, parts, body, request)
        if parts[1] == "results":
            return self._result(parts[3])
        raise AssertionError(f"{method} {path}")

    def _project(self) -> dict[str, Any]:
        name, key = next(iter(self.projects.items()))
        attributes = ANNOTATIONS | {"name": name, "contents_modified": NOW, "archived": False}
        return {"id": key, "type": "project", "attributes": attributes}

    def _projects(self, method: str, body: Any, request: Any) -> Any:
        if method == "POST":
            self.projects[body["data"]["attributes"]["name"]] = str(uuid.uuid4())
            return httpx.Response(201, json={"data": self._project()})
        found = [self._project()] if self.projects else []
        return _page(request, found, [])

    def _jobs(self, method: str, parts: list[str], body: Any, request: Any) -> Any:
        if method == "POST" and len(parts) == 3:
            key = str(uuid.uuid4())
            self.jobs[key] = body["data"]["attributes"] | {"id": key, "polls": 0, "cancelled": False}
            attributes = ANNOTATIONS | {"status": status("SUBMITTED"), "job_type": "execute"}
            return httpx.Response(202, json={"data": {"id": key, "attributes": attributes}})
        if len(parts) == 3 or parts[-1] == "count":  # a list
            wanted = dict(request.url.params.multi_items()).get("filter[name_exact]")
            found = [self._job(job) for job in self.jobs.values() if job["name"] == wanted]
            return _page(request, found, [self._project()])
        if parts[3] not in self.jobs:
            return httpx.Response(404, json={"message": "no such job"})
        job = self.jobs[parts[3]]
        if method == "POST":  # .../rpc/cancel
            job["cancelled"] = True
            return httpx.Response(202, json={})
        if parts[-1] == "status":
            job["polls"] += 1
            word = "CANCELLED" if job["cancelled"] else "COMPLETED" if job["polls"] > 2 else "RUNNING"
            return httpx.Response(200, json=status(word))
        return httpx.Response(200, json={"data": self._job(job), "included": [self._project()]})

    def _job(self, job: dict[str, Any]) -> dict[str, Any]:
        definition = json.loads(json.dumps(job["definition"]))
        for k, item in enumerate(definition["items"]):
            item |= {"status": status("COMPLETED") | {"cost": 5.4}, "result_type": "PYTKET"}
            item |= {
                "result_id": f"{job['id'][:-2]}{k:02d}",
                "external_handle": str(uuid.uuid4()),
                "item_id": k,
            }
        attributes = ANNOTATIONS | {"name": job["name"], "job_type": "execute", "status": status("COMPLETED")}
        programs = [{"id": item["program_id"], "type": "circuit"} for item in definition["items"]]
        return {
            "id": job["id"],
            "attributes": attributes | {"definition": definition},
            "relationships": {
                "project": {"data": {"id": next(iter(self.projects.values()))}},
                "programs": {"data": programs},
            },
        }

    def _result(self, key: str) -> Any:
        from pytket.extensions.quantinuum import QuantinuumBackend

        job = next(job for job in self.jobs.values() if job["id"][:-2] == key[:-2])
        item = job["definition"]["items"][int(key[-2:])]
        kept = {
            "phase",
            "commands",
            "qubits",
            "bits",
            "implicit_permutation",
            "created_qubits",
            "discarded_qubits",
        }
        given = {name: value for name, value in self.circuits[item["program_id"]].items() if name in kept}
        emulator = QuantinuumBackend("H2-1LE")
        handle = emulator.process_circuit(
            Circuit.from_dict(given), item["n_shots"], noisy_simulation=False, seed=3
        )
        result = emulator.get_result(handle).to_dict()
        return httpx.Response(200, json={
            "data": {
                "attributes": result,
                "relationships": {"program": {"data": {"id": item["program_id"], "type": "circuit"}}},
            },
            "included": [{"type": "backend_snapshot", "attributes": INFO}],
        })  # fmt: skip


def _page(request: Any, found: list[Any], included: list[Any]) -> Any:
    """A page of a list: everything is on the first; or how long it is."""
    if request.url.path.endswith("/meta/count"):
        return httpx.Response(200, json={"count": len(found)})
    first = dict(request.url.params.multi_items()).get("page[number]") in (None, "0")
    return httpx.Response(200, json={"data": found if first else [], "included": included})


@pytest.fixture
def nexus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nexus]:
    import qnexus.client as client

    found = Nexus()
    made = httpx.Client(transport=httpx.MockTransport(found), base_url="https://nexus.test")
    monkeypatch.setattr(client, "_nexus_client", made)
    yield found
    made.close()


def reusing() -> QuantumCircuit:
    """Bits of two registers, a reset, and a measurement in the middle: always 1 0 1, the last bit first."""
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.ry(np.pi, 1)
    circuit.measure(0, 1)
    from qiskit import ClassicalRegister

    circuit.add_register(ClassicalRegister(1, "postselect"))
    circuit.measure(1, 2)
    return circuit


def test_the_local_emulator_keeps_the_contract() -> None:
    check_backend(get_backend("quantinuum:H2-1LE"))


def test_bits_come_in_qiskits_order() -> None:
    assert run_circuits(get_backend("quantinuum:H2-1LE"), [reusing()], shots=20) == [{0b101: 20}]


def test_circuits_are_in_the_traps_own_gates() -> None:
    own = {OpType.PhasedX, OpType.Rz, OpType.ZZPhase, OpType.Measure, OpType.Reset}
    assert {command.op.type for command in to_tket(reusing()).get_commands()} <= own
    bell = QuantumCircuit(2, 2)
    bell.rx(np.pi / 2, 0)
    bell.rzz(np.pi / 2, 0, 1)
    bell.measure([0, 1], [0, 1])
    # Two qubits prepared and read, one rotation, one ZZ: 5 + 1000 (1 + 10 + 5 * 4) / 5000.
    assert credits_of(bell, 1000) == pytest.approx(5 + 1000 * 31 / 5000)


def test_a_tree_is_placed_where_nothing_has_to_be_routed(
    trained: TreeClassifier, small_digits: Dataset
) -> None:
    backend = get_backend("quantinuum:H2-1LE", seed=1)
    qclf = trained.to_backend(backend, shots=500, num_qubits=5)
    circuit = qclf.compiled.circuit
    assert qclf.compiled.device is not None
    assert qclf.compiled.device.joins_all
    assert circuit.count_ops()["rzz"] == trained.compile().circuit.num_nonlocal_gates()  # not one SWAP
    assert qclf.compiled.num_resets > 0
    X = small_digits.X_test[:2]
    assert np.abs(qclf.predict_proba(X) - trained.predict_proba(X)).max() < 0.11
    assert qclf.plan(X).expected is None or qclf.plan(X).expected.decided > 0.9


def test_jobs_go_through_nexus_and_are_found_again(nexus: Nexus) -> None:
    backend = get_backend("quantinuum:H2-1")
    assert backend.capabilities.paid
    job_id = backend.submit([reusing(), reusing()], shots=30, tag="mine")
    other = get_backend("quantinuum:H2-1")
    assert other.find("mine") == job_id
    assert other.find("theirs") is None
    assert other.status(job_id) is JobStatus.RUNNING
    assert other.fetch(job_id).counts == [{0b101: 30}] * 2
    assert nexus.heard.count("POST /api/jobs/v1beta3") == 1
    (job,) = nexus.jobs.values()
    assert job["definition"]["backend_config"]["device_name"] == "H2-1"
    backend.cancel(backend.submit([reusing()], shots=5))
    assert list(nexus.jobs.values())[-1]["cancelled"]


def test_nexus_keeps_the_contract(nexus: Nexus) -> None:
    check_backend(get_backend("quantinuum:H2-1"))


def test_an_answer_that_was_lost_is_found_and_an_upload_is_repeated(nexus: Nexus, tmp_path: Any) -> None:
    patience = Patience(4, 0.01, 0.02, search_for=2.0)
    store = JobStore(tmp_path / "jobs.sqlite", patience=patience)
    nexus.answers = [("POST /api/circuits", 503), ("POST /api/jobs", 504)]
    assert store.run([reusing()], get_backend("quantinuum:H2-1"), shots=30) == [{0b101: 30}]
    assert len(nexus.jobs) == 1
    nexus.answers = [("POST /api/jobs", 504)]
    with pytest.raises(UnknownSubmissionError):
        get_backend("quantinuum:H2-1").submit([reusing()], shots=3)
    nexus.answers = [("POST /api/circuits", 503)]
    with pytest.raises(BackendBusyError, match="cannot take circuits now"):
        get_backend("quantinuum:H2-1").submit([reusing()], shots=3)


def test_who_pays_is_not_what_is_measured(nexus: Nexus) -> None:
    one = get_backend("quantinuum:H2-1")
    other = get_backend("quantinuum:H2-1", project="ours", user_group="lab")
    assert job_ids([reusing()], one) == job_ids([reusing()], other)
    assert not get_backend("quantinuum:H2-1SC").capabilities.paid
    with pytest.raises(BackendError, match="no trap 'H9'; choose quantinuum: and one of H1-1, H2-1, H2-2"):
        get_backend("quantinuum:H9")
    with pytest.raises(BackendError, match="takes no seed"):
        get_backend("quantinuum:H2-1", seed=3)
