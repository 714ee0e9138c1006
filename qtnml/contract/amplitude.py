"""Amplitude matrix product states: a label amplitude per class, contracted from both ends to the middle.

The model of arXiv:1605.05775: real cores of any bond dimension, one of them with the label index; the
probability of class c is f_c**2 / sum f**2. As a quantum model it is a post-selected measurement, so that
only ratios of amplitudes count: every wire is rescaled at will, and nothing over- or underflows whatever
the number of sites.

Both halves run in one scan of batched products, two sites at a time: half as many steps, larger products.
"""

from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.custom_derivatives import SymbolicZero

from qtnml.ansatz.base import Normal
from qtnml.arrays import Array, NDArray, full_precision, namespace
from qtnml.contract.model import Parameters, as_given
from qtnml.encoding import AngleEncoding, Encoding
from qtnml.errors import InvalidInputError

_MERGED = 2  # sites per step
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

    @full_precision
    def amplitudes(self, parameters: Parameters, X: Array) -> Array:
        """Label amplitudes (classes, batch), each sample's up to a positive factor."""
        xp, label = namespace(X), self.label_site
        zero, one = self.encoding.amplitudes(self.encoding.angles(X, parameters.encoding).T)
        sites = xp.stack([zero, one], axis=-1)  # (sites, batch, 2)
        left, right, centre = parameters.nodes
        length = -(-label // _MERGED) * _MERGED
        halves = (
            (_merged_cores(_padded_cores(left, length)), _merged_sites(_padded(sites[:label], length))),
            (
                _merged_cores(_padded_cores(right, length)),
                _merged_sites(_padded(sites[label + 1 :][::-1], length)),
            ),
        )
        from_left, from_right = _contract_halves(*halves)
        d, batch = self.bond_dim, X.shape[0]
        joint = (from_left[:, :, None] * sites[label][:, None]).reshape(batch, -1)
        by_label = xp.matmul(joint, centre.reshape(2 * d, -1)).reshape(batch, -1, d)
        return (by_label * from_right[:, None]).sum(axis=2).T  # type: ignore[no-any-return]

    def predict(self, parameters: Parameters, X: NDArray) -> tuple[NDArray, NDArray]:
        """Class probabilities (samples, classes) on NumPy in float64, chunk by chunk, and zeros."""
        if not len(X):
            return np.empty((0, self.num_classes)), np.empty(0)
        chunk = max(1, _CHUNK_FLOATS // (8 * self.bond_dim + 2 * self.num_sites))
        parts = [self.outcomes(parameters, X[k : k + chunk])[0].T for k in range(0, len(X), chunk)]
        return np.concatenate(parts), np.zeros(len(X))


def _constant(array: Array) -> Array:
    """As far as derivatives are concerned."""
    return array if isinstance(array, np.ndarray) else jax.lax.stop_gradient(array)


def _norms(cores: NDArray) -> NDArray:
    norms = np.sqrt((cores**2).sum(axis=(1, 2, 3) if cores.ndim == 4 else (1, 2, 3, 4), keepdims=True))
    return np.where(norms > 0, norms, 1.0)


def _padded(sites: Array, length: int) -> Array:
    """Dummy sites in |0> at the outer end of (sites, batch, 2)."""
    xp = namespace(sites)
    dummies = np.zeros((length - sites.shape[0], 1, 2))
    dummies[..., 0] = 1
    extra = xp.broadcast_to(xp.asarray(dummies, dtype=sites.dtype), (len(dummies), sites.shape[1], 2))
    return xp.concat([extra, sites]) if len(dummies) else sites


def _padded_cores(cores: Array, length: int) -> Array:
    """Dummy cores that hand |0>'s vector on."""
    xp, d = namespace(cores), cores.shape[1]
    dummies = np.zeros((length - cores.shape[0], d, 2, d))
    dummies[:, :, 0] = np.eye(d)
    return xp.concat([xp.asarray(dummies, dtype=cores.dtype), cores]) if len(dummies) else cores


def _merged_cores(cores: Array) -> Array:
    """Neighbouring cores as one: (n, D, 2, D) to matrices (n / 2, D, 4 D) as (in, (data, out))."""
    xp = namespace(cores)
    n, d = cores.shape[0] // 2, cores.shape[1]
    first, second = cores[0::2].reshape(n, 2 * d, d), cores[1::2].reshape(n, d, 2 * d)
    return xp.matmul(first, second).reshape(n, d, 4 * d)  # type: ignore[no-any-return]


def _merged_sites(vectors: Array) -> Array:
    """Products of neighbouring sites: (n, batch, 2) to (n / 2, batch, 4)."""
    first, second = vectors[0::2], vectors[1::2]
    return (first[..., :, None] * second[..., None, :]).reshape(len(first), vectors.shape[1], 4)


def _contract_halves(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    """Vectors (batch, D) that reach the middle from both ends, of largest entry 1.

    A step multiplies each half's vectors by all four data components of a merged core and then weighs
    those; the two halves are two products of one step, which the compiler runs side by side.
    """
    matrices, sites = left
    xp: Any = namespace(sites)
    start = np.zeros((1, matrices.shape[1]))
    start[0, 0] = 1
    first: Any = xp.asarray(np.broadcast_to(start, (sites.shape[1], matrices.shape[1])), dtype=sites.dtype)
    if isinstance(sites, np.ndarray):
        ends = [first, first]
        for k in range(len(matrices)):
            ends = [
                _weighed(end @ half[0][k], half[1][k]) for end, half in zip(ends, (left, right), strict=True)
            ]
            ends = [end / (np.abs(end).max(axis=1, keepdims=True) + _TINY) for end in ends]
        return ends[0], ends[1]

    def through(end: Any, matrix: Any, site: Any) -> Any:
        end = _weighed_in_slices(end @ matrix, site)
        # Only ratios count: the factor is a constant as far as derivatives are concerned.
        return end / (_constant(xp.max(xp.abs(end), axis=1, keepdims=True)) + _TINY)

    def step(ends: Any, inputs: Any) -> tuple[Any, None]:
        return tuple(through(end, *given) for end, given in zip(ends, inputs, strict=True)), None

    return jax.lax.scan(step, (first, first), (left, right))[0]


def _weighed(by_data: Any, site: Any) -> Any:
    """(batch, 4 D) as (data, out), weighed by (batch, 4) and summed over the data: (batch, D)."""
    return (by_data.reshape(len(site), site.shape[1], -1) * site[:, :, None]).sum(axis=1)


@jax.custom_jvp
def _weighed_in_slices(by_data: jax.Array, site: jax.Array) -> jax.Array:
    """`_weighed` for JAX, slice by slice: twice as fast, as a sum over a short axis is not vectorised.

    Its derivative keeps the form of `_weighed`, whose transpose is one product; that of slices is not.
    """
    parts = jax.lax.split(by_data, (by_data.shape[1] // site.shape[1],) * site.shape[1], axis=1)
    return sum(part * site[:, k : k + 1] for k, part in enumerate(parts))  # type: ignore[return-value]


def _tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (by_data, site), (d_by_data, d_site) = primals, tangents
    # A tangent that is zero must cost nothing: data rarely have derivatives.
    fixed = [isinstance(change, SymbolicZero) for change in tangents]
    terms = [] if fixed[0] else [_weighed(d_by_data, site)]
    terms += [] if fixed[1] else [_weighed(by_data, d_site)]
    return _weighed_in_slices(by_data, site), sum(terms[1:], start=terms[0])


_weighed_in_slices.defjvp(_tangent, symbolic_zeros=True)
