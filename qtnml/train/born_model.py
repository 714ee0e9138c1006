"""A Born machine as the training loop sees it: strings to log-likelihoods."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import numpy as np

from qtnml.arrays import Array, namespace
from qtnml.born import TreeState
from qtnml.born.amplitudes import stacked
from qtnml.contract import Parameters
from qtnml.contract.amplitude_network import AmplitudeNetwork, one_hot
from qtnml.structure import Sites

_LEAST = 1e-12  # squared amplitude between vectors of norm about 1, below which a gradient fades


@dataclass(frozen=True)
class BornModel:
    """Amplitudes of strings; `Parameters.nodes` are the network's stacks of isometric cores.

    Attributes:
        network: Without a label.
    """

    network: AmplitudeNetwork

    @classmethod
    def of(cls, state: TreeState) -> tuple["BornModel", Parameters]:
        """A state's model and parameters."""
        network, stacks = stacked(state)
        return cls(network), Parameters(stacks)

    def state(self, parameters: Parameters) -> TreeState:
        """The canonical state of parameters."""
        sites = Sites(self.network.leaf_dims, self.network.tree)
        return TreeState.canonical(sites, [np.asarray(c) for c in self.network.cores(parameters.nodes)])

    def outcomes(
        self, parameters: Parameters, X: Array, *, postselection: Array | float | None = None
    ) -> tuple[Array, Array]:
        """Log-likelihoods (batch,) in nats of levels X (batch, sites), and zeros."""
        del postselection
        stacks = parameters.nodes
        xp = namespace(stacks[0])
        leaves = one_hot(X, max(self.network.leaf_dims), stacks[0].real.dtype)
        amplitudes, logs = self.network.amplitudes(stacks, leaves)
        squares = amplitudes[0].real ** 2 + amplitudes[0].imag ** 2
        found = xp.log(squares + _LEAST) + 2 * logs
        return found, xp.zeros_like(found)

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:  # noqa: ARG002
        """The log-likelihoods as they are."""
        return outcomes

    def project(self, parameters: Parameters) -> Parameters:
        """In double precision on NumPy."""
        wide = (np.complex128 if np.iscomplexobj(stack) else np.float64 for stack in parameters.nodes)
        stacks = zip(parameters.nodes, wide, strict=True)
        return Parameters(tuple(np.asarray(stack, dtype=dtype) for stack, dtype in stacks))


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """-ln P in nats, of log-likelihoods."""

    name: ClassVar[str] = "negative-log-likelihood"

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:  # noqa: ARG002
        """Loss of each sample."""
        return -outputs
