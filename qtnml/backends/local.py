"""Simulators in this process as backends, with one thread for each job."""

import itertools
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Protocol

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends.base import (
    Capabilities,
    Counts,
    JobStatus,
    Result,
    Seeds,
    check_circuits,
    check_shots,
    keep,
    run_circuits,
)
from qtnml.errors import BackendError


class Simulator(Protocol):
    """A simulator behind `LocalBackend`. It has the attributes of `Backend`, and optionally a `version`."""

    name: str
    capabilities: Capabilities
    settings: Mapping[str, Any]

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit; equal seeds give equal counts."""

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes), if `capabilities.exact` is set."""


class LocalBackend:
    """A simulator as a backend; its jobs are lost when the process ends.

    Args:
        simulator: The simulator that runs the circuits.
        seed: Seed of submissions without their own seed.
    """

    run = run_circuits

    def __init__(self, simulator: Simulator, *, seed: int | None = None) -> None:
        self.simulator = simulator
        self.name, self.capabilities = simulator.name, simulator.capabilities
        self._seeds = Seeds(seed)
        self.settings: Mapping[str, Any] = {
            **simulator.settings,
            **({} if seed is None else {"seed": self._seeds.seed}),
        }
        #: Another version's results are others.
        self.version = str(getattr(simulator, "version", ""))
        #: Qiskit's description of the device whose noise is simulated, for `compile(target=...)`.
        self.target = getattr(simulator, "target", None)
        #: That device, for its name and the time of its calibration.
        self.described = getattr(simulator, "described", None)
        self._jobs: dict[str, Future[list[Counts]]] = {}
        self._tags: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._turn = threading.Lock()

    def __deepcopy__(self, _: Any) -> "LocalBackend":
        return self  # jobs run once, whoever holds a copy (scikit-learn's clone, say)

    def __reduce__(self) -> Any:
        """Another process gets the same simulator, without the jobs of this one."""
        return partial(LocalBackend, self.simulator, seed=self._seeds.seed), ()

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        if not type(self.simulator).__module__.startswith("qtnml."):
            return f"LocalBackend({type(self.simulator).__name__}{settings})"
        return f"get_backend({self.name!r}{settings})"

    def submit(
        self,
        circuits: Sequence[QuantumCircuit],
        *,
        shots: int,
        seed: int | None = None,
        tag: str | None = None,
    ) -> str:
        """Start a job with all circuits and return its id at once; see `Backend.submit`."""
        check_circuits(circuits, self)
        check_shots(shots, seed)
        seed = self._seeds.next(seed)
        job_id = f"{self.name}-{next(self._numbers)}"
        future: Future[list[Counts]] = Future()
        keep(self._jobs, job_id, future)
        if tag is not None:
            keep(self._tags, tag, job_id)
        threading.Thread(
            target=self._work, args=(future, circuits, int(shots), seed), name=job_id, daemon=True
        ).start()
        return job_id

    def _work(
        self, future: "Future[list[Counts]]", circuits: Sequence[QuantumCircuit], shots: int, seed: int | None
    ) -> None:
        # One at a time: a simulator uses all cores by itself.
        with self._turn:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self.simulator.sample(circuits, shots, seed) if len(circuits) else [])
            except BaseException as error:  # whatever it is, whoever fetches must see it
                future.set_exception(error)

    def status(self, job_id: str) -> JobStatus:
        """Status of a job."""
        future = self._job(job_id)
        if future.cancelled():
            return JobStatus.CANCELLED
        if future.done():
            return JobStatus.DONE if future.exception() is None else JobStatus.FAILED
        return JobStatus.RUNNING if future.running() else JobStatus.QUEUED

    def fetch(self, job_id: str) -> Result:
        """Wait for a job and return the counts of each circuit."""
        try:
            return Result(self._job(job_id).result())
        except CancelledError:
            raise BackendError(f"job {job_id!r} was cancelled") from None

    def cancel(self, job_id: str) -> None:
        """Remove a job from the queue; a running job goes on to its end."""
        self._job(job_id).cancel()

    def find(self, tag: str) -> str | None:
        """The id of the job submitted under a tag in this process."""
        return self._tags.get(tag)

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes)."""
        check_circuits(circuits, self)
        if not len(circuits):
            return np.empty((0, 0))
        if len({circuit.num_clbits for circuit in _templates(circuits)}) > 1:
            raise BackendError(
                "circuits of one call must measure the same number of bits; call once for each"
            )
        return self.simulator.probabilities(circuits)

    def _job(self, job_id: str) -> "Future[list[Counts]]":
        if job_id not in self._jobs:
            raise BackendError(f"no job {job_id!r} on this backend in this process")
        return self._jobs[job_id]


def _templates(circuits: Sequence[QuantumCircuit]) -> Sequence[QuantumCircuit]:
    return [circuits.template] if hasattr(circuits, "template") else circuits
