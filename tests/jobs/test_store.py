import copy
import json
import os
import pickle
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qtnml import JobStore, get_backend
from qtnml.backends import Capabilities, JobStatus, Result, run_circuits
from qtnml.errors import BackendError, BudgetError, InvalidInputError, JobError
from qtnml.jobs import Patience, Plan
from tests.jobs.vendor import Vendor

pytestmark = pytest.mark.portable

QUICK = Patience(attempts=4, first_wait=0.001, longest_wait=0.002, search_for=0.05, lease=0.5)


def turned(*angles: float) -> list[QuantumCircuit]:
    circuits = []
    for angle in angles:
        circuit = QuantumCircuit(1, 1)
        circuit.ry(angle, 0)
        circuit.measure(0, 0)
        circuits.append(circuit)
    return circuits


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite", patience=QUICK)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path / "vendor")


def test_bought_once_and_more_shots_add_up(store: JobStore, vendor: Vendor) -> None:
    first = store.run(turned(0.1, 0.2), vendor, shots=100)
    assert [sum(counts.values()) for counts in first] == [100, 100]
    assert store.run(turned(0.2, 0.1), vendor, shots=100) == first[::-1]
    assert len(vendor.asked()) == 1
    more = store.run(turned(0.1, 0.3), vendor, shots=250)
    assert [sum(counts.values()) for counts in more] == [250, 250]
    assert sorted(asked["shots"] for asked in vendor.asked()) == [100, 150, 250]
    # Each submission has a seed of its own: nothing is counted twice.
    assert len({asked["seed"] for asked in vendor.asked()}) == 3
    assert sorted(more[0].values()) == [100, 150]
    assert sum(store.run(turned(0.1), vendor, shots=10)[0].values()) == 250
    assert store.bought_shots == 100 * 2 + 150 + 250


def test_equal_circuits_of_a_batch_are_one_job(store: JobStore, vendor: Vendor) -> None:
    found = store.run(turned(0.1, 0.1, 0.1), vendor, shots=10)
    assert found[0] == found[1] == found[2]
    found[0][99] = 1  # a caller may change what is its own
    assert 99 not in found[1]
    assert [asked["circuits"] for asked in vendor.asked()] == [1]


def test_a_repeat_is_another_sample(store: JobStore) -> None:
    circuits = turned(1.0, 1.5)
    first = store.run(circuits, "aer", shots=500)
    assert store.run(circuits, "aer", shots=500, repeat=1) != first
    assert store.run(circuits, "aer", shots=500) == first
    with pytest.raises(InvalidInputError, match="repeat must be an integer of at least 0, got -1"):
        store.run(circuits, "aer", shots=5, repeat=-1)


def test_counts_are_those_of_the_simulator_with_the_seed_written_down(store: JobStore) -> None:
    circuits = turned(1.0, 1.5)
    found = store.run(circuits, "aer", shots=300)
    (submission,) = store.submissions()
    assert found == run_circuits(get_backend("aer"), circuits, shots=300, seed=submission.seed)


def test_large_runs_are_split_as_the_vendor_wants(store: JobStore, vendor: Vendor) -> None:
    angles = [0.01 * k for k in range(10)]
    plan = store.plan(turned(*angles), vendor, shots=7)
    assert (plan.circuits, plan.new_circuits, plan.shots, plan.submissions) == (10, 10, 70, 3)
    store.run(turned(*angles), vendor, shots=7)
    assert [asked["circuits"] for asked in vendor.asked()] == [4, 4, 2]
    assert (
        str(store.plan(turned(*angles), vendor, shots=7))
        == "nothing to run on vendor: all 70 shots are stored"
    )


def test_more_shots_than_a_job_may_have_are_bought_in_turns(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", max_shots=40)
    (found,) = store.run(turned(0.1), vendor, shots=100)
    assert [asked["shots"] for asked in vendor.asked()] == [40, 40, 20]
    assert sorted(found.values()) == [20, 40, 40]


def test_plan_and_confirmation(store: JobStore, vendor: Vendor) -> None:
    seen: list[Plan] = []

    def decline(plan: Plan) -> bool:
        seen.append(plan)
        return False

    with pytest.raises(JobError, match="not confirmed; nothing was bought"):
        store.run(turned(0.1), vendor, shots=5, confirm=decline)
    assert vendor.asked() == []
    assert "1 of 1 circuits in 1 submission, 5 shots (0 stored)" in str(seen[0])
    store.run(turned(0.1), vendor, shots=5)
    store.run(turned(0.1), vendor, shots=5, confirm=decline)  # nothing to ask about
    assert len(seen) == 1


def test_budgets_stop_before_anything_is_bought(tmp_path: Path, vendor: Vendor) -> None:
    store = JobStore(tmp_path / "jobs.sqlite", max_shots=100, max_jobs=3, patience=QUICK)
    store.run(turned(0.1), vendor, shots=60)
    with pytest.raises(
        BudgetError, match="needs 80 more shots, but max_shots=100 leaves 40; nothing more was bought"
    ):
        store.run(turned(0.2, 0.3), vendor, shots=40)
    with pytest.raises(BudgetError, match="needs 3 more jobs, but max_jobs=3 leaves 2"):
        store.run(turned(0.2, 0.3, 0.4), vendor, shots=1)
    assert len(vendor.asked()) == 1
    store.run(turned(0.2, 0.3), vendor, shots=20)
    with pytest.raises(InvalidInputError, match="max_shots must be None or an integer of at least 0, got -1"):
        JobStore(tmp_path / "other.sqlite", max_shots=-1)


def test_a_busy_vendor_is_asked_again(store: JobStore, tmp_path: Path) -> None:
    faults = {"submit": ["busy", "busy"], "status": ["busy"], "fetch": ["busy", "busy"]}
    vendor = Vendor(tmp_path / "vendor", faults=faults)
    store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1
    assert not any(faults.values())


def test_a_vendor_busy_for_too_long_is_left_and_resumed(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendError, match="queue full"):
        store.run(turned(0.1), vendor, shots=5)
    assert [found.state for found in store.submissions()] == ["prepared"]
    assert [found.state for found in store.resume(backend=vendor)] == ["done"]
    assert len(vendor.asked()) == 1


def test_lost_answers_are_looked_up_not_repeated(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["deaf", "deaf"]})
    store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1


def test_what_the_vendor_never_lists_is_lost_and_sent_again_by_hand(store: JobStore, tmp_path: Path) -> None:
    """It may have been accepted all the same: only a person may buy again."""
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["dead"]})
    with pytest.raises(JobError, match="lists no job tagged qtnml-.*look for a job of.*--send-again"):
        store.run(turned(0.1), vendor, shots=5)
    assert store.submission(1).state == "lost"
    with pytest.raises(JobError, match="s1 holds some of these jobs and is lost"):
        store.run(turned(0.1), vendor, shots=5)
    assert vendor.asked() == []
    assert store.resume([1], backend=vendor, send_again=True)[0].state == "done"
    assert len(vendor.asked()) == 1


def test_what_the_vendor_lists_late_is_found(store: JobStore, tmp_path: Path) -> None:
    """Long after the search was given up, the next run looks once more."""
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["deaf"]}, lag=0.3)
    with pytest.raises(JobError, match="lists no job tagged"):
        store.run(turned(0.1), vendor, shots=5)
    time.sleep(0.4)
    store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1
    slow = Vendor(tmp_path / "slow", faults={"submit": ["deaf"]}, lag=0.3, settings={"slow": 1})
    JobStore(tmp_path / "jobs.sqlite", patience=replace(QUICK, search_for=2.0)).run(
        turned(0.1), slow, shots=5
    )
    assert len(slow.asked()) == 1


@pytest.mark.parametrize("fault", ["deaf", "dead"])
def test_what_cannot_be_known_is_said(store: JobStore, tmp_path: Path, fault: str) -> None:
    vendor = Vendor(tmp_path / "vendor", searchable=False, faults={"submit": [fault]})
    with pytest.raises(JobError, match="may or may not have been bought.*cannot be searched.*--vendor-id"):
        store.run(turned(0.1), vendor, shots=5)
    (lost,) = store.submissions()
    assert lost.state == "lost"
    with pytest.raises(JobError, match="s1 holds some of these jobs and is lost"):
        store.run(turned(0.1), vendor, shots=5)
    assert store.resume(backend=vendor)[0].state == "lost"  # a person must decide
    if fault == "deaf":
        assert store.adopt(1, "job-1", backend=vendor).state == "done"
    else:
        assert store.resume([1], backend=vendor, send_again=True)[0].state == "done"
    store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1
    with pytest.raises(JobError, match="send_again buys again: name the submissions"):
        store.resume(send_again=True)
    with pytest.raises(JobError, match="s1 is done; only an open or lost one"):
        store.adopt(1, "job-1", backend=vendor)


def test_a_wrong_cure_leaves_a_lost_submission_lost(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", searchable=False, durable=False, faults={"submit": ["deaf"]})
    with pytest.raises(JobError, match="may or may not have been bought"):
        store.run(turned(0.1), vendor, shots=5)
    with pytest.raises(JobError, match="no job 'V1'"):
        store.adopt(1, "V1", backend=vendor)
    with pytest.raises(JobError, match="s1 may run at the vendor's, and vendor cannot be searched"):
        store.cancel(1, backend=Vendor(tmp_path / "vendor", searchable=False))
    assert store.submissions()[0].state == "lost"
    with pytest.raises(JobError, match="is lost"):
        store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1


def test_cancelling_a_job_that_is_found_done_stores_it(store: JobStore, tmp_path: Path) -> None:
    class Dying(Vendor):
        def submit(self, *args: object, **options: object) -> str:
            super().submit(*args, **options)  # type: ignore[arg-type]
            raise SystemExit("killed")

    with pytest.raises(SystemExit):
        store.run(turned(0.1), Dying(tmp_path / "vendor"), shots=5)
    vendor = Vendor(tmp_path / "vendor", polls=0)
    assert vendor.status("job-1") is JobStatus.DONE
    assert store.cancel(1, backend=vendor).state == "done"


def test_a_living_process_that_gave_up_blocks_nobody(store: JobStore, tmp_path: Path) -> None:
    """A notebook whose run was interrupted lives on; another process goes on with its submission."""

    class Interrupted(Vendor):
        def status(self, _: str) -> JobStatus:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.run(turned(0.1), Interrupted(tmp_path / "vendor"), shots=5)
    assert store.submissions()[0].token is None
    store.run(turned(0.1), Vendor(tmp_path / "vendor"), shots=5)
    assert len(Vendor(tmp_path / "vendor").asked()) == 1


def test_circuits_changed_between_runs_are_other_circuits(store: JobStore, tmp_path: Path) -> None:
    (circuit,) = turned(0.0)
    backend = get_backend(AerSimulator())
    assert store.run([circuit], backend, shots=20) == [{0: 20}]
    circuit.x(0)
    circuit.measure(0, 0)
    assert store.run([circuit], backend, shots=20) == [{1: 20}]
    assert [len(store.ledger.circuits(number)[0].data) for number in (1, 2)] == [2, 4]


def test_budgets_count_a_job_once_and_only_what_is_bought(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite", max_jobs=1, patience=QUICK)
    vendor = Vendor(tmp_path / "vendor", max_shots=5, faults={"submit": ["refuse"]})
    with pytest.raises(JobError, match="was refused"):
        store.run(turned(0.1), vendor, shots=10)
    assert (store.bought_jobs, store.bought_shots) == (0, 0)
    store.run(turned(0.1), vendor, shots=10)
    assert (store.bought_jobs, store.bought_shots) == (1, 10)


def test_refusals_and_failures_let_jobs_go(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["refuse"]})
    with pytest.raises(JobError, match=r"s1 was refused: no such gate; your token=\*\*\* is fine"):
        store.run(turned(0.1), vendor, shots=5)
    (found,) = store.submissions()
    assert found.state == "failed"
    assert "abcdefgh12345" not in str(found)
    store.run(turned(0.1), vendor, shots=5)
    vendor = Vendor(tmp_path / "vendor", polls=10**6)
    vendor_id = vendor.submit(turned(0.2), shots=3)
    vendor.fail(vendor_id)

    class Failing(Vendor):
        def submit(self, *_: object, **__: object) -> str:
            return vendor_id

    with pytest.raises(JobError, match="has no result: job-2 has failed"):
        store.run(turned(0.2), Failing(tmp_path / "vendor"), shots=5)
    assert [each.state for each in store.submissions()] == ["failed", "done", "failed"]


def test_one_failure_does_not_lose_the_others(store: JobStore, tmp_path: Path) -> None:
    class HalfBroken(Vendor):
        def fetch(self, job_id: str) -> Result:
            if job_id == "job-1":
                self.fail(job_id)
            return super().fetch(job_id)

    vendor = HalfBroken(tmp_path / "vendor")
    angles = [0.01 * k for k in range(8)]
    with pytest.raises(JobError, match="job-1 has failed"):
        store.run(turned(*angles), vendor, shots=5)
    assert sorted(found.state for found in store.submissions()) == ["done", "failed"]
    store.run(turned(*angles), Vendor(tmp_path / "vendor"), shots=5)
    assert [asked["circuits"] for asked in vendor.asked()] == [4, 4, 4]


def test_partial_results_are_kept_and_completed(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", returns=lambda shots: (shots + 1) // 2)
    (found,) = store.run(turned(0.1), vendor, shots=100)
    assert sum(found.values()) == 100
    assert [asked["shots"] for asked in vendor.asked()] == [100, 50, 25, 12, 6, 3, 1]
    mute = Vendor(tmp_path / "mute", returns=lambda _: 0)
    with pytest.raises(JobError, match="'vendor' returned nothing for 1 circuits 3 times over"):
        store.run(turned(0.2), mute, shots=10)


def test_a_result_that_cannot_be_read_now_is_kept_open(store: JobStore, tmp_path: Path) -> None:
    class Garbled(Vendor):
        def fetch(self, _: str) -> Result:
            raise BackendError("cannot decode")

    with pytest.raises(JobError, match="has no result: cannot decode"):
        store.run(turned(0.1), Garbled(tmp_path / "vendor"), shots=5)
    assert store.submissions()[0].state == "running"
    assert store.fetch(backend=Vendor(tmp_path / "vendor"))[0].state == "done"


def test_fetch_waits_for_nothing_and_cancel_lets_go(store: JobStore, tmp_path: Path) -> None:
    slow = Vendor(tmp_path / "vendor", polls=10**6, faults={"status": ["busy"] * 4})
    with pytest.raises(BackendError, match="rate limit"):
        store.run(turned(0.1), slow, shots=5)
    assert store.fetch(backend=slow)[0].state == "running"
    assert store.cancel(1, backend=slow).state == "cancelled"
    assert store.cancel(1, backend=slow).state == "cancelled"
    assert store.fetch() == []
    store.run(turned(0.1), Vendor(tmp_path / "vendor"), shots=5)
    assert [asked["state"] for asked in slow.asked()] == ["cancelled", "done"]


def test_cancelling_what_may_have_been_sent(store: JobStore, tmp_path: Path) -> None:
    """A process was killed between sending and noting the answer: the job is found by its tag and stopped."""
    vendor = Vendor(tmp_path / "vendor", polls=10**6)

    class Dying(Vendor):
        def submit(self, *args: object, **options: object) -> str:
            super().submit(*args, **options)  # type: ignore[arg-type]
            raise SystemExit("killed")

    with pytest.raises(SystemExit, match="killed"):
        store.run(turned(0.1), Dying(tmp_path / "vendor", polls=10**6), shots=5)
    assert store.cancel(1, backend=vendor).state == "cancelled"
    assert [asked["state"] for asked in vendor.asked()] == ["cancelled"]


def test_cancelled_while_it_is_sent(store: JobStore, tmp_path: Path) -> None:
    class Slow(Vendor):
        def submit(self, *args: object, **options: object) -> str:
            job_id = super().submit(*args, **options)  # type: ignore[arg-type]
            with pytest.raises(JobError, match="s1 is being sent or fetched by another process or thread"):
                store.cancel(1, backend=self)
            with store.ledger.database.writing() as connection:
                connection.exec_driver_sql("update qtnml_submissions set state = 'cancelled'")
            return job_id

    vendor = Slow(tmp_path / "vendor", polls=10**6)
    with pytest.raises(JobError, match="s1 was stopped, or sent again by hand, while it was sent"):
        store.run(turned(0.1), vendor, shots=5)
    assert [asked["state"] for asked in vendor.asked()] == ["cancelled"]


def test_what_was_sent_before_a_refusal_is_collected(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": [None, "refuse"]})
    with pytest.raises(JobError, match="s2 was refused"):
        store.run(turned(*(0.01 * k for k in range(10))), vendor, shots=5)
    # The third one, whose turn never came, is let go.
    assert sorted(found.state for found in store.submissions()) == ["cancelled", "done", "failed"]
    assert store.bought_shots == 4 * 5


def test_a_cancelled_job_ends_the_run(store: JobStore, tmp_path: Path) -> None:
    class Cancelled(Vendor):
        def submit(self, *args: object, **options: object) -> str:
            job_id = super().submit(*args, **options)  # type: ignore[arg-type]
            self.cancel(job_id)
            return job_id

    with pytest.raises(JobError, match=r"s1 \(job-1\) was cancelled"):
        store.run(turned(0.1), Cancelled(tmp_path / "vendor"), shots=5)
    assert store.submissions()[0].state == "cancelled"


def test_results_by_calibration(store: JobStore, vendor: Vendor) -> None:
    store.run(turned(0.1), vendor, shots=10)
    vendor.calibration = "2026-11-02T00:00:00"
    store.run(turned(0.1), vendor, shots=25)
    job = store.ledger.job_ids(1)[0]
    split = store.counts_by_calibration(job[:10])
    assert {when: sum(counts.values()) for when, counts in split.items()} == {
        "2026-11-01T00:00:00": 10,
        "2026-11-02T00:00:00": 15,
    }
    assert sum(store.counts(job).values()) == 25
    for wrong, message in (("abc", "at least its first 6"), ("s1", "at least"), ("000000", "no job")):
        with pytest.raises(JobError, match=message):
            store.counts(wrong)


def test_export_tells_everything(store: JobStore, vendor: Vendor) -> None:
    store.run(turned(0.1, 0.2), vendor, shots=10, label="mine")
    store.run(turned(0.3), vendor, shots=10)
    assert list(store.export(label="\udce9")) == []  # half a character is nobody's label
    exported = json.loads(json.dumps(list(store.export(label="mine"))))
    assert [row["shots"] for row in exported] == [10, 10]
    assert exported[0]["vendor_id"] == "job-1"
    assert len(list(store.export())) == 3


def test_another_process_uses_what_is_stored(store: JobStore, tmp_path: Path) -> None:
    found = store.run(turned(1.0), "aer", shots=50)
    code = (
        "import sys\nfrom tests.jobs.test_store import turned\nfrom qtnml import JobStore\n"
        "store = JobStore(sys.argv[1])\nprint(store.run(turned(1.0), 'aer', shots=50), store.bought_shots)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "jobs.sqlite")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert result.stdout.strip() == f"{found} 0"


def test_a_store_travels_to_other_processes(store: JobStore) -> None:
    found = store.run(turned(1.0), "aer", shots=50)
    other = pickle.loads(pickle.dumps(store))
    assert other.run(turned(1.0), "aer", shots=50) == found
    assert other.bought_shots == 0
    assert copy.deepcopy(store) is store
    with pytest.raises(JobError, match="a ledger in memory belongs to one process"):
        pickle.dumps(JobStore("sqlite://"))


def test_nothing_to_run(store: JobStore, vendor: Vendor) -> None:
    assert store.run([], vendor, shots=5) == []
    assert store.submissions() == []
    assert store.resume() == []


def test_secrets_stay_out(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError, match=r"settings of backend 'vendor' hold a secret \(api_token\)"):
        store.run(turned(0.1), Vendor(tmp_path / "v", settings={"a": {"api_token": "1"}}), shots=5)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "sEcReT-value")

    class Leaky(Vendor):
        def submit(self, *_: object, **__: object) -> str:
            raise BackendError(
                "401 for https://me:hunter22@host/jobs with sEcReT-value and apikey=0123456789ab"
            )

    with pytest.raises(JobError) as caught:
        store.run(turned(0.1), Leaky(tmp_path / "v"), shots=5)
    content = (tmp_path / "jobs.sqlite").read_bytes() + (tmp_path / "jobs.sqlite-wal").read_bytes()
    for secret in ("sEcReT-value", "hunter22", "0123456789ab"):
        assert secret not in str(store.submissions()[0])
        assert secret.encode() not in content
        assert secret not in str(caught.value)
    with pytest.raises(JobError) as refused:
        JobStore("postgresql+nosuchdriver://me:hunter22@nowhere/db")
    assert "hunter22" not in str(refused.value)


def test_ledgers_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, however long one looks at it" * 100)
    with pytest.raises(JobError, match=r"cannot open the ledger .*not a database"):
        JobStore(tmp_path / "text")
    with pytest.raises(JobError, match="cannot make the folder of the ledger"):
        JobStore(tmp_path / "text" / "jobs.sqlite")
    for wrong in (5, b"jobs", "a\0b"):
        with pytest.raises(JobError, match="a ledger is a file, a SQLAlchemy URL or None"):
            JobStore(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no state 'gone'; choose of"):
        JobStore("sqlite://").submissions(states=["gone"])
    with pytest.raises(JobError, match="no SQLAlchemy URL"):
        JobStore("http//::://")
    newer = tmp_path / "newer.sqlite"
    JobStore(newer).close()
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("update qtnml_schema set version = 99")
    with pytest.raises(JobError, match="is of a newer release of qtnml"):
        JobStore(newer)


def test_a_damaged_submission_is_told(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendError, match="queue full"):
        store.run(turned(0.1), vendor, shots=5)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as connection, connection:
        connection.execute("update qtnml_templates set qpy = x'00'")
    (found,) = store.resume(backend=vendor)
    assert found.state == "prepared"
    assert "damaged" in str(found.error)
    assert vendor.asked() == []


def test_the_default_ledger_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QTNML_JOBS", str(tmp_path / "deep" / "jobs.sqlite"))
    JobStore().run(turned(0.1), "aer", shots=3)
    assert (tmp_path / "deep" / "jobs.sqlite").is_file()
    monkeypatch.delenv("QTNML_JOBS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert "qtnml" in repr(JobStore())
    assert os.listdir(tmp_path / "home")  # noqa: PTH208


def test_backends_are_made_again_from_their_names(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendError, match="queue full"):
        store.run(turned(0.1), vendor, shots=5)
    (found,) = store.resume()
    assert "backend 'vendor' of submission s1 cannot be made (unknown backend 'vendor'" in str(found.error)
    assert "JobStore.resume([1], backend=...)" in str(found.error)
    assert store.resume([1], backend=vendor)[0].state == "done"


class _Answering:
    """A paid backend of one's own whose results are what a function says."""

    name = "vendor"

    def __init__(self, answer: Callable[[int, int], Any]) -> None:
        self.settings: dict[str, Any] = {}
        self.capabilities = Capabilities(resets=True, durable=True, searchable=True, paid=True)
        self.answer, self.sold = answer, list[tuple[str | None, int, int]]()

    def submit(self, circuits: Any, *, shots: int, seed: int | None = None, tag: str | None = None) -> str:
        self.sold.append((tag, len(circuits), shots))
        return f"job{len(self.sold)}"

    def status(self, job_id: str) -> Any:
        return JobStatus.DONE

    def fetch(self, job_id: str) -> Any:
        _, circuits, shots = self.sold[int(job_id[3:]) - 1]
        return self.answer(circuits, shots)

    def cancel(self, job_id: str) -> None: ...

    def find(self, tag: str) -> str | None:
        return next((f"job{k + 1}" for k, sold in enumerate(self.sold) if sold[0] == tag), None)


def _coin() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    "counts",
    [None, {"0x0": 10}, {-1: 10}, {0: -1}, {0: 1.5}, {0: True}, {0: float("nan")}, {0: 2**70}, 3, {None: 1}],
    ids=str,
)
def test_results_are_looked_at_before_they_are_stored(counts: Any) -> None:
    backend = _Answering(lambda n, _: Result([counts] * n))
    store = JobStore("sqlite://", patience=Patience(3, 0.001, 0.002))
    with pytest.raises(JobError, match="s1 .job1. cannot be read: backend 'vendor' returned the counts"):
        store.run([_coin()], backend, shots=10)
    backend.answer = lambda n, s: Result([{np.int64(0): np.int64(s)}] * n)  # the backend is mended
    assert store.run([_coin()], backend, shots=10) == [{0: 10}]  # fetched: nothing is bought again
    assert len(backend.sold) == 1


@pytest.mark.parametrize("result", [None, [], [{0: 10}], Result(None)], ids=str)  # type: ignore[arg-type]
def test_a_result_is_a_result(result: Any) -> None:
    store = JobStore("sqlite://", patience=Patience(3, 0.001, 0.002))
    with pytest.raises(JobError, match="no Result with a list of counts"):
        store.run([_coin()], _Answering(lambda _n, _s: result), shots=10)


def test_a_plan_is_a_bound() -> None:
    """A vendor that returns too little is not topped up without being asked again."""
    plans: list[Any] = []
    backend = _Answering(lambda n, s: Result([{0: max(1, s // 2)}] * n))

    def once(plan: Any) -> bool:
        plans.append(plan)
        return len(plans) == 1

    store = JobStore("sqlite://", patience=Patience(3, 0.001, 0.002))
    with pytest.raises(JobError, match="not confirmed; nothing more was bought"):
        store.run([_coin()], backend, shots=10, confirm=once)
    assert sum(shots for _, _, shots in backend.sold) == plans[0].shots == 10
    assert plans[1].shots == 5


def test_what_may_have_been_bought_is_not_given_back() -> None:
    """The ledger fails right after a submission was accepted."""
    backend = _Answering(lambda n, s: Result([{0: s}] * n))
    store = JobStore("sqlite://", patience=Patience(3, 0.001, 0.002), max_shots=100)
    noted = store.ledger.submitted

    def full(*_: Any) -> None:
        raise JobError("database or disk is full")

    store.ledger.submitted = full  # type: ignore[method-assign]
    with pytest.raises(JobError, match=r"accepted as job1, .*disk is full.*fetch s1 --vendor-id job1"):
        store.run([_coin()], backend, shots=100)
    store.ledger.submitted = noted  # type: ignore[method-assign]
    assert (store.bought_shots, store.spent.shots) == (100, 100)
    other = QuantumCircuit(1, 1)
    other.x(0)
    other.measure(0, 0)
    with pytest.raises(BudgetError):
        store.run([other], backend, shots=100)
    assert store.run([_coin()], backend, shots=100) == [{0: 100}]  # found by its tag
    assert len(backend.sold) == 1


def test_unknown_states_and_names_are_told() -> None:
    backend = _Answering(lambda n, s: Result([{0: s}] * n))
    backend.status = lambda _job: "COMPLETED"  # type: ignore[method-assign]
    store = JobStore("sqlite://", patience=Patience(3, 0.001, 0.002))
    with pytest.raises(JobError, match="calls the status of a job 'COMPLETED', which is none of"):
        store.run([_coin()], backend, shots=10)
    backend.name = None  # type: ignore[assignment]
    with pytest.raises(BackendError, match="a name that is a text"):
        store.run([_coin()], backend, shots=10)
    with pytest.raises(InvalidInputError, match="label must be a printable text"):
        store.run([_coin()], "aer", shots=10, label="caf\udce9")
