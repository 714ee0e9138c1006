"""Ledgers of earlier releases are brought up to date, and go on where they were."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from qtnml import JobStore
from qtnml.errors import JobError
from qtnml.ledger.migrations import MIGRATIONS
from qtnml.ledger.schema import VERSION, metadata
from tests.jobs.test_store import QUICK, turned
from tests.jobs.vendor import Vendor

GOLDEN = Path(__file__).parents[1] / "golden" / "v0.1" / "jobs.sqlite"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger of the first release, with a submission in each state."""
    return Path(shutil.copy(GOLDEN, tmp_path / "jobs.sqlite"))


def test_an_old_ledger_says_what_it_said(old: Path) -> None:
    store = JobStore(old)
    states = {found.label: str(found.state) for found in store.submissions()}
    assert states == {
        "done": "done",
        "more": "done",
        "prepared": "prepared",
        "sent": "sending",
        "submitted": "submitted",
        "failed": "failed",
        "lost": "lost",
        "aer": "done",
    }
    rows = {(row["label"], row["shots"], row["calibration"]) for row in store.export()}
    assert rows == {
        ("done", 100, "2026-11-01T00:00:00"),
        ("more", 50, "2026-11-02T00:00:00"),
        ("aer", 50, None),
    }
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("select version from qtnml_schema").fetchall() == [(VERSION,)]


def test_an_old_ledger_goes_on(old: Path, tmp_path: Path) -> None:
    """What was bought is not bought again; what was on its way is brought to its end."""
    store, vendor = JobStore(old, patience=QUICK), Vendor(tmp_path / "vendor")
    assert [sum(each.values()) for each in store.run(turned(0.1, 0.2), vendor, shots=100)] == [150, 100]
    assert vendor.asked() == []
    vendor.submit(turned(0.4), shots=10, seed=1, tag=store.submissions(label="sent")[0].tag)
    for _ in range(3):
        vendor.submit(turned(0.5), shots=10, seed=2, tag="others")  # the one that was submitted is job-4
    resumed = {found.label: str(found.state) for found in store.resume(backend=vendor)}
    assert resumed == {"prepared": "done", "sent": "done", "submitted": "done", "lost": "lost"}
    assert len(vendor.asked()) == 5  # only what was prepared is new


def test_migrated_tables_are_those_of_today(old: Path) -> None:
    JobStore(old).close()
    with closing(sqlite3.connect(old)) as connection:
        for table in metadata.sorted_tables:
            found = {row[1] for row in connection.execute(f"pragma table_info({table.name})")}
            assert found == set(table.columns.keys()), table.name
    assert max(MIGRATIONS) == VERSION


def test_a_ledger_is_brought_up_to_date_once(old: Path) -> None:
    """Several stores may open it one after the other, and at once."""
    stores = [JobStore(old) for _ in range(3)]
    assert len({len(store.submissions()) for store in stores}) == 1


def test_what_is_no_ledger_of_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table qtnml_schema (version integer)")
    with pytest.raises(JobError, match="has no version: it is damaged, or another program's"):
        JobStore(path)


def test_an_old_ledger_on_postgresql(postgresql: str) -> None:
    """The same steps there."""
    engine = sa.create_engine(postgresql)
    with closing(sqlite3.connect(GOLDEN)) as connection:
        script = [row[0] for row in connection.execute("select sql from sqlite_master where sql is not null")]
    with engine.begin() as there:
        there.exec_driver_sql("drop schema public cascade")
        there.exec_driver_sql("create schema public")
        for statement in script:
            there.exec_driver_sql(statement.replace("BLOB", "BYTEA").replace("DATETIME", "TIMESTAMP"))
        there.exec_driver_sql("insert into qtnml_schema values (1)")
        there.exec_driver_sql("create sequence of_ids owned by qtnml_submissions.id")
        there.exec_driver_sql("alter table qtnml_submissions alter id set default nextval('of_ids')")
    store = JobStore(postgresql, patience=QUICK)
    assert store.run(turned(0.1), "aer", shots=10, label="after")
    with engine.begin() as there:
        names = {row[0] for row in there.exec_driver_sql(
            "select column_name from information_schema.columns where table_name = 'qtnml_submissions'"
        )}  # fmt: skip
    engine.dispose()
    assert names == set(metadata.tables["qtnml_submissions"].columns.keys())


def test_a_ledger_that_takes_nothing_says_so(tmp_path: Path) -> None:
    """Every violated constraint looks like somebody who was quicker; but not for ever."""
    store = JobStore(tmp_path / "jobs.sqlite", patience=QUICK)
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite")) as connection, connection:
        connection.execute("create unique index odd on qtnml_events (what)")
    store.run(turned(0.1), "aer", shots=10)
    with pytest.raises(JobError, match="the ledger does not take this run.*is its database damaged"):
        store.run(turned(0.2), "aer", shots=10)
