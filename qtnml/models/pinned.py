"""Compiled circuits kept in the ledger: after a recalibration, the same script finds what it has bought.

The id of a job is the hash of its circuit, and a device's calibration decides on which qubits a circuit is
laid. Compiled anew each day, the same model would be other jobs each day. So the first circuit is kept, by
model, device and options.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import numpy as np

from qtnml.backends import Backend
from qtnml.backends.translation import is_native
from qtnml.compile import expected_on
from qtnml.compile.compiled import Compiled
from qtnml.compile.stored import circuit_entry, restored_circuit
from qtnml.errors import ModelFileError, PinnedCircuitWarning, warn_user
from qtnml.jobs import JobStore, store_for
from qtnml.jobs.plan import calibration_of
from qtnml.ledger.identity import backend_key
from qtnml.ledger.transitions import moment
from qtnml.models.noise import target_of
from qtnml.program.device import device_of
from qtnml.storage import archive_bytes, read_archive

KIND = "qtnml-circuit"
C = TypeVar("C", bound=Compiled)


@dataclass(frozen=True)
class Pin:
    """Where a circuit is kept.

    Attributes:
        store: The ledger.
        backend: Whose device it is for.
        key: SHA-256 of model, device and options.
    """

    store: JobStore
    backend: Backend
    key: str

    def keep(self, compiled: C, *, anew: bool = False) -> C:
        """Keep a circuit, in the place of another with `anew`; return the one that is kept.

        Another process may have kept one while this one compiled: jobs are then bought with that.
        """
        content, when = _written(compiled), calibrated_now(self.backend)
        if anew:
            self.store.ledger.replace_program(self.key, self.backend.name, content, when)
            return compiled
        kept = self.store.ledger.keep_program(self.key, self.backend.name, content, when).content
        return compiled if kept == content else replace(_read(kept), device=device_of(self.backend))


def pin_of(jobs: Any, backend: Backend, learnt: Any, facts: Any, options: Mapping[str, Any]) -> Pin | None:
    """Where the circuit of a model is kept; None where it need not be, as shots cost nothing.

    Args:
        jobs: The ledger, as the models take it.
        backend: Where it will run.
        learnt: Pytree of all the model's numbers.
        facts: What else the model is, by its `repr`: without arrays, which are shown shortened.
        options: Of the compiler.
    """
    if not backend.capabilities.paid or target_of(backend) is None:
        return None
    store = store_for(jobs, backend)
    if not isinstance(store, JobStore):
        return None
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(learnt):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    given = {name: _text(value) for name, value in options.items()}
    digest.update(json.dumps([repr(facts), given, backend_key(backend)], sort_keys=True).encode())
    return Pin(store, backend, digest.hexdigest())


def _text(value: Any) -> str:
    """Of an option; numbers of samples count, not how many of them are shown."""
    if hasattr(value, "__array__"):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return repr(value)


def pinned(pin: Pin | None, compile_now: Callable[[], C], *, recalibrate: bool = False) -> C:
    """The circuit that was kept, or the one compiled now, which is kept.

    Args:
        pin: Where it is kept; None keeps nothing.
        compile_now: Compiles for the device's calibration of now.
        recalibrate: Compile anew, whatever was kept.
    """
    if pin is None:
        return compile_now()
    kept = None if recalibrate else pin.store.ledger.program(pin.key)
    if kept is None:
        return pin.keep(compile_now(), anew=recalibrate)
    found = _read(kept.content)
    found = replace(found, device=device_of(pin.backend))
    calibration = calibrated_now(pin.backend)
    when = moment(kept.created)[:16]
    if not is_native(found.circuit, pin.backend.target):  # type: ignore[attr-defined]
        warn_user(
            f"the circuit compiled on {when} no longer runs on {pin.backend.name} (a qubit or coupling is "
            "gone), so it is compiled anew, and bought anew",
            PinnedCircuitWarning,
        )
        return pin.keep(compile_now(), anew=True)
    if calibration == kept.calibration:
        return found  # type: ignore[no-any-return]
    noted = json.loads(kept.note) if kept.note else {}
    if noted.get("calibration") != calibration:
        noted = {"calibration": calibration, "says": _difference(found, compile_now(), pin.backend)}
        pin.store.ledger.note_program(pin.key, json.dumps(noted))
    if noted["says"]:
        warn_user(
            f"the circuit is the one compiled on {when}, so that what was bought with it is found again; "
            f"{noted['says']}",
            PinnedCircuitWarning,
        )
    return found  # type: ignore[no-any-return]


def _difference(kept: Compiled, today: Compiled, backend: Backend) -> str:
    """What today's calibration would choose otherwise; nothing if it would choose the same."""
    if kept.layout == today.layout and kept.num_qubits == today.num_qubits:
        return ""
    then, now = _places(kept), _places(today)
    text = f"its layout is of that day ({then}); today's calibration would choose {now}"
    old, new = expected_on(kept, backend), today.expected
    if old is not None and new is not None:
        text += f" (expected today: {old}; there: {new})"
    return text + "; `recalibrated()`, or to_backend(..., recalibrate=True), compiles anew"


def _places(compiled: Compiled) -> str:
    qubits = [str(qubit) for qubit in compiled.layout or ()]
    shown = ", ".join(qubits[:8]) + (", ..." if len(qubits) > 8 else "")
    return f"{len(qubits)} qubits: {shown}"


def calibrated_now(backend: Backend) -> str:
    """The device's calibration of now: its time, or a digest of its figures where it tells no time."""
    told = calibration_of(backend)
    if told is not None:
        return told
    target: Any = getattr(backend, "target", None)
    figures = []
    for name in sorted(target.operation_names if target is not None else ()):
        for qubits, given in sorted((target[name] or {}).items(), key=str):
            figures.append(
                f"{name} {qubits} {getattr(given, 'error', None)} {getattr(given, 'duration', None)}"
            )
    return hashlib.sha256("\n".join(figures).encode()).hexdigest()


def _written(compiled: Compiled) -> bytes:
    header, arrays = circuit_entry(compiled)
    return archive_bytes({"circuit": header}, arrays, kind=KIND)


def _read(content: bytes) -> Any:
    try:
        header, arrays = read_archive(content, "the circuit in the ledger", kind=KIND)
        return restored_circuit(header["circuit"], arrays)
    except ModelFileError:
        raise
    except Exception as error:  # a damaged cell may hold anything
        raise ModelFileError(
            f"the circuit in the ledger is damaged ({error}); to_backend(..., recalibrate=True) compiles anew"
        ) from error
