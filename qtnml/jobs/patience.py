"""Retries and waiting times for backends that are busy or do not answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

from qtnml.errors import BackendBusyError, InvalidInputError

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """Retries and waiting times for backends that are busy or do not answer.

    Attributes:
        attempts: Attempts of one call before it is given up for now.
        first_wait: Seconds before the second attempt. The wait doubles each time, with some jitter.
        longest_wait: Longest wait between two attempts, in seconds.
        search_for: Seconds for which a job without an answer is searched for at the vendor by its tag, since
            a new job may be listed late. After this time it is `lost`.
        lease: Seconds without a sign of life after which another process takes over a submission.
        longest_call: Seconds after which a call to a backend counts as hung, and no longer as a sign of life.
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
        """Repeat a call until the backend is no longer busy.

        Args:
            call: Function that calls the backend.
            deadline: End of waiting, as a time of `time.monotonic()`.

        Raises:
            BackendBusyError: The backend was still busy at the last attempt.
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
