"""Corners of the ledger: interruptions, budgets, prunings, ids given by hand, time zones."""

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from qtnml import JobStore, Price, get_backend
from qtnml.backends import JobStatus, Result
from qtnml.backends.qiskit_jobs import in_utc
from qtnml.errors import (
    BackendBusyError,
    BackendError,
    BudgetError,
    InvalidInputError,
    JobError,
    ResultTimeoutError,
)
from qtnml.jobs import Freshness, Part, Patience, Status, store_for
from tests.jobs.test_results import days_pass
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite", patience=QUICK)


def test_what_was_prepared_is_sent_by_the_next_submit(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"] * 4})
    with pytest.raises(BackendBusyError):
        store.submit(turned(0.1), vendor, shots=5)
    assert vendor.asked() == []
    job = store.submit(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1
    assert job.result().shots.tolist() == [5]


@contextmanager
def interrupted(store: JobStore, at: int) -> Iterator[None]:
    """Ctrl-C in the middle of one SQL statement."""
    engine, count = store.ledger.database.engine, 0

    def tick(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise KeyboardInterrupt

    sa.event.listen(engine, "before_cursor_execute", tick)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        sa.event.remove(engine, "before_cursor_execute", tick)


@pytest.mark.parametrize("at", [1, 3, 5, 8, 12, 15])
@pytest.mark.parametrize("location", ["sqlite://", "file"])
def test_an_interrupted_statement_costs_no_ledger(tmp_path: Path, at: int, location: str) -> None:
    store = JobStore(location if location != "file" else tmp_path / "jobs.sqlite", patience=QUICK)
    first = store.run(turned(0.1), "exact", shots=10)
    with interrupted(store, at):
        store.run(turned(0.2), "exact", shots=10)
    assert store.run(turned(0.1), "exact", shots=10) == first
    assert store.run(turned(0.2), "exact", shots=10)


class Metered(Vendor):
    """Tells what it charges only when it is asked later."""

    def __init__(self, folder: Path, charges: list[Any], **how: Any) -> None:
        super().__init__(folder, **how)
        self.charges = charges

    def fetch(self, job_id: str) -> Result:
        return replace(super().fetch(job_id), seconds=None)

    def seconds_per_shot(self, _: Any) -> float:
        return 1e-3

    def charged_seconds(self, job_id: str) -> float | None:
        told = self.charges[int(job_id[4:]) - 1]
        if isinstance(told, Exception):
            raise told
        return told  # type: ignore[no-any-return]


def test_what_a_vendor_charges_later_counts_against_the_budget(tmp_path: Path) -> None:
    vendor = Metered(tmp_path / "vendor", [50.0] * 9)
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_seconds=100)
    store.run(turned(0.1), vendor, shots=5)
    store.run(turned(0.2), vendor, shots=5)
    with pytest.raises(BudgetError, match="max_seconds=100 leaves 0"):
        store.run(turned(0.3), vendor, shots=5)
    assert store.spent.seconds == 100


def test_a_charge_that_cannot_be_asked_hides_no_result(tmp_path: Path) -> None:
    vendor = Metered(tmp_path / "vendor", [BackendError("no job in this account"), 3.0])
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, price=Price(per_second=1.0))
    assert store.submit(turned(0.1), vendor, shots=5).result().cost is None
    assert store.submit(turned(0.2), vendor, shots=5).result().cost == 3.0


@pytest.mark.parametrize("seconds", [-100.0, float("inf"), float("nan"), "1.5", True])
def test_charges_that_are_no_time_are_left_out(tmp_path: Path, seconds: Any) -> None:
    class Odd(Vendor):
        def fetch(self, job_id: str) -> Result:
            return replace(super().fetch(job_id), seconds=seconds)

    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100)
    store.run(turned(0.1), Odd(tmp_path / "vendor"), shots=5)
    assert (store.submission(1).seconds, store.spent.seconds) == (None, 0)


def test_pruned_shots_are_not_drawn_again_beside_those_that_are_kept(store: JobStore) -> None:
    store.run(turned(1.0), "aer", shots=1000)
    store.run(turned(1.0), "aer", shots=2000)
    with store.ledger.database.writing() as connection:
        connection.exec_driver_sql("update qtnml_submissions set ended = 0 where id = 1")
    assert store.prune(before=1.0) == 1
    store.run(turned(1.0), "aer", shots=2000)
    seeds = [found.seed for found in store.submissions()]
    assert len(set(seeds)) == len(seeds) == 2
    assert [found.id for found in store.submissions()] == [3, 2]  # a number is not given again


def test_a_relative_ledger_is_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    vendor = Vendor(tmp_path / "vendor")
    store = JobStore("j.sqlite", patience=QUICK)
    store.run(turned(0.1), vendor, shots=5)
    travelled = pickle.dumps(store)
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    pickle.loads(travelled).run(turned(0.1), vendor, shots=5)
    store.run(turned(0.1), vendor, shots=5)
    assert len(vendor.asked()) == 1


def lost(store: JobStore, vendor: Vendor, angle: float) -> None:
    with pytest.raises(JobError, match="may or may not have been bought"):
        store.run(turned(angle), vendor, shots=100)


def test_ids_given_by_hand_are_looked_at_first(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", searchable=False, faults={"submit": [None, "dead"]})
    store.run(turned(0.1), vendor, shots=10)
    lost(store, vendor, 0.2)
    with pytest.raises(JobError, match="job-1 is submission s1, not s2"):
        store.adopt(2, "job-1", backend=vendor)
    with pytest.raises(JobError, match="vendor cannot tell of job-9 .*s2 is as it was"):
        store.adopt(2, "job-9", backend=vendor)
    slow = Vendor(tmp_path / "vendor", searchable=False, polls=10**6)
    store.submit(turned(0.3), slow, shots=5)
    with pytest.raises(JobError, match="s3 is on its way as job-2"):
        store.adopt(3, "nope", backend=slow)
    assert store.submission(3).vendor_id == "job-2"


def test_what_the_vendor_knows_is_not_sent_again_by_hand(store: JobStore, tmp_path: Path) -> None:
    late = Vendor(tmp_path / "vendor", faults={"submit": ["deaf"]}, lag=0.3)
    lost(store, late, 0.1)
    time.sleep(0.4)
    assert store.resume([1], backend=late, send_again=True)[0].state == "done"  # found, and fetched
    assert len(late.asked()) == 1
    store.run(turned(0.1), late, shots=100)
    assert len(late.asked()) == 1


def test_a_lost_submission_is_given_up_by_hand(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100)
    vendor = Vendor(tmp_path / "vendor", searchable=False, faults={"submit": ["dead"]})
    lost(store, vendor, 0.1)
    assert store.spent.shots == 100
    assert store.cancel(1, backend=vendor, certainly_gone=True).state == "cancelled"
    assert store.spent.shots == 0
    store.run(turned(0.1), vendor, shots=100)
    with pytest.raises(JobError, match="has ended, or is driven by another"):
        store.cancel(2, backend=vendor, certainly_gone=True)


def test_calibrations_that_only_the_device_tells(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", calibration=None)
    with pytest.raises(InvalidInputError, match="does not tell its calibration; give max_age in seconds"):
        store.run(turned(0.1), vendor, shots=5, freshness=Freshness("calibration"))
    vendor.calibration_now = lambda: "2026-11-03T00:00:00"  # type: ignore[attr-defined]
    for _ in range(3):
        store.run(turned(0.1), vendor, shots=5, freshness=Freshness("calibration"))
        store.run_parts([Part(turned(0.1), 5)], vendor, freshness=Freshness(together=True))
    assert len(vendor.asked()) == 1
    days_pass(store, 3)
    vendor.calibration_now = lambda: "2026-11-06T00:00:00"  # type: ignore[attr-defined]
    store.run(turned(0.1), vendor, shots=5, freshness=Freshness("calibration"))
    assert len(vendor.asked()) == 2


def test_one_moment_is_one_calibration_in_every_zone() -> None:
    moment = datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert (
        in_utc(moment)
        == in_utc(moment.astimezone(timezone(timedelta(hours=1))))
        == "2026-11-01T10:00:00+00:00"
    )
    assert in_utc(None) is None


def test_time_outs_are_kept(tmp_path: Path) -> None:
    patience = Patience(8, 0.3, 5.0, search_for=60.0, lease=0.2)
    store = JobStore(tmp_path / "jobs.sqlite", patience=patience)

    class Dying(Vendor):
        def submit(self, *args: Any, **options: Any) -> str:
            raise SystemExit("killed")

    with pytest.raises(SystemExit):
        store.run(turned(0.1), Dying(tmp_path / "vendor"), shots=5)
    vendor = Vendor(tmp_path / "vendor")
    began = time.monotonic()
    with pytest.raises(ResultTimeoutError, match="may have been accepted, and vendor does not list it yet"):
        store.submit(turned(0.1), vendor, shots=5).result(timeout=0.3)
    assert store.submission(1).state == "sending"
    busy = Vendor(tmp_path / "busy", faults={"status": ["busy"] * 99})
    job = store.submit(turned(0.2), busy, shots=5)
    assert job.status() is Status.QUEUED
    with pytest.raises(BackendBusyError):
        job.result(timeout=0.3)
    assert time.monotonic() - began < 5


def test_an_incomplete_job_says_so(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", returns=lambda shots: (shots + 1) // 2, polls=0)
    job = store.submit(turned(0.1), vendor, shots=8)
    assert job.status() is Status.INCOMPLETE
    assert job.result().shots.tolist() == [8]


def test_a_simulators_accident_is_not_for_ever(store: JobStore) -> None:
    backend: Any = get_backend("exact")
    real, fail = backend.simulator.sample, [True]

    def sample(*arguments: Any) -> Any:
        if fail.pop() if fail else False:
            raise MemoryError
        return real(*arguments)

    backend.simulator.sample = sample
    with pytest.raises(MemoryError):
        store.run(turned(0.1), backend, shots=5)
    assert store.run(turned(0.1), backend, shots=5)


def test_no_secret_is_logged_or_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Leaky(Vendor):
        def submit(self, *args: Any, **options: Any) -> str:
            raise BackendBusyError("retry with token=abcdefgh12345")

    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK)
    with caplog.at_level("DEBUG", logger="qtnml.jobs"), pytest.raises(BackendBusyError):
        store.run(turned(0.1), Leaky(tmp_path / "vendor"), shots=5)
    assert "abcdefgh12345" not in caplog.text
    with pytest.raises(JobError) as caught:
        JobStore("postgresql+psycopg://u@127.0.0.1:1/db?password=hunter22&connect_timeout=2")
    assert "hunter22" not in str(caught.value)


def test_cancelling_a_job_leaves_those_of_others(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", polls=10**6)
    store.submit(turned(0.1, 0.2), vendor, shots=5)
    other = store.submit(turned(0.2, 0.3), vendor, shots=5)
    with pytest.raises(JobError, match="s1 serves another job as well: `qtnml jobs cancel s1` stops it"):
        other.cancel()
    assert [str(found.state) for found in store.submissions()] == ["cancelled", "submitted"]


def test_circuits_count_once_whatever_the_budget_limits(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", max_shots=40)
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=1000)
    for shots in (5, 10, 15):
        store.run(turned(0.1), vendor, shots=shots)
    assert store.spent.circuits == 1
    stopped = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_jobs=1, budget="shares")

    class Dying(Vendor):
        def submit(self, *args: Any, **options: Any) -> str:
            raise BackendBusyError("queue full")

    with pytest.raises(BackendBusyError):
        stopped.run(turned(0.5), Dying(tmp_path / "vendor", max_shots=40), shots=80)
    assert stopped.spent.circuits == 1
    stopped.resume(backend=vendor)
    assert stopped.spent.circuits == 1
    with pytest.raises(BudgetError):
        stopped.run(turned(0.6), vendor, shots=5)


def test_a_name_without_limits_has_those_it_was_last_used_with(tmp_path: Path) -> None:
    ledger, vendor = tmp_path / "jobs.sqlite", Vendor(tmp_path / "vendor")
    JobStore(ledger, patience=QUICK, max_shots=8, budget="november").run(turned(0.1), vendor, shots=5)
    again = JobStore(ledger, patience=QUICK, budget="november")
    with pytest.raises(BudgetError, match="needs 5 more shots, but max_shots=8 leaves 3"):
        again.run(turned(0.2), vendor, shots=5)
    JobStore(ledger, max_shots=10, budget="november")
    again = JobStore(ledger, patience=QUICK, budget="november")
    again.run(turned(0.2), vendor, shots=5)
    assert again.spent.shots == 10
    JobStore(ledger, max_cost=3, price=Price(per_shot=0.1), budget="money")
    with pytest.raises(InvalidInputError, match="the budget 'money' has a limit of money; give the price"):
        JobStore(ledger, budget="money")


def test_a_plan_leaves_out_what_open_submissions_bring(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", polls=10**6)
    ledger = tmp_path / "jobs.sqlite"
    JobStore(ledger, patience=QUICK, max_shots=20, budget="b").submit(turned(0.1, 0.2), vendor, shots=8)
    store = JobStore(ledger, patience=QUICK, budget="b")
    plan = store.plan(turned(0.1, 0.2), vendor, shots=8)
    assert (plan.shots, plan.open_shots, plan.stored_shots, plan.refused) == (0, 16, 0, "")
    assert "nothing to submit to vendor: 16 shots are in open submissions, which this run completes" in str(
        plan
    )
    more = store.plan(turned(0.1, 0.2, 0.3), vendor, shots=8)
    assert (more.shots, more.new_circuits, more.open_shots) == (8, 1, 16)
    assert "leaves 4" in more.refused


def test_a_run_that_is_paid_for_is_rehearsed_on_a_simulator(tmp_path: Path) -> None:
    price = Price(per_shot=0.01, per_task=0.5)
    store = JobStore(tmp_path / "jobs.sqlite", max_cost=2, price=price, budget="rehearsal")
    free = store.plan(turned(0.1, 0.2), "exact", shots=50)
    assert (free.cost, free.paid) == (None, False)
    assert "get_backend(NAME, priced=True) counts its shots as a device's" in str(free)
    backend = get_backend("exact", priced=True)
    for same in (backend, pickle.loads(pickle.dumps(backend))):
        plan = store.plan(turned(0.1, 0.2), same, shots=50)
        assert (plan.cost, plan.paid, plan.refused) == (1.5, False, "")
    with pytest.raises(BudgetError, match="needs 2.5 more money, but max_cost=2 leaves 2"):
        store.run(turned(0.1, 0.2), backend, shots=100)
    store.run(turned(0.1, 0.2), backend, shots=50)
    assert store.spent.cost == pytest.approx(1.5)
    assert not get_backend("exact").capabilities.priced
    with pytest.raises(BackendError, match="priced=True is for simulators"):
        get_backend(Vendor(tmp_path / "vendor"), priced=True)


def test_names_of_single_runs_are_not_for_budgets() -> None:
    with pytest.raises(InvalidInputError, match="names that begin with 'run:' are those of single runs"):
        JobStore("sqlite://", budget="Run:november")
    with pytest.raises(InvalidInputError, match="currency must be a printable text"):
        Price(currency=b"x")  # type: ignore[arg-type]


def test_a_spent_budget_of_money_refuses_no_simulator(tmp_path: Path) -> None:
    store = JobStore(
        tmp_path / "jobs.sqlite", patience=QUICK, max_seconds=1, price=Price(per_shot=0.1), max_cost=0
    )
    assert store.run(turned(0.1), "exact", shots=5)


def test_the_ledger_in_memory_is_shared_by_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    backend = get_backend("exact")
    shared = store_for(None, backend)
    assert shared is store_for(None, get_backend("aer"))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: shared.run(turned(0.3, 0.4), backend, shots=50), range(12)))
    assert all(each == found[0] for each in found)
    assert np.sum([len(each) for each in found]) == 24
    assert JobStatus.DONE.value == "done"


@pytest.mark.portable
def test_the_ledger_in_memory_ends_with_its_store() -> None:
    """Python 3.13 warns of databases that are left open."""
    store = JobStore(":memory:")
    store.close()
    with pytest.raises(JobError, match="closed database"):
        store.run(turned(0.3), get_backend("exact"), shots=50)
