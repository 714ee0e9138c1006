"""One ledger, several processes: on SQLite and on a real PostgreSQL server."""

import subprocess
import sys
from pathlib import Path

import pytest

from qtnml import JobStore
from qtnml.jobs.ledger import Ledger
from qtnml.jobs.process import is_alive, this_process
from tests.jobs.killed import Spec
from tests.jobs.test_kill import check_all_done_once, trials
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor

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


def test_killed_on_postgresql(postgresql: str, tmp_path: Path) -> None:
    for trial in trials(tmp_path, Spec("vendor", trials=8, kills=2, seed=5, url=postgresql)):
        check_all_done_once(trial, at_vendor=True)


def test_owners_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = this_process()
    host, boot, pid, start = me.split("|")
    assert is_alive(me, 0) is True
    assert is_alive(f"{host}|{boot}|{pid}|{int(start) - 1}", 0) is False  # a process id used again
    assert is_alive(f"{host}|another boot|{pid}|{start}", 0) is False
    assert is_alive(f"elsewhere|{boot}|1|1", 10.0) is True
    assert is_alive(f"{host}|{boot}-another-container|1|1", 10.0) is True  # its process ids say nothing here
    assert is_alive(f"elsewhere|{boot}|1|1", 1e6) is None


def test_a_silent_process_elsewhere_is_not_outrun(tmp_path: Path) -> None:
    """It may be about to call the vendor; what it has not begun, or has noted, is taken over."""
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK)
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(Exception, match="queue full"):
        store.run(turned(0.1), vendor, shots=5)
    _write(store.ledger, "owner = 'elsewhere|b|1|1', heartbeat = 0, sent = 1")
    assert store.resume(backend=vendor)[0].state == "prepared"
    assert vendor.asked() == []
    _write(store.ledger, "sent = null")
    assert store.resume(backend=vendor)[0].state == "done"


def _write(ledger: Ledger, assignments: str) -> None:
    with ledger.database.writing() as connection:
        connection.exec_driver_sql(f"update qtnml_submissions set {assignments}")
