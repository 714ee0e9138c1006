"""A real PostgreSQL server for the tests that want one."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _binary(name: str) -> Path | None:
    found = shutil.which(name)
    if found is not None:
        return Path(found).resolve()
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return places[-1] if places else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a server of our own."""
    pytest.importorskip("psycopg")
    initdb, server = _binary("initdb"), _binary("pg_ctl")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server is installed")
    # The server refuses to run as root, and its socket's path must be short.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="qtnml-pg-"))
    if user:
        shutil.chown(folder, "postgres")
    data, log = folder / "data", folder / "log"
    try:
        subprocess.run(
            [initdb, "-D", data, "-A", "trust", "-U", "qtnml"],
            check=True,
            capture_output=True,
            cwd="/",
            **user,
        )
        start = f"-k {folder} -c listen_addresses='' -c fsync=off"
        subprocess.run(
            [server, "-D", data, "-l", log, "-o", start, "-w", "start"],
            check=True,
            capture_output=True,
            cwd="/",
            **user,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL does not start here: {error}")
    yield f"postgresql+psycopg://qtnml@/postgres?host={folder}"
    subprocess.run(
        [server, "-D", data, "-m", "immediate", "stop"], check=False, capture_output=True, cwd="/", **user
    )
    shutil.rmtree(folder, ignore_errors=True)
