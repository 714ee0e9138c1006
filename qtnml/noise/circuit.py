"""Exact probabilities of a compiled circuit under a device's noise, for any number of qubits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.encoding import Encoding, leaf_paulis
from qtnml.errors import InvalidInputError
from qtnml.noise.device import DeviceNoise
from qtnml.noise.distribution import CircuitDistribution, with_copies
from qtnml.noise.instructions import Instructions
from qtnml.noise.order import joins_last
from qtnml.noise.rows import rows_of
from qtnml.noise.tree import CircuitTree, evaluated
from qtnml.noise.walk import walk
from qtnml.program import Check, Encode, Program, Reset

_LARGEST_MAP = 2**24  # numbers


class DataCircuit(Protocol):
    """What is needed of a compiled circuit that takes data in."""

    @property
    def encoding(self) -> Encoding:
        """Turns features into data angles."""

    @property
    def trained_program(self) -> Program:
        """Its program, weights bound."""

    @property
    def num_outcomes(self) -> int:
        """Number of outcomes."""

    def angles(self, X: NDArray) -> NDArray:
        """Data angles (samples, data qubits) of samples (samples, features)."""


@dataclass(frozen=True, eq=False)
class NoisyCircuit:
    """A compiled circuit with the noise it runs under. Its probabilities are exact for this noise model.

    Noise acts after every gate, on waiting qubits, at resets and at the read-out. Waiting times follow the
    circuit's own schedule, in which everything happens as late as possible. All noise of a node of the
    circuit is multiplied once into one Pauli transfer map. Samples are then contracted at the cost of the
    noise-free network. Nothing is sampled or approximated within this noise model. The model does not contain
    crosstalk, leakage, drift, or resets whose result depends on the state before.

    Attributes:
        compiled: Any compiled circuit, with or without reuse, for a device or none.
        noise: Noise on the circuit's own qubits. After `compile(target=backend)` these are the device's
            qubits.
        largest_map: Largest number of entries in a node's map. A circuit that needs more is refused.

    >>> from qtnml.encoding import AngleEncoding
    >>> from qtnml.compile import compile_network
    >>> from qtnml.ansatz import TensorNetwork
    >>> from qtnml.structure import balanced_tree
    >>> network = TensorNetwork.random(balanced_tree(64), np.random.default_rng(0))
    >>> noise = DeviceNoise(t1=100e-6, t2=80e-6, two_qubit_time=70e-9, reset_time=1e-6, readout_error=0.01)
    >>> noisy = NoisyCircuit(compile_network(network, AngleEncoding()), noise)
    >>> noisy.probabilities(np.full((1, 64), 0.3)).shape
    (1, 2)
    """

    compiled: DataCircuit
    noise: DeviceNoise
    largest_map: int = _LARGEST_MAP

    def __post_init__(self) -> None:
        if not isinstance(self.noise, DeviceNoise):
            raise InvalidInputError(f"noise must be a qtnml.noise.DeviceNoise, got {self.noise!r}")

    @cached_property
    def instructions(self) -> Instructions:
        """The circuit as arrays, in the order of the walk."""
        rows = rows_of(self.compiled.trained_program, self.noise)
        return joins_last(with_copies(rows, before_resets=True))

    @cached_property
    def tree(self) -> CircuitTree:
        """The circuit as a tree of maps."""
        return self.tree_of(self.instructions)

    def tree_of(self, instructions: Instructions) -> CircuitTree:
        """The circuit as a tree of maps, with the rates of other instructions."""
        labels = len(leaf_paulis(self.compiled.encoding))
        return walk(instructions, labels, largest=self.largest_map)

    @cached_property
    def maps(self) -> tuple[NDArray, ...]:
        """Transfer maps as `contract` takes them."""
        return self.tree.stacked_maps()

    def leaves(self, angles: NDArray) -> NDArray:
        """Leaf expectations (labels, leaves, samples) at data angles (samples, data qubits)."""
        if self.tree.by_angle:
            return self.tree.leaves_by_angle(angles)
        angles = angles[:, list(self.tree.places)].T
        zero, one = (np.asarray(a) for a in self.compiled.encoding.amplitudes(angles))
        cross = zero.conj() * one
        difference = np.abs(zero) ** 2 - np.abs(one) ** 2
        rows = [np.ones_like(difference), 2 * cross.real, 2 * cross.imag, difference]
        return np.stack([rows["IXYZ".index(label)] for label in leaf_paulis(self.compiled.encoding)])

    def probabilities(self, X: NDArray) -> NDArray:
        """Outcome probabilities (samples, outcomes) of samples (samples, features).

        If the circuit is post-selected, they are conditional on success.
        """
        return self.evaluate(self.compiled.angles(X))[0]

    def log_success(self, X: NDArray) -> NDArray:
        """Natural logarithm of the probability that a shot counts, (samples,); 0 without post-selection."""
        return self.evaluate(self.compiled.angles(X))[1]

    def evaluate(self, angles: NDArray) -> tuple[NDArray, NDArray]:
        """Outcome probabilities and log success probabilities at data angles (samples, data qubits)."""
        try:
            tree = self.tree
        except InvalidInputError:
            # Candidates are compared by smaller maps, and quickly.
            if self.largest_map < _LARGEST_MAP or not self._goes_on_after_checks:
                raise
            return self._by_settings(angles)
        return evaluated(tree, self.maps, self.leaves, angles)

    @cached_property
    def _goes_on_after_checks(self) -> bool:
        """Whether data enter a qubit that was checked and not reset: the state it is in depends on more."""
        checked = set[int]()
        for step in self.compiled.trained_program.steps:
            if isinstance(step, Check):
                checked |= set(step.qubits)
            elif isinstance(step, Reset):
                checked -= set(step.qubits)
            elif isinstance(step, Encode) and step.qubits[0] in checked:
                return True
        return False

    def _by_settings(self, angles: NDArray) -> tuple[NDArray, NDArray]:
        """Each sample's circuit by itself, its data as numbers: slower, for small circuits."""
        program = self.compiled.trained_program
        free = {
            s.place: next(iter(s.instruction.params[0].parameters))
            for s in program.steps
            if isinstance(s, Encode)
        }
        distribution = CircuitDistribution(program.circuit(), tuple(free.values()), self.noise)
        return distribution.given_success(angles[:, list(free)])
