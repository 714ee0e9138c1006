"""A circuit that draws strings, under a device's noise: the exact distribution of what is read.

The circuit is walked through backwards, from what is read to the first gate (see `backwards`), and becomes a
tree of Pauli transfer maps with resets, gates, the noise after each of them, waiting and the errors of
read-outs inside. So P(x) of any string, noise and all, is one contraction of real numbers: hundreds of sites
cost what the noise-free circuit costs, times 2**V.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.law import TreeLaw
from qtnml.errors import InvalidInputError
from qtnml.noise.backwards import law_backwards
from qtnml.noise.device import DeviceNoise
from qtnml.noise.law import with_copies
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
    """A generative circuit and the noise it runs under.

    Attributes:
        compiled: The circuit, with or without reuse.
        noise: By the circuit's own qubits.

    >>> from qtnml.born import TreeState
    >>> from qtnml.compile import compile_state
    >>> from qtnml.structure.sites import site_chain
    >>> state = TreeState.random(site_chain([2] * 100), 2, np.random.default_rng(0))
    >>> noise = DeviceNoise(t1=100e-6, t2=80e-6, two_qubit_time=70e-9, reset_time=1e-6, readout_error=0.01)
    >>> noisy = NoisyGenerativeCircuit(compile_state(state), noise)
    >>> noisy.law.log_probability(np.zeros((1, 100))).shape
    (1,)
    """

    compiled: StringCircuit
    noise: DeviceNoise

    def __post_init__(self) -> None:
        if not isinstance(self.noise, DeviceNoise):
            raise InvalidInputError(f"noise must be a qtnml.noise.DeviceNoise, got {self.noise!r}")

    @cached_property
    def law(self) -> TreeLaw:
        """Of all bits as they are read; a site of k levels has 2**bits, those above k as well."""
        rows = with_copies(rows_of(self.compiled.trained_program, self.noise), before_resets=False)
        return law_backwards(joins_last(rows, backwards=True), self.compiled.site_bits)

    def log_likelihood(self, X: NDArray) -> NDArray:
        """ln of the probability to read each string (samples, sites) of levels, -1 or NaN where missing;
        nats.

        Given that every site's bits are one of its levels (see `lost_mass`).
        """
        X = np.asarray(X, dtype=np.float64)
        valid = self._valid
        if valid is None:
            return self.law.log_probability(X)
        return np.asarray(valid.log_probability(X) - np.log1p(-self.lost_mass))

    @cached_property
    def lost_mass(self) -> float:
        """Probability that some site's bits are none of its levels; 0 if all have 2**m levels."""
        valid = self._valid
        if valid is None:
            return 0.0
        return float(1.0 - np.exp(valid.log_probability(np.full((1, len(self.compiled.site_dims)), -1)))[0])

    @cached_property
    def _valid(self) -> TreeLaw | None:
        """The distribution of the levels there are, of sum below 1; None where there are no others."""
        law, dims = self.law, self.compiled.site_dims
        if law.sites.dims == dims:
            return None
        cores = []
        for core, wires in zip(law.cores, law.tree.nodes, strict=True):
            for place, wire in enumerate(wires, 1):
                if wire < len(dims):
                    core = np.take(core, np.arange(dims[wire]), axis=place)
            cores.append(core)
        return TreeLaw(Sites(dims, law.tree), tuple(cores))

    def sample(self, rng: np.random.Generator, count: int) -> NDArray:
        """Strings as they are read, (count, sites), given that all bits stand for levels."""
        # Drawn level by level from the restricted distribution, so whatever share of the shots is lost.
        return (self._valid or self.law).sample(rng, count)
