"""Training of a generative circuit by its own samples: losses of measured strings, and exact gradients.

If a loss depends only on the distribution p, a parameter-shift rule measures its derivative from samples at
shifted weights. The derivative is the sum over terms of coefficient * E[witness(x)], where the witness is the
derivative of the loss by p(x) (arXiv:1804.04168 for the maximum mean discrepancy).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.compile import BoundCircuits
from qtnml.compile.assemble import node_angles
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import InvalidInputError
from qtnml.hybrid.checkpoint import fingerprint_of
from qtnml.hybrid.objective import MeasuredLoss, Run, shots_each
from qtnml.hybrid.settings import HybridRecord, HybridResult, HybridTraining, Where
from qtnml.hybrid.shift import shift_rules, shifted
from qtnml.hybrid.training import train_weights


class Sample(NamedTuple):
    """Different strings (strings, sites) of levels, and how often each was seen (strings,)."""

    strings: NDArray
    counts: NDArray

    @property
    def total(self) -> float:
        """Strings in all."""
        return float(self.counts.sum())


class GenerativeLoss(Protocol):
    """How far a distribution is from data, from samples of both."""

    name: ClassVar[str]

    def value(self, drawn: Sample, data: Sample) -> float:
        """The loss."""

    def witness(self, drawn: Sample, data: Sample, at: NDArray) -> NDArray:
        """Derivative of the loss by the probability of each string `at` (strings, sites)."""


@dataclass(frozen=True)
class MMD:
    """Squared maximum mean discrepancy (arXiv:1804.04168), unbiased: no string is paired with itself.

    Its kernel is the mean over bandwidths b of exp(-h / (2 b)), where h is the number of sites at which two
    strings differ. Narrow bandwidths distinguish single strings. Wide bandwidths see few-body correlations
    and do not vanish on many sites (arXiv:2305.02881).

    Attributes:
        bandwidths: Bandwidths in sites; None takes 0.5, an eighth of the sites and half of the sites.
    """

    name: ClassVar[str] = "mmd"
    bandwidths: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        given = self.bandwidths
        if given is not None and (not given or not all(np.isfinite(b) and b > 0 for b in given)):
            raise InvalidInputError(f"bandwidths must be positive numbers, got {given!r}")

    def kernel(self, first: NDArray, second: NDArray) -> NDArray:
        """Kernel of every pair of strings, (first, second)."""
        sites = first.shape[1]
        differ = np.zeros((len(first), len(second)))
        for site in range(sites):
            differ += first[:, [site]] != second[:, site]
        widths = self.bandwidths or (0.5, max(sites / 8, 0.5), sites / 2)
        return np.asarray(sum(np.exp(-differ / (2 * width)) for width in widths) / len(widths))

    def value(self, drawn: Sample, data: Sample) -> float:
        """The loss E K(drawn, drawn') - 2 E K(drawn, data) + E K(data, data')."""
        cross = drawn.counts @ self.kernel(drawn.strings, data.strings) @ data.counts
        return self._within(drawn) - 2 * float(cross) / (drawn.total * data.total) + self._within(data)

    def _within(self, sample: Sample) -> float:
        """Mean kernel of different members of a sample; of a single one 1."""
        number = sample.total
        if number <= 1:
            return 1.0
        pairs = float(sample.counts @ self.kernel(sample.strings, sample.strings) @ sample.counts)
        return (pairs - number) / (number * (number - 1))  # K(x, x) = 1

    def witness(self, drawn: Sample, data: Sample, at: NDArray) -> NDArray:
        """The witness 2 E K(x, drawn) - 2 E K(x, data)."""
        ours = self.kernel(at, drawn.strings) @ drawn.counts / drawn.total
        theirs = self.kernel(at, data.strings) @ data.counts / data.total
        return np.asarray(2 * (ours - theirs))


@dataclass(frozen=True)
class ClippedNLL:
    """Clipped negative log-likelihood -E ln max(p(x), floor) over the data, for strings of few sites.

    Measured frequencies take the place of p.

    Attributes:
        floor: Smallest frequency; it is used for strings that were never drawn.
    """

    name: ClassVar[str] = "clipped-nll"
    floor: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.floor < 1:
            raise InvalidInputError(f"floor must be above 0 and below 1, got {self.floor!r}")

    def value(self, drawn: Sample, data: Sample) -> float:
        """The loss in nats."""
        seen = _frequencies(drawn, data.strings)
        return -float(data.counts @ np.log(np.maximum(seen, self.floor))) / data.total

    def witness(self, drawn: Sample, data: Sample, at: NDArray) -> NDArray:
        """The witness -data frequency / max(p, floor)."""
        return -_frequencies(data, at) / np.maximum(_frequencies(drawn, at), self.floor)


def _frequencies(sample: Sample, at: NDArray) -> NDArray:
    known = {row.tobytes(): count for row, count in zip(sample.strings, sample.counts, strict=True)}
    return np.array([known.get(row.tobytes(), 0.0) for row in at]) / sample.total


LOSSES: dict[str, type[MMD] | type[ClippedNLL]] = {MMD.name: MMD, ClippedNLL.name: ClippedNLL}


def get_generative_loss(loss: GenerativeLoss | str | None) -> GenerativeLoss:
    """The loss called by a name; None is "mmd", an object passes through."""
    if loss is None:
        return MMD()
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    if isinstance(loss, str | type) or not hasattr(loss, "witness"):
        raise InvalidInputError(
            f"a generative circuit has no loss {loss!r}; choose one of {sorted(LOSSES)} or pass an "
            "object such as qtnml.hybrid.MMD()"
        )
    return loss


def sample_of(levels: NDArray) -> Sample:
    """Different strings of levels (samples, sites), and how often each is there."""
    strings, counts = np.unique(np.ascontiguousarray(levels, dtype=np.int64), axis=0, return_counts=True)
    return Sample(strings, counts.astype(np.float64))


@dataclass
class GenerativeObjective:
    """A loss of a circuit's own samples against a batch of data, as a function of the weights."""

    compiled: GenerativeCircuit
    data: Sample
    loss: GenerativeLoss
    run: Run
    shots: int | None = 1024
    shots_in_all: int | None = None
    circuits_run: int = field(default=0, init=False)
    shots_run: int = field(default=0, init=False)

    @property
    def num_samples(self) -> int:
        """Circuits of one point."""
        return 1

    def drawn(self, points: Sequence[NDArray]) -> list[Sample]:
        """Strings drawn at each point, all in one run."""
        shots = shots_each(self.shots, self.shots_in_all, len(points))
        circuits = bound_weights(self.compiled, np.stack(list(points)))
        counts = self.run(circuits, shots)
        self.circuits_run += len(circuits)
        self.shots_run += shots * len(circuits)
        return [counted(self.compiled, each) for each in counts]

    def losses(self, points: Sequence[NDArray], samples: Sequence[NDArray] | None = None) -> NDArray:  # noqa: ARG002
        """The loss at each point, (points,)."""
        return np.array([self.loss.value(drawn, self.data) for drawn in self.drawn(points)])

    def shift_gradient(
        self,
        weights: NDArray,
        chosen: NDArray,
        samples: list[NDArray],  # noqa: ARG002
    ) -> tuple[NDArray, float]:
        """Derivative by the chosen weights, and the loss."""
        rules = shift_rules(self.compiled.circuit, [self.compiled.w[int(k)] for k in chosen])
        points = [weights]
        for place, rule in zip(chosen, rules, strict=True):
            points += shifted(weights, int(place), rule)
        base, *rest = self.drawn(points)
        following = iter(rest)
        gradient = []
        for rule in rules:
            slope = 0.0
            for coefficient, _ in rule.terms:
                drawn = next(following)
                value = self.loss.witness(base, self.data, drawn.strings)
                slope += coefficient * float(drawn.counts @ value) / drawn.total
            gradient.append(slope)
        return np.array(gradient), self.loss.value(base, self.data)


@dataclass(frozen=True)
class Generation:
    """A generative circuit and the samples it learns from: levels (samples, sites)."""

    compiled: GenerativeCircuit
    levels: NDArray

    @property
    def weights(self) -> NDArray:
        """To start from."""
        return self.compiled.weights

    @property
    def node_counts(self) -> list[int]:
        """Weights of each node, the root last."""
        return [len(node_angles(node.circuit)) for node in self.compiled.nodes]

    def circuits_per_point(self, how: HybridTraining) -> int:  # noqa: ARG002
        """One circuit draws all samples."""
        return 1

    def fingerprint(self, where: Where, how: HybridTraining) -> str:
        """Of all that the training depends on."""
        start = bound_weights(self.compiled, self.weights[None])
        data = np.ascontiguousarray(self.levels, dtype=np.int64).tobytes()
        return fingerprint_of(start, get_generative_loss(how.loss), data, where, how)

    def objective(
        self, rng: np.random.Generator, run: Run, shots: int | None, how: HybridTraining
    ) -> MeasuredLoss:
        """The loss against a batch of the samples."""
        batch = np.sort(rng.permutation(len(self.levels))[: how.batch_size])
        loss = get_generative_loss(how.loss)
        return GenerativeObjective(
            self.compiled, sample_of(self.levels[batch]), loss, run, shots, how.shots_per_step
        )


def train_generative_on_backend(
    compiled: GenerativeCircuit,
    levels: NDArray,
    where: Where,
    how: HybridTraining,
    *,
    on_step: Callable[[HybridRecord], None] | None = None,
) -> HybridResult:
    """Train a generative circuit on a backend, starting at its current weights; see `train_weights`.

    Args:
        compiled: The circuit.
        levels: Samples (samples, sites).
        where: Backend and ledger.
        how: Optimiser, loss, budgets and stops.
        on_step: Called with the `HybridRecord` of each step.
    """
    weights, history, stopped = train_weights(
        Generation(compiled, levels),
        where,
        how,
        on_step=on_step,
    )
    return HybridResult(compiled.with_weights(weights), history, stopped)


def bound_weights(compiled: GenerativeCircuit, weights: NDArray) -> BoundCircuits:
    """One circuit for each row of weights."""
    return BoundCircuits(compiled.circuit, tuple(compiled.w), weights)


def counted(compiled: GenerativeCircuit, counts: Counts) -> Sample:
    """Counted results as strings."""
    outcomes = list(counts)
    strings = compiled.levels(outcomes)
    return Sample(strings, np.array([counts[k] for k in outcomes], dtype=np.float64))
