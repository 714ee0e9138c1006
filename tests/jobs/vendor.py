"""A vendor for tests: keeps its jobs in a folder, writes down all it was asked, and fails when told to."""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Capabilities, JobStatus, Result
from qtnml.backends.base import check_circuits, check_shots
from qtnml.errors import BackendBusyError, BackendError, UnknownSubmissionError


class Vendor:
    """A quantum computer that outlives every process.

    Args:
        folder: Where its jobs are.
        searchable: Whether it can be asked for a tag.
        faults: By the name of a call, what to do at each of the next ones: "busy" (nothing happens), "deaf"
            (it happens, the answer is lost), "dead" (nothing happens, the answer is lost), "refuse", or None.
        polls: How often a job answers "running" before it is done.
        tick: Called before and after everything happens.
        returns: Shots it returns of those asked for; all by default.
        lag: Seconds after which an accepted job is listed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        searchable: bool = True,
        durable: bool = True,
        faults: dict[str, list[str | None]] | None = None,
        polls: int = 1,
        tick: Callable[[str], None] = lambda _: None,
        returns: Callable[[int], int] = lambda shots: shots,
        settings: dict[str, Any] | None = None,
        max_shots: int | None = None,
        lag: float = 0.0,
        calibration: str | None = "2026-11-01T00:00:00",
    ) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.name, self.settings = "vendor", settings or {}
        self.capabilities = Capabilities(
            resets=True,
            durable=durable,
            searchable=searchable,
            paid=True,
            seeds=True,
            max_circuits=4,
            max_shots=max_shots,
        )
        self._folder, self._faults, self._polls, self._tick = folder, faults or {}, polls, tick
        self._returns, self.calibration, self._lag = returns, calibration, lag

    def submit(
        self,
        circuits: Sequence[QuantumCircuit],
        *,
        shots: int,
        seed: int | None = None,
        tag: str | None = None,
    ) -> str:
        check_circuits(circuits, self)
        check_shots(shots, seed)
        self._tick("submit: before")
        fault = self._fault("submit")
        if fault == "busy":
            raise BackendBusyError("queue full")
        if fault == "refuse":
            raise BackendError("no such gate; your token=abcdefgh12345 is fine")
        if fault == "dead":
            raise UnknownSubmissionError("timed out")
        asked = {
            "tag": tag,
            "shots": shots,
            "seed": seed,
            "circuits": len(circuits),
            "polls": 0,
            "state": "running",
            "at": time.time(),
        }
        job_id = self._accepted(asked)
        self._tick("submit: after")
        if fault == "deaf":
            raise UnknownSubmissionError("timed out")
        return job_id

    def _accepted(self, asked: dict[str, Any]) -> str:
        """A number that nobody else gets, whatever threads and processes do."""
        partial = self._partial("new")
        partial.write_text(json.dumps(asked))
        number = 1
        while True:
            try:
                os.link(partial, self._folder / f"job-{number}.json")
            except FileExistsError:
                number += 1
                continue
            partial.unlink()
            return f"job-{number}"

    def _partial(self, name: str) -> Path:
        return self._folder / f".{name}-{os.getpid()}-{threading.get_ident()}"

    def status(self, job_id: str) -> JobStatus:
        self._tick("status")
        self._maybe_busy("status")
        job = self._read(job_id)
        if job["state"] == "running" and job["polls"] >= self._polls:
            job["state"] = "done"
        job["polls"] += 1
        self._write(job_id, job)
        return JobStatus(job["state"])

    def fetch(self, job_id: str) -> Result:
        self._tick("fetch: before")
        self._maybe_busy("fetch")
        job = self._read(job_id)
        if job["state"] in ("failed", "cancelled"):
            raise BackendError(f"{job_id} has {job['state']}")
        # Outcomes say which shots these are: equal samples counted twice would show.
        shots = self._returns(job["shots"])
        counts = [{job["seed"] % 2**40: shots} if shots else {} for _ in range(job["circuits"])]
        self._tick("fetch: after")
        return Result(counts, self.calibration, 1.5)

    def cancel(self, job_id: str) -> None:
        job = self._read(job_id)
        if job["state"] == "running":
            self._write(job_id, job | {"state": "cancelled"})

    def find(self, tag: str) -> str | None:
        self._tick("find")
        self._maybe_busy("find")
        if not self.capabilities.searchable:
            return None
        found = [
            path.stem
            for path in self._folder.glob("job-*.json")
            if json.loads(path.read_text())["tag"] == tag
            and time.time() - json.loads(path.read_text())["at"] >= self._lag
        ]
        return found[0] if found else None

    def asked(self) -> list[dict[str, Any]]:
        """Every job it ever accepted."""
        paths = sorted(self._folder.glob("job-*.json"), key=lambda path: int(path.stem[4:]))
        return [json.loads(path.read_text()) for path in paths]

    def fail(self, job_id: str) -> None:
        """Let a job fail."""
        self._write(job_id, self._read(job_id) | {"state": "failed"})

    def _fault(self, call: str) -> str | None:
        waiting = self._faults.get(call, [])
        return waiting.pop(0) if waiting else None

    def _maybe_busy(self, call: str) -> None:
        if self._fault(call) == "busy":
            raise BackendBusyError("rate limit")

    def _read(self, job_id: str) -> dict[str, Any]:
        path = self._folder / f"{job_id}.json"
        if not path.exists():
            raise BackendError(f"no job {job_id!r}")
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def _write(self, job_id: str, job: dict[str, Any]) -> None:
        partial = self._partial(job_id)
        partial.write_text(json.dumps(job))
        partial.rename(self._folder / f"{job_id}.json")
