"""Makes a backend from its name or from another library's object."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qiskit.primitives import BaseSamplerV2
from qiskit.providers import BackendV2

from qtnml.backends.base import Backend, is_backend
from qtnml.errors import BackendError, MissingExtraError


def _aer(detail: str, *, seed: int | None = None, **options: Any) -> Backend:
    from qtnml.backends.aer import Aer
    from qtnml.backends.local import LocalBackend

    if detail:
        options = {"method": detail, **options}
    return LocalBackend(Aer(**options), seed=seed)


def _exact(detail: str, *, seed: int | None = None, **options: Any) -> Backend:
    from qtnml.backends.exact import Exact
    from qtnml.backends.local import LocalBackend

    if detail:
        raise BackendError(f"'exact' takes no detail, got {detail!r}; use get_backend('exact', noise=...)")
    return LocalBackend(Exact(**options), seed=seed)


def _pennylane(detail: str, *, seed: int | None = None, **options: Any) -> Backend:
    from qtnml.backends.local import LocalBackend
    from qtnml.backends.pennylane import PennyLane

    return LocalBackend(PennyLane(detail or "default.qubit", **options), seed=seed)


def _cutensornet(detail: str, *, seed: int | None = None, **options: Any) -> Backend:
    from qtnml.backends.cutensornet import CuTensorNet
    from qtnml.backends.local import LocalBackend

    if detail:
        options = {"method": detail, **options}
    return LocalBackend(CuTensorNet(**options), seed=seed)


def _ibm(detail: str, **options: Any) -> Backend:
    from qtnml.backends.ibm import ibm

    return ibm(detail, **options)


def _fake(detail: str, **options: Any) -> Backend:
    from qtnml.backends.ibm import fake

    return fake(detail, **options)


def _quantinuum(detail: str, **options: Any) -> Backend:
    from qtnml.backends.quantinuum import quantinuum

    return quantinuum(*([detail] if detail else []), **options)


def _vendor(vendor: str) -> Callable[..., Backend]:
    def make(detail: str, **options: Any) -> Backend:
        from qtnml.backends import vendors

        found: Backend = getattr(vendors, vendor)(*([detail] if detail else []), **options)
        return found

    return make


#: What stands before the colon of a name, and what makes the backend of what stands after it.
BACKENDS: dict[str, Callable[..., Backend]] = {
    "aer": _aer,
    "aqt": _vendor("aqt"),
    "braket": _vendor("braket"),
    "cutensornet": _cutensornet,
    "exact": _exact,
    "fake": _fake,
    "ibm": _ibm,
    "ionq": _vendor("ionq"),
    "iqm": _vendor("iqm"),
    "pennylane": _pennylane,
    "quantinuum": _quantinuum,
}


def get_backend(backend: Any, *, priced: bool = False, **options: Any) -> Backend:
    """Return the backend called "name" or "name:detail", or a Qiskit object as a backend.

    Args:
        backend: "exact", "aer", "aer:METHOD", "fake:torino", "ibm:NAME", "pennylane:DEVICE", "cutensornet",
            "braket:local", "aqt:offline", "iqm:aphrodite", "ionq:simulator",
            "quantinuum:H2-1LE"; or any Qiskit `BackendV2` or
            `SamplerV2`.
        priced: Of a simulator: plans and budgets count its shots as those of a device that is paid for.
        options: Options of the backend. If its shots can be seeded, `seed` makes submissions without their
            own seed reproducible.

    Raises:
        BackendError: There is no backend of this name.
        MissingExtraError: Its package is not installed; the message names the extra to install.

    >>> get_backend("aer").name
    'aer'
    """
    if priced:
        return _priced(get_backend(backend, **options))
    if isinstance(backend, BackendV2 | BaseSamplerV2):
        from qtnml.backends.qiskit_objects import from_device, from_sampler

        try:
            if isinstance(backend, BackendV2):
                return from_device(backend, **options)
            return from_sampler(backend, **options)
        except TypeError as error:
            raise BackendError(f"a Qiskit backend does not take these options: {error}") from error
    if not isinstance(backend, str):
        if is_backend(backend) and isinstance(backend.name, str) and backend.name:
            return backend
        raise BackendError(
            "a backend must be a name such as 'aer', a Qiskit BackendV2 or SamplerV2, or have the members of "
            "qtnml.backends.Backend (a name that is a text among them), got "
            f"{type(backend).__name__}; use get_backend('aer')"
        )
    name, _, detail = backend.partition(":")
    if name not in BACKENDS:
        raise BackendError(f"unknown backend {backend!r}; choose one of {sorted(BACKENDS)}")
    try:
        return BACKENDS[name](detail, **options)
    except MissingExtraError:
        raise
    except TypeError as error:
        raise BackendError(f"backend {backend!r} does not take these options: {error}") from error


def _priced(backend: Backend) -> Backend:
    """The same simulator, to rehearse a run that is paid for."""
    if backend.capabilities.durable:
        raise BackendError(
            f"priced=True is for simulators, which lose their jobs; {backend.name!r} keeps them"
        )
    # A LocalBackend is made anew from its simulator, in another process.
    for each in (backend, getattr(backend, "simulator", None)):
        if each is not None:
            each.capabilities = replace(backend.capabilities, priced=True)
    return backend
