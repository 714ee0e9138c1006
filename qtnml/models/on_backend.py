"""What a model on a backend has on top of its circuit: the backend, the ledger, training, files."""

from dataclasses import fields, replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from qtnml.arrays import NDArray
from qtnml.backends import Backend, get_backend
from qtnml.backends.translation import is_native
from qtnml.compile import recalibrated
from qtnml.compile.compiled import Compiled
from qtnml.errors import BackendError, InvalidInputError, ModelFileError, QtnmlError
from qtnml.hybrid import HybridRecord, HybridTraining, TrainingPlan
from qtnml.jobs import Amounts, Freshness, JobStore, Unstored, store_for
from qtnml.jobs.plan import seconds_of, total_cost
from qtnml.ledger.identity import backend_key
from qtnml.mitigation import get_mitigation
from qtnml.models.noise import target_of
from qtnml.models.objects import plain
from qtnml.models.pinned import Pin
from qtnml.models.saved import SavedToFile
from qtnml.program.device import device_of

Stored = tuple[dict[str, Any], dict[str, NDArray]]
_KEPT = ("shots", "repeat", "label", "verbose", "mitigation", "max_age")
_WHERE = ("checkpoint", "resume", "callback")  # of a training: no file chooses where another is written
_NOT_MADE_AGAIN = ("DeviceNoise ", "NoiseModel ", "device ")


class OnBackend(SavedToFile, BaseEstimator):
    """`backend`, `jobs` and `training` as arguments, and `compiled_`, `history_`, `stopped_` after `fit`."""

    backend: Backend | str | None
    jobs: Any
    training: HybridTraining | None
    mitigation: Any
    max_age: float | str | None

    #: Where the ledger keeps the circuit, of a model that `to_backend` made for a device that is paid for.
    pin: Pin | None = None

    def recalibrated(self) -> Self:
        """The same model with the weights it has now, compiled anew for the device as it is calibrated now.

        What was bought with the old circuit stays in the ledger, and is of no use to the new one.
        `to_backend` finds the new circuit from now on, if the model was not tuned in between.

        Raises:
            InvalidInputError: The backend has no description to compile for.
        """
        backend = self._found_backend()
        if target_of(backend) is None:
            raise InvalidInputError(f"backend {backend.name!r} has no description to compile for")
        trained: Compiled = self.trained
        compiled = recalibrated(trained, backend)
        given = {name: value for name, value in self.get_params(deep=False).items() if name != "compiled"}
        found: Self = type(self)(**given, compiled=compiled)
        kept_for = None if self.pin is None else backend_key(self.pin.backend)
        if self.pin is not None and kept_for == backend_key(backend) and not hasattr(self, "compiled_"):
            self.pin.keep(compiled, anew=True)
            found.pin = self.pin
        return found

    def _store(self) -> JobStore | Unstored:
        # A vendor's backend that is a name so far is made by asking the vendor: only where it decides.
        return store_for(self.jobs, self._found_backend() if self.jobs is None else None)

    def _ledger_store(self) -> JobStore:
        """A ledger, for what needs one.

        Raises:
            InvalidInputError: The model keeps none.
        """
        found = self._store()
        if isinstance(found, Unstored):
            raise InvalidInputError(
                "jobs=False keeps no ledger, and so no jobs; leave it out, or give a JobStore"
            )
        return found

    def _priced(self, plan: TrainingPlan, circuits: Any) -> TrainingPlan:
        """A plan of training with its time, its cost by the price of the store, and what the budget lacks."""
        backend, store = self._found_backend(), self._store()
        if not isinstance(store, JobStore):
            return plan
        if not backend.capabilities.paid:
            return replace(plan, refused=store.lacking(Amounts(plan.shots, plan.circuits)))
        each = seconds_of(backend, circuits, 1)
        seconds = None if each is None else each * plan.shots
        cost = total_cost(
            store.price, shots=plan.shots, circuits=plan.circuits, tasks=plan.submissions, seconds=seconds
        )
        currency = "" if store.price is None else store.price.currency
        lacking = store.lacking(Amounts(plan.shots, plan.circuits, seconds or 0.0, cost or 0.0))
        return replace(plan, seconds=seconds, cost=cost, currency=currency, refused=lacking)

    def _freshness(self) -> Freshness:
        """Circuits that correct each other are measured together."""
        return Freshness(self.max_age, together=get_mitigation(self.mitigation) is not None)

    def _found_backend(self) -> Backend:
        if self.backend is None:
            measured = getattr(self, "measured_on_", "a backend that a file cannot hold")
            raise BackendError(
                f"this model was measured on {measured}; say where to go on: set_params(backend=...)"
            )
        found = get_backend(self.backend)
        self._know_device(found)
        return found

    def _know_device(self, backend: Backend) -> None:
        """A circuit that was read from a file knows its layout, and not how its device errs today."""
        target = getattr(target_of(backend), "target", None)
        for name in ("compiled", "compiled_"):
            circuit = getattr(self, name, None)
            if circuit is None or circuit.layout is None or target is None:
                continue
            unknown = circuit.device is None or not circuit.device.target.operation_names
            if unknown and is_native(circuit.circuit, target):
                setattr(self, name, replace(circuit, device=device_of(backend)))


def check_mitigable(backend: Backend, compiled: Compiled) -> None:
    """Calibration and folded circuits must run where the circuit itself does.

    Raises:
        InvalidInputError: Qiskit would choose qubits for each of them.
    """
    if compiled.device is None and getattr(backend, "target", None) is not None:
        raise InvalidInputError(
            f"Qiskit would place each circuit of a mitigation on qubits of its own on {backend.name!r}; "
            "compile for the device's own qubits: to_backend(..., for_device=True), the default"
        )


def backend_entry(model: Any) -> dict[str, Any]:
    """Where and how a model is measured, as JSON types."""
    backend = get_backend(model.backend) if model.backend is not None else None
    mitigation = getattr(model, "mitigation", None)
    if not isinstance(mitigation, str | None):
        raise ModelFileError(
            f"the mitigation {mitigation!r} is an object; name it ('readout+zne'), or set "
            "set_params(mitigation=None)"
        )
    return {
        "settings": plain({name: getattr(model, name) for name in _KEPT if hasattr(model, name)}),
        "backend": None
        if backend is None
        else [backend.name, {**backend.settings, **getattr(backend, "billing", {})}],
        "training": None if model.training is None else _training_entry(model.training),
        "history": [list(record) for record in getattr(model, "history_", [])],
        "stopped": getattr(model, "stopped_", None),
    }


def restore_backend(model: Any, header: dict[str, Any], tuned: NDArray | None) -> None:
    """Set on a model what `backend_entry` says, and the weights of its last `fit`."""
    training = header["training"]
    model.set_params(**header["settings"], training=None if training is None else HybridTraining(**training))
    model.backend = None
    if header["backend"] is not None:
        name, settings = header["backend"]
        model.backend = _made_again(str(name), dict(settings))
        model.measured_on_ = f"{name} {settings}" if settings else str(name)
    if tuned is not None:
        model.compiled_ = model.compiled.with_weights(tuned)
        model.history_ = [HybridRecord(*record) for record in header["history"]]
        model.stopped_ = str(header["stopped"])


def tuned_weights(model: Any) -> dict[str, NDArray]:
    """The weights of the last `fit`, if there was one."""
    return {"tuned": np.asarray(model.compiled_.weights)} if hasattr(model, "compiled_") else {}


def _training_entry(training: HybridTraining) -> dict[str, Any]:
    usual = HybridTraining()
    given = {f.name: getattr(training, f.name) for f in fields(training) if f.name not in _WHERE}
    changed = {name: value for name, value in given.items() if value != getattr(usual, name)}
    if odd := [name for name, value in changed.items() if not isinstance(value, str | int | float | None)]:
        raise ModelFileError(
            f"training has the object {odd[0]}={changed[odd[0]]!r}; name it, or set_params(training=None)"
        )
    return plain(changed)  # type: ignore[no-any-return]


def _made_again(name: str, settings: dict[str, Any]) -> Backend | str | None:
    """The backend that a file names: None if it needs what no file holds.

    A vendor's is a name until it is used: a file is read without an account.
    """
    if any(str(value).startswith(_NOT_MADE_AGAIN) for value in settings.values()):
        return None
    if not settings:
        return name
    if name.partition(":")[0] not in ("aer", "exact", "fake", "pennylane"):
        return None
    try:
        return get_backend(name, **settings)
    except QtnmlError:
        return None
