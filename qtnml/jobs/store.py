"""The front door: run circuits through a ledger, so that nothing that was paid for is lost."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend, Counts, get_backend
from qtnml.backends.base import check_circuits, check_shots
from qtnml.compile import BoundCircuits
from qtnml.errors import BackendBusyError, BudgetError, InvalidInputError, JobError, QtnmlError
from qtnml.jobs.driver import Driver, Patience
from qtnml.jobs.identity import backend_key, job_ids
from qtnml.jobs.ledger import Ledger, Submission
from qtnml.jobs.plan import Plan, estimated_seconds
from qtnml.jobs.tables import OPEN, State

_LOCAL_CIRCUITS = 64  # of one submission to a simulator: what a kill can cost
_QUICK_CIRCUITS = 4096  # the same where they take microseconds
_DEVICE_CIRCUITS = 1000  # of one submission to a device that names no limit
_FRUITLESS_ROUNDS = 3


@dataclass(frozen=True)
class _Wanted:
    """What a run asks for: each different job once."""

    circuits: Sequence[QuantumCircuit]
    ids: Sequence[str]
    places: dict[str, int]
    backend: Backend
    shots: int
    repeat: int
    label: str

    def chosen(self, ids: Sequence[str]) -> Sequence[QuantumCircuit]:
        """The circuits of some of the jobs."""
        places = [self.places[job] for job in ids]
        if isinstance(self.circuits, BoundCircuits):
            return self.circuits.rows(places)
        return [self.circuits[place] for place in places]

    @property
    def max_circuits(self) -> int:
        """Of one submission."""
        can = self.backend.capabilities
        usual = _QUICK_CIRCUITS if can.quick else _DEVICE_CIRCUITS if can.paid else _LOCAL_CIRCUITS
        limit = can.max_circuits
        return usual if limit is None else max(1, min(usual, limit))

    def batches(self, missing: dict[str, int]) -> Iterator[tuple[int, list[str]]]:
        """Shots and jobs of each submission to make."""
        limit = self.backend.capabilities.max_shots
        by_shots: dict[int, list[str]] = {}
        for job, shots in missing.items():
            by_shots.setdefault(shots if limit is None else min(shots, limit), []).append(job)
        for shots, jobs in by_shots.items():
            for start in range(0, len(jobs), self.max_circuits):
                yield shots, jobs[start : start + self.max_circuits]


class JobStore:
    """Runs circuits on backends and remembers every result.

    A job is one circuit with one set of angles on one backend; its id is the hash of these. A job is never
    bought twice: shots that are stored are used, and only missing ones are bought. A submission is what is
    sent in one go. After a crash `resume` brings every submission to its end.

    Args:
        location: A file (SQLite), any SQLAlchemy URL, or None for $QTNML_JOBS, or else a file in the user's
            data folder. "sqlite://" keeps the ledger in memory.
        max_shots: Budget of this object: shots it may buy in all.
        max_jobs: Budget of this object: circuits it may buy in all.
        patience: With a busy backend.

    >>> from qiskit import QuantumCircuit
    >>> circuit = QuantumCircuit(1, 1)
    >>> circuit.x(0) and circuit.measure(0, 0) and None
    >>> store = JobStore("sqlite://")
    >>> store.run([circuit], "aer", shots=100), store.bought_shots
    ([{1: 100}], 100)
    >>> store.run([circuit], "aer", shots=150), store.bought_shots
    ([{1: 150}], 150)
    """

    def __init__(
        self,
        location: str | os.PathLike[str] | None = None,
        *,
        max_shots: int | None = None,
        max_jobs: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        for name, budget in (("max_shots", max_shots), ("max_jobs", max_jobs)):
            if budget is not None and not (isinstance(budget, int) and budget >= 0):
                raise InvalidInputError(f"{name} must be None or an integer of at least 0, got {budget!r}")
        self.ledger = Ledger(location)
        self.max_shots, self.max_jobs = max_shots, max_jobs
        self.bought_shots = self.bought_jobs = 0
        self._bought: set[str] = set()
        self._patience = patience or Patience()
        self._driver = Driver(self.ledger, self._patience)

    def __reduce__(self) -> Any:
        """Another process opens the same ledger, with a budget of its own."""
        location = self.ledger.database.shareable_location()
        return partial(
            JobStore, location, max_shots=self.max_shots, max_jobs=self.max_jobs, patience=self._patience
        ), ()

    def __deepcopy__(self, _: Any) -> "JobStore":
        return self  # one budget, whoever holds a copy (scikit-learn's clone, say)

    def __repr__(self) -> str:
        return f"JobStore({str(self.ledger)!r})"

    def close(self) -> None:
        """Close the database; the ledger stays."""
        self.ledger.database.close()

    def plan(
        self, circuits: Sequence[QuantumCircuit], backend: Backend | str, *, shots: int, repeat: int = 0
    ) -> Plan:
        """What `run` would buy."""
        wanted = _wanted(circuits, get_backend(backend), shots, repeat, "")
        return self._plan(wanted, self._missing(wanted))

    def run(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,
        label: str = "",
        confirm: Callable[[Plan], bool] | None = None,
        on_progress: Callable[[int, str], None] | None = None,
    ) -> list[Counts]:
        """Counts of each circuit, at least `shots` in all: what is stored, and what is missing is bought.

        Args:
            circuits: Bound circuits (`CompiledCircuit.bind`).
            backend: A backend, its name, or a Qiskit backend or sampler.
            shots: Of each circuit.
            repeat: Another number asks for an independent sample of the same circuits.
            label: For people, to find a run in the list.
            confirm: Called with the plan before anything is bought; False stops.
            on_progress: Called with the number of circuits that are done and a word on the rest.

        Raises:
            JobError: A submission failed or is lost; what else was bought is stored.
            BudgetError: More than the budget; nothing was bought.
        """
        wanted = _wanted(circuits, get_backend(backend), shots, repeat, label)
        if not wanted.places:
            return []
        self._fill(wanted, confirm, on_progress or _silent)
        found = self.ledger.counts(list(wanted.places))
        if lost := [job for job in wanted.ids if None not in found[job]]:
            raise JobError(
                f"the ledger {self.ledger} is damaged: job {lost[0][:12]} has shots and no counts; restore "
                "it from a copy, or measure anew with another repeat"
            )
        return [dict(found[job][None]) for job in wanted.ids]

    def _missing(self, wanted: _Wanted) -> dict[str, int]:
        stored = self.ledger.stored_shots(list(wanted.places))
        lacking = {job: wanted.shots - stored.get(job, 0) for job in wanted.places}
        return {job: shots for job, shots in lacking.items() if shots > 0}

    def _plan(self, wanted: _Wanted, missing: dict[str, int]) -> Plan:
        shots = [missing.get(job, 0) for job in wanted.places]
        total = sum(shots)
        return Plan(
            backend=wanted.backend.name,
            circuits=len(wanted.places),
            new_circuits=len(missing),
            shots=total,
            stored_shots=wanted.shots * len(wanted.places) - total,
            submissions=sum(1 for _ in wanted.batches(missing)),
            seconds=estimated_seconds(wanted.backend, wanted.chosen(list(wanted.places)), shots)
            if total
            else 0.0,
            paid=wanted.backend.capabilities.paid,
        )

    def _fill(
        self, wanted: _Wanted, confirm: Callable[[Plan], bool] | None, on_progress: Callable[[int, str], None]
    ) -> None:
        fruitless, asked = 0, False
        while missing := self._missing(wanted):
            done = len(wanted.places) - len(missing)
            on_progress(done, "")
            free = self._free(missing)
            if free:
                self._check_budget(free)
                # A plan is a bound: what a backend returned too little of is asked for again.
                if confirm is not None and not confirm(self._plan(wanted, free)):
                    raise JobError(f"not confirmed; nothing{' more' if asked else ''} was bought")
                asked = True
            begun, refusal = self._begin_all(wanted, free)
            self._finish_all(begun, refusal, wanted, missing, done, on_progress)
            left = self._missing(wanted)
            fruitless = fruitless + 1 if sum(left.values()) >= sum(missing.values()) else 0
            if fruitless >= _FRUITLESS_ROUNDS:
                raise JobError(
                    f"backend {wanted.backend.name!r} returned nothing for {len(left)} circuits "
                    f"{_FRUITLESS_ROUNDS} times over"
                )
        on_progress(len(wanted.places), "")

    def _free(self, missing: dict[str, int]) -> dict[str, int]:
        """Missing shots of jobs that no open submission holds."""
        held = self.ledger.claimed_jobs(list(missing))
        return {job: shots for job, shots in missing.items() if job not in held}

    def check_plan(self, plan: Plan) -> None:
        """Refuse a plan that the budget does not cover, before any part of it is bought.

        Raises:
            BudgetError: It takes more shots or circuits than are left.
        """
        for name, budget, spent, wanted in (
            ("max_shots", self.max_shots, self.bought_shots, plan.shots),
            ("max_jobs", self.max_jobs, self.bought_jobs, plan.new_circuits),
        ):
            _check(name, budget, spent, wanted)

    def _check_budget(self, free: dict[str, int]) -> None:
        for name, budget, spent, wanted in (
            ("max_shots", self.max_shots, self.bought_shots, sum(free.values())),
            ("max_jobs", self.max_jobs, self.bought_jobs, len(free.keys() - self._bought)),
        ):
            _check(name, budget, spent, wanted)

    def _begin_all(self, wanted: _Wanted, free: dict[str, int]) -> tuple[list[Submission], QtnmlError | None]:
        """Write down and send what is missing; what was sent, and why it ended early if it did."""
        begun: list[Submission] = []
        for shots, jobs in wanted.batches(free):
            stored = [wanted.shots - free[job] for job in jobs]
            prepared = self.ledger.prepare(
                wanted.chosen(jobs),
                jobs,
                wanted.backend,
                shots=shots,
                stored=stored,
                repeat=wanted.repeat,
                label=wanted.label,
            )
            if prepared is None:
                continue  # another process was quicker: the next round sees what it bought
            self.bought_shots += shots * len(jobs)
            self.bought_jobs += len(set(jobs) - self._bought)
            self._bought |= set(jobs)
            try:
                begun.append(self._driver.send(prepared, wanted.backend, wanted.chosen(jobs)))
            except QtnmlError as error:
                self._refund(prepared, shots, jobs)
                return begun, error
        return begun, None

    def _refund(self, prepared: Submission, shots: int, jobs: list[str]) -> None:
        """What was certainly not bought does not count: refused, or never sent."""
        now = self.submission(prepared.id)
        if now.state is State.FAILED or (now.state is State.PREPARED and now.sent is None):
            self.bought_shots -= shots * len(jobs)
            self.bought_jobs -= len(jobs)
            self._bought -= set(jobs)

    def _finish_all(
        self,
        begun: list[Submission],
        refusal: QtnmlError | None,
        wanted: _Wanted,
        missing: dict[str, int],
        done: int,
        on_progress: Callable[[int, str], None],
    ) -> None:
        """Collect what was begun, whatever becomes of one of them; then see to the submissions of others."""
        errors: list[QtnmlError] = []
        for submission in begun:
            try:
                self._driver.collect(submission, wanted.backend, partial(on_progress, done))
            except QtnmlError as error:
                errors.append(error)
            done += submission.jobs
            on_progress(done, "")
        if refusal is not None or errors:
            raise refusal or errors[0]
        mine = {submission.id for submission in begun}
        for number in self.ledger.claimed(list(missing)):
            if number not in mine:
                self._see_to(number, wanted.backend, lambda text: on_progress(done, text))

    def _see_to(self, number: int, backend: Backend, tell: Callable[[str], None]) -> None:
        """A submission that another process began: finish it if that has gone, else wait for it."""
        wait = 0.05
        while (found := self.ledger.submission(number)).state in OPEN:
            if found.state is State.LOST:
                raise JobError(f"submission s{number} holds some of these jobs and is lost: {found.error}")
            if self._driver.can_take(found):
                tell(f"going on with s{number}")
                self._driver.resume(found, backend)
                return
            tell(f"waiting for another process (s{number})")
            time.sleep(wait)
            wait = min(1.5 * wait, 2.0)

    def submissions(
        self,
        *,
        states: Sequence[State | str] | None = None,
        label: str | None = None,
        limit: int | None = None,
    ) -> list[Submission]:
        """Submissions, the newest first."""
        known = [str(state) for state in State]
        strange = [state for state in states or () if str(state) not in known]
        if strange:
            raise InvalidInputError(f"no state {strange[0]!r}; choose of {known}")
        if label is not None and not label.isprintable():  # no run has such a label
            return []
        chosen = None if states is None else [State(state) for state in states]
        return self.ledger.submissions(states=chosen, label=label, limit=limit)

    def submission(self, number: int) -> Submission:
        """One submission."""
        return self.ledger.submission(number)

    def counts(self, job: str) -> Counts:
        """All counts of a job (its id or the beginning of it), added up."""
        job = self.job(job)
        return self.ledger.counts([job])[job].get(None, {})

    def counts_by_calibration(self, job: str) -> dict[str | None, Counts]:
        """Counts of a job under each calibration of the device (ISO 8601; None where it has none)."""
        job = self.job(job)
        return self.ledger.counts([job], by_calibration=True)[job]

    def job(self, prefix: str) -> str:
        """The id of the job that begins with a prefix.

        Raises:
            JobError: None does, or several do.
        """
        if len(prefix) < 6 or not set(prefix) <= set("0123456789abcdef"):
            raise JobError(f"a job's id is at least its first 6 hexadecimal digits, got {prefix!r}")
        found = self.ledger.find_jobs(prefix)
        if len(found) != 1:
            raise JobError(
                f"{'several jobs' if found else 'no job'} of the ledger {self.ledger} begin with {prefix!r}"
            )
        return found[0]

    def resume(
        self,
        numbers: Sequence[int] | None = None,
        *,
        backend: Backend | None = None,
        send_again: bool = False,
        on_each: Callable[[Submission], None] | None = None,
    ) -> list[Submission]:
        """Bring submissions whose process has gone to their end, each bought once; return them as they ended.

        Args:
            numbers: Of submissions; all open ones by default.
            backend: To run them on, where its name alone cannot make it again.
            send_again: You have made sure that lost submissions (name them) were never accepted.
            on_each: Called with each when it has ended.

        What cannot be known is not guessed: such a submission ends as `lost`, its `error` says what to do.
        """
        if send_again and numbers is None:
            raise JobError("send_again buys again: name the submissions")
        chosen = (
            self.submissions(states=OPEN)[::-1] if numbers is None else [self.submission(n) for n in numbers]
        )
        ended = []
        for found in chosen:
            if (
                found.state in OPEN
                and (found.state is not State.LOST or send_again)
                and self._driver.can_take(found)
            ):
                self._resumed(found, backend, send_again=send_again)
            ended.append(self.submission(found.id))
            if on_each is not None:
                on_each(ended[-1])
        return ended

    def _resumed(self, found: Submission, backend: Backend | None, *, send_again: bool) -> None:
        try:
            self._driver.resume(found, backend or self._backend_of(found), send_again=send_again)
        except BackendBusyError as error:
            self.ledger.note(found, f"for now: {error}")
        except QtnmlError as error:
            if self.submission(found.id).state in (State.PREPARED, State.SUBMITTED, State.RUNNING):
                self.ledger.note(found, str(error))

    def fetch(
        self, numbers: Sequence[int] | None = None, *, backend: Backend | None = None
    ) -> list[Submission]:
        """Store results that are ready at the backend, waiting for none and sending nothing."""
        states = (State.SUBMITTED, State.RUNNING)
        chosen = (
            self.submissions(states=states)[::-1]
            if numbers is None
            else [self.submission(n) for n in numbers]
        )
        for found in chosen:
            if found.state in states and self._driver.can_take(found):
                try:
                    self._driver.fetch_ready(found, backend or self._backend_of(found))
                except QtnmlError as error:
                    self.ledger.note(found, str(error))
        return [self.submission(found.id) for found in chosen]

    def adopt(self, number: int, vendor_id: str, *, backend: Backend | None = None) -> Submission:
        """Fetch a lost submission by the id it has at the vendor's."""
        found = self.submission(number)
        if found.state not in OPEN:
            raise JobError(
                f"submission s{number} is {found.state}; only an open or lost one needs its vendor's id"
            )
        if not self._driver.can_take(found):
            raise JobError(f"submission s{number} is in the hands of a living process")
        self.ledger.take_over(found)
        self.ledger.submitted(found, vendor_id)
        try:
            self._driver.collect(self.submission(number), backend or self._backend_of(found))
        except QtnmlError as error:
            self.ledger.forget(found)
            self.ledger.lost(
                found, f"{vendor_id} could not be fetched ({error}); its fate is as unknown as before"
            )
            raise
        return self.submission(number)

    def cancel(self, number: int, *, backend: Backend | None = None) -> Submission:
        """Stop a submission and let its jobs go; one that has ended stays as it is.

        Raises:
            JobError: The backend cannot stop it, or it may run unknown to us.
        """
        found = self.submission(number)
        if found.state in OPEN:
            self._driver.cancel(found, backend or self._backend_of(found))
        return self.submission(number)

    def export(self, *, label: str | None = None) -> Iterator[dict[str, Any]]:
        """Every stored result as plain JSON types, the oldest first."""
        for found in self.submissions(states=[State.DONE], label=label)[::-1]:
            for job, counts in self.ledger.results(found.id):
                yield {
                    "job": job,
                    "submission": found.id,
                    "backend": found.backend,
                    "settings": found.settings,
                    "repeat": found.repeat,
                    "label": found.label,
                    "shots": sum(counts.values()),
                    "counts": {str(outcome): n for outcome, n in counts.items()},
                    "vendor_id": found.vendor_id,
                    "seed": found.seed,
                    "calibration": found.calibration,
                    "ended": found.ended,
                }

    def _backend_of(self, found: Submission) -> Backend:
        """The backend of a submission, made again from its name.

        Raises:
            JobError: It cannot be.
        """
        cure = f"call JobStore.resume([{found.id}], backend=...) with the object it was made for"
        try:
            made = get_backend(found.backend, **found.settings)
        except QtnmlError as error:
            raise JobError(
                f"backend {found.backend!r} of submission s{found.id} cannot be made ({error}); {cure}"
            ) from error
        if backend_key(made) != _key(found):
            raise JobError(f"backend {found.backend!r} of submission s{found.id} is another now; {cure}")
        return made


def _key(found: Submission) -> str:
    return json.dumps({"name": found.backend, "settings": found.settings}, sort_keys=True)


def _wanted(
    circuits: Sequence[QuantumCircuit], backend: Backend, shots: int, repeat: int, label: str
) -> _Wanted:
    check_circuits(circuits, backend)
    check_shots(shots)
    if not isinstance(repeat, int) or not 0 <= repeat < 2**31:
        raise InvalidInputError(f"repeat must be an integer of at least 0, got {repeat!r}")
    if shots >= 2**31:
        raise InvalidInputError(f"shots must be below 2**31, got {shots}")
    if not isinstance(label, str) or not label.isprintable():
        raise InvalidInputError(f"label must be a printable text, got {label!r}")
    ids, places = job_ids(circuits, backend, repeat), dict[str, int]()
    for place, job in enumerate(ids):
        places.setdefault(job, place)
    return _Wanted(circuits, ids, places, backend, int(shots), repeat, label)


def _silent(_done: int, _text: str) -> None: ...


def _check(name: str, budget: int | None, spent: int, wanted: int) -> None:
    if budget is not None and spent + wanted > budget:
        raise BudgetError(
            f"this run needs {wanted:,} more {name.removeprefix('max_')}, but {name}={budget:,} "
            f"leaves {budget - spent:,}; nothing more was bought: ask for less or raise {name}"
        )
