"""The contract of every backend, built in or your own, as checks that can be run one by one."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qtnml.ansatz import TensorNetwork
from qtnml.backends.base import Backend, Counts, JobStatus, is_backend, run_circuits
from qtnml.compile import BoundCircuits, compile_network
from qtnml.encoding import AngleEncoding
from qtnml.errors import BackendError
from qtnml.structure import balanced_tree

_SHOTS = 200

#: Takes a backend and the largest deviation of a probability that its noise may cause.
Check = Callable[[Backend, float], None]


def check_backend(backend: Backend, *, tolerance: float = 0.0) -> None:
    """Run every check on a backend.

    Args:
        backend: A backend, built in or your own.
        tolerance: Largest deviation of a probability that its noise may cause; 0 for an ideal backend.

    Raises:
        BackendError: A check failed; the error names the first one.
    """
    for check in CHECKS.values():
        check(backend, tolerance)


def _members(backend: Backend, _: float) -> None:
    _require(is_backend(backend), backend, "lacks members of qtnml.backends.Backend")
    try:
        json.dumps(dict(backend.settings), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BackendError(f"{backend.name}: settings are no JSON types ({error})") from error


def _counts_add_up(backend: Backend, _: float) -> None:
    found = run_circuits(backend, [_prepared("10"), _prepared("01")], shots=_SHOTS)
    _require([sum(counts.values()) for counts in found] == [_SHOTS] * 2, backend, f"lost shots: {found}")
    kinds = {type(number) for counts in found for pair in counts.items() for number in pair}
    _require(kinds == {int}, backend, f"counts are no integers: {found}")


def _bit_order(backend: Backend, tolerance: float) -> None:
    circuits = [_prepared(bits) for bits in ("100", "010", "001", "110")]
    for counts, outcome in zip(run_circuits(backend, circuits, shots=_SHOTS), (1, 2, 4, 3), strict=True):
        _require_close(backend, counts, {outcome: 1.0}, tolerance)
    crossed = QuantumCircuit(2, 2)
    crossed.x(0)
    crossed.measure([0, 1], [1, 0])
    _require_close(backend, run_circuits(backend, [crossed], shots=_SHOTS)[0], {2: 1.0}, tolerance)


def _parameter_binding(backend: Backend, tolerance: float) -> None:
    a, b = Parameter("b"), Parameter("a")  # not in the order of their names
    template = QuantumCircuit(2, 2)
    template.ry(a, 0)
    template.ry(b, 1)
    template.measure([0, 1], [0, 1])
    values = np.array([[0.4, 2.0], [1.3, 0.2], [2.5, 2.9]])
    found = run_circuits(backend, BoundCircuits(template, (a, b), values), shots=4 * _SHOTS)
    _require(len(found) == 3, backend, f"ran {len(found)} circuits instead of 3")
    for counts, (first, second) in zip(found, np.sin(values / 2) ** 2, strict=True):
        expected = np.kron([1 - second, second], [1 - first, first])
        _require_close(backend, counts, dict(enumerate(expected)), tolerance)


def _empty_batch(backend: Backend, _: float) -> None:
    _require(run_circuits(backend, [], shots=1) == [], backend, "does not return [] for no circuits")


def _seeds(backend: Backend, _: float) -> None:
    if not backend.capabilities.seeds:
        return
    circuits = [_turned(1.2)] * 3
    first = run_circuits(backend, circuits, shots=_SHOTS, seed=1)
    _require(
        first == run_circuits(backend, circuits, shots=_SHOTS, seed=1), backend, "equal seeds, other counts"
    )
    others = [run_circuits(backend, circuits, shots=_SHOTS, seed=seed) for seed in (2, 3, 4)]
    _require(any(first != other for other in others), backend, "other seeds give equal counts")
    _require(
        len({tuple(sorted(c.items())) for c in [*first, *others[0], *others[1]]}) > 1, backend, "draws once"
    )


def _too_many_qubits(backend: Backend, _: float) -> None:
    limit = backend.capabilities.num_qubits
    if limit is not None:
        _require_refused(backend, [_prepared("1" * (limit + 1))], f"{limit + 1} qubits")


def _bad_input(backend: Backend, _: float) -> None:
    free = QuantumCircuit(1, 1)
    free.rx(Parameter("t"), 0)
    free.measure(0, 0)
    silent = QuantumCircuit(1, 1)
    silent.x(0)
    _require_refused(backend, [free], "an unbound parameter")
    _require_refused(backend, [silent], "no measurement")
    _require_refused(backend, _prepared("1"), "a circuit instead of a list")
    for shots in (0, -1, 1.5, None):
        _require_refused(backend, [_prepared("1")], f"{shots} shots", shots=shots)


def _resets(backend: Backend, tolerance: float) -> None:
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.reset(0)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    if backend.capabilities.resets:
        _require_close(backend, run_circuits(backend, [circuit], shots=_SHOTS)[0], {1: 1.0}, tolerance)
    else:
        _require_refused(backend, [circuit], "a reset", saying="reuse_qubits=False")


def _mid_circuit_measurement(backend: Backend, tolerance: float) -> None:
    circuit = QuantumCircuit(1, 2)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    if backend.capabilities.mid_circuit_measurement:
        _require_close(backend, run_circuits(backend, [circuit], shots=_SHOTS)[0], {1: 1.0}, tolerance)
    else:
        _require_refused(backend, [circuit], "a measurement in the middle")


def _jobs(backend: Backend, _: float) -> None:
    tag = f"qtnml-check-{np.random.default_rng().integers(2**62)}"
    _require(backend.find(tag) is None, backend, "finds a job under a tag it never saw")
    first, second = (backend.submit([_prepared(bits)], shots=20, tag=tag + bits) for bits in ("10", "01"))
    later = backend.fetch(second)
    _require(len(later.counts) == 1 and sum(later.counts[0].values()) == 20, backend, "mixes jobs up")
    _require(sum(backend.fetch(first).counts[0].values()) == 20, backend, "forgets the first job")
    _require(backend.status(first) is JobStatus.DONE, backend, "a fetched job is not done")
    _require(backend.fetch(first).counts == backend.fetch(first).counts, backend, "a result changes")
    if backend.capabilities.searchable:
        _require(backend.find(tag + "01") == second, backend, "does not find a job by its tag")
    for call in (backend.status, backend.fetch):
        try:
            call("no-such-job")
        except BackendError:
            continue
        raise BackendError(f"{backend.name}: knows a job that never was")


def _cancellation(backend: Backend, _: float) -> None:
    jobs = [backend.submit([_turned(0.3)] * 5, shots=_SHOTS) for _ in range(3)]
    backend.cancel(jobs[-1])
    status = backend.status(jobs[-1])
    _require(isinstance(status, JobStatus), backend, f"its status is {status!r}")
    if status is JobStatus.CANCELLED:
        try:
            backend.fetch(jobs[-1])
        except BackendError:
            pass
        else:
            raise BackendError(f"{backend.name}: a cancelled job has a result")
    _require(len(backend.fetch(jobs[0]).counts) == 5, backend, "cancelling one job harms another")
    backend.cancel(jobs[0])  # one that is done stays done
    _require(backend.status(jobs[0]) is JobStatus.DONE, backend, "a finished job was cancelled")


def _networks(backend: Backend, tolerance: float) -> None:
    """A tree of four leaves, with and without reuse, gives the network's own probabilities."""
    network = TensorNetwork.random(balanced_tree(4), np.random.default_rng(2))
    X = np.random.default_rng(3).random((2, 4))
    for reuse in (True, False):
        compiled = compile_network(network, AngleEncoding(), reuse_qubits=reuse)
        circuits = compiled.bind(X)
        if reuse and not backend.capabilities.resets:
            _require_refused(backend, circuits, "a reset", saying="reuse_qubits=False")
            continue
        found = run_circuits(backend, circuits, shots=4 * _SHOTS)
        for counts, expected in zip(found, compiled.probabilities(X), strict=True):
            _require_close(backend, counts, dict(enumerate(expected)), tolerance)


def _exact(backend: Any, tolerance: float) -> None:
    if not backend.capabilities.exact:
        return
    found = np.asarray(backend.probabilities([_turned(1.2), _prepared("10")]))
    expected = np.zeros((2, 4))
    expected[0, :2] = np.cos(0.6) ** 2, np.sin(0.6) ** 2
    expected[1, 1] = 1.0
    _require(found.shape == (2, 4), backend, f"probabilities of shape {found.shape} instead of (2, 4)")
    _require(np.abs(found - expected).max() <= tolerance + 1e-6, backend, "exact probabilities are off")


CHECKS: dict[str, Check] = {
    "members": _members,
    "counts add up": _counts_add_up,
    "bit order": _bit_order,
    "parameter binding": _parameter_binding,
    "empty batch": _empty_batch,
    "seeds": _seeds,
    "too many qubits": _too_many_qubits,
    "bad input": _bad_input,
    "resets": _resets,
    "mid-circuit measurement": _mid_circuit_measurement,
    "jobs": _jobs,
    "cancellation": _cancellation,
    "networks": _networks,
    "exact probabilities": _exact,
}


def _prepared(bits: str) -> QuantumCircuit:
    """|bits>, qubit 0 first, measured into bits of the same number."""
    circuit = QuantumCircuit(len(bits), len(bits))
    for qubit, bit in enumerate(bits):
        if bit == "1":
            circuit.x(qubit)
    circuit.measure(range(len(bits)), range(len(bits)))
    return circuit


def _turned(angle: float) -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.ry(angle, 0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def _require(holds: bool, backend: Backend, message: str) -> None:
    if not holds:
        raise BackendError(f"{getattr(backend, 'name', backend)}: {message}")


def _require_close(backend: Backend, counts: Counts, expected: dict[int, float], tolerance: float) -> None:
    """Every outcome within the tolerance and five standard deviations."""
    shots = sum(counts.values())
    for outcome in counts.keys() | expected.keys():
        p = expected.get(outcome, 0.0)
        allowed = (
            tolerance + 5 * math.sqrt(max(p * (1 - p), 0.0) / shots) + (1e-9 if p in (0, 1) else 1 / shots)
        )
        found = counts.get(outcome, 0) / shots
        _require(
            abs(found - p) <= allowed, backend, f"outcome {outcome} came with {found:.3f} instead of {p:.3f}"
        )


def _require_refused(
    backend: Backend, circuits: Sequence[QuantumCircuit], what: str, *, shots: Any = 10, saying: str = ""
) -> None:
    try:
        backend.submit(circuits, shots=shots)
    except BackendError as error:
        _require(saying in str(error), backend, f"refuses {what} without saying {saying!r}: {error}")
        return
    raise BackendError(f"{backend.name}: accepts {what}")
