"""Tables of the ledger, for any database SQLAlchemy speaks to."""

from enum import StrEnum

import sqlalchemy as sa

#: Of the tables below. A change adds a function to `MIGRATIONS` and raises it.
VERSION = 1


class State(StrEnum):
    """Of a submission.

    prepared: written down, not known to the backend. submitted: the backend has it. running: it has begun.
    done: results are stored. failed, cancelled: it has none. lost: it may have been bought, and the backend
    cannot be asked.
    """

    PREPARED = "prepared"
    SUBMITTED = "submitted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"


#: States in which a submission holds on to its jobs: nobody else may buy them.
OPEN = (State.PREPARED, State.SUBMITTED, State.RUNNING, State.LOST)

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
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("shots", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger),
    sa.Column("repeat", sa.Integer, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("jobs", sa.Integer, nullable=False),
    sa.Column("work", sa.LargeBinary, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("heartbeat", sa.Float),
    sa.Column("vendor_id", sa.Text),
    sa.Column("created", sa.Float, nullable=False),  # seconds since 1970, as all times here
    sa.Column("sent", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("calibration", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.Column("error", sa.Text),
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

#: A job is in one open submission at most: the primary key sees to it, whoever writes.
claims = sa.Table(
    "qtnml_claims",
    metadata,
    sa.Column("job", sa.String(64), primary_key=True),
    sa.Column("submission", sa.ForeignKey("qtnml_submissions.id"), nullable=False, index=True),
)
