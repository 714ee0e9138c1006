"""How long a backend is asked again, looked through, or waited for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from qtnml.errors import BackendBusyError, InvalidInputError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long a busy or silent backend is asked again, and what counts as gone.

    Attributes:
        attempts: Of one call, before it is given up for now.
        first_wait: Seconds before the second attempt; doubled each time, with some jitter.
        longest_wait: Seconds between two attempts at most.
        search_for: Seconds after sending for which a job without an answer is looked for at the vendor's, by
            its tag; a job just accepted may be listed late. Then it is `lost`.
        lease: Seconds after which whoever drives a submission and gives no sign of life is taken over.
        longest_call: Seconds after which a call to a backend counts as hung, and as no sign of life.
    """

    attempts: int = 8
    first_wait: float = 1.0
    longest_wait: float = 60.0
    search_for: float = 300.0
    lease: float = 30.0
    longest_call: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("attempts", "first_wait", "longest_wait", "search_for", "lease", "longest_call"):
            value = getattr(self, name)
            least = 0 if name in ("search_for", "first_wait", "longest_wait") else 1e-3
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e9:
                raise InvalidInputError(f"{name} must be a number of at least {least:g}, got {value!r}")

    def ask(self, call: Callable[[], T], deadline: float | None = None) -> T:
        """Call until the backend is no longer busy.

        Args:
            call: Asks the backend.
            deadline: By `time.monotonic()`; nothing is waited for beyond it.

        Raises:
            BackendBusyError: It still was at the last attempt.
        """
        end = float("inf") if deadline is None else deadline
        usual = wait_exponential(self.first_wait, self.longest_wait) + wait_random(0, self.first_wait)
        last = stop_after_attempt(self.attempts)
        retrying = Retrying(
            stop=lambda state: last(state) or time.monotonic() >= end,
            wait=lambda state: min(usual(state), max(end - time.monotonic(), 0.0)),
            retry=retry_if_exception_type(BackendBusyError),
            reraise=True,
        )
        return retrying(call)
