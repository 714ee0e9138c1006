"""A generative circuit under a device's noise: the exact distribution of its read-out.

The circuit is walked through backwards, from the read-outs to the first gate (see `backwards`). It becomes a
tree of Pauli transfer maps. The maps contain resets, gates, the noise after each of them, waiting and
read-out errors. So P(x) of any string under noise is one contraction of real numbers. The cost, also for
hundreds of sites, is that of the noise-free circuit times 2**V.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.distribution import TreeDistribution
from qtnml.errors import InvalidInputError
from qtnml.noise.backwards import distribution_backwards
from qtnml.noise.device import DeviceNoise
from qtnml.noise.distribution import with_copies
from qtnml.noise.order import joins_last
from qtnml.noise.rows import rows_of
from qtnml.program import Program
from qtnml.structure.sites import Sites


class StringCircuit(Protocol):
    """What is needed of a compiled circuit that draws strings."""

    @property
    def trained_program(self) -> Program:
        """Its program, weights bound."""

    @property
    def site_bits(self) -> tuple[tuple[int, ...], ...]:
        """Classical bits of each site, the most significant first."""

    @property
    def site_dims(self) -> tuple[int, ...]:
        """Levels of each site."""


@dataclass(frozen=True, eq=False)
class NoisyGenerativeCircuit:
    """A generative circuit with the noise it runs under.

    Attributes:
        compiled: The circuit, with or without reuse.
        noise: Noise on the circuit's own qubits.

    >>> from qtnml.born import TreeState
    >>> from qtnml.compile import compile_state
    >>> from qtnml.structure.sites import site_chain
    >>> state = TreeState.random(site_chain([2] * 100), 2, np.random.default_rng(0))
    >>> noise = DeviceNoise(t1=100e-6, t2=80e-6, two_qubit_time=70e-9, reset_time=1e-6, readout_error=0.01)
    >>> noisy = NoisyGenerativeCircuit(compile_state(state), noise)
    >>> noisy.distribution.log_probability(np.zeros((1, 100))).shape
    (1,)
    """

    compiled: StringCircuit
    noise: DeviceNoise

    def __post_init__(self) -> None:
        if not isinstance(self.noise, DeviceNoise):
            raise InvalidInputError(f"noise must be a qtnml.noise.DeviceNoise, got {self.noise!r}")

    @cached_property
    def distribution(self) -> TreeDistribution:
        """Distribution of all bits as read. A site of k levels has 2**bits values, also those above k."""
        rows = with_copies(rows_of(self.compiled.trained_program, self.noise), before_resets=False)
        return distribution_backwards(joins_last(rows, backwards=True), self.compiled.site_bits)

    def log_likelihood(self, X: NDArray) -> NDArray:
        """Log-probability in nats to read each string of levels (samples, sites), -1 or NaN where missing.

        It is conditional on every site's bits being one of its levels (see `lost_mass`).
        """
        X = np.asarray(X, dtype=np.float64)
        valid = self._valid
        if valid is None:
            return self.distribution.log_probability(X)
        return np.asarray(valid.log_probability(X) - np.log1p(-self.lost_mass))

    @cached_property
    def lost_mass(self) -> float:
        """Probability that the bits of some site are none of its levels; 0 if all sites have 2**m levels."""
        valid = self._valid
        if valid is None:
            return 0.0
        return float(1.0 - np.exp(valid.log_probability(np.full((1, len(self.compiled.site_dims)), -1)))[0])

    @cached_property
    def _valid(self) -> TreeDistribution | None:
        """The distribution of the levels there are, of sum below 1; None where there are no others."""
        distribution, dims = self.distribution, self.compiled.site_dims
        if distribution.sites.dims == dims:
            return None
        cores = []
        for core, wires in zip(distribution.cores, distribution.tree.nodes, strict=True):
            for place, wire in enumerate(wires, 1):
                if wire < len(dims):
                    core = np.take(core, np.arange(dims[wire]), axis=place)
            cores.append(core)
        return TreeDistribution(Sites(dims, distribution.tree), tuple(cores))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray:
        """Strings as read, shape (count, sites), conditional on all bits being valid levels."""
        # Drawn level by level from the restricted distribution, so whatever share of the shots is lost.
        return (self._valid or self.distribution).sample(rng, count)
