"""Shared fixtures: small real data, a small trained model, float64 for JAX on request."""

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

# Most of the tests' time is LLVM's, on functions that run once: the same programs, less optimised. They are
# as users have them with QTNML_TEST_OPTIMISED=1. Set before JAX starts, also for processes that tests start.
if "QTNML_TEST_OPTIMISED" not in os.environ:
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()

import jax
import numpy as np
import pytest

from qtnml import TreeClassifier, cli, load_dataset
from qtnml.data import Dataset

_MOST_MAPS = 30_000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Run the contract of backends on one of your own as well."""
    parser.addoption(
        "--backend",
        action="append",
        default=[],
        metavar="MODULE:FUNCTION",
        help="a function without arguments that returns a backend, or a name for get_backend",
    )
    parser.addoption(
        "--backend-tolerance",
        type=float,
        default=0.0,
        help="largest deviation of a probability that the noise of --backend may cause",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is `sampled` the first parameters are for every run; the others are slow."""
    seen = set()
    for item in items:
        if item.get_closest_marker("sampled") is not None:
            test = item.nodeid.partition("[")[0]
            if test in seen:
                item.add_marker(pytest.mark.slow)
            seen.add(test)


@pytest.fixture(scope="session", autouse=True)
def _own_ledger(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests must not write into the user's ledger of jobs."""
    os.environ["QTNML_JOBS"] = str(tmp_path_factory.mktemp("ledger") / "jobs.sqlite")


@pytest.fixture(scope="module", autouse=True)
def _few_maps() -> Iterator[None]:
    """Forget compiled functions in time: each maps pieces of memory, of which Linux allows a process 65,530;
    at the limit LLVM crashes.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > _MOST_MAPS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def x64() -> Iterator[None]:
    """Float64 in JAX for one test."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, even where pytest was started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20_18)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """8x8 handwritten 3s and 5s in quad-tree order."""
    return load_dataset("digits", classes=(3, 5), order="z")


@pytest.fixture(scope="session")
def small_digits() -> Dataset:
    """The same on 4x4 pixels."""
    return load_dataset("digits", size=4, classes=(3, 5), order="z")


@pytest.fixture(scope="session")
def trained(small_digits: Dataset) -> TreeClassifier:
    """A tree on 16 pixels; treat as read-only."""
    return TreeClassifier(feature_range=(0, 1), epochs=40, random_state=0).fit(
        small_digits.X_train, small_digits.y_train
    )


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: words to exit status, stdout and stderr."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr("qtnml.train.enable_compilation_cache", lambda: None)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["qtnml", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capfd.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return command
