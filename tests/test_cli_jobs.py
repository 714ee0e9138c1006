"""`qtnml jobs watch`, `budgets`, `prune`, `backup`, and runs that are not waited for."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qtnml import JobStore, TreeRegressor
from qtnml.errors import JobError
from qtnml.jobs import Price
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two submissions of a simulator, one of a vendor under a budget, and one that is open."""
    path = tmp_path / "jobs.sqlite"
    store = JobStore(path, patience=QUICK)
    store.run(turned(0.1), "exact", shots=10, label="sim")
    store.run(turned(0.2), "exact", shots=10, label="sim")
    paying = JobStore(
        path, patience=QUICK, max_shots=100, max_cost=5, price=Price(per_shot=0.01), budget="may"
    )
    paying.run(turned(0.1), Vendor(tmp_path / "vendor"), shots=20, label="paid")
    store.submit(turned(0.3), Vendor(tmp_path / "vendor", polls=10**6), shots=5, label="open")
    return path


def test_budgets_are_listed(run: Any, ledger: Path) -> None:
    status, out, _ = run("jobs", "budgets", "--jobs", ledger)
    assert status == 0
    assert "may" in out
    assert "20 of 100" in out
    assert "0.20 of 5" in out
    assert "80 left" in out
    assert "4.80 left" in out
    default, found = json.loads(run("jobs", "budgets", "--jobs", ledger, "--json")[1])
    assert (default["name"], default["shots"], default["limits"]) == ("default", 5, {})  # without a limit
    assert (found["name"], found["shots"], found["limits"]) == ("may", 20, {"shots": 100, "cost": 5})


def test_what_is_old_and_free_is_pruned(run: Any, ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("update qtnml_submissions set ended = ended - 86400 * 10")
    assert run("jobs", "prune", "--older-than", "2w", "--jobs", ledger)[1].strip() == "0 submissions deleted"
    assert json.loads(run("jobs", "prune", "--older-than", "1w", "--jobs", ledger, "--json")[1]) == {
        "deleted": 2
    }
    store = JobStore(ledger)
    assert [found.label for found in store.submissions()] == ["open", "paid"]
    assert len(store.ledger.circuits(store.submissions()[0].id)) == 1  # what is open can still be sent
    assert "give --yes" in run("jobs", "prune", "--older-than", "1w", "--all", "--jobs", ledger)[2]
    assert (
        "1 submission deleted"
        in run("jobs", "prune", "--older-than", "1w", "--all", "--yes", "--jobs", ledger)[1]
    )
    assert store.ledger.spent("may").shots == 20  # what was spent stays spent
    for wrong in ("week", "-1d", "3x", ""):
        assert (
            "--older-than takes a number and one of"
            in run("jobs", "prune", f"--older-than={wrong}", "--jobs", ledger)[2]
        )


def test_a_backup_is_a_ledger(run: Any, ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    assert run("jobs", "backup", copy, "--jobs", ledger)[0] == 0
    assert [found.label for found in JobStore(copy).submissions()] == ["open", "paid", "sim", "sim"]
    assert list(JobStore(copy).export()) == list(JobStore(ledger).export())
    assert "is there already; choose another name" in run("jobs", "backup", copy, "--jobs", ledger)[2]


def test_watching_in_a_pipe_prints_changes(run: Any, ledger: Path, tmp_path: Path) -> None:
    status, out, _ = run("jobs", "watch", "--once", "--jobs", ledger)
    assert status == 0
    assert "s4 submitted (1 circuits, vendor): backend 'vendor' of submission s4 cannot be made" in out
    JobStore(ledger).cancel(4, backend=Vendor(tmp_path / "vendor"))
    assert "no submission is open" in run("jobs", "watch", "--jobs", ledger)[1]


def test_what_is_lost_is_said_and_given_up(run: Any, ledger: Path, tmp_path: Path) -> None:
    store = JobStore(ledger, patience=QUICK)
    store.cancel(4, backend=Vendor(tmp_path / "vendor"))
    with pytest.raises(JobError, match="may or may not have been bought"):
        store.run(turned(0.7), Vendor(tmp_path / "v", searchable=False, faults={"submit": ["dead"]}), shots=5)
    status, _out, err = run("jobs", "watch", "--jobs", ledger)
    assert status == 2
    assert "s5 is lost: see `qtnml jobs show`" in err
    status, _, err = run("jobs", "cancel", "s1", "s5", "--certainly-gone", "--jobs", ledger)
    assert "s1 has ended, or is driven by another" in err
    assert store.submission(5).state == "cancelled"
    assert run("jobs", "watch", "--jobs", ledger)[0] == 0


def test_what_happened_is_shown(run: Any, ledger: Path) -> None:
    shown = json.loads(run("jobs", "show", "s3", "--jobs", ledger, "--json")[1])
    assert [event["what"] for event in shown["events"]] == [
        "prepared",
        "sending",
        "submitted",
        "running",
        "done",
    ]
    assert (shown["cost"], shown["currency"], shown["budget"]) == (pytest.approx(0.2), "USD", "may")
    assert "submitted" in run("jobs", "show", "s3", "--jobs", ledger)[1]


def test_a_run_that_is_not_waited_for(run: Any, tmp_path: Path) -> None:
    model, ledger = tmp_path / "model.qtnml", tmp_path / "jobs.sqlite"
    run("train", "digits", "--size", 4, "--classes", "3,5", "--epochs", 2, "-o", model, "--json")
    what = ("predict", model, "digits", "--backend", "exact", "--limit", 3, "--shots", 50, "--jobs", ledger)
    status, out, _ = run(*what, "--no-wait", "--json")
    assert status == 0
    assert json.loads(out)["status"] in ("queued", "running", "done")
    facts = json.loads(run(*what, "--json")[1])
    assert facts["samples"] == 3
    assert "done" in run(*what, "--no-wait")[1]
    plan = json.loads(run(*what, "--repeat", 1, "--plan", "--json", "--price", "per_shot=1")[1])
    assert plan["cost"] is None  # a simulator
    for wrong, message in (
        (("--price", "per_mile=1"), "got 'per_mile'"),
        (("--max-age", "long"), "--max-age takes seconds, or 'calibration'"),
        (("--max-cost", "1"), "--max-cost needs a price"),
    ):
        assert message in run(*what, *wrong)[2]
    assert "--no-wait needs a backend" in run("predict", model, "digits", "--no-wait")[2]


def test_a_regressor_is_measured(run: Any, tmp_path: Path) -> None:
    rows = [[k / 10, (k % 3) / 3, k / 10 + 0.1] for k in range(10)]
    table = tmp_path / "table.csv"
    table.write_text("a,b,y\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    regressor = TreeRegressor(epochs=3, random_state=0)
    import numpy as np

    data = np.array(rows)
    regressor.fit(data[:, :2], data[:, 2]).save(tmp_path / "r.qtnml")
    out = tmp_path / "p.csv"
    status, text, _ = run(
        "predict", tmp_path / "r.qtnml", table, "--backend", "exact", "--shots", 500, "-o", out, "--json"
    )
    facts = json.loads(text)
    assert status == 0
    assert facts["mean_standard_error"] > 0
    assert facts["backend"] == "exact"
    assert out.read_text().splitlines()[0] == "predicted,standard_error"
