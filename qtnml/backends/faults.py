"""Meaning of a failed call to a vendor: may it be repeated, and could it have been received?"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from qiskit.exceptions import QiskitError

from qtnml.backends.secrets import cause_of, without_secrets
from qtnml.errors import BackendBusyError, BackendError, QtnmlError, UnknownSubmissionError

_BUSY_CODES = frozenset({408, 425, 429, 503})
# Names, because the packages that raise them are optional.
_NEVER_SENT = frozenset(
    {"ConnectTimeout", "ConnectTimeoutError", "NewConnectionError", "NameResolutionError",
     "ConnectionRefusedError", "ConnectError", "gaierror", "PoolTimeout"}
)  # fmt: skip
_CUT_OFF = frozenset({"ReadTimeout", "ReadTimeoutError", "ConnectionResetError", "RemoteDisconnected"})
_LOST = frozenset(
    {"ConnectionError", "ConnectionResetError", "ConnectionAbortedError", "BrokenPipeError", "Timeout",
     "TimeoutError", "ReadTimeout", "ReadTimeoutError", "ReadError", "WriteError", "RemoteProtocolError",
     "ProtocolError", "ChunkedEncodingError", "RemoteDisconnected", "IncompleteRead", "MaxRetryError",
     "RetryError", "SSLError", "EndpointConnectionError", "WriteTimeout"}
)  # fmt: skip


@contextmanager
def submission_faults(name: str) -> Iterator[None]:
    """Around a call that submits: errors of the vendor's client become this package's."""
    try:
        yield
    except QtnmlError:
        raise
    except Exception as error:
        if _was_refused(error):
            raise BackendBusyError(f"backend {name!r} takes nothing now ({brief(error)})") from cause_of(
                error
            )
        if not _was_rejected(error):
            raise UnknownSubmissionError(
                f"backend {name!r} did not answer ({brief(error)}): the job may or may not have been accepted"
            ) from cause_of(error)
        raise BackendError(f"backend {name!r} refused the job ({brief(error)})") from cause_of(error)


@contextmanager
def polling_faults(name: str, what: str) -> Iterator[None]:
    """Around a call that asks and changes nothing."""
    try:
        yield
    except QtnmlError:
        raise
    except Exception as error:
        if _was_refused(error) or _may_have_been_heard(error) or _is_unreadable(error):
            raise BackendBusyError(f"backend {name!r} cannot {what} now ({brief(error)})") from cause_of(
                error
            )
        raise BackendError(f"backend {name!r} cannot {what} ({brief(error)})") from cause_of(error)


def brief(error: BaseException) -> str:
    """One line of an error of somebody else's, without what may be a secret."""
    lines = str(getattr(error, "message", None) or error).strip().splitlines()
    return without_secrets(f"{type(error).__name__}: {lines[0][:300] if lines else ''}")


def _was_refused(error: BaseException) -> bool:
    """Certainly not accepted, and worth another try."""
    if _status_code(error) in _BUSY_CODES:
        return True
    causes = list(_causes(error))
    # A client may have tried several times: if any attempt was cut off, it may have been heard.
    never_sent = any(_names(cause) & _NEVER_SENT for cause in causes)
    return never_sent and not any(_names(cause) & _CUT_OFF for cause in causes)


def _was_rejected(error: BaseException) -> bool:
    """The vendor, or its client before it sent anything, found fault with the job itself.

    Anything else may be an answer that could not be read, of a job that was accepted.
    """
    if _may_have_been_heard(error):
        return False
    if _status_code(error) is not None:
        return True
    told = isinstance(error, ValueError | TypeError | NotImplementedError | QiskitError)
    return told and not _is_unreadable(error)


def _is_unreadable(error: BaseException) -> bool:
    """A reply that is no JSON, such as a gateway's page."""
    return any("JSONDecodeError" in _names(cause) for cause in _causes(error))


def _may_have_been_heard(error: BaseException) -> bool:
    code = _status_code(error)
    if code is not None:
        return code >= 500
    return any(_names(cause) & _LOST for cause in _causes(error))


def _names(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it."""
    seen: set[int] = set()
    open_: list[Any] = [error]
    while open_:
        found = open_.pop()
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            # urllib3 and requests carry the cause among their arguments, IonQ in an attribute of its own.
            open_ += [found.__cause__, found.__context__, getattr(found, "reason", None)]
            open_ += [getattr(found, "_cause", None), *found.args]


def _status_code(error: BaseException) -> int | None:
    for cause in _causes(error):
        response = getattr(cause, "response", None)
        for holder in (cause, response):
            code = getattr(holder, "status_code", None) or getattr(holder, "status", None)
            if isinstance(code, int) and 400 <= code < 600:
                return code
    return None
