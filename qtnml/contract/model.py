"""A network as a pure function of its parameters, for training and for users of JAX."""

from collections import Counter
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.ansatz import FullUnitary, NodeAnsatz, TensorNetwork, generic_two_qubit_gates
from qtnml.ansatz.base import Normal
from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import Array, NDArray, common_namespace, full_precision, namespace
from qtnml.contract.bloch import contract, contract_postselected, noisy_transfer_maps, transfer_maps
from qtnml.contract.bloch_plan import chunk_size, numbers_per_sample
from qtnml.contract.many import evaluate_many
from qtnml.contract.operations import Operations
from qtnml.contract.wire_noise import WireChannels
from qtnml.encoding import AngleEncoding, Encoding, bloch_vectors, leaf_paulis
from qtnml.errors import InvalidInputError
from qtnml.gates import NodeShape
from qtnml.structure import Topology


class Parameters(NamedTuple):
    """All trainable parameters: a pytree of arrays.

    Attributes:
        nodes: One stack per number of node qubits, as defined by the ansatz: matrices have rank 3, angles
            have rank 2.
        encoding: The encoding's trainable values (rank 1), often none.
        readout: Offset and scale (2,) of a regression's read-out, otherwise none.
    """

    nodes: tuple[Array, ...]
    encoding: tuple[Array, ...] = ()
    readout: tuple[Array, ...] = ()

    def __repr__(self) -> str:
        parts = (
            f"{name}=[{', '.join(f'{np.dtype(a.dtype).name}{list(a.shape)}' for a in arrays)}]"
            for name, arrays in self._asdict().items()
            if arrays
        )
        return f"Parameters({', '.join(parts)})"


@dataclass(frozen=True)
class Model:
    """A network without parameters: topology, encoding, node ansatz, discard rule and read-out.

    `apply(parameters, x)` is pure: use it under `jax.jit`, `jax.vmap`, `jax.grad`, with any optimiser. If the
    ansatz has matrices (of rank 3), give a general optimiser (optax) the complex conjugate of JAX's gradient;
    `retract` then brings its step back to unitaries. On NumPy arrays `apply` runs in float64 without
    compilation.

    Attributes:
        topology: Tree; its data qubits are those of the features, in order.
        encoding: Encoding of features into data qubits.
        ansatz: Ansatz, which maps parameters to node unitaries.
        discard: "trace": discarded qubits are traced out. "postselect": only the branch in which all of them
            are found in |0> counts (arXiv:1605.05775 in isometric form), renormalised.
        readout: "outcomes": probabilities of the root's outcomes. "expectation": a number, offset +
            scale * <Z> of the root's first qubit.

    >>> from qtnml.structure import balanced_tree
    >>> model = Model(balanced_tree(4))
    >>> parameters = model.init(jax.random.key(0))
    >>> model.apply(parameters, jnp.array([0.1, 0.9, 0.3, 0.2])).shape
    (2,)
    """

    topology: Topology
    encoding: Encoding = field(default_factory=AngleEncoding)
    ansatz: NodeAnsatz = field(default_factory=FullUnitary)
    discard: Literal["trace", "postselect"] = "trace"
    readout: Literal["outcomes", "expectation"] = "outcomes"

    def __post_init__(self) -> None:
        if self.discard not in ("trace", "postselect"):
            raise InvalidInputError(f"discard must be 'trace' or 'postselect', got {self.discard!r}")
        if self.readout not in ("outcomes", "expectation"):
            raise InvalidInputError(f"readout must be 'outcomes' or 'expectation', got {self.readout!r}")
        if self.topology.num_data_qubits % self.encoding.qubits_per_feature:
            raise InvalidInputError(
                f"the topology has {self.topology.num_data_qubits} data qubits, the encoding needs "
                f"{self.encoding.qubits_per_feature} for each feature"
            )

        if any(node.uploads for node in self.topology.nodes):
            gate = self.encoding.gate(0.5)
            if gate.name != "ry" or gate.params != [0.5]:
                raise InvalidInputError(
                    f"re-uploading needs an encoding whose gate is RY(angle), {self.encoding.name!r} has "
                    "another"
                )

    @property
    def num_features(self) -> int:
        """Number of features of a sample."""
        return self.topology.num_data_qubits // self.encoding.qubits_per_feature

    @property
    def num_parameters(self) -> int:
        """Number of real parameters of nodes, encoding and read-out."""
        nodes = sum(map(self.ansatz.num_parameters, self.topology.num_qubits))
        own = sum(array.size for array in self.encoding.parameters(self.num_features))
        return nodes + own + (2 if self.readout == "expectation" else 0)

    @property
    def two_qubit_gates(self) -> int:
        """Number of two-qubit gates of the circuit, counted node by node for generic parameters."""
        return sum(generic_two_qubit_gates(self.ansatz, shape) for shape in self._shapes)

    @property
    def _shapes(self) -> list[NodeShape]:
        postselected = self.discard == "postselect"
        return [replace(shape, postselected=postselected) for shape in self.topology.node_shapes]

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.summary())}</pre>"

    def summary(self) -> str:
        """Text that describes the model and its cost."""
        shapes = Counter(self._shapes)
        lines = [
            f"{self.num_features} features, encoding {self.encoding.name!r} on "
            f"{self.topology.num_data_qubits} data qubits",
            f"{len(self.topology.nodes)} nodes, ansatz {self.ansatz.name!r}, discard {self.discard!r}, "
            f"{self.topology.root_qubits} root qubit(s)",
            *(
                f"  {count} on {shape.num_qubits} qubits ({shape.fresh} fresh, {shape.width} kept): "
                f"{self.ansatz.num_parameters(shape.num_qubits)} parameters and "
                f"{generic_two_qubit_gates(self.ansatz, shape)} two-qubit gates each"
                for shape, count in shapes.items()
            ),
            f"{self.num_parameters} parameters, {self.two_qubit_gates} two-qubit gates",
        ]
        return "\n".join(lines)

    def init(self, key: jax.Array, *, scale: float = 0.5) -> Parameters:
        """Initial parameters from a JAX key, in JAX's default precision; see `NodeAnsatz.start`."""
        keys = iter(jax.random.split(key, 2 * len(self.topology.nodes) + 2))
        parameters = self._start(lambda shape: jax.random.normal(next(keys), shape), scale)
        return jax.tree.map(jnp.asarray, parameters)  # type: ignore[no-any-return]

    def start(self, rng: np.random.Generator, *, scale: float = 0.5) -> Parameters:
        """Initial parameters from a NumPy generator, in double precision."""
        return self._start(lambda shape: rng.normal(size=shape), scale)

    def parameter_shapes(self) -> Parameters:
        """Shapes and types of the parameters (`jax.ShapeDtypeStruct`), without making them."""
        found: Parameters = jax.eval_shape(self.init, jax.random.key(0))
        return found

    def _start(self, normal: Normal, scale: float) -> Parameters:
        return Parameters(
            tuple(
                self.ansatz.start(normal, len(nodes), size, scale) for size, nodes in stacking(self.topology)
            ),
            self.encoding.parameters(self.num_features),
            (np.array([0.0, 1.0]),) if self.readout == "expectation" else (),
        )

    def network(self, parameters: Parameters) -> TensorNetwork:
        """The network of unitaries given by the parameters."""
        sizes = (size for size, _ in stacking(self.topology))
        stacks = (self.ansatz.unitary(p, size) for p, size in zip(parameters.nodes, sizes, strict=True))
        return TensorNetwork(self.topology, tuple(stacks))

    def project(self, parameters: Parameters) -> Parameters:
        """Parameters in NumPy float64, with exactly unitary matrices."""
        nodes = tuple(self.ansatz.project(np.asarray(stack)) for stack in parameters.nodes)
        encoding, readout = (
            tuple(np.asarray(array, dtype=np.float64) for array in part)
            for part in (parameters.encoding, parameters.readout)
        )
        return Parameters(nodes, encoding, readout)

    @full_precision
    def retract(self, parameters: Parameters) -> Parameters:
        """The nearest valid parameters, in the given array library and precision; works under `jax.jit`."""
        return parameters._replace(nodes=tuple(map(_nearest_unitaries, parameters.nodes)))

    def apply(self, parameters: Parameters, x: Array) -> Array:
        """Outcome probabilities (..., 2**root_qubits), or predicted values (...,), of samples.

        Args:
            parameters: Parameters; they determine the precision. Float64 (complex128) parameters give
                float64, all others float32; `x` is cast to it. If they and `x` are NumPy arrays, NumPy
                computes, otherwise JAX.
            x: One sample (features,) or any batch of samples (..., features) in the encoding's range. Values
                are not checked, so that the function can be traced.
        """
        parameters, x = as_given(parameters, x, self.num_features)
        out, _ = self.evaluate(parameters, x.reshape(-1, x.shape[-1]))
        return out.T.reshape(*x.shape[:-1], *out.shape[:-1])

    def log_success(self, parameters: Parameters, x: Array) -> Array:
        """Natural logarithm of the post-selection's success probability, shape (...,); 0 for tracing."""
        parameters, x = as_given(parameters, x, self.num_features)
        _, log_success = self.evaluate(parameters, x.reshape(-1, x.shape[-1]))
        return log_success.reshape(x.shape[:-1])

    def evaluate(
        self,
        parameters: Parameters,
        X: Array,
        *,
        postselection: Array | float | None = None,
        channels: WireChannels | None = None,
    ) -> tuple[Array, Array]:
        """Outcomes or values in the layout of the contraction; `outcomes` followed by `read_out`.

        Returns:
            Outcomes (2**root_qubits, batch) or values (batch,), and log success probabilities (batch,).
        """
        outcomes, log_success = self.outcomes(parameters, X, postselection=postselection, channels=channels)
        return self.read_out(parameters, outcomes), log_success

    @full_precision
    def outcomes(
        self,
        parameters: Parameters,
        X: Array,
        *,
        postselection: Array | float | None = None,
        channels: WireChannels | None = None,
    ) -> tuple[Array, Array]:
        """Outcome probabilities (2**root_qubits, batch) and log success probabilities (batch,).

        Args:
            parameters: Parameters in the same array library and precision as X.
            X: Shape (batch, features).
            postselection: Weight of the post-selected branch (0 traced, 1 post-selected), instead of that of
                the discard rule; JAX may trace it.
            channels: Noise on the wires of a network that traces qubits out.
        """
        if postselection is None:
            postselection = 0.0 if self.discard == "trace" else 1.0
        if channels is not None and (not isinstance(postselection, float) or postselection != 0.0):
            raise InvalidInputError("noise on wires needs discard='trace', and no homotopy")
        network, labels = self.network(parameters), leaf_paulis(self.encoding)
        if channels is None:
            maps = transfer_maps(network, labels, postselection=postselection)
        else:
            maps = noisy_transfer_maps(network, labels, channels, self._operations(parameters, channels))
        bloch = bloch_vectors(self.encoding, X, parameters.encoding)
        if not isinstance(postselection, float) or postselection != 0.0:
            return contract_postselected(self.topology, maps, bloch)
        outcomes = contract(self.topology, maps, bloch)
        return outcomes, namespace(outcomes).zeros(X.shape[0], dtype=outcomes.dtype)

    def _operations(self, parameters: Parameters, channels: WireChannels) -> list[Operations | None]:
        """Of each stack of nodes, where noise acts between them."""
        gates = channels.gates or ((),) * len(parameters.nodes)
        stacks = zip(stacking(self.topology), parameters.nodes, gates, strict=True)
        ansatz: Any = self.ansatz  # one whose operations the noise knows has them
        return [ansatz.operations(p, size) if noise else None for (size, _), p, noise in stacks]

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:
        """Outcomes (2**root_qubits, batch) unchanged, or the values (batch,) that they represent."""
        if self.readout == "outcomes":
            return outcomes
        half = outcomes.shape[0] // 2
        expectation = outcomes[:half].sum(axis=0) - outcomes[half:].sum(axis=0)
        return parameters.readout[0][0] + parameters.readout[0][1] * expectation

    def predict(
        self, parameters: Parameters, X: NDArray, *, channels: WireChannels | None = None
    ) -> tuple[NDArray, NDArray]:
        """Evaluate any number of samples in float64, in chunks of limited size.

        NumPy is used for few samples and a compiled function for many, see `evaluate_many`. The result is
        that of `evaluate`.

        Returns:
            Outcomes (samples, 2**root_qubits) clipped to [0, 1], or values (samples,), and log success
            probabilities (samples,).
        """
        is_classes = self.readout == "outcomes"
        if not len(X):
            return np.empty((0, 2**self.topology.root_qubits)[: 1 + is_classes]), np.empty(0)
        values, log_success = evaluate_many(
            _evaluated,
            self,
            (parameters, channels),
            X,
            numbers=numbers_per_sample(self.topology),
            chunk=chunk_size(self.topology),
        )
        return (np.clip(values.T, 0.0, 1.0) if is_classes else values), log_success


def _evaluated(model: Model, given: Any, X: Array) -> tuple[Array, Array]:
    parameters, channels = given
    return model.evaluate(parameters, X, channels=channels)


def _nearest_unitaries(stack: Array) -> Array:
    """Polar factors of matrices (n, d, d); angles as they are."""
    if stack.ndim != 3:
        return stack
    left, _, right = namespace(stack).linalg.svd(stack)
    return left @ right  # type: ignore[no-any-return]


def as_given(parameters: Parameters, x: Array, num_features: int) -> tuple[Parameters, Array]:
    """Both in one array library and the parameters' precision (JAX may hold float64 as float32)."""
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if x.shape[-1:] != (num_features,):
        raise InvalidInputError(f"expected samples with {num_features} features, got shape {x.shape}")
    xp = common_namespace(x, *jax.tree.leaves(parameters))
    parameters = jax.tree.map(xp.asarray, parameters)
    double = parameters.nodes[0].dtype in (np.float64, np.complex128)
    return parameters, xp.asarray(x, dtype=np.float64 if double else np.float32)
