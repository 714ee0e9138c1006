"""Migration of older ledgers to the current tables, in numbered steps."""

from collections.abc import Callable

import sqlalchemy as sa

from qtnml.errors import JobError
from qtnml.ledger.schema import VERSION, budgets, claims, events, metadata, programs, schema

# Names of the backends of the first release whose shots cost nothing.
_SIMULATORS = ("aer", "exact", "fake:", "pennylane", "cutensornet", "braket:local", "aqt:offline")


def _leases_and_budgets(connection: sa.Connection) -> None:
    """1 to 2: leases in place of processes, budgets, events, programs, shares of a job."""
    for column in (
        "billing TEXT DEFAULT '{}' NOT NULL",
        "version TEXT DEFAULT '' NOT NULL",
        "token VARCHAR(32)",
        "lease_until DOUBLE PRECISION",
        "paid BOOLEAN DEFAULT true NOT NULL",
        "price TEXT",
        "budget TEXT",
        "reserved_circuits INTEGER DEFAULT 0 NOT NULL",
        "reserved_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL",
        "reserved_cost DOUBLE PRECISION DEFAULT 0 NOT NULL",
        "refunded BOOLEAN DEFAULT false NOT NULL",
    ):
        connection.exec_driver_sql(f"ALTER TABLE qtnml_submissions ADD COLUMN {column}")
    connection.exec_driver_sql("CREATE INDEX ix_qtnml_submissions_budget ON qtnml_submissions (budget)")
    # What was prepared and perhaps sent had no state of its own.
    connection.exec_driver_sql(
        "UPDATE qtnml_submissions SET state = 'sending' WHERE state = 'prepared' AND sent IS NOT NULL"
    )
    simulators = " OR ".join(f"backend LIKE '{name}%'" for name in _SIMULATORS)
    connection.execute(sa.text(f"UPDATE qtnml_submissions SET paid = false WHERE {simulators}"))
    # A process of the release before that still runs would buy by the old rules: without these it cannot.
    connection.exec_driver_sql("ALTER TABLE qtnml_submissions DROP COLUMN owner")
    connection.exec_driver_sql("ALTER TABLE qtnml_submissions DROP COLUMN heartbeat")
    held = connection.exec_driver_sql("SELECT job, submission FROM qtnml_claims").all()
    connection.exec_driver_sql("DROP TABLE qtnml_claims")
    metadata.create_all(connection, tables=[claims, budgets, events, programs])
    if held:
        connection.execute(claims.insert(), [{"job": job, "share": 0, "submission": n} for job, n in held])


#: From the version before to the one at which a function stands.
MIGRATIONS: dict[int, Callable[[sa.Connection], None]] = {2: _leases_and_budgets}


def bring_up_to_date(connection: sa.Connection, name: str) -> None:
    """Make the tables of today in an empty database, or out of those of an older release.

    Raises:
        JobError: They are of a newer release.
    """
    if not sa.inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
        return
    # Whoever comes at the same moment waits here, and then finds the new version.
    found = max(connection.execute(sa.select(schema.c.version).with_for_update()).scalars(), default=0)
    if found > VERSION:
        raise JobError(f"the ledger {name} is of a newer release of qtnml; update qtnml")
    if found < 1:
        raise JobError(
            f"the ledger {name} has no version: it is damaged, or another program's; choose another"
        )
    for version in range(found + 1, VERSION + 1):
        MIGRATIONS[version](connection)
    if found < VERSION:
        connection.execute(schema.update().where(schema.c.version == found).values(version=VERSION))
