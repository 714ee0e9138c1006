"""Engines that run tasks: processes on this machine, or a Dask cluster."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any

import joblib

from qtnml.errors import BackendError, InvalidInputError, MissingExtraError, StudyError

ENGINES = ("loky", "dask", "serial")


@contextmanager
def engine_context(engine: str, workers: int | None, scheduler: str | None) -> Iterator[int]:
    """Set joblib up; yield its number of jobs.

    Args:
        engine: "loky": processes on this machine. "dask": the cluster at `scheduler`. "serial": here.
        workers: Processes at once; None takes one per core (of the whole cluster).
        scheduler: Address of a Dask scheduler, as in "tcp://10.0.0.1:8786".

    Raises:
        BackendError: Dask is not installed, or the scheduler does not answer.
    """
    if engine not in ENGINES:
        raise InvalidInputError(f"unknown engine {engine!r}; choose one of {list(ENGINES)}")
    if (engine == "dask") != (scheduler is not None):
        raise InvalidInputError(
            f"engine {engine!r} with scheduler {scheduler!r}: 'dask' needs the address of a scheduler, as in "
            "tcp://10.0.0.1:8786, the others take none"
        )
    if workers is not None and workers < 1:
        raise InvalidInputError(f"workers must be at least 1, got {workers}")
    jobs = -1 if workers is None else workers
    if engine == "serial":
        yield 1
    elif engine == "loky":
        with joblib.parallel_config(backend="loky", n_jobs=jobs), warnings.catch_warnings():
            # A worker whose memory has grown is replaced by a fresh one; nothing is lost.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs")
            yield jobs
    else:
        with _dask_client(str(scheduler)), joblib.parallel_config(backend="dask", n_jobs=jobs):
            yield jobs


@contextmanager
def _dask_client(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtraError(
            "the engine 'dask' needs the package distributed: pip install 'qtnml[dask]'"
        ) from error
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, TimeoutError, ValueError) as error:
        raise BackendError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one with `dask scheduler` and "
            f"workers with `dask worker {scheduler}`"
        ) from error
    with client:
        yield client


def unordered(
    function: Callable[[dict[str, Any]], Any], tasks: Sequence[dict[str, Any]], jobs: int
) -> Iterator[Any]:
    """Results as they come."""
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="all", batch_size=1)
    try:
        yield from parallel(joblib.delayed(function)(task) for task in tasks)
    except BrokenExecutor as error:  # joblib's TerminatedWorkerError
        raise StudyError(
            "a worker process died (killed, or out of memory); what was finished is on disk, start the study "
            "again for the rest, with fewer workers if memory ran out"
        ) from error
