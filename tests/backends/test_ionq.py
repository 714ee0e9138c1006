"""IonQ's real client against a stub of its REST interface, which runs what it is sent."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qtnml import JobStore, MPSClassifier, get_backend
from qtnml.backends import check_backend, run_circuits
from qtnml.errors import BackendBusyError, BackendError, UnknownSubmissionError
from qtnml.jobs import Patience

pytestmark = [pytest.mark.vendor, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("qiskit_ionq")

_NAMES = {
    "xx": "rxx",
    "yy": "ryy",
    "zz": "rzz",
    "cnot": "cx",
    "not": "x",
    "s": "s",
    "si": "sdg",
    "t": "t",
    "ti": "tdg",
    "v": "sx",
    "vi": "sxdg",
}


def simulated(gates: list[dict[str, Any]], qubits: int) -> dict[str, float]:
    """Probabilities by outcome of IonQ's own gates; the first qubit is the least significant bit."""
    circuit = QuantumCircuit(qubits)
    for gate in gates:
        targets = gate.get("targets", [gate.get("target")])
        controls = gate.get("controls", [gate["control"]] if gate.get("control") is not None else [])
        name = _NAMES.get(gate["gate"], gate["gate"])
        if controls and name in ("x", "cx"):
            circuit.cx(controls[0], targets[0])
        elif "rotation" in gate:
            getattr(circuit, name)(gate["rotation"], *targets)
        elif name not in ("meas", "measure"):
            getattr(circuit, name)(*controls, *targets)
    found = Statevector(circuit).probabilities()
    return {str(k): float(p) for k, p in enumerate(found) if p > 1e-12}


class Stub(BaseHTTPRequestHandler):
    jobs: dict[str, dict[str, Any]]
    answers: list[int]  # statuses to answer the next submissions with, after they were heard or not
    heard: bool

    def log_message(self, *_: Any) -> None: ...

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.answers.pop(0) if self.answers else 200
        if status == 200 or self.heard:
            job_id = f"job-{len(self.jobs) + 1}"
            self.jobs[job_id] = job
        if status != 200:
            self._send(status, {"error": {"type": "stub", "message": "stub"}})
            return
        self._send(200, {"id": job_id, "status": "ready", "request": 1})

    def do_PUT(self) -> None:
        self._send(200, {"id": self.path.split("/")[3], "status": "canceled"})

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[1] != "jobs" or parts[2] not in self.jobs:
            self._send(404, {"error": {"type": "NotFound", "message": "no such job"}})
            return
        job = self.jobs[parts[2]]
        if job.get("type") == "ionq.qasm3.v1":
            self._send(200, self._of_shots(parts, job))
            return
        circuits = job["input"].get("circuits") or [job["input"]]
        qubits = job["input"].get("qubits") or 1
        tables = [simulated(each["circuit"], each.get("qubits", qubits)) for each in circuits]
        if len(parts) > 3:
            several = {f"child-{k}": table for k, table in enumerate(tables)}
            self._send(200, tables[0] if len(tables) == 1 else several)
            return
        children = [f"child-{k}" for k in range(len(tables))] if len(tables) > 1 else []
        body = {
            "id": parts[2],
            "status": "completed",
            "backend": "simulator",
            "results": {"probabilities": {"url": f"/v0.4/jobs/{parts[2]}/results/probabilities"}},
            "metadata": job.get("metadata", {}),
            "stats": {"qubits": qubits, "circuits": len(tables)},
            "child_job_ids": children,
        }
        self._send(200, body)

    def _of_shots(self, parts: list[str], job: dict[str, Any]) -> dict[str, Any]:
        """A job in OpenQASM 3, and its shots, register by register."""
        if len(parts) > 3:
            return {"shots": qasm3_shots(job["input"]["data"], int(job["shots"]))}
        return {
            "id": parts[2],
            "type": job["type"],
            "status": "completed",
            "backend": "simulator",
            "results": {"ionq.result.shots.json.v2": {"id": "artifact-1"}},
            "metadata": job.get("metadata", {}),
            "stats": {"qubits": job["input"]["qubits"], "circuits": 1},
            "child_job_ids": [],
        }


def qasm3_shots(text: str, shots: int) -> list[dict[str, Any]]:
    """Each shot as bits of every register, the first bit first."""
    from qiskit import qasm3
    from qiskit_aer import AerSimulator

    circuit = qasm3.loads(text)
    counts = AerSimulator(seed_simulator=1).run(circuit, shots=shots).result().get_counts()
    found = []
    for word, count in counts.items():
        parts = word.split(" ")[::-1]  # the first register last
        registers = {
            register.name: [int(bit) for bit in part[::-1]]
            for register, part in zip(circuit.cregs, parts, strict=True)
        }
        found += [{"registers": registers}] * count
    return found


@pytest.fixture
def stub() -> Iterator[tuple[str, type[Stub]]]:
    class Own(Stub):
        jobs, answers, heard = {}, [], True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v0.4", Own
    server.shutdown()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IONQ_API_KEY", "secret-of-the-test")
    monkeypatch.setenv("IONQ_API_TOKEN", "secret-of-the-test")


def test_contract(stub: tuple[str, type[Stub]]) -> None:
    check_backend(get_backend("ionq:simulator", url=stub[0]))


def flipped() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_a_job_is_fetched_by_another_process(stub: tuple[str, type[Stub]]) -> None:
    job_id = get_backend("ionq:simulator", url=stub[0]).submit([flipped()], shots=30)
    assert get_backend("ionq:simulator", url=stub[0]).fetch(job_id).counts == [{1: 30}]


@pytest.mark.parametrize(("status", "kind"), [(429, BackendBusyError), (504, UnknownSubmissionError)])
def test_a_submission_is_made_once(stub: tuple[str, type[Stub]], status: int, kind: type[Exception]) -> None:
    url, server = stub
    server.answers, server.heard = [status], status == 504
    with pytest.raises(kind):
        run_circuits(get_backend("ionq:simulator", url=url), [flipped()], shots=5)
    assert len(server.jobs) == int(status == 504)


def test_the_ledger_holds_no_key(stub: tuple[str, type[Stub]], tmp_path: Any) -> None:
    store = JobStore(tmp_path / "jobs.sqlite", patience=Patience(2, 0.01, 0.01))
    backend = get_backend("ionq:simulator", url=stub[0])
    assert store.run([flipped()], backend, shots=30) == [{1: 30}]
    assert b"secret-of-the-test" not in (tmp_path / "jobs.sqlite").read_bytes()


NOISY = {"noise_model": "aria-1"}  # the stand-in has none; but without one the real simulator tells no shots


def test_contract_with_resets(stub: tuple[str, type[Stub]]) -> None:
    """Circuits with resets are sent one to a job."""
    backend = get_backend("ionq:simulator", url=stub[0], run_options=NOISY)
    assert backend.capabilities.resets
    check_backend(backend)


def test_a_chain_on_two_qubits_goes_one_circuit_to_a_job(
    stub: tuple[str, type[Stub]], small_digits: Any, tmp_path: Any
) -> None:
    url, server = stub
    backend = get_backend("ionq:simulator", url=url, run_options=NOISY)
    store = JobStore(tmp_path / "jobs.sqlite", patience=Patience(2, 0.01, 0.01))
    trained = MPSClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    qclf = trained.to_backend(backend, shots=400, jobs=store, for_device=False)
    assert qclf.compiled.num_resets > 0
    X = small_digits.X_test[:3]
    assert qclf.plan(X).submissions == 3
    assert np.abs(qclf.predict_proba(X) - trained.predict_proba(X)).max() < 0.12
    assert [job["type"] for job in server.jobs.values()] == ["ionq.qasm3.v1"] * 3
    assert {job["name"] for job in server.jobs.values()} == {found.tag for found in store.submissions()}


def test_without_noise_resets_are_refused_with_the_cure(stub: tuple[str, type[Stub]]) -> None:
    backend = get_backend("ionq:simulator", url=stub[0])
    circuit = QuantumCircuit(1, 1)
    circuit.reset(0)
    circuit.measure(0, 0)
    with pytest.raises(BackendError, match="mid-circuit resets, which backend 'ionq:simulator' lacks"):
        backend.submit([circuit], shots=5)


def test_a_client_that_does_not_repeat_is_left_alone(
    stub: tuple[str, type[Stub]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from qiskit_ionq.ionq_client import IonQClient

    monkeypatch.setattr(IonQClient, "submit_job", IonQClient.submit_job.__wrapped__)
    assert run_circuits(get_backend("ionq:simulator", url=stub[0]), [flipped()], shots=5) == [{1: 5}]
