"""What a backend is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.errors import BackendError

#: Shots per outcome; the outcome is the classical register read as a binary number.
Counts: TypeAlias = dict[int, int]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do: mid-circuit resets, and exact probabilities beside shots."""

    resets: bool
    exact: bool


@runtime_checkable
class Backend(Protocol):
    """Runs bound circuits that end in a measurement of one classical register."""

    name: str
    capabilities: Capabilities

    def submit(self, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None) -> str:
        """Start a job over all circuits and return its id at once."""

    def fetch(self, job_id: str) -> list[Counts]:
        """Wait for a job and return the counts of each circuit, in order."""

    def run(self, circuits: Sequence[QuantumCircuit], *, shots: int, seed: int | None = None) -> list[Counts]:
        """Submit and fetch."""

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes), where `capabilities.exact`."""


def check_circuits(circuits: Sequence[QuantumCircuit]) -> None:
    """Refuse circuits that no backend can run as they are."""
    if isinstance(circuits, QuantumCircuit) or not isinstance(circuits, Sequence):
        raise BackendError(f"give a list of circuits, got {type(circuits).__name__}")
    for number, circuit in enumerate(circuits):
        if not isinstance(circuit, QuantumCircuit):
            raise BackendError(f"circuit {number} is no QuantumCircuit but {type(circuit).__name__}")
        if circuit.parameters:
            free = ", ".join(parameter.name for parameter in list(circuit.parameters)[:3])
            raise BackendError(
                f"circuit {number} has {circuit.num_parameters} unbound parameters ({free}, ...); "
                "bind samples first with CompiledCircuit.bind(X)"
            )
        if circuit.num_clbits == 0 or "measure" not in circuit.count_ops():
            raise BackendError(f"circuit {number} measures nothing; end it with a measurement")


def check_shots(shots: Any, seed: Any = None) -> None:
    """Refuse numbers of shots below 1, and seeds that are no integers."""
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or shots < 1:
        raise BackendError(f"shots must be an integer of at least 1, got {shots!r}")
    if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
        raise BackendError(f"seed must be None or a non-negative integer, got {seed!r}")
