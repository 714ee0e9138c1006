"""Runs that keep nothing: for simulators that are quicker than a ledger."""

from collections.abc import Callable, Sequence

from qiskit import QuantumCircuit

from qtnml.backends import Backend, get_backend
from qtnml.backends.base import Counts, checked_result
from qtnml.errors import InvalidInputError, JobError
from qtnml.jobs.plan import Plan


class Unstored:
    """In the place of a `JobStore`: circuits are run, and run again whenever they are asked for.

    >>> from qiskit import QuantumCircuit
    >>> circuit = QuantumCircuit(1, 1)
    >>> circuit.x(0) and circuit.measure(0, 0) and None
    >>> Unstored().run([circuit], "exact", shots=100)
    [{1: 100}]
    """

    def __repr__(self) -> str:
        return "Unstored()"

    def plan(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,  # noqa: ARG002
    ) -> Plan:
        """What `run` would simulate: all of it."""
        found, count = _simulator(backend), len(circuits)
        return Plan(found.name, count, count, shots * count, 0, 1 if count else 0, None, paid=False)

    def check_plan(self, plan: Plan) -> None:
        """There is no budget."""

    def run(
        self,
        circuits: Sequence[QuantumCircuit],
        backend: Backend | str,
        *,
        shots: int,
        repeat: int = 0,
        label: str = "",  # noqa: ARG002
        confirm: Callable[[Plan], bool] | None = None,
        on_progress: Callable[[int, str], None] | None = None,
    ) -> list[Counts]:
        """Counts of each circuit; arguments as for `JobStore.run`.

        Raises:
            InvalidInputError: The backend is paid for.
            JobError: It was not confirmed, or counts are missing.
        """
        if not len(circuits):
            return []
        found = _simulator(backend)
        if confirm is not None and not confirm(self.plan(circuits, found, shots=shots, repeat=repeat)):
            raise JobError("not confirmed; nothing was run")
        result = checked_result(found.fetch(found.submit(circuits, shots=shots)), len(circuits), found.name)
        if len(result.counts) < len(circuits):
            raise JobError(
                f"backend {found.name!r} returned {len(result.counts)} results for {len(circuits)} circuits; "
                "run through a ledger (a JobStore), which asks again"
            )
        if on_progress is not None:
            on_progress(len(circuits), "")
        return result.counts


def _simulator(backend: Backend | str) -> Backend:
    found = get_backend(backend)
    if found.capabilities.paid:
        raise InvalidInputError(
            f"shots of backend {found.name!r} are paid for, so that a ledger has to keep them; leave "
            "jobs=False out, or give a JobStore"
        )
    return found
