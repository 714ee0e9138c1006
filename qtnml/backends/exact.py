"""Shots drawn from the exact distribution of a circuit: no state vector, any number of qubits."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends.base import Capabilities, Counts, version_of
from qtnml.backends.given_noise import device_given, noise_setting
from qtnml.backends.translation import Translation, Translator
from qtnml.errors import BackendError, InvalidInputError
from qtnml.noise import CircuitDistribution, DeviceNoise

_KEPT = 16  # distributions of templates


class Exact:
    """The exact distribution as a simulator: nothing is known but the circuit, nothing is approximated.

    Circuits are contracted with their noise as trees of maps (`qtnml.noise.CircuitDistribution`). Those of
    trees and chains come apart at any size; a circuit with many qubits entangled at once, as after routing by
    SWAPs or in a dense ansatz, is refused. Circuits that differ only in the data they encode are contracted
    together, in microseconds each. Of a shot that fails a post-selection, only that is told (see
    `qtnml.noise.CircuitDistribution`).

    Args:
        noise: A `qtnml.noise.DeviceNoise`, which acts on circuits as they are; or a Qiskit backend, or the
            name of one such as "fake:torino": circuits are then translated to it, and its calibration acts
            on the qubits they use.
        optimization_level, transpiler_seed, qubits: Of the translation; see `Translation`.
    """

    name = "exact"

    def __init__(
        self,
        noise: Any = None,
        optimization_level: int = 3,
        transpiler_seed: int = 0,
        qubits: Sequence[int] | None = None,
    ) -> None:
        device = device_given(noise)
        #: Whose noise is simulated; None for none, or numbers of one's own.
        self.described = device
        translation = Translation(optimization_level, transpiler_seed, qubits)
        self.target = translation.target(device)
        self._noise = noise if isinstance(noise, DeviceNoise) else DeviceNoise()
        if device is not None:
            self._noise = DeviceNoise.from_backend(device)
        #: The noise whose circuits are left as they are; None for a device's, or none.
        self.device_noise = noise if isinstance(noise, DeviceNoise) else None
        self.version = version_of(ours=True)
        self._translator = Translator(device, translation)
        self._distributions: dict[int, tuple[QuantumCircuit, CircuitDistribution]] = {}
        self.capabilities = Capabilities(resets=True, exact=True, seeds=True, quick=True)
        given = {"noise": noise_setting(noise), **translation.settings()}
        self.settings: Mapping[str, Any] = {name: value for name, value in given.items() if value is not None}

    def __getstate__(self) -> dict[str, Any]:
        """Without the distributions, which are known by ids of this process."""
        return {**vars(self), "_distributions": {}}

    def sample(self, circuits: Sequence[QuantumCircuit], shots: int, seed: int | None) -> list[Counts]:
        """Counts of each circuit."""
        rng = np.random.default_rng(seed)
        with _refusals():
            return [
                counts
                for distribution, values in self._groups(circuits)
                for counts in distribution.sample(values, shots, rng)
            ]

    def probabilities(self, circuits: Sequence[QuantumCircuit]) -> NDArray:
        """Exact outcome probabilities, shape (circuits, outcomes)."""
        with _refusals():
            return np.concatenate(
                [distribution.probabilities(values) for distribution, values in self._groups(circuits)]
            )

    def _groups(self, circuits: Sequence[QuantumCircuit]) -> Iterator[tuple[CircuitDistribution, NDArray]]:
        for group in self._translator.groups(circuits):
            if not group.parameters:  # a circuit of the user's, who may change it before the next call
                yield CircuitDistribution(group.template, (), self._noise), group.values
                continue
            known = self._distributions.get(id(group.template))
            if known is None:
                if len(self._distributions) >= _KEPT:
                    del self._distributions[next(iter(self._distributions))]
                distribution = CircuitDistribution(group.template, group.parameters, self._noise)
                # The template is kept beside its distribution: as long as it lives, its id is no other's.
                self._distributions[id(group.template)] = known = (group.template, distribution)
            yield known[1], group.values


@contextmanager
def _refusals() -> Iterator[None]:
    """What has no exact distribution is refused as a backend refuses."""
    try:
        yield
    except InvalidInputError as error:
        raise BackendError(f"backend 'exact' cannot run this circuit: {error}") from error
