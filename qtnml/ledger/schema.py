"""Tables of the ledger, for any database that SQLAlchemy supports."""

from enum import StrEnum

import sqlalchemy as sa

#: Of the tables below; a change of them raises it and adds a function to `migrations.MIGRATIONS`.
VERSION = 2


class State(StrEnum):
    """State of a submission; the allowed changes are in `transitions.LEGAL`.

    - prepared: recorded, certainly not sent.
    - sending: the backend is being called, so that it may have been accepted.
    - submitted: the backend has it.
    - running: it has begun.
    - done: results are stored.
    - failed, cancelled: it has no results.
    - lost: it may have been accepted, and the backend does not know it or cannot be asked.
    """

    PREPARED = "prepared"
    SENDING = "sending"
    SUBMITTED = "submitted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


#: States in which a submission holds on to its jobs: nobody else may buy them.
OPEN = (State.PREPARED, State.SENDING, State.SUBMITTED, State.RUNNING, State.LOST)

metadata = sa.MetaData()

schema = sa.Table("qtnml_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))

templates = sa.Table(
    "qtnml_templates",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),  # SHA-256 of the QPY
    sa.Column("qpy", sa.LargeBinary, nullable=False),
)

#: What was, or is to be, sent in one go.
submissions = sa.Table(
    "qtnml_submissions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tag", sa.String(64), unique=True, nullable=False),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),  # what changes what is measured: JSON
    sa.Column(
        "billing", sa.Text, nullable=False, server_default="{}"
    ),  # who pays, and how it is queued: JSON
    sa.Column("version", sa.Text, nullable=False, server_default=""),  # of a simulator
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("shots", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("jobs", sa.Integer, nullable=False),
    sa.Column("work", sa.LargeBinary, nullable=False),
    # Who drives it, until when; see `leases`. Seconds since 1970 by the clock of the database, as all times
    # here.
    sa.Column("token", sa.String(32)),
    sa.Column("lease_until", sa.Float),
    sa.Column("vendor_id", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("sent", sa.Float),  # noted before the backend is called
    sa.Column("ended", sa.Float),
    sa.Column("calibration", sa.Text),
    sa.Column("seconds", sa.Float),  # charged by the vendor, where it tells
    sa.Column("paid", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("price", sa.Text),  # JSON, see `budgets.Price`
    sa.Column("budget", sa.Text, index=True),
    sa.Column("reserved_circuits", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reserved_seconds", sa.Float, nullable=False, server_default="0"),
    sa.Column("reserved_cost", sa.Float, nullable=False, server_default="0"),
    sa.Column("refunded", sa.Boolean, nullable=False, server_default=sa.false()),  # certainly never bought
    sa.Column("error", sa.Text),
    sqlite_autoincrement=True,  # a number that was pruned is not given again
)

#: The jobs of a submission, in order, and what came of each.
entries = sa.Table(
    "qtnml_entries",
    metadata,
    sa.Column("submission", sa.ForeignKey("qtnml_submissions.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("job", sa.String(64), nullable=False, index=True),
    sa.Column("shots", sa.Integer, nullable=False, server_default="0"),  # that were counted
    sa.Column("counts", sa.Text),
)

#: A share of a job's shots is in one open submission at most: the primary key sees to it, whoever writes.
claims = sa.Table(
    "qtnml_claims",
    metadata,
    sa.Column("job", sa.String(64), primary_key=True),
    sa.Column("share", sa.Integer, primary_key=True, server_default="0"),
    sa.Column("submission", sa.ForeignKey("qtnml_submissions.id"), nullable=False, index=True),
)

#: What has been spent under a name, what is open included.
budgets = sa.Table(
    "qtnml_budgets",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("shots", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("circuits", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
    sa.Column("cost", sa.Float, nullable=False, server_default="0"),
    sa.Column("limits", sa.Text, nullable=False, server_default="{}"),  # those last asked for: JSON
)

#: What happened to each submission; rows are only ever added.
events = sa.Table(
    "qtnml_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("submission", sa.Integer, nullable=False, index=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column(
        "what", sa.String(16), nullable=False
    ),  # the state it went to, or "taken over", "late answer", ...
    sa.Column("note", sa.Text, nullable=False, server_default=""),
)

#: Compiled circuits by model, device and options: what was bought with one is found again after a
#: recalibration.
programs = sa.Table(
    "qtnml_programs",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("calibration", sa.Text),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
)
