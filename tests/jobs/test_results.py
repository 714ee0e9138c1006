"""Jobs that are submitted and asked later; results with provenance, price and age."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtnml import JobStore, MPSBornMachine, Price, TreeClassifier, get_backend
from qtnml.backends import Capabilities
from qtnml.backends import Result as Returned
from qtnml.errors import BackendBusyError, BudgetError, InvalidInputError, JobError, ResultTimeoutError
from qtnml.hybrid import HybridTraining
from qtnml.jobs import Freshness, Part, Status
from qtnml.noise import DeviceNoise
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite", patience=QUICK, price=Price(per_shot=0.01, per_task=0.3))


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path / "vendor", polls=3)


def days_pass(store: JobStore, days: float) -> None:
    """All that was measured is so much older."""
    with store.ledger.database.writing() as connection:
        connection.exec_driver_sql(f"update qtnml_submissions set ended = ended - {days * 86400}")


def test_a_job_is_asked_later(store: JobStore, vendor: Vendor) -> None:
    job = store.submit(turned(0.1, 0.2), vendor, shots=100)
    assert [asked["state"] for asked in vendor.asked()] == ["running"]
    assert job.status() is Status.RUNNING
    assert repr(job) == "<Job of 2 circuits on vendor: running>"
    result = job.result()
    assert job.status() is Status.DONE
    assert [sum(counts.values()) for counts in result.counts] == [100, 100]
    assert result.shots.tolist() == [100, 100]
    assert (result.submissions, result.vendor_ids) == ((1,), ("job-1",))
    assert result.calibrations == ("2026-11-01T00:00:00",)
    assert (result.seconds, result.cost, result.currency) == (1.5, pytest.approx(2.3), "USD")
    assert result.measured is not None
    assert abs(result.measured[0] - time.time()) < 60
    assert "2 circuits, 200 shots in 1 submission" in str(result)
    assert "2.30 USD" in str(result)
    assert result.to_dict()["submissions"] == ["s1"]
    again = store.submit(turned(0.1, 0.2), vendor, shots=100)
    assert again.status() is Status.DONE
    assert again.result().counts == result.counts
    assert len(vendor.asked()) == 1


def test_a_result_that_is_not_there_in_time_is_there_later(store: JobStore, tmp_path: Path) -> None:
    slow = Vendor(tmp_path / "vendor", polls=10**6)
    job = store.submit(turned(0.1), slow, shots=5)
    began = time.monotonic()
    with pytest.raises(ResultTimeoutError, match=r"s1 \(job-1\) is still running; it goes on"):
        job.result(timeout=0.2)
    assert time.monotonic() - began < 5
    assert store.submission(1).state == "running"
    later = store.submit(turned(0.1), Vendor(tmp_path / "vendor"), shots=5)
    assert later.result().shots.tolist() == [5]
    assert len(slow.asked()) == 1


def test_a_job_is_stopped(store: JobStore, tmp_path: Path) -> None:
    slow = Vendor(tmp_path / "vendor", polls=10**6)
    job = store.submit(turned(*(0.1 * k for k in range(6))), slow, shots=5)
    assert len(job.submissions) == 2
    assert job.cancel() is Status.CANCELLED
    assert {asked["state"] for asked in slow.asked()} == {"cancelled"}
    with pytest.raises(JobError, match="s1 of this job ended as cancelled .*submit it again to buy it again"):
        job.result(timeout=1)
    assert len(slow.asked()) == 2  # nothing is bought in its place
    assert store.run(turned(0.1), Vendor(tmp_path / "vendor"), shots=5)


def test_a_job_that_failed_or_is_lost_says_so(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", polls=10**6)
    job = store.submit(turned(0.1), vendor, shots=5)
    vendor.fail("job-1")
    assert job.status() is Status.FAILED
    with pytest.raises(JobError, match="s1 of this job ended as failed .*job-1 has failed"):
        job.result()
    assert len(vendor.asked()) == 1
    unsearchable = Vendor(tmp_path / "vendor", searchable=False, faults={"submit": ["deaf"]})
    with pytest.raises(JobError, match="may or may not have been bought"):
        store.submit(turned(0.2), unsearchable, shots=5)
    (lost,) = store.submissions(states=["lost"])
    assert lost.error is not None
    with pytest.raises(JobError, match="not confirmed; nothing was bought"):
        store.submit(turned(0.3), vendor, shots=5, confirm=lambda _: False)


def test_a_job_is_found_by_another_process(store: JobStore, vendor: Vendor, tmp_path: Path) -> None:
    store.submit(turned(0.1), vendor, shots=20)
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.jobs.test_store import turned\n"
        "from qtnml import JobStore\nfrom tests.jobs.vendor import Vendor\n"
        "store = JobStore(sys.argv[1])\n"
        "print(store.submit(turned(0.1), Vendor(Path(sys.argv[2])), shots=20).result().shots, "
        "store.bought_jobs)"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "jobs.sqlite"), str(tmp_path / "vendor")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert told.stdout.strip() == "[20] 0"
    assert len(vendor.asked()) == 1


def test_local_jobs_are_jobs_as_well(store: JobStore) -> None:
    job = store.submit(turned(0.0), "aer", shots=20)
    result = job.result()
    assert result.counts == [{0: 20}]
    assert (result.seconds, result.cost, result.calibrations) == (None, None, ())


def test_plans_name_the_price(store: JobStore, tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", max_shots=40)
    plan = store.plan(turned(0.1, 0.2), vendor, shots=100)
    # Three rounds of 40, 40 and 20 shots, in one submission each.
    assert (plan.shots, plan.submissions, plan.cost) == (200, 3, pytest.approx(2.9))
    assert "2.90 USD" in str(plan)
    assert plan.to_dict()["cost"] == pytest.approx(2.9)
    store.run(turned(0.1, 0.2), vendor, shots=100)
    assert len(vendor.asked()) == 3
    assert store.plan(turned(0.1), "aer", shots=10).cost is None
    for wrong in ({"per_shot": -1}, {"per_task": float("nan")}, {"per_second": True}):
        with pytest.raises(InvalidInputError, match="must be a number of at least 0"):
            Price(**wrong)  # type: ignore[arg-type]


def test_budgets_of_money_and_seconds(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor")
    price = Price(per_shot=0.01, per_task=0.3)
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, price=price, max_cost=1.5)
    store.run(turned(0.1), vendor, shots=100)
    assert store.spent.cost == pytest.approx(1.3)
    with pytest.raises(BudgetError, match="needs 0.35 more money, but max_cost=1.5 leaves 0.2"):
        store.run(turned(0.2), vendor, shots=5)
    later = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, price=price, max_cost=1.7)  # another day
    later.run(turned(0.2), vendor, shots=5)
    assert later.spent.cost == store.spent.cost == pytest.approx(1.65)
    with pytest.raises(InvalidInputError, match="max_cost needs a price"):
        JobStore("sqlite://", max_cost=3)
    timed = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_seconds=100, budget="time")
    with pytest.raises(
        BudgetError, match="cannot be told how many seconds on the device.*leave max_seconds out"
    ):
        timed.run(turned(0.3), vendor, shots=5)
    assert timed.run(turned(0.3), "aer", shots=5)


def test_a_budget_is_the_ledgers(tmp_path: Path) -> None:
    """Other stores, later scripts and pickled copies share what is left; another name is another budget."""
    import pickle

    vendor = Vendor(tmp_path / "vendor")
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100)
    store.run(turned(0.1), vendor, shots=60)
    for other in (
        JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100),
        pickle.loads(pickle.dumps(store)),
    ):
        with pytest.raises(BudgetError, match="max_shots=100 leaves 40"):
            other.run(turned(0.2), vendor, shots=50)
    free = JobStore(tmp_path / "jobs.sqlite", patience=QUICK)
    free.run(turned(0.3), vendor, shots=500)  # without a limit: it counts for those who have one
    free.run(turned(0.3), "exact", shots=500)  # simulators do not
    plan = store.plan(turned(0.2), vendor, shots=50)
    assert "would be refused: this run needs 50 more shots, but max_shots=100 leaves -460" in str(plan)
    fresh = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100, budget="another")
    fresh.run(turned(0.2), vendor, shots=50)
    assert (store.spent.shots, fresh.spent.shots) == (560, 50)
    assert fresh.plan(turned(0.2), vendor, shots=60).refused == ""
    with pytest.raises(InvalidInputError, match="a budget has a printable name"):
        JobStore("sqlite://", budget="")


def test_what_is_certainly_not_bought_is_given_back(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["refuse", *["busy"] * 4]})
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK, max_shots=100, max_jobs=2)
    with pytest.raises(JobError, match="was refused"):
        store.run(turned(0.1), vendor, shots=60)
    assert (store.spent.shots, store.spent.circuits) == (0, 0)
    with pytest.raises(BackendBusyError, match="queue full"):
        store.run(turned(0.1), vendor, shots=60)
    assert store.spent.shots == 60  # it is prepared, and can be sent at any time
    store.cancel(2, backend=vendor)
    assert (store.spent.shots, store.spent.circuits, store.bought_shots) == (0, 0, 0)


def test_results_may_be_too_old(store: JobStore, vendor: Vendor) -> None:
    store.run(turned(0.1), vendor, shots=10)
    days_pass(store, 7)
    assert store.plan(turned(0.1), vendor, shots=10).shots == 0
    week = Freshness(max_age=8 * 86400.0)
    assert store.plan(turned(0.1), vendor, shots=10, freshness=week).shots == 0
    day = Freshness(max_age=86400.0)
    assert store.plan(turned(0.1), vendor, shots=10, freshness=day).shots == 10
    (counts,) = store.run(turned(0.1), vendor, shots=10, freshness=day)
    assert sum(counts.values()) == 10  # the new ones alone
    assert sum(store.run(turned(0.1), vendor, shots=10)[0].values()) == 20  # whoever does not mind takes all
    assert len({asked["seed"] for asked in vendor.asked()}) == 2
    for wrong in ("day", -1, True, float("nan")):
        with pytest.raises(InvalidInputError, match="max_age must be seconds of at least 0, 'calibration'"):
            Freshness(max_age=wrong)  # type: ignore[arg-type]


def test_results_of_the_present_calibration_alone(store: JobStore, vendor: Vendor) -> None:
    vendor.calibration_now = lambda: vendor.calibration  # type: ignore[attr-defined]
    store.run(turned(0.1), vendor, shots=10)
    present = Freshness(max_age="calibration")
    assert store.plan(turned(0.1), vendor, shots=10, freshness=present).shots == 0
    vendor.calibration = "2026-11-02T00:00:00"
    assert store.plan(turned(0.1), vendor, shots=10, freshness=present).shots == 10
    (counts,) = store.run(turned(0.1), vendor, shots=10, freshness=present)
    assert sum(counts.values()) == 10


def test_circuits_that_correct_each_other_are_of_one_time(store: JobStore, vendor: Vendor) -> None:
    """A read-out calibration of last week corrects what was measured then, and not what is measured today."""
    together = Freshness(together=True)

    def bought(*angles: float) -> int:
        before = len(vendor.asked())
        parts = [Part(turned(0.5), 40), Part(turned(*angles), 10)]
        store.run_parts(parts, vendor, freshness=together)
        return sum(asked["circuits"] for asked in vendor.asked()[before:])

    vendor.calibration = None
    assert bought(0.1) == 2
    assert bought(0.2) == 1  # the same day
    days_pass(store, 7)
    assert bought(0.1, 0.2) == 0  # all of one day, if a week ago
    assert bought(0.3) == 2
    assert bought(0.1, 0.3) == 1


class Drifting:
    """A paid device whose read-out gets worse from day to day."""

    name = "drifting"

    def __init__(self, day: int, seed: int) -> None:
        up, down = ((0.02, 0.06), (0.10, 0.20))[day > 1]
        self.noise = DeviceNoise(readout_error=(up, down))
        self._inner = get_backend("exact", noise=self.noise, seed=seed)
        self.settings: dict[str, Any] = {}
        self.capabilities = replace(Capabilities(resets=True), paid=True, durable=True, searchable=True)
        self.submit, self.status = self._inner.submit, self._inner.status
        self.cancel, self.find = self._inner.cancel, self._inner.find

    def fetch(self, job_id: str) -> Returned:
        return self._inner.fetch(job_id)


@pytest.mark.parametrize("max_age", [None, 86400.0])
def test_stale_readouts_do_not_correct_fresh_counts(
    small_digits: Any, tmp_path: Path, max_age: float | None
) -> None:
    """The error of mitigated probabilities a week later is that of the first day."""
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    errors: dict[int, list[float]] = {1: [], 8: []}
    for seed in range(3):
        store = JobStore(tmp_path / f"{seed}.sqlite")
        for day, rows in ((1, slice(0, 20)), (8, slice(20, 40))):
            X = small_digits.X_test[rows]
            qclf = clf.to_backend(
                Drifting(day, seed), shots=20_000, jobs=store, mitigation="readout", max_age=max_age
            )
            truth = clf.compile().probabilities(X)
            errors[day].append(float(np.abs(qclf.mitigated_outcomes(X).quasi - truth).mean()))
            days_pass(store, 7)
    assert np.median(errors[8]) < 1.5 * np.median(errors[1]), errors


def test_a_classifiers_job_brings_probabilities_with_their_errors(small_digits: Any) -> None:
    """Checked by the truth: over many repeats the errors are as large as the result says."""
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    X = small_digits.X_test[:6]
    results = [clf.to_backend("exact", shots=200, repeat=repeat).submit(X).result() for repeat in range(150)]
    first = results[0]
    assert first.probabilities is not None
    assert first.errors is not None
    assert first.probabilities.shape == first.errors.shape == (6, 2)
    np.testing.assert_array_equal(first.probabilities, clf.to_backend("exact", shots=200).predict_proba(X))
    spread = np.std([result.probabilities for result in results], axis=0)
    told = np.mean([result.errors for result in results], axis=0)
    np.testing.assert_allclose(told, spread, rtol=0.25)
    with pytest.raises(InvalidInputError, match="jobs=False keeps no ledger"):
        clf.to_backend("exact", jobs=False).submit(X)


def test_a_mitigated_job_brings_what_mitigation_did(small_digits: Any) -> None:
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    X = small_digits.X_test[:4]
    noisy = get_backend("exact", noise=DeviceNoise(readout_error=(0.05, 0.1)))
    qclf = clf.to_backend(noisy, shots=500, mitigation="readout")
    assert "both are of the plain circuits" in str(qclf.plan(X))
    result = qclf.submit(X).result()
    np.testing.assert_array_equal(result.probabilities, qclf.predict_proba(X))
    np.testing.assert_array_equal(result.mitigated.quasi, qclf.mitigated_outcomes(X).quasi)
    assert len(result.counts) == 4 + 2  # those of the read-out as well


def test_stored_shots_sharpen_the_errors(small_digits: Any) -> None:
    """Errors are by the shots that are stored, not by those asked for."""
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    X, store = small_digits.X_test[:4], JobStore("sqlite://")
    many = clf.to_backend("exact", shots=20_000, jobs=store).submit(X).result()
    few = clf.to_backend("exact", shots=100, jobs=store).submit(X).result()
    np.testing.assert_array_equal(few.errors, many.errors)
    assert few.shots.tolist() == [20_000] * 4


def test_samples_of_a_born_machine_differ_from_call_to_call_and_not_from_script_to_script() -> None:
    rng = np.random.default_rng(0)
    born = MPSBornMachine(2, random_state=0).fit(rng.integers(0, 2, (50, 6)))
    store = JobStore("sqlite://")

    def script() -> Sequence[Any]:
        machine = born.to_backend("exact", jobs=store)
        return [machine.sample(50, random_state=1) for _ in range(2)]

    first, second = script()
    assert (first != second).any()
    again = script()
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])


def test_samples_may_be_asked_for_later() -> None:
    rng = np.random.default_rng(0)
    born = MPSBornMachine(2, random_state=0).fit(rng.integers(0, 2, (50, 6)))
    store = JobStore("sqlite://")
    one, other = (born.to_backend("exact", jobs=store) for _ in range(2))
    result = one.submit(40, random_state=3).result()
    np.testing.assert_array_equal(result.samples, other.sample(40, random_state=3))
    assert result.shots.tolist() == [40]
    assert (one.sample(40, random_state=3) != result.samples).any()  # the next call draws anew
    with pytest.raises(InvalidInputError, match="jobs=False keeps no ledger"):
        born.to_backend("exact", jobs=False).submit(5)


def test_a_training_has_a_price(small_digits: Any, tmp_path: Path) -> None:
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    store = JobStore(tmp_path / "jobs.sqlite", price=Price(per_shot=0.01, per_task=1.0))
    training = HybridTraining(steps=4, batch_size=3)
    plan = clf.to_backend(Drifting(1, 0), shots=10, jobs=store, training=training).plan_fit(
        small_digits.X_train
    )
    # Four steps of two points, three samples each.
    assert (plan.circuits, plan.shots, plan.submissions) == (24, 240, 4)
    assert plan.cost == pytest.approx(240 * 0.01 + 4)
    assert "6.40 USD" in str(plan)
    few = JobStore("sqlite://", max_shots=plan.shots - 1)
    tight = clf.to_backend("exact", shots=10, jobs=few, training=training).plan_fit(small_digits.X_train)
    assert "would end early: this run needs" in str(tight)
    assert f"max_shots={plan.shots - 1:,} leaves" in tight.refused
    free = clf.to_backend("exact", shots=10, training=training).plan_fit(small_digits.X_train)
    assert (free.cost, free.seconds) == (None, None)


def test_what_happens_is_logged(store: JobStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    vendor = Vendor(tmp_path / "vendor", faults={"submit": ["busy"], "status": [None]}, polls=1)
    with caplog.at_level("DEBUG", logger="qtnml.jobs"):
        store.run(turned(0.1), vendor, shots=5)
    told = [record.getMessage() for record in caplog.records]
    for word in ("s1 sending", "s1: vendor is busy", "s1 submitted: job-1", "s1 (job-1): running", "s1 done"):
        assert any(word in each for each in told), (word, told)


def test_free_backends_write_no_file(
    small_digits: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTNML_JOBS", str(tmp_path / "jobs.sqlite"))
    clf = TreeClassifier(epochs=2, random_state=0).fit(small_digits.X_train, small_digits.y_train)
    qclf = clf.to_backend("exact", shots=50)
    first = qclf.predict_proba(small_digits.X_test[:5])
    assert qclf.plan(small_digits.X_test[:5]).shots == 0  # but it is remembered
    np.testing.assert_array_equal(first, qclf.predict_proba(small_digits.X_test[:5]))
    assert list(tmp_path.iterdir()) == []
    clf.to_backend(Drifting(1, 0), shots=5).predict(small_digits.X_test[:1])
    assert (tmp_path / "jobs.sqlite").is_file()
