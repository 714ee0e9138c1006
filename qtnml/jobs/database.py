"""Where a ledger is, and its transactions: a SQLite file, or any database SQLAlchemy speaks to."""

import contextlib
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from qtnml.backends.secrets import without_secrets
from qtnml.errors import JobError
from qtnml.jobs.tables import VERSION, metadata, schema

# A damaged file fails in the driver (a page that is none) or in Python (text that is no UTF-8).
_FAILURES = (SQLAlchemyError, UnicodeDecodeError)

_OPENINGS = 4  # tries to open a ledger that another process is making


class Database:
    """A database with the ledger's tables.

    Args:
        location: A file, a SQLAlchemy URL, or None for $QTNML_JOBS or else a file in the user's data folder.
    """

    def __init__(self, location: str | os.PathLike[str] | None = None) -> None:
        self._url = _url(location)
        try:
            self.engine = _engine(self._url)
            weakref.finalize(self, self.engine.dispose)
            self._open()
        except (*_FAILURES, ImportError) as error:
            raise self._error("open", error) from error

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    def shareable_location(self) -> str:
        """What another process opens the same ledger by.

        Raises:
            JobError: It is in this process's memory.
        """
        if self._url.get_backend_name() == "sqlite" and _is_in_memory(self._url):
            raise JobError("a ledger in memory belongs to one process; give JobStore a file")
        return self._url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _open(self) -> None:
        """Make the tables, unless another process does at this moment."""
        for attempt in range(_OPENINGS):
            try:
                with self.engine.execution_options(qtnml_writes=True).begin() as connection:
                    metadata.create_all(connection)
                    found = connection.execute(sa.select(schema.c.version)).scalars().all()
                    if not found:
                        connection.execute(schema.insert().values(version=VERSION))
                break
            except SQLAlchemyError:
                if attempt == _OPENINGS - 1:
                    raise
                time.sleep(0.1 * (attempt + 1))
        if found and max(found) > VERSION:
            raise JobError(f"the ledger {self} is of a newer release of qtnml; update qtnml")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that may write."""
        try:
            with self.engine.execution_options(qtnml_writes=True).begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except _FAILURES as error:
            raise self._error("write to", error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One transaction that reads."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except _FAILURES as error:
            raise self._error("read", error) from error

    def _error(self, what: str, error: Exception) -> JobError:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()
        return JobError(
            f"cannot {what} the ledger {self} "
            f"({without_secrets(reason[0] if reason else type(error).__name__)}); "
            "choose another with $QTNML_JOBS or JobStore(location)"
        )


def _url(location: str | os.PathLike[str] | None) -> sa.URL:
    if not isinstance(location, str | os.PathLike | None) or "\0" in str(location):
        raise JobError(f"a ledger is a file, a SQLAlchemy URL or None, got {location!r}")
    found = os.fspath(location) if location is not None else os.environ.get("QTNML_JOBS", "")
    if "://" in found:
        try:
            return sa.make_url(found)
        except SQLAlchemyError as error:
            raise JobError(
                "the address of the ledger is no SQLAlchemy URL, such as postgresql+psycopg://host/db"
            ) from error
    try:
        path = Path(found) if found else Path(platformdirs.user_data_dir("qtnml")) / "jobs.sqlite"
    except RuntimeError as error:  # a user without a home folder, as in some containers
        raise JobError(
            f"there is no place for the ledger of jobs ({error}); set QTNML_JOBS to a file, or give JobStore "
            "one"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JobError(
            f"cannot make the folder of the ledger {path} ({error.strerror}); set $QTNML_JOBS"
        ) from error
    return sa.URL.create("sqlite", database=str(path))


def _is_in_memory(url: sa.URL) -> bool:
    return not url.database or url.database == ":memory:"


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    in_memory = _is_in_memory(url)
    options: dict[str, Any] = {"poolclass": sa.StaticPool} if in_memory else {}
    engine = sa.create_engine(url, connect_args={"timeout": 60, "check_same_thread": False}, **options)

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        # Transactions begin where SQLAlchemy says, not where the driver guesses.
        connection.isolation_level = None
        if not in_memory:
            connection.execute("PRAGMA journal_mode=WAL")
        # A result that was paid for is on the disk before it counts as stored.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("qtnml_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
