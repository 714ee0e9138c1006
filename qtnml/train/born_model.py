"""A Born machine as the training loop sees it: strings to log-likelihoods."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, namespace
from qtnml.born import TreeState
from qtnml.born.amplitudes import stacked
from qtnml.contract import Parameters
from qtnml.contract.amplitude_network import AmplitudeNetwork, one_hot
from qtnml.structure import Sites, Tree

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
        found = self._log_squares(parameters, X)[0]
        return found, namespace(found).zeros_like(found)

    def _log_squares(self, parameters: Parameters, X: Array) -> Array:
        """ln |amplitude|**2, (classes or 1, batch)."""
        stacks = parameters.nodes
        leaves = one_hot(X, max(self.network.leaf_dims), stacks[0].real.dtype)
        amplitudes, logs = self.network.amplitudes(stacks, leaves)
        squares = amplitudes.real**2 + amplitudes.imag**2
        return namespace(squares).log(squares + _LEAST) + 2 * logs  # type: ignore[no-any-return]

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:  # noqa: ARG002
        """The log-likelihoods as they are."""
        return outcomes

    def project(self, parameters: Parameters) -> Parameters:
        """In double precision on NumPy."""
        wide = (np.complex128 if np.iscomplexobj(stack) else np.float64 for stack in parameters.nodes)
        stacks = zip(parameters.nodes, wide, strict=True)
        return Parameters(tuple(np.asarray(stack, dtype=dtype) for stack, dtype in stacks))


@dataclass(frozen=True)
class LabelledBornModel(BornModel):
    """Joint log-likelihoods of strings and every class, the class being the last site.

    Attributes:
        network: With the class as its label.
        label_axis: Of the label in the core of its node, as the state has it.
    """

    network: AmplitudeNetwork
    label_axis: int

    @classmethod
    def of(cls, state: TreeState) -> tuple["LabelledBornModel", Parameters]:
        """A state's model and parameters."""
        tree, leaf = state.tree, state.tree.num_leaves - 1
        node = tree.node_of_leaf[leaf]
        axis = 1 + tree.nodes[node].index(leaf)
        nodes = tuple(tuple(wire - (wire > leaf) for wire in wires if wire != leaf) for wires in tree.nodes)
        bonds = tuple(core.shape[0] for core in state.cores)
        network = AmplitudeNetwork(
            Tree(leaf, nodes), state.sites.dims[:-1], bonds, state.sites.dims[-1], node
        )
        cores = [
            np.moveaxis(core, axis, -1) if k == node else core[..., None]
            for k, core in enumerate(state.cores)
        ]
        return cls(network, axis), Parameters(network.stacks(cores))

    def state(self, parameters: Parameters) -> TreeState:
        """The canonical state of parameters."""
        network, leaf = self.network, self.network.tree.num_leaves
        nodes, cores = [], []
        for k, core in enumerate(network.cores(parameters.nodes)):
            wires = [wire + (wire >= leaf) for wire in network.tree.nodes[k]]
            core = np.asarray(core)
            if k == network.label_node:
                wires.insert(self.label_axis - 1, leaf)
                core = np.moveaxis(core, -1, self.label_axis)
            else:
                core = core[..., 0]
            nodes.append(tuple(wires))
            cores.append(core)
        sites = Sites((*network.leaf_dims, network.num_classes), Tree(leaf + 1, tuple(nodes)))
        return TreeState.canonical(sites, cores)

    def outcomes(
        self, parameters: Parameters, X: Array, *, postselection: Array | float | None = None
    ) -> tuple[Array, Array]:
        """Joint log-likelihoods (classes, batch) in nats of levels X (batch, sites), and zeros."""
        del postselection
        found = self._log_squares(parameters, X)
        return found, namespace(found).zeros_like(found[0])


@dataclass(frozen=True)
class JointLoss:
    """A weighted sum of negative log-likelihood and cross-entropy, nats, of joint log-likelihoods.

    Attributes:
        discriminative: Weight of the cross-entropy, from 0 to 1; the other has the rest.
    """

    name: ClassVar[str] = "joint"
    discriminative: float = 0.5

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample, of outputs (classes, batch)."""
        own = jnp.take_along_axis(outputs, targets[None], axis=0)[0]
        return self.discriminative * jax.nn.logsumexp(outputs, axis=0) - own


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """-ln P in nats, of log-likelihoods."""

    name: ClassVar[str] = "negative-log-likelihood"

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:  # noqa: ARG002
        """Loss of each sample."""
        return -outputs
