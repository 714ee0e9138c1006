"""Every backend, ours or a user's (`pytest --backend module:function`), through the same checks."""

import importlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qtnml import get_backend
from qtnml.backends import Backend
from qtnml.backends.contract import CHECKS, check_backend
from qtnml.errors import BackendError, MissingExtraError
from qtnml.noise import DeviceNoise

pytestmark = pytest.mark.portable

# Name, tolerance of its noise, marks.
NAMED = [
    pytest.param("aer", 0.0, id="aer"),
    pytest.param("exact", 0.0, id="exact"),
    pytest.param("exact-noisy", 0.1, id="exact-noisy"),
    pytest.param("exact-torino", 0.25, id="exact-torino"),
    pytest.param("aer:matrix_product_state", 0.0, id="aer-mps"),
    pytest.param("aer-torino", 0.25, id="aer-torino"),
    pytest.param("qiskit-sampler", 0.0, id="qiskit-sampler"),
    pytest.param("qiskit-backend-sampler", 0.0, id="qiskit-backend-sampler"),
    pytest.param("qiskit-backend", 0.0, id="qiskit-backend"),
    pytest.param("pennylane:default.qubit", 0.0, id="pennylane-default"),
    pytest.param("pennylane:lightning.qubit", 0.0, id="pennylane-lightning"),
    pytest.param("cutensornet-cpu", 0.0, id="cutensornet-cpu"),
    pytest.param("cutensornet", 0.0, id="cutensornet", marks=pytest.mark.gpu),
    pytest.param("cutensornet:mps", 0.0, id="cutensornet-mps", marks=pytest.mark.gpu),
    pytest.param("fake:torino", 0.3, id="fake-torino", marks=pytest.mark.slow),
    pytest.param("braket:local", 0.0, id="braket-local", marks=pytest.mark.vendor),
    pytest.param("aqt:offline", 0.0, id="aqt-offline", marks=pytest.mark.vendor),
    pytest.param("aqt:offline-noisy", 0.2, id="aqt-noisy", marks=pytest.mark.vendor),
    pytest.param("iqm:adonis", 0.35, id="iqm-adonis", marks=pytest.mark.vendor),
    pytest.param("iqm:aphrodite", 0.35, id="iqm-aphrodite", marks=pytest.mark.vendor),
]


def _qiskit_sampler() -> Backend:
    from qiskit.primitives import StatevectorSampler

    return get_backend(StatevectorSampler())


def _qiskit_backend_sampler() -> Backend:
    from qiskit.primitives import BackendSamplerV2
    from qiskit_aer import AerSimulator

    return get_backend(BackendSamplerV2(backend=AerSimulator()))


def _qiskit_backend() -> Backend:
    from qiskit_aer import AerSimulator

    return get_backend(AerSimulator())


MADE: dict[str, Callable[[], Backend]] = {
    "exact-noisy": lambda: get_backend("exact", noise=DeviceNoise(readout_error=0.01, two_qubit_error=1e-3)),
    "exact-torino": lambda: get_backend("exact", noise="fake:torino"),
    "aer-torino": lambda: get_backend("aer", noise="fake:torino"),
    "qiskit-sampler": _qiskit_sampler,
    "qiskit-backend-sampler": _qiskit_backend_sampler,
    "qiskit-backend": _qiskit_backend,
    "cutensornet-cpu": lambda: get_backend("cutensornet", device="cpu"),
}


@cache
def backend(name: str) -> Backend:
    try:
        return MADE[name]() if name in MADE else get_backend(name)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("name", "tolerance"), NAMED)
def test_contract(name: str, tolerance: float, check: str) -> None:
    CHECKS[check](backend(name), tolerance)


@pytest.mark.filterwarnings("ignore")
def test_backends_of_users(request: pytest.FixtureRequest) -> None:
    for name in request.config.getoption("--backend"):
        module, _, function = name.partition(":")
        sys.path.insert(0, str(Path.cwd()))
        try:
            made = getattr(importlib.import_module(module), function)()
        except ModuleNotFoundError:
            made = get_backend(name)
        finally:
            del sys.path[0]
        check_backend(made, tolerance=request.config.getoption("--backend-tolerance"))


class Broken:
    """Aer with one broken promise."""

    def __init__(self, **broken: object) -> None:
        self._aer = get_backend("aer")
        self.__dict__.update(broken)

    def __getattr__(self, name: str) -> object:
        return getattr(self._aer, name)


def test_broken_promises_are_told() -> None:
    aer = get_backend("aer")
    check_backend(aer)

    class Reversed(Broken):
        def submit(self, circuits, **options):  # type: ignore[no-untyped-def]
            return self._aer.submit([circuit.reverse_bits() for circuit in circuits], **options)

    class Forgetful(Broken):
        def fetch(self, job_id):  # type: ignore[no-untyped-def]
            result = self._aer.fetch(job_id)
            return type(result)([{0: sum(counts.values()) - 1} for counts in result.counts])

    class Careless(Broken):
        def submit(self, circuits, *, shots, **options):  # type: ignore[no-untyped-def]
            return self._aer.submit(circuits, shots=max(1, int(shots or 1)), **options)

    for wrong, message in (
        (Reversed(), "outcome .* came with"),
        (Forgetful(), "lost shots"),
        (Careless(), "accepts 0 shots"),
        (Broken(settings={"when": object()}), "settings are no JSON types"),
        (Broken(submit=None, fetch=None, settings=0), "."),
    ):
        with pytest.raises((BackendError, TypeError), match=message):
            check_backend(wrong)  # type: ignore[arg-type]


def test_simulators_name_the_device_they_simulate(trained: Any) -> None:
    """A circuit compiled for a simulated device says which, and when that was calibrated."""
    pytest.importorskip("qiskit_ibm_runtime")
    wanted = trained.compile(target="fake:torino", num_qubits=5).device
    for name in ("exact", "aer"):
        device = trained.to_backend(get_backend(name, noise="fake:torino"), num_qubits=5).compiled.device
        assert (device.name, device.calibration) == (wanted.name, wanted.calibration)
        assert device.calibration is not None
