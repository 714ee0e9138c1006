"""Request of a run: circuits, shots of each, and how old stored results may be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from qiskit import QuantumCircuit

from qtnml.backends import Backend
from qtnml.backends.base import check_circuits, check_shots, most_circuits
from qtnml.compile import BoundCircuits
from qtnml.errors import InvalidInputError
from qtnml.jobs.plan import calibration_of, seconds_of
from qtnml.ledger import Ledger
from qtnml.ledger.identity import job_ids
from qtnml.ledger.stored import EVERYTHING, Sample, Window
from qtnml.ledger.submission import Draft

_LOCAL_CIRCUITS = 64  # of one submission to a simulator: what a kill can cost
_QUICK_CIRCUITS = 4096  # the same where they take microseconds
_DEVICE_CIRCUITS = 1000  # of one submission to a device that names no limit
#: Circuits that correct each other are measured within a day, or under one calibration: devices are
#: calibrated daily.
_TOGETHER = 86400.0


@dataclass(frozen=True)
class Freshness:
    """How old stored results may be.

    Attributes:
        max_age: Largest age in seconds since the measurement. "calibration" takes only results under the
            device's current calibration. None takes all results.
        together: Circuits that correct each other (a read-out calibration, folded circuits) must have been
            measured under one calibration, or within one day. Otherwise all of them are measured again.
    """

    max_age: float | str | None = None
    together: bool = False

    def __post_init__(self) -> None:
        age = self.max_age
        if age is None or age == "calibration":
            return
        is_number = isinstance(age, int | float | np.number) and not isinstance(age, bool)
        if not is_number or not float(age) >= 0:
            raise InvalidInputError(
                f"max_age must be seconds of at least 0, 'calibration' or None, got {age!r}"
            )


@dataclass(frozen=True)
class Part:
    """Circuits that are measured with the same number of shots."""

    circuits: Sequence[QuantumCircuit]
    shots: int


@dataclass(eq=False)
class Request:
    """What a run asks for: each different job once.

    Attributes:
        parts: Circuits and shots.
        ids: Jobs of each part, circuit by circuit.
        backend: Where they run.
        repeat, label: Of the run.
        freshness: Of stored results.
        shots: Of each different job, at least.
        window: Which stored results count; known once the ledger was asked.
    """

    parts: Sequence[Part]
    ids: Sequence[Sequence[str]]
    backend: Backend
    repeat: int
    label: str
    freshness: Freshness
    shots: dict[str, int] = field(init=False)
    window: Window | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.shots = {}
        self._places: dict[str, tuple[int, int]] = {}
        for number, (part, ids) in enumerate(zip(self.parts, self.ids, strict=True)):
            for place, job in enumerate(ids):
                self.shots[job] = max(self.shots.get(job, 0), part.shots)
                self._places.setdefault(job, (number, place))

    @property
    def jobs(self) -> list[str]:
        """The different jobs."""
        return list(self.shots)

    def missing(self, ledger: Ledger) -> tuple[dict[str, int], dict[str, int], set[str]]:
        """Shots that each job lacks; all shots that are stored; and the jobs that open submissions hold."""
        stored, held = ledger.holdings(self.jobs)
        counting = stored
        if self.freshness != Freshness():
            found = ledger.samples(self.jobs) if stored else []
            if self.window is None:
                self.window = window_of(self, found, ledger.now())
            counting = _within(self.window, found)
        lacking = {job: shots - counting.get(job, 0) for job, shots in self.shots.items()}
        return {job: shots for job, shots in lacking.items() if shots > 0}, stored, held

    def drafts(self, wanted: dict[str, int]) -> list[Draft]:
        """Submissions that buy so many shots of each job."""
        limit = self.backend.capabilities.max_shots
        groups: dict[tuple[int, int, int], list[str]] = {}
        for job, shots in wanted.items():
            part = self._places[job][0]
            for share, portion in enumerate(_shares(shots, limit)):
                groups.setdefault((part, share, portion), []).append(job)
        found = []
        for (part_number, share, shots), jobs in sorted(groups.items(), key=lambda group: group[0][1]):
            most = self._max_circuits(part_number)
            for start in range(0, len(jobs), most):
                chosen = jobs[start : start + most]
                circuits = self._circuits(chosen)
                seconds = seconds_of(self.backend, circuits, shots)
                found.append(Draft(circuits, chosen, share, shots, seconds))
        return found

    def _circuits(self, jobs: Sequence[str]) -> Sequence[QuantumCircuit]:
        """The circuits of jobs of one part."""
        circuits = self.parts[self._places[jobs[0]][0]].circuits
        places = [self._places[job][1] for job in jobs]
        if isinstance(circuits, BoundCircuits):
            return circuits if places == list(range(len(circuits))) else circuits.rows(places)
        return [circuits[place] for place in places]

    def _max_circuits(self, part: int) -> int:
        """Of one submission of a part's circuits."""
        can = self.backend.capabilities
        usual = _QUICK_CIRCUITS if can.quick else _DEVICE_CIRCUITS if can.has_price else _LOCAL_CIRCUITS
        limit = most_circuits(self.backend, self.parts[part].circuits)
        return usual if limit is None else min(usual, limit)


def _shares(shots: int, limit: int | None) -> Iterator[int]:
    """Shots of each submission of a job: a vendor may take only so many at once."""
    while limit is not None and shots > limit:
        yield limit
        shots -= limit
    yield shots


def requested(
    parts: Sequence[Part],
    backend: Backend,
    *,
    repeat: int = 0,
    label: str = "",
    freshness: Freshness | None = None,
) -> Request:
    """A request, checked.

    Raises:
        InvalidInputError, BackendError: It cannot be run as it is.
    """
    for part in parts:
        check_circuits(part.circuits, backend)
        check_shots(part.shots)
        if part.shots >= 2**31:
            raise InvalidInputError(f"shots must be below 2**31, got {part.shots}")
    if isinstance(repeat, bool) or not isinstance(repeat, int) or not 0 <= repeat < 2**31:
        raise InvalidInputError(f"repeat must be an integer of at least 0, got {repeat!r}")
    if not isinstance(label, str) or not label.isprintable():
        raise InvalidInputError(f"label must be a printable text, got {label!r}")
    checked = [Part(part.circuits, int(part.shots)) for part in parts]
    ids = [job_ids(part.circuits, backend, repeat) if len(part.circuits) else [] for part in checked]
    return Request(checked, ids, backend, repeat, label, freshness or Freshness())


def window_of(request: Request, found: Sequence[Sample], now: float) -> Window:
    """Which stored results count for a request that is made now."""
    age = request.freshness.max_age
    if age == "calibration":
        present = calibration_of(request.backend)
        if present is None and request.backend.capabilities.paid:
            raise InvalidInputError(
                f"backend {request.backend.name!r} does not tell its calibration; give max_age in seconds"
            )
        allowed = Window(began=now) if present is None else Window(calibration=present, began=now)
    elif age is None:
        allowed = Window(began=now)
    else:
        allowed = Window(since=now - float(age), began=now)
    drifts = request.backend.capabilities.paid or any(each.calibration for each in found)
    if not request.freshness.together or not drifts:
        return allowed
    usable = [each for each in found if allowed.holds(each.ended, each.calibration)]
    for window in _candidates(usable, now):
        counting = _within(window, usable)
        if all(counting.get(job, 0) >= shots for job, shots in request.shots.items()):
            return window
    # What is bought now corrects only what was measured lately.
    since = now - _TOGETHER if allowed.since is None else max(allowed.since, now - _TOGETHER)
    present = allowed.calibration or calibration_of(request.backend)
    return Window(since=since, calibration=present, began=now)


def _candidates(found: Sequence[Sample], now: float) -> Iterator[Window]:
    """Stored results that belong together: of one calibration, or of one day; the newest first."""
    calibrations = {each.calibration for each in found if each.calibration}
    for calibration in sorted(calibrations, reverse=True):
        yield Window(calibration=calibration, began=now)
    for end in sorted({each.ended for each in found}, reverse=True):
        yield Window(since=end - _TOGETHER, until=end, began=now)


def _within(window: Window, found: Sequence[Sample]) -> dict[str, int]:
    """Shots of each job that count."""
    counting: dict[str, int] = {}
    for each in found:
        if window.holds(each.ended, each.calibration):
            counting[each.job] = counting.get(each.job, 0) + each.shots
    return counting


def counting_window(request: Request) -> Window:
    """Which results count for a request whose missing shots were bought."""
    return EVERYTHING if request.window is None else request.window
