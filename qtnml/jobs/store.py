"""`JobStore` runs circuits through a ledger, so that no paid result is lost."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit

from qtnml.backends import Backend, Counts, get_backend
from qtnml.errors import BudgetError, InvalidInputError, JobError, QtnmlError
from qtnml.jobs.drive import Driver, is_free
from qtnml.jobs.job import Job
from qtnml.jobs.patience import Patience
from qtnml.jobs.plan import Plan
from qtnml.jobs.purchase import Confirm, Progress, Purchase, Terms, deadline_of, settle, unheard
from qtnml.jobs.recover import Recovery
from qtnml.jobs.request import Freshness, Part, Request, requested
from qtnml.jobs.result import Measured, Result, result_of
from qtnml.jobs.unstored import Unstored
from qtnml.ledger import OPEN, Amounts, Budget, Ledger, Price, State, Submission
from qtnml.ledger.identity import backend_key, key_of


class JobStore:
    """Runs circuits on backends and stores every result.

    A job is one circuit with one set of angles on one backend; its id is the hash of these. A job is never
    paid for twice: stored shots are used, and only missing shots are submitted. A submission is a group of
    jobs that are sent together. Threads, processes and hosts may share a ledger. After a crash, `resume` or
    the same run again completes every submission.

    Args:
        location: A file (SQLite), any SQLAlchemy URL, or None for $QTNML_JOBS, or else a file in the user's
            data folder. "sqlite://" keeps the ledger in memory.
        max_shots: Largest number of shots that may be submitted under the budget's name. Paid runs without
            any limit count under the name "default".
        max_jobs: Largest number of circuits that may be submitted under the budget's name.
        max_seconds: Largest time on the device, in seconds, that may be used under the budget's name.
            Estimates count until the vendor reports the time.
        max_cost: Largest amount of money that may be spent under the budget's name, by the price.
        budget: Name under which the ledger counts what is spent. All scripts that use the name share what is
            left, now and later. Without limits here, those that the name was last used with hold.
        price: Price of the vendor (see `Price`), for `plan`, `max_cost` and results.
        patience: Retries and waiting times for a backend that is busy or does not answer.

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
        max_seconds: float | None = None,
        max_cost: float | None = None,
        budget: str | None = None,
        price: Price | None = None,
        patience: Patience | None = None,
    ) -> None:
        limits = (max_shots, max_jobs, max_seconds, max_cost)
        limited = budget is not None or any(limit is not None for limit in limits)
        found = Budget("default" if budget is None else budget, *limits) if limited else None
        if price is not None and not isinstance(price, Price):
            raise InvalidInputError(f"price must be a qtnml.Price or None, got {price!r}")
        if max_cost is not None and price is None:
            raise InvalidInputError("max_cost needs a price: JobStore(price=qtnml.Price(per_shot=...))")
        self.patience = patience or Patience()
        self.ledger = Ledger(location, term=self.patience.lease, longest_call=self.patience.longest_call)
        if found is not None:
            found = self.ledger.open_budget(found)
        if found is not None and found.cost is not None and price is None:
            raise InvalidInputError(
                f"the budget {found.name!r} has a limit of money; give the price as well: "
                "JobStore(price=qtnml.Price(per_shot=...)), or --price"
            )
        self.budget, self.price = found, price
        self._mine: list[int] = []
        self._driver = Driver(self.ledger, self.patience)
        self._recovery = Recovery(self.ledger, self._driver, self.patience)
        self._purchase = Purchase(self.ledger, self._driver, self._recovery, Terms(found, price), self._mine)

    def __reduce__(self) -> Any:
        """Another process opens the same ledger, with the same budget."""
        location = self.ledger.database.shareable_location()
        limits: dict[str, Any] = {}
        if self.budget is not None:
            names = ("max_shots", "max_jobs", "max_seconds", "max_cost")
            amounts = (self.budget.shots, self.budget.circuits, self.budget.seconds, self.budget.cost)
            limits = dict(zip(names, amounts, strict=True)) | {"budget": self.budget.name}
        return partial(JobStore, location, price=self.price, patience=self.patience, **limits), ()

    def __deepcopy__(self, _: Any) -> "JobStore":
        return self  # one ledger, whoever holds a copy (scikit-learn's clone, say)

    def __repr__(self) -> str:
        return f"JobStore({str(self.ledger)!r})"

    def close(self) -> None:
        """Close the database; the ledger stays."""
        self.ledger.database.close()

    @property
    def num_begun(self) -> int:
        """Number of circuits that this object has recorded for submission."""
        return self._purchase.num_begun

    @property
    def bought_shots(self) -> int:
        """Number of shots that this object has submitted, without stored and refunded ones."""
        return self.ledger.bought(self._mine)[0]

    @property
    def bought_jobs(self) -> int:
        """Number of different circuits that this object has submitted."""
        return self.ledger.bought(self._mine)[1]

    @property
    def spent(self) -> Amounts:
        """Amounts spent under the budget's name, by all who share it; nothing without a budget."""
        return Amounts() if self.budget is None else self.ledger.spent(self.budget.name)

    def lacking(self, amounts: Amounts) -> str:
        """What the budget lacks for these amounts; empty if it has enough or if there is no budget."""
        if self.budget is not None:
            try:
                self.budget.check(self.spent, amounts)
            except BudgetError as error:
                return str(error).partition(";")[0]
        return ""

    def plan(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,
        freshness: Freshness | None = None,
    ) -> Plan:
        """Plan of what `run` would submit."""
        return self.plan_parts([Part(circuits, shots)], backend, repeat=repeat, freshness=freshness)

    def plan_parts(
        self,
        parts: Sequence[Part],
        backend: Backend | str,
        *,
        repeat: int = 0,
        freshness: Freshness | None = None,
    ) -> Plan:
        """Plan of what `run_parts` would submit."""
        request = requested(parts, get_backend(backend), repeat=repeat, freshness=freshness)
        missing, _, held = request.missing(self.ledger) if request.shots else ({}, {}, set())
        free = {job: shots for job, shots in missing.items() if job not in held}
        return self._purchase.plan(request, free, open_shots=sum(missing.values()) - sum(free.values()))

    def check_plan(self, plan: Plan) -> None:
        """Refuse a plan that the budget does not cover, before any part of it is submitted.

        Raises:
            BudgetError: The plan takes more than is left.
        """
        self._purchase.check(plan)

    def run(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,
        label: str = "",
        freshness: Freshness | None = None,
        confirm: Confirm | None = None,
        on_progress: Progress | None = None,
    ) -> list[Counts]:
        """Counts of each circuit, with at least `shots` shots. Stored shots are used; missing ones are run.

        Args:
            circuits: Bound circuits (`CompiledCircuit.bind`).
            backend: A backend, its name, or a Qiskit backend or sampler.
            shots: Number of shots of each circuit.
            repeat: A different number requests an independent sample of the same circuits.
            label: Label by which people find the run in the list.
            freshness: How old stored results may be; any age by default.
            confirm: Called with the plan before anything is submitted; False stops the run.
            on_progress: Called with the number of finished circuits and a word on the rest.

        Raises:
            JobError: A submission failed or is lost; results of all others are stored.
            BudgetError: The run exceeds the budget; nothing was submitted.
        """
        request = requested(
            [Part(circuits, shots)], get_backend(backend), repeat=repeat, label=label, freshness=freshness
        )
        return self._filled(request, confirm, on_progress)[0]

    def run_parts(
        self,
        parts: Sequence[Part],
        backend: Backend | str,
        *,
        repeat: int = 0,
        label: str = "",
        freshness: Freshness | None = None,
        confirm: Confirm | None = None,
        on_progress: Progress | None = None,
    ) -> list[list[Counts]]:
        """Counts of circuits that belong together, part by part; arguments as for `run`."""
        request = requested(parts, get_backend(backend), repeat=repeat, label=label, freshness=freshness)
        return self._filled(request, confirm, on_progress)

    def measure_parts(
        self,
        parts: Sequence[Part],
        backend: Backend | str,
        *,
        repeat: int = 0,
        label: str = "",
        freshness: Freshness | None = None,
        confirm: Confirm | None = None,
        on_progress: Progress | None = None,
    ) -> Result:
        """Counts of circuits that belong together, with provenance and cost; arguments as for `run`."""
        request = requested(parts, get_backend(backend), repeat=repeat, label=label, freshness=freshness)
        return self._result(request, confirm, on_progress or unheard, None)

    def _filled(
        self, request: Request, confirm: Confirm | None, on_progress: Progress | None
    ) -> list[list[Counts]]:
        if not request.shots:
            return [[] for _ in request.parts]
        return self._purchase.fill(request, confirm, on_progress or unheard).by_part(request)

    def submit(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,
        label: str = "",
        freshness: Freshness | None = None,
        confirm: Confirm | None = None,
    ) -> Job:
        """Submit missing shots and return without waiting; arguments as for `run`."""
        return self.submit_parts(
            [Part(circuits, shots)],
            backend,
            repeat=repeat,
            label=label,
            freshness=freshness,
            confirm=confirm,
        )

    def submit_parts(
        self,
        parts: Sequence[Part],
        backend: Backend | str,
        *,
        repeat: int = 0,
        label: str = "",
        freshness: Freshness | None = None,
        confirm: Confirm | None = None,
        made: Callable[[Result], Result] | None = None,
    ) -> Job:
        """Submit circuits that belong together and return without waiting.

        Args:
            parts: Circuits and shots.
            backend, repeat, label, freshness, confirm: As for `run`.
            made: Function by which a model turns the counts into its own result.
        """
        request = requested(parts, get_backend(backend), repeat=repeat, label=label, freshness=freshness)
        if request.shots:
            self._purchase.begin(request, confirm)
        return Job(self, request, made, tuple(self.ledger.claimed(request.jobs)))

    def result_of(self, request: Request, *, timeout: float | None = None) -> Result:
        """Wait for the result of a request; see `Job.result`."""
        return self._result(request, None, unheard, deadline_of(timeout))

    def _result(
        self, request: Request, confirm: Confirm | None, on_progress: Progress, deadline: float | None
    ) -> Result:
        found = Measured({}, ())
        if request.shots:
            found = self._purchase.fill(request, confirm, on_progress, deadline)
        self.settle(request.backend)
        return result_of(found, request, self.ledger)

    def settle(self, backend: Backend) -> None:
        """Ask a backend for the charges of ended submissions whose charges are not yet known."""
        settle(self.ledger, backend)

    def submissions(
        self,
        *,
        states: Sequence[State | str] | None = None,
        label: str | None = None,
        limit: int | None = None,
    ) -> list[Submission]:
        """Submissions in the ledger, newest first."""
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
        """Sum of all counts of a job, given by its id or the beginning of its id."""
        job = self.job(job)
        return self.ledger.counts([job])[job].get(None, {})

    def counts_by_calibration(self, job: str) -> dict[str | None, Counts]:
        """Counts of a job for each calibration of the device (ISO 8601; None without a calibration)."""
        job = self.job(job)
        return self.ledger.counts([job], by_calibration=True)[job]

    def job(self, prefix: str) -> str:
        """The id of the job that begins with a prefix.

        Raises:
            JobError: No job begins with it, or several do.
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
        """Complete submissions that no process drives, each paid for once; return them in their final state.

        Args:
            numbers: Numbers of submissions; all open ones by default.
            backend: Backend to run them on, if its name alone cannot make it again.
            send_again: Send lost submissions again. Name them in `numbers`, and make sure first that they
                were never accepted.
            on_each: Called with each submission when it has ended.

        A submission whose state cannot be known ends as `lost`; its `error` says what to do.
        """
        if send_again and numbers is None:
            raise JobError("send_again buys again: name the submissions")
        chosen = (
            self.submissions(states=OPEN)[::-1] if numbers is None else [self.submission(n) for n in numbers]
        )
        ended = []
        for found in chosen:
            if found.state in OPEN:
                try:
                    self._recovery.resume(found, backend or self._backend_of(found), send_again=send_again)
                except QtnmlError as error:
                    self.ledger.note(found.id, str(error))
            ended.append(self.submission(found.id))
            if on_each is not None:
                on_each(ended[-1])
        return ended

    def fetch(
        self, numbers: Sequence[int] | None = None, *, backend: Backend | None = None
    ) -> list[Submission]:
        """Store results that are ready at the backend, without waiting and without submitting."""
        states = (State.SUBMITTED, State.RUNNING)
        chosen = (
            self.submissions(states=states)[::-1]
            if numbers is None
            else [self.submission(n) for n in numbers]
        )
        for found in chosen:
            if found.state in states:
                try:
                    self._recovery.fetch_ready(found, backend or self._backend_of(found))
                except QtnmlError as error:
                    self.ledger.note(found.id, str(error))
        return [self.submission(found.id) for found in chosen]

    def adopt(self, number: int, vendor_id: str, *, backend: Backend | None = None) -> Submission:
        """Fetch a lost submission by its id at the vendor."""
        found = self.submission(number)
        if found.state not in OPEN:
            raise JobError(
                f"submission s{number} is {found.state}; only an open or lost one needs its vendor's id"
            )
        self._recovery.adopt(found, vendor_id, backend or self._backend_of(found))
        return self.submission(number)

    def cancel(
        self, number: int, *, backend: Backend | None = None, certainly_gone: bool = False
    ) -> Submission:
        """Cancel a submission and release its jobs. A submission that has ended stays unchanged.

        Args:
            number: Number of the submission.
            backend: Backend of the submission, if its name alone cannot make it again.
            certainly_gone: Set it if you have made sure that a lost submission was never accepted. The
                submission is given up, and the budget gets its amounts back.

        Raises:
            JobError: The backend cannot cancel it, or it may run unknown to us.
        """
        found = self.submission(number)
        if certainly_gone:
            self._recovery.give_up(found)
        elif found.state in OPEN:
            self._recovery.cancel(found, backend or self._backend_of(found))
        return self.submission(number)

    def prune(self, *, before: float, free_only: bool = True, label: str | None = None) -> int:
        """Delete submissions that ended before a time; return their number.

        Budgets keep what was spent. Deleted shots would have to be paid for again.

        Args:
            before: Time in seconds since 1970.
            free_only: Delete only submissions to simulators, whose shots cost nothing.
            label: Delete only submissions with this label.
        """
        return self.ledger.prune(before=before, free_only=free_only, label=label)

    def back_up(self, target: str | os.PathLike[str]) -> None:
        """Copy a SQLite ledger to a new file, while other processes go on using it.

        Raises:
            JobError: The ledger is not a SQLite file, or the target already exists.
        """
        self.ledger.back_up(Path(target))

    def export(self, *, label: str | None = None) -> Iterator[dict[str, Any]]:
        """Every stored result as plain JSON types, oldest first."""
        for found in self.submissions(states=[State.DONE], label=label)[::-1]:
            for job, counts in self.ledger.results(found.id):
                yield {
                    "job": job,
                    "submission": found.id,
                    "backend": found.backend,
                    "settings": found.settings,
                    "billing": found.billing,
                    "version": found.version,
                    "repeat": found.repeat,
                    "label": found.label,
                    "shots": sum(counts.values()),
                    "counts": {str(outcome): n for outcome, n in counts.items()},
                    "vendor_id": found.vendor_id,
                    "seed": found.seed,
                    "calibration": found.calibration,
                    "ended": found.ended,
                    "seconds": found.seconds,
                    "price": None if found.price is None else asdict(found.price),
                }

    def _backend_of(self, found: Submission) -> Backend:
        """The backend of a submission, made again from its name.

        Raises:
            JobError: It cannot be.
        """
        cure = f"call JobStore.resume([{found.id}], backend=...) with the object it was made for"
        try:
            made = get_backend(found.backend, **found.settings, **found.billing)
        except QtnmlError as error:
            raise JobError(
                f"backend {found.backend!r} of submission s{found.id} cannot be made ({error}); {cure}"
            ) from error
        made_key = json.loads(backend_key(made)) | {"version": ""}
        kept_key = json.loads(key_of(found.backend, found.settings, "")) | {"version": ""}
        if made_key != kept_key:
            raise JobError(f"backend {found.backend!r} of submission s{found.id} is another now; {cure}")
        return made


def store_for(jobs: Any, backend: Backend | None) -> JobStore | Unstored:
    """The store for an argument `jobs`: a store, False for no store, a location, or None for the default.

    The default is the user's file (see `JobStore`). For simulators in this process it is in memory, and no
    file is written: their shots cost nothing and can be computed again.
    """
    if jobs is False:
        return Unstored()
    if isinstance(jobs, JobStore | Unstored):
        return jobs
    if jobs is None and backend is not None and is_free(backend):
        return _in_memory()
    return JobStore(jobs)


_KEPT_IN_MEMORY = 500_000  # circuits; beyond, a new ledger is begun
_memory: list[JobStore] = []
_memory_lock = threading.Lock()


def _in_memory() -> JobStore:
    """One for the whole process."""
    with _memory_lock:
        if not _memory or _memory[0].num_begun > _KEPT_IN_MEMORY:
            _memory[:] = [JobStore("sqlite://")]
        return _memory[0]
