"""Completes a request: plans, asks, claims, sends, and waits, also for submissions of other processes."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial

from qiskit import QuantumCircuit

from qtnml.backends import Backend
from qtnml.backends.secrets import without_secrets
from qtnml.errors import BudgetError, JobError, QtnmlError
from qtnml.jobs.drive import Driver, Tell, is_free
from qtnml.jobs.plan import Plan, total_cost
from qtnml.jobs.recover import Recovery
from qtnml.jobs.request import Request
from qtnml.jobs.result import Measured, measured
from qtnml.ledger import Budget, Ledger, Price, Submission
from qtnml.ledger.claiming import OutrunError
from qtnml.ledger.leases import Lease
from qtnml.ledger.submission import Draft, Order
from qtnml.ledger.transitions import SupersededError

log = logging.getLogger("qtnml.jobs")
_FRUITLESS_ROUNDS = 3
_OUTRUN_IN_VAIN = 40

Confirm = Callable[[Plan], bool]
Progress = Callable[[int, str], None]


def unheard(_done: int, _text: str) -> None:
    """Progress that nobody looks at."""


_FREE = "a simulator has no price; get_backend(NAME, priced=True) counts its shots as a device's"
#: What is paid for by stores that have no limit.
UNLIMITED = Budget("default")


@dataclass(frozen=True)
class Terms:
    """On which terms a store buys.

    Attributes:
        budget: Limits, and the name under which others share them; None for none.
        price: Of what is paid for; None if it is not known.
    """

    budget: Budget | None = None
    price: Price | None = None

    def order(self, request: Request) -> Order:
        """What all submissions of a run have in common."""
        can = request.backend.capabilities
        # What is paid for without a limit is kept as well: whoever sets one later shall see it.
        budget = self.budget or (UNLIMITED if can.paid else None)
        price = self.price if can.has_price else None
        return Order(request.backend, request.repeat, request.label, budget, price)


class Outrun:
    """Counts how often somebody seems to be quicker while nothing changes: then the ledger is at fault."""

    def __init__(self) -> None:
        self._free: dict[str, int] = {}
        self._times = 0

    def again(self, free: dict[str, int], error: OutrunError) -> None:
        """Once more, with so much still to be bought.

        Raises:
            JobError: Too often.
        """
        self._times = self._times + 1 if free == self._free else 0
        self._free = free
        if self._times > _OUTRUN_IN_VAIN:
            raise JobError(
                f"the ledger does not take this run, though nobody else holds its jobs ({error}); is its "
                "database damaged?"
            ) from error
        time.sleep(0.002 * self._times)


@dataclass(frozen=True)
class Begun:
    """A submission that was written down here, with its lease and its circuits."""

    found: Submission
    lease: Lease
    circuits: Sequence[QuantumCircuit]


class Purchase:
    """Buys what requests lack.

    Args:
        ledger: What is written down.
        driver: Sends and collects.
        recovery: Goes on where others stopped.
        terms: Budget and price.
        mine: Numbers of the submissions that were begun here; those that follow are added.
    """

    def __init__(
        self, ledger: Ledger, driver: Driver, recovery: Recovery, terms: Terms, mine: list[int]
    ) -> None:
        self._ledger, self._driver, self._recovery = ledger, driver, recovery
        self._terms, self._mine = terms, mine
        #: Circuits that were written down here.
        self.num_begun = 0
        self._opened = False

    def plan(
        self,
        request: Request,
        missing: dict[str, int],
        drafts: Sequence[Draft] | None = None,
        *,
        open_shots: int = 0,
    ) -> Plan:
        """What a request would buy; open submissions bring `open_shots` more."""
        drafts = request.drafts(missing) if drafts is None else drafts
        shots = sum(missing.values())
        seconds = 0.0 if not drafts else None
        if drafts and all(draft.seconds is not None for draft in drafts):
            seconds = sum(draft.seconds or 0.0 for draft in drafts)
        can = request.backend.capabilities
        price = self._terms.price if can.has_price else None
        circuits = sum(len(draft.ids) for draft in drafts)
        found = Plan(
            backend=request.backend.name,
            circuits=len(request.shots),
            new_circuits=len(missing),
            shots=shots,
            stored_shots=sum(request.shots.values()) - shots - open_shots,
            open_shots=open_shots,
            submissions=len(drafts),
            seconds=seconds,
            paid=can.paid,
            has_price=can.has_price,
            remark="" if price is self._terms.price else _FREE,
            cost=total_cost(price, shots=shots, circuits=circuits, tasks=len(drafts), seconds=seconds),
            currency="" if price is None else price.currency,
        )
        try:
            self.check(found)
        except BudgetError as error:
            return replace(found, refused=str(error))
        return found

    def fill(
        self,
        request: Request,
        confirm: Confirm | None = None,
        on_progress: Progress = unheard,
        deadline: float | None = None,
    ) -> Measured:
        """Buy what is missing and wait for it, until nothing is; return what is then stored.

        Raises:
            JobError: A submission failed, is lost, or was not confirmed; what else was bought is stored.
            BudgetError: More than the budget; nothing was bought.
            ResultTimeoutError: It is not there by the deadline (by `time.monotonic()`).
        """
        fruitless, asked, outrun = 0, False, Outrun()
        while True:
            missing, stored, held = request.missing(self._ledger)
            if not missing:
                break
            done = len(request.shots) - len(missing)
            on_progress(done, "")
            free = {job: shots for job, shots in missing.items() if job not in held}
            if not free:
                self._see_to_others(request, missing, partial(on_progress, done), deadline)
                continue
            # A plan is a bound: what a backend returned too little of is asked for again.
            try:
                begun = self._claimed(request, free, stored, confirm, again=asked)
            except OutrunError as error:
                outrun.again(free, error)  # the next round sees what was bought
                continue
            asked = True
            self._driven(request, begun, on_progress, done, deadline)
            found = measured(request, self._ledger)
            left = found.missing(request)
            if not left:
                on_progress(len(request.shots), "")
                return found
            fruitless = fruitless + 1 if sum(left.values()) >= sum(missing.values()) else 0
            if fruitless >= _FRUITLESS_ROUNDS:
                raise JobError(
                    f"backend {request.backend.name!r} returned nothing for {len(left)} circuits "
                    f"{_FRUITLESS_ROUNDS} times over"
                )
        on_progress(len(request.shots), "")
        return measured(request, self._ledger)

    def _see_to_others(
        self, request: Request, missing: dict[str, int], tell: Tell, deadline: float | None
    ) -> None:
        """Bring to its end what somebody else has begun, whatever becomes of one of them."""
        errors: list[QtnmlError] = []
        for number in self._ledger.claimed(list(missing)):
            try:
                self._recovery.see_to(number, request.backend, tell, deadline)
            except QtnmlError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def begin(self, request: Request, confirm: Confirm | None = None) -> None:
        """Send what is missing and wait for nothing.

        Raises:
            JobError: A submission was refused, or it was not confirmed.
            BudgetError: More than the budget; nothing was bought.
        """
        outrun = Outrun()
        while True:
            missing, stored, held = request.missing(self._ledger)
            free = {job: shots for job, shots in missing.items() if job not in held}
            if not free:
                for number in self._ledger.claimed(list(missing)) if missing else ():
                    self._recovery.push(number, request.backend)
                return
            try:
                begun = self._claimed(request, free, stored, confirm, again=False)
            except OutrunError as error:
                outrun.again(free, error)
                continue
            with self._held(request, begun):
                _, errors = self._sent(request, begun, unheard, 0)
            if errors:
                raise errors[0]
            return

    def _claimed(
        self,
        request: Request,
        free: dict[str, int],
        stored: dict[str, int],
        confirm: Confirm | None,
        *,
        again: bool,
    ) -> list[Begun]:
        """Submissions for what is missing, written down.

        Raises:
            OutrunError: Somebody was quicker.
        """
        drafts = request.drafts(free)
        terms = self._terms.order(request)
        if terms.budget is not None and (terms.budget.seconds is not None or terms.budget.cost is not None):
            settle(self._ledger, request.backend)
        if self._terms.budget is not None or confirm is not None:
            plan = self.plan(request, free, drafts)
            if plan.refused:
                # Somebody may have bought these very circuits since we looked, and taken it from this budget.
                raise (OutrunError if self._is_outrun(request, free) else BudgetError)(plan.refused)
            if confirm is not None and not confirm(plan):
                raise JobError(f"not confirmed; nothing{' more' if again else ''} was bought")
        if terms.budget is UNLIMITED and not self._opened:
            self._ledger.open_budget(UNLIMITED)
            self._opened = True
        made = self._ledger.prepare(drafts, terms, stored)
        self._mine.extend(found.id for found, _ in made)
        self.num_begun += sum(found.jobs for found, _ in made)
        return [
            Begun(found, lease, draft.circuits) for (found, lease), draft in zip(made, drafts, strict=True)
        ]

    def _is_outrun(self, request: Request, free: dict[str, int]) -> bool:
        missing, _, held = request.missing(self._ledger)
        return free != {job: shots for job, shots in missing.items() if job not in held}

    def check(self, plan: Plan) -> None:
        """Refuse a plan that the budget does not cover, before any part of it is bought.

        Raises:
            BudgetError: It takes more than is left.
        """
        budget, amounts = self._terms.budget, plan.amounts
        if budget is None or not plan.shots:
            return
        if plan.stored_shots:
            # Circuits that are topped up were counted before; which ones, the claim finds out.
            amounts = replace(amounts, circuits=0)
        budget.check(self._ledger.spent(budget.name), amounts, plan.unknown if plan.has_price else ())

    def _held(self, request: Request, begun: Sequence[Begun]) -> AbstractContextManager[None]:
        leases = [each.lease for each in begun]
        return self._ledger.leases.held(*leases, limited=not is_free(request.backend))

    def _sent(
        self, request: Request, begun: Sequence[Begun], on_progress: Progress, done: int
    ) -> tuple[list[tuple[Begun, str]], list[QtnmlError]]:
        """Send all, up to the first that is refused; what was sent as what, and why it ended early."""
        sent: list[tuple[Begun, str]] = []
        tried = 0
        try:
            for each in begun:
                tried += 1
                try:
                    vendor_id = self._driver.send(
                        each.found, each.lease, request.backend, each.circuits, partial(on_progress, done)
                    )
                except SupersededError:
                    continue  # the next round sees what became of it
                sent.append((each, vendor_id))
        except QtnmlError as error:
            self._let_go(begun[tried:])
            return sent, [error]
        except BaseException:
            self._let_go(begun[tried:])
            raise
        return sent, []

    def _driven(
        self,
        request: Request,
        begun: Sequence[Begun],
        on_progress: Progress,
        done: int,
        deadline: float | None,
    ) -> None:
        """Send and collect, whatever becomes of one of them."""
        with self._held(request, begun):
            sent, errors = self._sent(request, begun, on_progress, done)
            for each, vendor_id in sent:
                try:
                    self._driver.collect(
                        each.found,
                        each.lease,
                        request.backend,
                        vendor_id,
                        partial(on_progress, done),
                        deadline,
                    )
                except SupersededError:
                    continue
                except QtnmlError as error:
                    errors.append(error)
                done += each.found.jobs
                on_progress(done, "")
        if errors:
            raise errors[0]

    def _let_go(self, untried: Sequence[Begun]) -> None:
        """Submissions that come after one that ended the run: as if they had not been written."""
        for each in untried:
            try:
                self._ledger.cancelled(
                    each.lease, "never sent: the run ended before its turn", never_sent=True
                )
            except JobError as error:
                log.warning("s%d stays as it is (%s)", each.found.id, error)


_ASKED_FOR = 14 * 86400.0  # seconds after which a vendor that has not told a charge is asked no more


def settle(ledger: Ledger, backend: Backend) -> None:
    """Ask a backend what it charged for what has ended, where it did not tell then."""
    ask = getattr(backend, "charged_seconds", None)
    if not callable(ask) or not backend.capabilities.paid:
        return
    for found in ledger.uncharged(backend, ledger.now() - _ASKED_FOR):
        try:
            seconds = ask(found.vendor_id)
        except QtnmlError as error:  # a figure: results must not be lost for it
            log.info("s%d: what it cost cannot be asked (%s)", found.id, without_secrets(str(error)))
            continue
        if seconds is not None and 0 <= float(seconds) < 1e9:
            ledger.charged(found.id, float(seconds))


def deadline_of(timeout: float | None) -> float | None:
    """A time by `time.monotonic()`."""
    return None if timeout is None else time.monotonic() + timeout
