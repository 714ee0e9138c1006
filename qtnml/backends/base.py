"""The `Backend` protocol, its capabilities, and running circuits without a ledger."""

import itertools
import logging
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module, metadata
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp

from qtnml.arrays import NDArray
from qtnml.compile import BoundCircuits
from qtnml.errors import BackendError

#: Shots per outcome: all classical bits read as a binary number, the first one least significant.
Counts: TypeAlias = dict[int, int]


log = logging.getLogger("qtnml.jobs")
_IDLE = ("delay", "barrier")
#: Widest circuit whose noise is simulated as a density matrix, in one pass for all shots; beyond, every shot
#: is a state vector of its own.
DENSITY_MATRIX_QUBITS = 10


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do.

    Attributes:
        resets: It can reset qubits in the middle of a circuit.
        mid_circuit_measurement: It can measure in the middle of a circuit into bits that are kept, as
            post-selection needs.
        exact: It has `probabilities` as well as shots.
        seeds: Equal seeds give equal counts.
        durable: Another process can fetch a job by its id. Otherwise jobs end with their process.
        searchable: `find` finds every job that was ever accepted under a tag.
        paid: Shots cost time or money on a quantum computer.
        priced: Of a simulator: plans and budgets count its shots as those of a device that is paid for, at
            the store's price, to rehearse a run (`get_backend("fake:torino", priced=True)`).
        num_qubits: Largest number of qubits of a circuit; None if only memory limits it.
        simulated_qubits: For a simulator of a device: number of qubits up to which it is fast. If the
            compiler may choose the width of a circuit, the circuit is not made wider. None if there is no
            such choice.
        quick: Circuits take microseconds, so that thousands go into one job.
        max_circuits: Largest number of circuits in one job; None without a limit.
        max_circuits_in_the_middle: The same limit for circuits that reset or measure in the middle.
        max_shots: Largest number of shots in one job; None without a limit.
    """

    resets: bool
    mid_circuit_measurement: bool = True
    exact: bool = False
    seeds: bool = False
    durable: bool = False
    searchable: bool = False
    paid: bool = False
    priced: bool = False
    num_qubits: int | None = None
    simulated_qubits: int | None = None
    quick: bool = False
    max_circuits: int | None = None
    max_circuits_in_the_middle: int | None = None
    max_shots: int | None = None

    @property
    def has_price(self) -> bool:
        """Whether a store's price is that of its shots."""
        return self.paid or self.priced


class JobStatus(StrEnum):
    """Status of a job at the backend."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Result:
    """Result of a finished job.

    Attributes:
        counts: Counts of each circuit, in the order of submission.
        calibration: Time of the device calibration it ran under (ISO 8601); None without a calibration.
        seconds: Charged time on the device, in seconds; None if unknown.
    """

    counts: list[Counts]
    calibration: str | None = None
    seconds: float | None = None


def checked_result(result: Any, num_circuits: int, name: str) -> Result:
    """A backend's result with plain integers.

    Raises:
        BackendError: It is no `Result`, has more entries than circuits, or counts that are no numbers.
    """
    if not isinstance(result, Result) or not isinstance(result.counts, Sequence):
        raise BackendError(f"backend {name!r} returned {result!r:.80}, no Result with a list of counts")
    if len(result.counts) > num_circuits:
        raise BackendError(
            f"backend {name!r} returned {len(result.counts)} results for {num_circuits} circuits"
        )
    seconds = result.seconds
    is_number = isinstance(seconds, int | float | np.number) and not isinstance(seconds, bool)
    if seconds is not None and not (is_number and 0 <= float(seconds) < 1e9):
        log.warning("backend %r says that %r seconds are charged, which is no time", name, seconds)
        seconds = None
    return replace(
        result,
        counts=[_checked_counts(counts, name) for counts in result.counts],
        seconds=None if seconds is None else float(seconds),
    )


def _checked_counts(counts: Any, name: str) -> Counts:
    try:
        found = {_whole(outcome): _whole(shots) for outcome, shots in counts.items()}
        if max(found.values(), default=0) >= 2**63:  # more than a ledger holds
            raise ValueError("out of range")
    except (AttributeError, TypeError, ValueError) as error:
        raise BackendError(
            f"backend {name!r} returned the counts {counts!r:.80}; counts are a dictionary of outcomes and "
            "shots, both integers of at least 0"
        ) from error
    return found


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError("a truth value is no number of shots")
    number = operator.index(value)
    if not number >= 0:
        raise ValueError("negative")
    return number


_KEPT_JOBS = 4096


def keep(jobs: dict[str, Any], name: str, value: Any) -> None:
    """Remember a job of this process; the oldest are forgotten, or a long training would keep thousands."""
    jobs[name] = value
    while len(jobs) > _KEPT_JOBS:
        del jobs[next(iter(jobs))]


class Backend(Protocol):
    """Runs bound circuits with measurements. `qtnml.backends.check_backend` tests whether an object fits.

    A backend may also have: `billing` (further arguments of `get_backend`, which say who pays and how jobs
    are queued, and do not change what is measured); `version` (of a simulator, since another version may give
    other results); `seconds_per_shot(circuit)`, `charged_seconds(job_id)` (None until the vendor reports
    them) and `calibration_now()` (ISO 8601), for plans, costs and the age of results; `target`, Qiskit's
    description of a device.

    Attributes:
        name: The argument of `get_backend` that makes this backend again. If there is none, a name shown to
            people.
        capabilities: What it can do.
        settings: All settings that change what is measured, as JSON types. Name and settings identify the
            backend, so they must not contain secrets or values that change from one process to the next.
    """

    name: str
    capabilities: Capabilities
    settings: Mapping[str, Any]

    def submit(
        self,
        circuits: Sequence[QuantumCircuit],
        *,
        shots: int,
        seed: int | None = None,
        tag: str | None = None,
    ) -> str:
        """Start a job with all circuits and return its id at once; `tag` is stored with the job.

        Raises:
            BackendError: The job was refused.
            BackendBusyError: The backend is busy; nothing was submitted.
            UnknownSubmissionError: The answer was lost; the job may or may not have been accepted.
        """

    def status(self, job_id: str) -> JobStatus:
        """Status of a job.

        Raises:
            BackendError: There is no such job.
            BackendBusyError: The backend cannot be asked now.
        """

    def fetch(self, job_id: str) -> Result:
        """Wait for a job's result. A job can be fetched any number of times while the backend keeps it.

        Raises:
            BackendError: There is no such job, or it failed.
            BackendBusyError: The job cannot be fetched now.
        """

    def cancel(self, job_id: str) -> None:
        """Cancel a job if it has not ended and the backend can cancel; `status` tells whether it did."""

    def find(self, tag: str) -> str | None:
        """The id of the job submitted under a tag, None if there is none (see `Capabilities.searchable`)."""


def is_backend(candidate: object) -> TypeGuard[Backend]:
    """Whether an object has the members of `Backend`, of its own or through `__getattr__`.

    `isinstance` overlooks the second since Python 3.12.
    """
    members = (*Backend.__annotations__, *(name for name in vars(Backend) if not name.startswith("_")))
    return all(hasattr(candidate, member) for member in members)


@runtime_checkable
class ExactBackend(Protocol):
    """A backend with `capabilities.exact`."""

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes)."""


class Seeds:
    """Seeds of a backend's submissions: those that are given, else a sequence that one seed decides.

    Args:
        seed: None leaves submissions without one unseeded.
    """

    def __init__(self, seed: int | None = None) -> None:
        check_shots(1, seed)
        self.seed = None if seed is None else int(seed)
        self._submissions = itertools.count()

    def next(self, given: int | None) -> int | None:
        """The seed of the next submission."""
        number = next(self._submissions)
        if given is not None or self.seed is None:
            return given
        return int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])


def run_circuits(
    backend: Backend, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None
) -> list[Counts]:
    """Submit circuits and fetch their counts, without a ledger.

    If the process ends before, the results are lost; `qtnml.JobStore` keeps them. More circuits than the
    backend takes in one job are sent in several jobs.
    """
    if not len(circuits):
        check_shots(shots, seed)
        return []
    most = most_circuits(backend, circuits)
    if most is None or len(circuits) <= most:
        return backend.fetch(backend.submit(circuits, shots=shots, seed=seed)).counts
    jobs = [
        backend.submit(circuits[start : start + most], shots=shots, seed=seed)
        for start in range(0, len(circuits), most)
    ]
    return [counts for job in jobs for counts in backend.fetch(job).counts]


def most_circuits(backend: Backend, circuits: Sequence[QuantumCircuit]) -> int | None:
    """How many of these circuits one job may have; None where there is no limit."""
    can = backend.capabilities
    limits = [] if can.max_circuits is None else [can.max_circuits]
    if can.max_circuits_in_the_middle is not None and not isinstance(circuits, QuantumCircuit):
        each = [circuits.template] if isinstance(circuits, BoundCircuits) else circuits
        if any("reset" in c.count_ops() or not measures_at_the_end(c) for c in each):
            limits.append(can.max_circuits_in_the_middle)
    return max(1, min(limits)) if limits else None


def exact_probabilities(backend: Any, circuits: Sequence[QuantumCircuit]) -> NDArray:
    """Exact outcome probabilities (circuits, outcomes), from a backend that computes them."""
    if not backend.capabilities.exact:
        raise BackendError(
            f"backend {backend.name!r} has no exact probabilities; use shots, or get_backend('aer')"
        )
    return np.asarray(backend.probabilities(circuits))


def check_circuits(circuits: Sequence[QuantumCircuit], backend: Backend) -> None:
    """Refuse circuits that a backend cannot run as they are."""
    if isinstance(circuits, QuantumCircuit) or not isinstance(circuits, Sequence):
        raise BackendError(f"give a list of circuits, got {type(circuits).__name__}")
    if isinstance(circuits, BoundCircuits):
        _check_measures(circuits.template, 0, backend)
        return
    for number, circuit in enumerate(circuits):
        if not isinstance(circuit, QuantumCircuit):
            raise BackendError(f"circuit {number} is no QuantumCircuit but {type(circuit).__name__}")
        if circuit.parameters:
            free = ", ".join(parameter.name for parameter in list(circuit.parameters)[:3])
            raise BackendError(
                f"circuit {number} has {circuit.num_parameters} unbound parameters ({free}, ...); "
                "bind samples first with CompiledCircuit.bind(X)"
            )
        _check_measures(circuit, number, backend)


def _check_measures(circuit: QuantumCircuit, number: int, backend: Backend) -> None:
    operations = circuit.count_ops()
    can, name = backend.capabilities, backend.name
    if circuit.num_clbits == 0 or "measure" not in operations:
        raise BackendError(f"circuit {number} measures nothing; end it with a measurement")
    used = len({q for gate in circuit.data if gate.operation.name not in _IDLE for q in gate.qubits})
    if can.num_qubits is not None and used > can.num_qubits:
        raise BackendError(
            f"circuit {number} needs {used} qubits, backend {name!r} has {can.num_qubits}; reuse qubits, or "
            "choose another backend"
        )
    if "reset" in operations and not can.resets:
        raise BackendError(
            f"circuit {number} has {operations['reset']} mid-circuit resets, which backend {name!r} lacks; "
            "compile it with reuse_qubits=False"
        )
    if not can.mid_circuit_measurement and not measures_at_the_end(circuit):
        raise BackendError(
            f"circuit {number} measures in the middle, which backend {name!r} cannot; train with "
            "discard='trace'"
        )


def measures_at_the_end(circuit: QuantumCircuit, besides: Sequence[str] = ()) -> bool:
    """Whether nothing happens to a qubit after it was measured, nor by what was measured.

    Args:
        circuit: The circuit.
        besides: Names of instructions that may follow, such as delays; barriers always may.
    """
    measured: set[Any] = set()
    for instruction in circuit.data:
        if instruction.operation.name in ("barrier", *besides):
            continue
        if measured & set(instruction.qubits) or isinstance(instruction.operation, ControlFlowOp):
            return False
        if instruction.clbits:
            measured |= set(instruction.qubits)
    return True


def version_of(*packages: str, ours: bool = False) -> str:
    """For a simulator's `version`: packages that decide its results, this one where its code does."""
    told = [f"{name} {metadata.version(name)}" for name in packages]
    if ours:  # which need not be installed: a clone on the path will do
        told.append(f"qtnml {import_module('qtnml').__version__}")
    return ", ".join(told)


def check_shots(shots: Any, seed: Any = None) -> None:
    """Refuse numbers of shots below 1, and seeds that are no integers."""
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or shots < 1:
        raise BackendError(f"shots must be an integer of at least 1, got {shots!r}")
    if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
        raise BackendError(f"seed must be None or a non-negative integer, got {seed!r}")
