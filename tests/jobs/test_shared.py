"""One ledger, several processes: on SQLite and on a real PostgreSQL server."""

import contextlib
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from qtnml import JobStore
from qtnml.backends import JobStatus
from qtnml.errors import BackendBusyError, JobError
from tests.jobs.killed import Spec
from tests.jobs.test_kill import check, trials
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite", patience=QUICK)


RACE = """
import sys
from pathlib import Path
from qtnml import JobStore
from tests.jobs.test_store import turned
from tests.jobs.vendor import Vendor

store = JobStore(sys.argv[1])
vendor = Vendor(Path(sys.argv[2]), polls=5, settings={"race": sys.argv[3]})
input()
print(store.run(turned(*(0.01 * k for k in range(10))), vendor, shots=20))
"""


def race(location: str, folder: Path, name: str) -> None:
    """Four processes ask for the same jobs at once; all get the same counts, bought once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RACE, location, str(folder), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert len({out for out, _ in told}) == 1
    assert sum(asked["circuits"] for asked in Vendor(folder).asked()) == 10


def test_processes_race_on_sqlite(tmp_path: Path) -> None:
    race(str(tmp_path / "jobs.sqlite"), tmp_path / "vendor", "sqlite")


@pytest.mark.slow
def test_processes_race_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    race(postgresql, tmp_path / "vendor", "postgresql")


def test_postgresql_keeps_what_sqlite_keeps(postgresql: str, tmp_path: Path) -> None:
    store = JobStore(postgresql, patience=QUICK)
    vendor = Vendor(tmp_path / "vendor", settings={"where": "postgresql"}, faults={"submit": ["deaf"]})
    first = store.run(turned(0.1, 0.2), vendor, shots=100, label="pg")
    assert store.run(turned(0.1, 0.2), vendor, shots=100) == first
    store.run(turned(0.1), vendor, shots=150)
    assert len(vendor.asked()) == 2
    (job,) = {row["job"] for row in store.export(label="pg")} - set(
        store.ledger.job_ids(store.submissions()[0].id)
    )
    assert sum(store.counts(job).values()) == 100
    found = store.run(turned(1.0), "aer", shots=50)
    assert JobStore(postgresql).run(turned(1.0), "aer", shots=50) == found


@pytest.mark.slow
def test_killed_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("vendor", trials=8, kills=2, seed=5, url=postgresql)):
        check(trial)


def test_a_lease_is_waited_for_and_then_taken_over(store: JobStore, tmp_path: Path) -> None:
    """Whoever drives a submission is not outrun while it gives signs of life, wherever it is."""
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendBusyError, match="queue full"):
        store.run(turned(0.1), vendor, shots=5)
    lease = store.ledger.leases.take(1)
    assert lease is not None
    assert store.ledger.leases.take(1) is None
    assert store.resume(backend=vendor)[0].state == "prepared"
    with pytest.raises(JobError, match="driven by another process or thread"):
        store.adopt(1, "job-1", backend=vendor)
    with store.ledger.leases.held(lease):
        time.sleep(2.5 * QUICK.lease)
        assert store.resume(backend=vendor)[0].state == "prepared"  # it was renewed
        assert vendor.asked() == []
    assert store.resume(backend=vendor)[0].state == "done"  # it was given back
    assert len(vendor.asked()) == 1


def test_a_lease_that_is_not_renewed_ends(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendBusyError):
        store.run(turned(0.1), vendor, shots=5)
    assert store.ledger.leases.take(1) is not None  # by somebody who is killed now
    began = time.monotonic()
    store.run(turned(0.1), vendor, shots=5)
    assert time.monotonic() - began > 0.5 * QUICK.lease
    assert len(vendor.asked()) == 1
    assert "taken over" in [what for _, what, _ in store.ledger.events(1)]


def test_a_call_that_hangs_counts_as_no_sign_of_life(tmp_path: Path) -> None:
    patience = replace(QUICK, lease=0.2, longest_call=0.3)
    stores = [JobStore(tmp_path / "jobs.sqlite", patience=patience) for _ in range(2)]
    vendor, released = Vendor(tmp_path / "vendor"), threading.Event()

    class Hanging(Vendor):
        def status(self, job_id: str) -> JobStatus:
            released.wait(20)
            return super().status(job_id)

    found: list[Any] = []
    hanging = threading.Thread(
        target=lambda: found.append(stores[0].run(turned(0.1), Hanging(tmp_path / "vendor"), shots=5))
    )
    hanging.start()
    found.append(stores[1].run(turned(0.1), vendor, shots=5))
    released.set()
    hanging.join(20)
    assert not hanging.is_alive()
    assert found[0] == found[1]
    assert len(vendor.asked()) == 1


def test_an_answer_that_comes_after_somebody_else_took_over_is_noted(store: JobStore, tmp_path: Path) -> None:
    """A laptop that slept in the middle of its call: what the vendor says counts, whoever holds the lease."""

    class Slept(Vendor):
        def submit(self, *args: Any, **options: Any) -> str:
            with store.ledger.database.writing() as connection:  # its lease ends, and another finds nothing
                connection.exec_driver_sql("update qtnml_submissions set lease_until = 0")
            with pytest.raises(JobError, match="lists no job tagged"):
                other.run(turned(0.1), Vendor(tmp_path / "vendor"), shots=5)
            assert other.submission(1).state == "lost"
            return super().submit(*args, **options)

    other = JobStore(tmp_path / "jobs.sqlite", patience=QUICK)
    (counts,) = store.run(turned(0.1), Slept(tmp_path / "vendor"), shots=5)
    assert sum(counts.values()) == 5
    assert len(Vendor(tmp_path / "vendor").asked()) == 1
    assert store.submission(1).state == "done"


def test_a_ledger_that_is_deleted_or_replaced_sends_nothing(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor")
    store.run(turned(0.1), vendor, shots=5)
    (tmp_path / "jobs.sqlite").rename(tmp_path / "elsewhere.sqlite")
    with pytest.raises(
        JobError, match="moved, deleted or replaced while it was in use; nothing more is sent"
    ):
        store.run(turned(0.2), vendor, shots=5)
    assert len(vendor.asked()) == 1


def test_a_postgresql_server_that_drops_connections(postgresql: str, tmp_path: Path) -> None:
    """The administrator ends every connection in the middle of a run: one error, and the next run goes on."""
    vendor = Vendor(tmp_path / "vendor", settings={"drop": 1})
    admin = sa.create_engine(postgresql, isolation_level="AUTOCOMMIT")

    class Dropping(Vendor):
        def submit(self, *args: Any, **options: Any) -> str:
            job_id = super().submit(*args, **options)
            with admin.connect() as connection:
                connection.exec_driver_sql(
                    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                )
            return job_id

    store = JobStore(postgresql, patience=QUICK)
    dropping = Dropping(tmp_path / "vendor", settings={"drop": 1})
    with contextlib.suppress(JobError):
        store.run(turned(0.1), dropping, shots=5, label="drop")
    store.run(turned(0.1), vendor, shots=5, label="drop")
    admin.dispose()
    assert len(vendor.asked()) == 1
