"""Amplitude classifiers: a tree of cores of any bond dimension, one of which carries the label.

This is the model of arXiv:1605.05775 on any tree. The probability of class c is |f_c|**2 / sum |f|**2, with
f_c the amplitudes of the label. As a quantum model it is a post-selected measurement, so only ratios of
amplitudes count. Therefore every bond can be rescaled, and nothing over- or underflows with the number of
sites.

See `AmplitudeNetwork` for the contraction.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.contract.amplitude_network import AmplitudeNetwork, as_many_take_it, one_hot
from qtnml.contract.factorised_network import FactorisedNetwork
from qtnml.contract.many import evaluate_many
from qtnml.contract.model import Parameters, as_given
from qtnml.encoding import AngleEncoding, Encoding
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree, chain

_TINY = 1e-30
_CHUNK_FLOATS = 2**22
_BOND_OF_A_LABEL = 0.1  # first entries of the label's core


@dataclass(frozen=True)
class AmplitudeModel:
    """A network with a label; `apply(parameters, x)` is pure.

    `Parameters.nodes` are the network's stacks of cores.

    Attributes:
        network: Tree, dimensions, classes and the label's node.
        encoding: Encoding of features into data qubits, one leaf each. None if samples are levels (integers);
            then each feature has one leaf, whose dimension is its number of levels.

    >>> model = AmplitudeModel.on_tree(chain(4, root=2), num_classes=3, bond_dim=5)
    >>> parameters = model.start(np.random.default_rng(0))
    >>> model.apply(parameters, np.full((2, 4), 0.5)).shape
    (2, 3)
    """

    network: AmplitudeNetwork
    encoding: Encoding | None = field(default_factory=AngleEncoding)

    def __post_init__(self) -> None:
        if self.network.num_classes < 2:
            raise InvalidInputError(
                f"an amplitude classifier needs at least two classes, got {self.network.num_classes}"
            )
        if self.encoding is not None:
            if set(self.network.leaf_dims) != {2}:
                raise InvalidInputError("encoded features are leaves of dimension 2")
            if self.network.tree.num_leaves % self.encoding.qubits_per_feature:
                raise InvalidInputError(
                    f"encoding {self.encoding.name!r} has {self.encoding.qubits_per_feature} qubits for "
                    f"each feature, which do not fit {self.network.tree.num_leaves} leaves"
                )

    @classmethod
    def on_tree(
        cls,
        tree: Tree,
        num_classes: int,
        bond_dim: int,
        encoding: Encoding | None = None,
        *,
        levels: Sequence[int] | None = None,
        factorised: bool = False,
    ) -> "AmplitudeModel":
        """A model with all bonds of one dimension and the label at the root.

        Args:
            tree: Tree whose leaves are data qubits, or features that are levels.
            num_classes: Number of values of the label.
            bond_dim: Bond dimension D.
            encoding: Encoding of features into data qubits; an `AngleEncoding` by default.
            levels: Number of levels of each feature, if samples are levels instead of numbers.
            factorised: Use cores of CP rank D, see `qtnml.contract.FactorisedNetwork`.
        """
        if bond_dim < 1:
            raise InvalidInputError(f"a bond dimension is at least 1, got {bond_dim}")
        leaf_dims = (2,) * tree.num_leaves if levels is None else tuple(levels)
        bonds = (*[bond_dim] * tree.root, 1)
        network = AmplitudeNetwork(tree, leaf_dims, bonds, num_classes, tree.root)
        if factorised:
            network = FactorisedNetwork(tree, leaf_dims, bonds, num_classes, tree.root, bond_dim)
        if levels is not None:
            return cls(network, None)
        return cls(network, AngleEncoding() if encoding is None else encoding)

    @classmethod
    def mps(
        cls, num_features: int, num_classes: int, bond_dim: int, encoding: Encoding | None = None
    ) -> "AmplitudeModel":
        """A chain with the label at its middle site."""
        encoding = AngleEncoding() if encoding is None else encoding
        sites = num_features * encoding.qubits_per_feature
        if sites < 1:
            raise InvalidInputError(f"a chain needs at least one feature, got {num_features}")
        return cls.on_tree(chain(sites, root=sites // 2), num_classes, bond_dim, encoding)

    @property
    def num_features(self) -> int:
        """Number of features of a sample."""
        leaves = self.network.tree.num_leaves
        return leaves if self.encoding is None else leaves // self.encoding.qubits_per_feature

    @property
    def num_classes(self) -> int:
        """Number of values of the label."""
        return self.network.num_classes

    @property
    def bond_dim(self) -> int:
        """The largest bond dimension; for factorised cores the largest number of terms."""
        network = self.network
        return max(network.terms if isinstance(network, FactorisedNetwork) else network.bond_dims)

    @property
    def num_parameters(self) -> int:
        """Number of entries in all cores, plus the encoding's parameters."""
        own = sum(np.size(array) for array in self._encoding_parameters())
        return sum(map(math.prod, self.network.core_shapes)) + own

    def with_bonds(self, bond_dims: Sequence[int]) -> "AmplitudeModel":
        """The same model with other bond dimensions, one for each node, 1 at the root."""
        return replace(self, network=replace(self.network, bond_dims=tuple(bond_dims)))

    def _encoding_parameters(self) -> tuple[NDArray, ...]:
        return () if self.encoding is None else self.encoding.parameters(self.num_features)

    def start(self, rng: np.random.Generator, *, scale: float = 0.5) -> Parameters:
        """Initial parameters in double precision: identities plus Gaussian noise of spread scale / (10 D).

        Near the identity, every node passes on the sum of the deviations of its children's vectors from the
        first unit vector, for any value of its own leaf. So no signal is lost on the way to the label (for
        chains as in arXiv:1605.05775). Random cores would lose it.
        """
        network, spread = self.network, 0.1 * scale / self.bond_dim
        if isinstance(network, FactorisedNetwork):
            begun = [network.begun(node, rng, scale=scale) for node in range(len(network.tree.nodes))]
            return Parameters(network.stacks(begun), self._encoding_parameters())
        cores = []
        for node, shape in enumerate(network.core_shapes):
            noise = spread * rng.normal(size=shape)
            if node == network.label_node:
                cores.append((_BOND_OF_A_LABEL + noise) / np.sqrt(self.bond_dim))
            else:
                cores.append(_handing_on(network, node) + noise)
        return Parameters(network.stacks(cores), self._encoding_parameters())

    def parameter_shapes(self) -> Parameters:
        """Shapes and types of the parameters (`jax.ShapeDtypeStruct`), without making them."""
        nodes = tuple(
            jax.ShapeDtypeStruct((len(nodes), *self.network.core_shapes[nodes[0]]), np.float64)  # type: ignore[no-untyped-call]
            for nodes in self.network.stacking
        )
        return Parameters(nodes, self._encoding_parameters())  # type: ignore[arg-type]

    def project(self, parameters: Parameters) -> Parameters:
        """Parameters of the same amplitudes up to a factor, in NumPy float64, with cores of norm sqrt(D)."""
        label = next(s for s, nodes in enumerate(self.network.stacking) if self.network.label_node in nodes)
        stacks = []
        for s, stack in enumerate(parameters.nodes):
            cores = np.asarray(stack, dtype=np.float64)
            norms = np.sqrt((cores**2).sum(axis=tuple(range(1, cores.ndim)), keepdims=True))
            size = 1.0 if s == label else np.sqrt(self.bond_dim)
            stacks.append(cores / (np.where(norms > 0, norms, 1.0) / size))
        encoding = tuple(np.asarray(p, dtype=np.float64) for p in parameters.encoding)
        return Parameters(tuple(stacks), encoding)

    def dropped(self, parameters: Parameters, key: jax.Array, rate: float) -> Parameters:
        """Drop out a fraction of the entries of all bonds and scale up the others (arXiv:2305.19440).

        The first entry of a bond stays, since near the start it carries the amplitude itself. In factorised
        cores all terms are treated alike.
        """
        stacks = []
        network = self.network
        for s, (stack, nodes) in enumerate(zip(parameters.nodes, self.network.stacking, strict=True)):
            stack, shape = jnp.asarray(stack), (len(nodes), stack.shape[1])
            kept = jax.random.bernoulli(jax.random.fold_in(key, s), 1 - rate, shape) / (1 - rate)
            if isinstance(network, FactorisedNetwork):
                first = network.first_columns(nodes[0])
                own = stack[:, :, :first] * kept.astype(stack.dtype)[:, :, None, None]
                stacks.append(jnp.concatenate([own, stack[:, :, first:]], axis=2))
                continue
            kept = kept.at[:, 0].set(1.0).astype(stack.dtype)
            stacks.append(stack * kept.reshape(*shape, *[1] * (stack.ndim - 2)))
        return parameters._replace(nodes=tuple(stacks))

    def apply(self, parameters: Parameters, x: Array) -> Array:
        """Class probabilities (..., classes) of samples (..., features); precision as for `Model.apply`."""
        parameters, x = as_given(parameters, x, self.num_features)
        out, _ = self.outcomes(parameters, x.reshape(-1, x.shape[-1]))
        return out.T.reshape(*x.shape[:-1], out.shape[0])

    def outcomes(
        self, parameters: Parameters, X: Array, *, postselection: Array | float | None = None
    ) -> tuple[Array, Array]:
        """Class probabilities (classes, batch) for X (batch, features), and zeros.

        `postselection` has no effect: the model is always post-selected. The probability of success depends
        on how the compiler completes the cores to unitaries.
        """
        del postselection
        amplitudes = self.amplitudes(parameters, X)
        # Squares of small amplitudes would underflow; a constant as far as derivatives are concerned.
        amplitudes = amplitudes / (_constant(namespace(amplitudes).abs(amplitudes).max(axis=0)) + _TINY)
        is_real = self.encoding is None or self.encoding.is_real
        squares = amplitudes**2 if is_real else amplitudes.real**2 + amplitudes.imag**2
        xp = namespace(squares)
        return squares / (squares.sum(axis=0) + _TINY), xp.zeros(X.shape[0], dtype=squares.dtype)

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:  # noqa: ARG002
        """The probabilities, unchanged."""
        return outcomes

    def leaves(self, parameters: Parameters, X: Array) -> Array:
        """Vectors of all leaves, (leaves, largest dimension, batch)."""
        if self.encoding is None:
            return one_hot(X, max(self.network.leaf_dims), parameters.nodes[0].real.dtype)
        zero, one = self.encoding.amplitudes(self.encoding.angles(X, parameters.encoding).T)
        return namespace(X).stack([zero, one], axis=1)  # type: ignore[no-any-return]

    @full_precision
    def amplitudes(self, parameters: Parameters, X: Array) -> Array:
        """Label amplitudes (classes, batch), up to a positive factor for each sample."""
        return self.network.amplitudes(parameters.nodes, self.leaves(parameters, X))[0]

    def predict(self, parameters: Parameters, X: NDArray) -> tuple[NDArray, NDArray]:
        """Class probabilities (samples, classes) in float64, and zeros; see `evaluate_many`."""
        if not len(X):
            return np.empty((0, self.num_classes)), np.empty(0)
        network, stacks, numbers = as_many_take_it(self.network, parameters.nodes, len(X))
        chunk = max(64, _CHUNK_FLOATS // (4 * network.widest + 2 * network.tree.num_leaves))
        (found,) = evaluate_many(
            _probabilities,
            replace(self, network=network),
            parameters._replace(nodes=stacks),
            X,
            numbers=numbers,
            chunk=chunk,
        )
        return found.T, np.zeros(len(X))


def _probabilities(model: AmplitudeModel, parameters: Parameters, X: Array) -> tuple[Array]:
    return (model.outcomes(parameters, X)[0],)


def _constant(array: Array) -> Array:
    """As far as derivatives are concerned."""
    return array if isinstance(array, np.ndarray) else jax.lax.stop_gradient(array)


def _handing_on(network: AmplitudeNetwork, node: int) -> NDArray:
    """Core that maps vectors e + a and e + b of its children, e the first unit vector, to e + a + b up to
    second order, whatever its leaves.
    """
    shape, leaves = network.core_shapes[node], network.tree.num_leaves
    inner = [axis for axis, wire in enumerate(network.tree.nodes[node], 1) if wire >= leaves]
    core = np.zeros([dim if axis == 0 or axis in inner else 1 for axis, dim in enumerate(shape)])
    for axis in inner:
        only = [0] * core.ndim
        only[0] = only[axis] = slice(None)  # type: ignore[call-overload]
        core[tuple(only)] += np.eye(core.shape[0], core.shape[axis])
    core.flat[0] += 1 - len(inner)
    return core * np.ones(shape)
