"""Runs without a ledger, for simulators that are faster than a ledger."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.backends import Backend, get_backend
from qtnml.backends.base import Counts, checked_result
from qtnml.errors import InvalidInputError, JobError
from qtnml.jobs.plan import Plan
from qtnml.jobs.purchase import Confirm, Progress
from qtnml.jobs.request import Part
from qtnml.jobs.result import Result


class Unstored:
    """Replaces a `JobStore` without storing results: circuits run again on every request.

    >>> from qiskit import QuantumCircuit
    >>> circuit = QuantumCircuit(1, 1)
    >>> circuit.x(0) and circuit.measure(0, 0) and None
    >>> Unstored().run([circuit], "exact", shots=100)
    [{1: 100}]
    """

    def __repr__(self) -> str:
        return "Unstored()"

    def plan(
        self, circuits: Sequence[QuantumCircuit], backend: Backend | str, *, shots: int, **_: Any
    ) -> Plan:
        """Plan of `run`, which simulates all circuits."""
        return self.plan_parts([Part(circuits, shots)], backend)

    def plan_parts(self, parts: Sequence[Part], backend: Backend | str, **_: Any) -> Plan:
        """Plan of `run_parts`, which simulates all circuits."""
        found, count = _simulator(backend), sum(len(part.circuits) for part in parts)
        shots = sum(len(part.circuits) * part.shots for part in parts)
        return Plan(
            found.name, count, count, shots, 0, sum(bool(len(p.circuits)) for p in parts), None, paid=False
        )

    def check_plan(self, plan: Plan) -> None:
        """Accept any plan: there is no budget."""

    def run(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        confirm: Confirm | None = None,
        on_progress: Progress | None = None,
        **_: Any,
    ) -> list[Counts]:
        """Counts of each circuit; arguments as for `JobStore.run`.

        Raises:
            InvalidInputError: The backend costs money or device time.
            JobError: The run was not confirmed, or counts are missing.
        """
        return self.run_parts([Part(circuits, shots)], backend, confirm=confirm, on_progress=on_progress)[0]

    def run_parts(
        self,
        parts: Sequence[Part],
        backend: Backend | str,
        *,
        confirm: Confirm | None = None,
        on_progress: Progress | None = None,
        **_: Any,
    ) -> list[list[Counts]]:
        """Counts of circuits, part by part; arguments and errors as for `run`."""
        if not any(len(part.circuits) for part in parts):
            return [[] for _ in parts]
        found = _simulator(backend)
        if confirm is not None and not confirm(self.plan_parts(parts, found)):
            raise JobError("not confirmed; nothing was run")
        counts = [_counted(found, part) for part in parts]
        if on_progress is not None:
            on_progress(sum(len(part.circuits) for part in parts), "")
        return counts

    def measure_parts(self, parts: Sequence[Part], backend: Backend | str, **how: Any) -> Result:
        """Counts of circuits as a result; arguments as for `run_parts`."""
        counts = [each for part in self.run_parts(parts, backend, **how) for each in part]
        return Result(counts, np.array([sum(each.values()) for each in counts], dtype=int))


def _counted(backend: Backend, part: Part) -> list[Counts]:
    if not len(part.circuits):
        return []
    result = backend.fetch(backend.submit(part.circuits, shots=part.shots))
    result = checked_result(result, len(part.circuits), backend.name)
    if len(result.counts) < len(part.circuits):
        raise JobError(
            f"backend {backend.name!r} returned {len(result.counts)} results for {len(part.circuits)} "
            "circuits; run through a ledger (a JobStore), which asks again"
        )
    return result.counts


def _simulator(backend: Backend | str) -> Backend:
    found = get_backend(backend)
    if found.capabilities.paid:
        raise InvalidInputError(
            f"shots of backend {found.name!r} are paid for, so that a ledger has to keep them; leave "
            "jobs=False out, or give a JobStore"
        )
    return found
