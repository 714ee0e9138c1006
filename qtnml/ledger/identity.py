"""The id of a job: a hash of what it computes."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Parameter, ParameterExpression
from qiskit.circuit.library import get_standard_gate_name_mapping

from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.backends.translation import Group, Translator
from qtnml.errors import JobError

#: Decimal digits of an angle (radians) that count.
DIGITS = 12
_STANDARD = get_standard_gate_name_mapping()


def job_ids(
    circuits: Sequence[QuantumCircuit], backend: Backend, repeat: int = 0, *, versioned: bool = True
) -> list[str]:
    """The id of each circuit on a backend: SHA-256 of its gates, angles, the backend and the repeat.

    A bound circuit and a template with the same values are the same job; names of parameters, circuits and
    registers do not count, nor do shots. `versioned=False` leaves the version of a simulator out.
    """
    version = version_of(backend) if versioned else ""
    context = f"\n{key_of(backend.name, backend.settings, version)}\n{repeat}".encode()
    ids: list[str] = []
    for group in Translator(None).groups(circuits):
        structure, angles = contents(group)
        begun = hashlib.sha256(structure)  # the gates, once for all circuits of a template
        for row in angles:
            digest = begun.copy()
            digest.update(row.tobytes() + context)
            ids.append(digest.hexdigest())
    return ids


def backend_key(backend: Backend) -> str:
    """What measures, as one line of JSON: the backend, its settings and, of a simulator, its version.

    Who pays, and how jobs are queued (`Backend.billing`), is not in it.
    """
    return key_of(backend.name, backend.settings, version_of(backend))


def version_of(backend: Backend) -> str:
    """Of a simulator, whose results may change with it; nothing of a device."""
    return str(getattr(backend, "version", "") or "")


def key_of(name: str, settings: Mapping[str, Any], version: str) -> str:
    """See `backend_key`."""
    versioned = {"version": version} if version else {}
    try:
        return json.dumps(
            {"name": name, "settings": settings, **versioned},
            sort_keys=True,
            default=dict,
            allow_nan=False,
        )
    except (TypeError, ValueError) as error:
        raise JobError(f"the settings of backend {name!r} must be JSON types ({error})") from error


def contents(group: Group) -> tuple[bytes, NDArray]:
    """Gates and where they act, and every angle of each circuit at 12 digits (circuits, angles)."""
    lines: list[str] = [f"{group.template.num_qubits} {group.template.num_clbits}"]
    columns: list[NDArray] = []
    places = {parameter: place for place, parameter in enumerate(group.parameters)}
    for line, angles in _gates(group.template):
        lines.append(line)
        columns += [_column(angle, places, group.values) for angle in angles]
    rows = len(group.values)
    table = np.array(columns, dtype="<f8").reshape(len(columns), rows).T
    # Adding zero turns -0.0 into 0.0.
    return "\n".join(lines).encode(), np.ascontiguousarray(np.round(table, DIGITS) + 0.0)


def _gates(circuit: QuantumCircuit) -> Iterator[tuple[str, list[Any]]]:
    """Each instruction as a line of text, and its angles."""
    for instruction in circuit.data:
        operation = instruction.operation
        qubits = [circuit.find_bit(bit).index for bit in instruction.qubits]
        bits = [circuit.find_bit(bit).index for bit in instruction.clbits]
        angles, rest = [], []
        for parameter in operation.params:
            is_angle = isinstance(parameter, int | float | np.number | ParameterExpression)
            if is_angle and not isinstance(operation, ControlFlowOp):
                angles.append(parameter)
            else:
                rest.append(_digest(parameter))
        rest += _other_contents(operation)
        control = getattr(operation, "ctrl_state", "")
        yield f"{operation.name} {qubits} {bits} {len(angles)} {control} {rest}", angles


def _other_contents(operation: Any) -> list[str]:
    """What an instruction does that its name and angles do not tell."""
    if isinstance(operation, ControlFlowOp):
        return [str(getattr(operation, name, "")) for name in ("condition", "target", "cases_specifier")]
    if operation.name == "delay":
        return [f"{operation.duration} {operation.unit}"]
    known = _STANDARD.get(operation.name)
    if known is not None and getattr(operation, "base_class", type(operation)) is getattr(
        known, "base_class", type(known)
    ):
        return []
    # A gate of somebody's own: its name says nothing.
    definition = operation.definition
    return [repr(operation) if definition is None else _digest(definition)]


def _digest(parameter: Any) -> str:
    """Of a parameter that is no angle: a matrix, or the block of a control flow."""
    if isinstance(parameter, QuantumCircuit):
        return str([(line, [str(angle) for angle in angles]) for line, angles in _gates(parameter)])
    if isinstance(parameter, np.ndarray):
        return hashlib.sha256((np.round(parameter, DIGITS) + 0.0).tobytes()).hexdigest()
    return repr(parameter)


def _column(angle: Any, places: Mapping[Parameter, int], values: NDArray) -> NDArray:
    if isinstance(angle, Parameter):
        return np.asarray(values[:, places[angle]])
    if isinstance(angle, ParameterExpression) and angle.parameters:
        free = list(angle.parameters)
        return np.array([float(angle.bind({p: row[places[p]] for p in free})) for row in values])
    return np.full(len(values), float(angle))
