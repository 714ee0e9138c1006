"""Location, transactions and clock of a ledger: a SQLite file or any database that SQLAlchemy supports."""

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from qtnml.backends.secrets import is_secret, without_secrets
from qtnml.errors import JobError
from qtnml.ledger.migrations import bring_up_to_date

# A damaged file fails in the driver (a page that is none) or in Python (text that is no UTF-8).
_FAILURES = (SQLAlchemyError, UnicodeDecodeError)

_OPENINGS = 4  # tries to open a ledger that another process is making


class now(FunctionElement[float]):  # noqa: N801
    """Seconds since 1970 by the clock of the database: that of one host is not that of another."""

    type = sa.Float()
    inherit_cache = True


@compiles(now)
def _now(*_: Any, **__: Any) -> str:
    return "unix_timestamp(now(6))"


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


class Database:
    """A database with the ledger's tables.

    Args:
        location: A file, a SQLAlchemy URL, or None for $QTNML_JOBS or else a file in the user's data folder.
    """

    def __init__(self, location: str | os.PathLike[str] | None = None) -> None:
        self._url = _url(location)
        #: Whether it ends with this process.
        self.in_memory = self._url.get_backend_name() == "sqlite" and _is_in_memory(self._url)
        # A database in memory has one connection, which threads take in turns.
        self._turn = threading.RLock() if self.in_memory else contextlib.nullcontext()
        try:
            self.engine, self._closed = _engine(self._url)
            weakref.finalize(self, self._closed)
            self._open()
        except (*_FAILURES, ImportError) as error:
            raise self._error("open", error) from error
        self._file = self._identity()

    def __str__(self) -> str:
        hidden = {name: "***" for name in self._url.query if is_secret(name)}
        return self._url.update_query_dict(hidden).render_as_string(hide_password=True)

    def shareable_location(self) -> str:
        """What another process opens the same ledger by.

        Raises:
            JobError: It is in this process's memory.
        """
        if self.in_memory:
            raise JobError("a ledger in memory belongs to one process; give JobStore a file")
        return self._url.render_as_string(hide_password=False)

    def close(self) -> None:
        """Close all connections."""
        self._closed()

    def _open(self) -> None:
        """Make the tables, or bring older ones up to date, unless another process does at this moment."""
        for attempt in range(_OPENINGS):
            try:
                with self.engine.execution_options(qtnml_writes=True).begin() as connection:
                    bring_up_to_date(connection, str(self))
                return
            except SQLAlchemyError:
                if attempt == _OPENINGS - 1:
                    raise
                time.sleep(0.1 * (attempt + 1))

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that may write."""
        try:
            with self._turn, self.engine.execution_options(qtnml_writes=True).begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except _FAILURES as error:
            raise self._error("write to", error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One transaction that reads."""
        try:
            with self._turn, self.engine.connect() as connection:
                yield connection
        except _FAILURES as error:
            raise self._error("read", error) from error

    def check_in_place(self) -> None:
        """Refuse to go on with a file that was deleted or replaced: what it says, nobody else would know.

        Raises:
            JobError: It was.
        """
        if self._identity() != self._file:
            raise JobError(
                f"the ledger {self} was moved, deleted or replaced while it was in use; nothing more is "
                "sent: put it back, or start again with another"
            )

    def _identity(self) -> tuple[int, int] | None:
        """Of the file, where it is one."""
        if self.in_memory or self._url.get_backend_name() != "sqlite":
            return None
        try:
            found = Path(str(self._url.database)).stat()
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    def back_up(self, target: Path) -> None:
        """Copy a SQLite ledger while others go on using it.

        Raises:
            JobError: It is no file of SQLite, or the target is there.
        """
        if self.in_memory or self._url.get_backend_name() != "sqlite":
            raise JobError(
                f"the ledger {self} is no file of SQLite; use the tools of its database, such as pg_dump"
            )
        if target.exists():
            raise JobError(f"{target} is there already; choose another name for the copy")
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            with contextlib.closing(sqlite3.connect(partial)) as copy, self.reading() as connection:
                connection.connection.driver_connection.backup(copy)  # type: ignore[union-attr]
                copy.execute("PRAGMA journal_mode=DELETE")
            partial.rename(target)
        except (sqlite3.Error, OSError) as error:
            raise JobError(f"cannot copy the ledger {self} to {target} ({error})") from error
        finally:
            partial.unlink(missing_ok=True)

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
    if found == ":memory:":
        return sa.URL.create("sqlite")
    if "://" in found:
        try:
            return sa.make_url(found)
        except SQLAlchemyError as error:
            raise JobError(
                "the address of the ledger is no SQLAlchemy URL, such as postgresql+psycopg://host/db"
            ) from error
    try:
        path = Path(found).absolute() if found else Path(platformdirs.user_data_dir("qtnml")) / "jobs.sqlite"
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


class _Kept(sqlite3.Connection):
    """A connection that SQLAlchemy does not close: what is in it would be gone."""

    def close(self) -> None:
        """Stays open until `end`."""

    def end(self) -> None:
        """Close it."""
        super().close()


def _is_in_memory(url: sa.URL) -> bool:
    return not url.database or url.database == ":memory:"


def _engine(url: sa.URL) -> tuple[sa.Engine, Callable[[], None]]:
    """The engine, and what closes all of its connections."""
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True)
        return engine, engine.dispose
    in_memory = _is_in_memory(url)
    options: dict[str, Any] = {"connect_args": {"timeout": 60, "check_same_thread": False}}
    if in_memory:
        # The database is the connection: after an interrupted statement SQLAlchemy opens this one again.
        kept = sqlite3.connect(":memory:", timeout=60, check_same_thread=False, factory=_Kept)
        options = {"creator": lambda: kept, "poolclass": sa.StaticPool}
    engine = sa.create_engine(url, **options)
    closed = kept.end if in_memory else engine.dispose

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        # Transactions begin where SQLAlchemy says, not where the driver guesses.
        connection.isolation_level = None
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if not in_memory:
            connection.execute("PRAGMA journal_mode=WAL")
        # A result that was paid for is on the disk before it counts as stored.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("qtnml_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine, closed
