"""Amplitude matrix product states: a label amplitude per class, contracted from both ends to the middle.

The model of arXiv:1605.05775: real cores of any bond dimension, one of them with the label index; the
probability of class c is f_c**2 / sum f**2. As a quantum model it is a post-selected measurement, so that
only ratios of amplitudes count: every wire is rescaled at will, and nothing over- or underflows whatever
the number of sites.

See `AmplitudeNetwork` for the contraction.
"""

from dataclasses import dataclass, field
from functools import cached_property

import jax
import numpy as np

from qtnml.ansatz.base import Normal
from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.contract.amplitude_network import AmplitudeNetwork
from qtnml.contract.many import evaluate_many
from qtnml.contract.model import Parameters, as_given
from qtnml.encoding import AngleEncoding, Encoding
from qtnml.errors import InvalidInputError
from qtnml.structure import Tree

_TINY = 1e-30
_CHUNK_FLOATS = 2**22


@dataclass(frozen=True)
class AmplitudeModel:
    """A chain of sites with the label on the middle one; `apply(parameters, x)` is pure.

    `Parameters.nodes` are three stacks: cores left of the label site, from the left end inwards, (n, D, 2,
    D) as (outer bond, data, inner bond); cores right of it, from the right end inwards, likewise; and the
    label core (D, 2, classes, D) as (left bond, data, label, right bond). The outermost bonds use their
    first index only; a smaller bond has zeros beyond its dimension.

    Attributes:
        num_features: Features of a sample; with `encoding.qubits_per_feature` they give the sites.
        num_classes: Values of the label index.
        bond_dim: Bond dimension D.
        encoding: Features to data qubits.
    """

    num_features: int
    num_classes: int
    bond_dim: int
    encoding: Encoding = field(default_factory=AngleEncoding)

    def __post_init__(self) -> None:
        if self.num_features < 1 or self.num_classes < 2 or self.bond_dim < 1:
            raise InvalidInputError(
                "an amplitude MPS needs at least one feature, two classes and a bond dimension of 1, got "
                f"{self.num_features}, {self.num_classes} and {self.bond_dim}"
            )

    @property
    def num_sites(self) -> int:
        """Data qubits."""
        return self.num_features * self.encoding.qubits_per_feature

    @property
    def label_site(self) -> int:
        """The site that carries the label index."""
        return self.num_sites // 2

    @property
    def num_parameters(self) -> int:
        """Numbers in all cores, the unused ones of the outermost bonds left out."""
        d, n, label = self.bond_dim, self.num_sites, self.label_site
        left = 2 * d + (label - 1) * 2 * d * d if label else 0
        right = 2 * d + (n - label - 2) * 2 * d * d if n - label - 1 else 0
        ends = (d if label else 1) * (d if n - label - 1 else 1)
        own = sum(array.size for array in self.encoding.parameters(self.num_features))
        return left + right + 2 * self.num_classes * ends + own

    def start(self, rng: np.random.Generator, *, scale: float = 0.5) -> Parameters:
        """First parameters in double precision: identities plus Gaussian noise of spread scale / (10 D).

        Near the identity every site hands its neighbour's vector on, whatever its pixel, and no signal is
        lost on the way to the label (as in arXiv:1605.05775; random cores would drown it).
        """
        return self._start(lambda shape: rng.normal(size=shape), scale)

    def parameter_shapes(self) -> Parameters:
        """Shapes and kinds of the parameters, of which none is made (`jax.ShapeDtypeStruct`)."""
        d, label = self.bond_dim, self.label_site
        shapes = [(n, d, 2, d) for n in (label, self.num_sites - label - 1)] + [(d, 2, self.num_classes, d)]
        nodes = tuple(jax.ShapeDtypeStruct(shape, np.float64) for shape in shapes)  # type: ignore[no-untyped-call]
        return Parameters(nodes, self.encoding.parameters(self.num_features))  # type: ignore[arg-type]

    def _start(self, normal: Normal, scale: float) -> Parameters:
        d, label = self.bond_dim, self.label_site
        spread = 0.1 * scale / d
        identity = np.eye(d)[:, None, :] * np.ones((1, 2, 1))
        halves = [identity + spread * normal((n, d, 2, d)) for n in (label, self.num_sites - label - 1)]
        centre = (0.1 + spread * normal((d, 2, self.num_classes, d))) / np.sqrt(d)
        return Parameters((*halves, centre), self.encoding.parameters(self.num_features))

    def project(self, parameters: Parameters) -> Parameters:
        """The same amplitudes up to a factor, in double precision on NumPy, every core of norm sqrt(D)."""
        cores = [np.asarray(stack, dtype=np.float64) for stack in parameters.nodes]
        halves = [stack / (_norms(stack) / np.sqrt(self.bond_dim)) for stack in cores[:2]]
        centre = cores[2] / _norms(cores[2][None])[0]
        encoding = tuple(np.asarray(p, dtype=np.float64) for p in parameters.encoding)
        return Parameters((*halves, centre), encoding)

    def apply(self, parameters: Parameters, x: Array) -> Array:
        """Class probabilities (..., classes) of samples (..., features); precision as for `Model.apply`."""
        parameters, x = as_given(parameters, x, self.num_features)
        out, _ = self.outcomes(parameters, x.reshape(-1, x.shape[-1]))
        return out.T.reshape(*x.shape[:-1], out.shape[0])

    def outcomes(
        self, parameters: Parameters, X: Array, *, postselection: Array | float | None = None
    ) -> tuple[Array, Array]:
        """Class probabilities (classes, batch) for X (batch, features), and zeros.

        `postselection` has no effect: the model is post-selected. The probability of success depends on
        how the cores are completed to unitaries, which is the compiler's business.
        """
        del postselection
        amplitudes = self.amplitudes(parameters, X)
        # Squares of small amplitudes would underflow; a constant as far as derivatives are concerned.
        amplitudes = amplitudes / (_constant(namespace(amplitudes).abs(amplitudes).max(axis=0)) + _TINY)
        squares = amplitudes.real**2 + amplitudes.imag**2 if not self.encoding.is_real else amplitudes**2
        xp = namespace(squares)
        return squares / (squares.sum(axis=0) + _TINY), xp.zeros(X.shape[0], dtype=squares.dtype)

    def read_out(self, parameters: Parameters, outcomes: Array) -> Array:  # noqa: ARG002
        """The probabilities as they are."""
        return outcomes

    @cached_property
    def network(self) -> AmplitudeNetwork:
        """Tree and dimensions: both halves from their ends inwards, then the label's node."""
        sites, label, d = self.num_sites, self.label_site, self.bond_dim
        halves = (range(label), range(sites - 1, label, -1))
        nodes = list[tuple[int, ...]]()
        inner = list[int]()
        for half in halves:
            for leaf in half:
                first = leaf == half[0]
                nodes.append((leaf,) if first else (sites + len(nodes) - 1, leaf))
            inner += [sites + len(nodes) - 1] if half else []
        nodes.append((*inner, label))
        bonds = (*[d] * (len(nodes) - 1), 1)
        return AmplitudeNetwork(
            Tree(sites, tuple(nodes)), (2,) * sites, bonds, self.num_classes, len(nodes) - 1
        )

    def _stacks(self, parameters: Parameters) -> tuple[Array, ...]:
        """Cores as `network` stacks them."""
        left, right, centre = parameters.nodes
        xp = namespace(centre)
        halves = [half for half in (left, right) if half.shape[0]]
        label = centre.transpose(0, 3, 1, 2)  # (left bond, right bond, data, label)
        if not right.shape[0]:
            label = label[:, 0]
        if not left.shape[0]:
            label = label[0]
        ends = [half[0, 0].T[None] for half in halves]
        inner = [half[1:].transpose(0, 3, 1, 2) for half in halves if half.shape[0] > 1]
        stacks = (xp.concat(part) for part in (ends, inner) if part)
        return (*stacks, label[None, None])

    @full_precision
    def amplitudes(self, parameters: Parameters, X: Array) -> Array:
        """Label amplitudes (classes, batch), each sample's up to a positive factor."""
        zero, one = self.encoding.amplitudes(self.encoding.angles(X, parameters.encoding).T)
        leaves = namespace(X).stack([zero, one], axis=1)  # (sites, 2, batch)
        return self.network.amplitudes(self._stacks(parameters), leaves)[0]

    def predict(self, parameters: Parameters, X: NDArray) -> tuple[NDArray, NDArray]:
        """Class probabilities (samples, classes) in float64, and zeros; see `evaluate_many`."""
        if not len(X):
            return np.empty((0, self.num_classes)), np.empty(0)
        chunk = max(1, _CHUNK_FLOATS // (8 * self.bond_dim + 2 * self.num_sites))
        numbers = 5 * self.bond_dim * self.num_sites
        (found,) = evaluate_many(_probabilities, self, parameters, X, numbers=numbers, chunk=chunk)
        return found.T, np.zeros(len(X))


def _probabilities(model: AmplitudeModel, parameters: Parameters, X: Array) -> tuple[Array]:
    return (model.outcomes(parameters, X)[0],)


def _constant(array: Array) -> Array:
    """As far as derivatives are concerned."""
    return array if isinstance(array, np.ndarray) else jax.lax.stop_gradient(array)


def _norms(cores: NDArray) -> NDArray:
    norms = np.sqrt((cores**2).sum(axis=(1, 2, 3) if cores.ndim == 4 else (1, 2, 3, 4), keepdims=True))
    return np.where(norms > 0, norms, 1.0)
