"""What a vendor's error means: asked again, looked up, or given up."""

import json
import socket

import pytest

from qtnml.backends.faults import polling_faults, submission_faults
from qtnml.backends.secrets import is_secret, without_secrets
from qtnml.errors import BackendBusyError, BackendError, UnknownSubmissionError

requests = pytest.importorskip("requests")


def http(code: int) -> Exception:
    response = requests.Response()
    response.status_code = code
    return requests.HTTPError(f"{code} for url", response=response)  # type: ignore[no-any-return]


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def refused_connection() -> Exception:
    try:
        requests.get(closed_port(), timeout=1)
    except Exception as error:
        return error
    raise AssertionError


CASES = [
    (http(429), BackendBusyError),
    (http(503), BackendBusyError),
    (http(502), UnknownSubmissionError),
    (http(504), UnknownSubmissionError),
    (http(400), BackendError),
    (http(401), BackendError),
    (refused_connection(), BackendBusyError),
    (requests.ConnectTimeout("slow"), BackendBusyError),
    (requests.ReadTimeout("slow"), UnknownSubmissionError),
    (requests.ConnectionError("reset by peer"), UnknownSubmissionError),
    (ConnectionResetError("reset"), UnknownSubmissionError),
    (TimeoutError("slow"), UnknownSubmissionError),
    (ValueError("bad circuit"), BackendError),
    (json.JSONDecodeError("no reply", "", 0), UnknownSubmissionError),
    (KeyError("id"), UnknownSubmissionError),
]


@pytest.mark.parametrize(
    ("error", "kind"), CASES, ids=lambda value: getattr(value, "__name__", repr(value)[:40])
)
def test_submissions(error: Exception, kind: type[BackendError]) -> None:
    with pytest.raises(BackendError) as caught, submission_faults("x"):
        raise error
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("error", "kind"), CASES, ids=lambda value: getattr(value, "__name__", repr(value)[:40])
)
def test_polls_can_always_be_repeated(error: Exception, kind: type[BackendError]) -> None:
    with pytest.raises(BackendError) as caught, polling_faults("x", "answer"):
        raise error
    final = kind is BackendError or isinstance(error, KeyError)
    assert type(caught.value) is (BackendError if final else BackendBusyError)


def test_a_vendors_wrapper_is_seen_through() -> None:
    class ApiError(Exception):
        def __init__(self, status_code: int) -> None:
            super().__init__("vendor")
            self.status_code = status_code

    def wrapped() -> None:
        try:
            raise ApiError(429)
        except ApiError as error:
            raise RuntimeError("could not submit") from error

    with (
        pytest.raises(BackendBusyError, match=r"'x' takes nothing now \(RuntimeError: could not submit\)"),
        submission_faults("x"),
    ):
        wrapped()


def test_secrets_are_blotted_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-long-value")
    text = without_secrets(
        "at https://u:pw@host, very-long-value, token=abcdefgh1234, Authorization: apiKey 12345678abc"
    )
    for secret in ("pw@", "very-long-value", "abcdefgh1234", "12345678abc"):
        assert secret not in text
    assert "https://u:***@host" in text
    assert is_secret("IBM_TOKEN")
    assert not is_secret("method")
    with pytest.raises(BackendError) as caught, submission_faults("x"):
        raise ValueError("very-long-value")
    assert caught.value.__cause__ is None
    assert "very-long-value" not in str(caught.value)
