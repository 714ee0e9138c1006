"""Exact outcome of a circuit under a device's noise: used to compare candidates and in plans."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from qtnml.ansatz import FullUnitary, TensorNetwork
from qtnml.arrays import NDArray
from qtnml.born import TreeState, log_likelihood
from qtnml.born.sampling import sample
from qtnml.contract import Model, Parameters
from qtnml.encoding import Encoding, data_angles
from qtnml.noise import DeviceNoise, NoisyCircuit, NoisyGenerativeCircuit

if TYPE_CHECKING:
    from qtnml.compile.compiled import CompiledCircuit
    from qtnml.compile.generative import GenerativeCircuit

SHOTS = 1024  # that a decision is made by, for comparison
_DRAWN, _COMPARED = 2000, 64  # samples made up, and those of them that are used
_STRINGS = 500
LARGEST_MAP = 2**20  # of a circuit that is compared: a dozen of them should take seconds
_ALL_STRINGS = 4096
_NEAR = 0.005  # rates of right decisions that count as equal


@dataclass(frozen=True)
class Expected:
    """The exact outcome of a circuit under noise, compared with the same model without noise.

    Attributes:
        decided: Rate at which the most frequent outcome of `shots` shots is the most likely outcome without
            noise.
        agreement: The same rate for infinitely many shots.
        contrast: Slope of the noisy probabilities over the probabilities without noise: 1 keeps everything,
            0 nothing.
        deviation: Mean absolute difference of the probabilities.
        success: Mean probability that a shot counts.
        excess_nll: For a generative circuit: the loss of log-likelihood, in nats per string, of strings that
            it should draw. It is NaN for other circuits; for a generative circuit the numbers above are NaN,
            except `success`.
        shots: Number of shots that `decided` refers to.
        made_up: Whether samples were made up, for want of given ones.
    """

    decided: float = float("nan")
    agreement: float = float("nan")
    contrast: float = float("nan")
    deviation: float = float("nan")
    success: float = 1.0
    excess_nll: float = float("nan")
    shots: int = SHOTS
    made_up: bool = False

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key of candidates; larger is better."""
        if not np.isnan(self.excess_nll):
            return (-round(self.excess_nll, 4), 0.0)
        contrast = 0.0 if np.isnan(self.contrast) else self.contrast  # of a single sample
        return (round(self.decided / _NEAR) * _NEAR, round(contrast, 3))

    def __str__(self) -> str:
        if not np.isnan(self.excess_nll):
            return f"strings less likely by {self.excess_nll:.3g} nats"
        of = " on made-up samples" if self.made_up else ""
        return (
            f"{100 * self.agreement:.1f} % of decisions{of} as without noise ({100 * self.decided:.1f} % by "
            f"{self.shots:,} shots), contrast {self.contrast:.2f}, probabilities off by {self.deviation:.3f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The values as JSON types; those that do not apply are left out."""
        return {name: value for name, value in vars(self).items() if not np.isnan(value)}


@dataclass(frozen=True, eq=False)
class Decisions:
    """Samples that the circuits of one network are compared on, and what they give without noise.

    Attributes:
        angles: Data angles (samples, data qubits).
        ideal: Outcome probabilities (samples, outcomes).
        made_up: Whether the samples are made up.
    """

    angles: NDArray
    ideal: NDArray
    made_up: bool = False

    @classmethod
    def of(
        cls,
        network: TensorNetwork,
        encoding: Encoding,
        encoding_parameters: tuple[NDArray, ...],
        *,
        postselected: bool,
        scaled: NDArray | None,
    ) -> "Decisions":
        """Of a network with its encoding.

        Args:
            network: Unitaries.
            encoding: Data gates.
            encoding_parameters: Their trained values.
            postselected: Whether discarded qubits count only in |0>.
            scaled: Features (samples, features) in [0, 1]; None takes random ones that spread the
                network's probabilities evenly.
        """
        model = Model(network.topology, encoding, FullUnitary(), "postselect" if postselected else "trace")
        parameters = Parameters(network.unitaries, encoding_parameters)
        features = _made_up(model.num_features) if scaled is None else scaled
        ideal = model.predict(parameters, features)[0]
        if scaled is None:
            chosen = _evenly(ideal)
            features, ideal = features[chosen], ideal[chosen]
        return cls(data_angles(encoding, features, encoding_parameters), ideal, scaled is None)

    def expected(self, compiled: "CompiledCircuit", noise: DeviceNoise) -> Expected:
        """Of one of the network's circuits, under the noise of the circuit's own qubits."""
        noisy, log_success = NoisyCircuit(compiled, noise, LARGEST_MAP).evaluate(self.angles)
        return replace(compared(self.ideal, noisy, np.exp(log_success)), made_up=self.made_up)


def compared(ideal: NDArray, noisy: NDArray, success: NDArray, shots: int = SHOTS) -> Expected:
    """Of probabilities (samples, outcomes) without and with noise, and of shots that count (samples,)."""
    rows, right = np.arange(len(ideal)), ideal.argmax(axis=1)
    first = noisy[rows, right]
    others = noisy.copy()
    others[rows, right] = -1.0
    second = others.max(axis=1)
    margin = first - second
    spread = np.sqrt(np.maximum(first + second - margin**2, 1e-12) / (shots * np.maximum(success, 1e-12)))
    ideal_rest, noisy_rest = ideal - ideal.mean(axis=0), noisy - noisy.mean(axis=0)
    scale = float((ideal_rest**2).sum())
    return Expected(
        decided=float(norm.cdf(margin / spread).mean()),
        agreement=float((noisy.argmax(axis=1) == right).mean()),
        contrast=float((ideal_rest * noisy_rest).sum() / scale) if scale > 0 else float("nan"),
        deviation=float(np.abs(noisy - ideal).mean()),
        success=float(success.mean()),
        shots=shots,
    )


@dataclass(frozen=True, eq=False)
class Strings:
    """Strings that the circuits of one state are compared on.

    Attributes:
        levels: Shape (strings, sites).
        logs: ln P of each under the state, nats.
        weights: What each counts.
    """

    levels: NDArray
    logs: NDArray
    weights: NDArray

    @classmethod
    def of(cls, state: TreeState, levels: NDArray | None) -> "Strings":
        """Given ones; or all there are, weighted by their probability; or some drawn from the state."""
        dims, weights = state.sites.dims, None
        if levels is None and np.prod(dims, dtype=float) <= _ALL_STRINGS:
            levels = np.stack(np.unravel_index(np.arange(np.prod(dims)), dims), axis=1)
            weights = np.exp(log_likelihood(state, levels))
            levels, weights = levels[weights > 0], weights[weights > 0]
        elif levels is None:
            levels = sample(state, np.random.default_rng(0), _STRINGS)
        logs = np.asarray(log_likelihood(state, levels))
        return cls(levels, logs, np.ones(len(levels)) if weights is None else weights)

    def expected(self, compiled: "GenerativeCircuit", noise: DeviceNoise) -> Expected:
        """Of one of the state's circuits, under the noise of the circuit's own qubits."""
        noisy = NoisyGenerativeCircuit(compiled, noise)
        excess = self.logs - noisy.log_likelihood(self.levels)
        return Expected(
            success=1.0 - noisy.lost_mass, excess_nll=float(np.average(excess, weights=self.weights))
        )


def _made_up(num_features: int) -> NDArray:
    """Features in [0, 1]: each for itself, near the ends, and alike along the row."""
    rng = np.random.default_rng(0)
    plain = rng.random((_DRAWN, num_features))
    ends = rng.beta(0.2, 0.2, (_DRAWN, num_features))
    steps = np.cumsum(rng.normal(0, 0.3, (_DRAWN, num_features)), axis=1) + rng.random((_DRAWN, 1))
    alike = np.abs((steps + 1) % 2 - 1)
    found = np.concatenate([plain, ends, alike])
    return np.asarray(np.clip(found, 0.0, 1.0))


def _evenly(ideal: NDArray) -> NDArray:
    """Rows whose largest probability is spread evenly, as many for each outcome."""
    right, top = ideal.argmax(axis=1), ideal.max(axis=1)
    outcomes = np.unique(right)
    each = max(1, _COMPARED // len(outcomes))
    chosen = []
    for outcome in outcomes:
        rows = np.flatnonzero(right == outcome)
        rows = rows[np.argsort(top[rows])]
        wanted = np.linspace(top[rows[0]], top[rows[-1]], each)
        chosen.append(rows[np.clip(np.searchsorted(top[rows], wanted), 0, len(rows) - 1)])
    return np.unique(np.concatenate(chosen))
