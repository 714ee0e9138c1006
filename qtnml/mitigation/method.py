"""Mitigation methods: which circuits are measured, and how their results are combined."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.compile import CompiledCircuit
from qtnml.compile.compiled import Compiled
from qtnml.compile.factorised import measured_qubits
from qtnml.errors import InvalidInputError
from qtnml.mitigation.extrapolation import (
    Extrapolation,
    ZeroNoiseExtrapolation,
    nearest_probabilities,
    outcomes_from_z,
    z_correlations,
    z_expectations,
    z_variances,
)
from qtnml.mitigation.folding import Folded, folded
from qtnml.mitigation.learned import LearnedExtrapolation, noise_levels
from qtnml.mitigation.readout import Confusion, ReadoutMitigation
from qtnml.noise import NOISELESS, DeviceNoise, NoisyCircuit
from qtnml.shown import PrintedHtml

_APART = 0.25  # factors that differ by less extrapolate shot noise


class Measured(NamedTuple):
    """Measured results of circuits.

    Attributes:
        frequencies: Frequencies of the outcomes among the shots that count, (circuits, outcomes).
        counted: Number of shots that count, (circuits,); all shots without post-selection.
        shots: Number of all shots, (circuits,). It is larger than requested if more shots are stored.
    """

    frequencies: NDArray
    counted: NDArray
    shots: NDArray


Measure = Callable[[Sequence[tuple[Any, int]]], Sequence[Measured]]
"""[(circuits, shots), ...] -> what each part showed with at least so many shots, all measured together."""


@dataclass(frozen=True)
class Mitigation:
    """Read-out mitigation, extrapolation, or both; read-out errors are corrected first.

    In a post-selected circuit (its discarded qubits must be 0) only shots that pass count. This alone removes
    errors; the other methods act on the remaining shots.

    Attributes:
        readout: Correct read-out errors of the outcome.
        extrapolation: Extrapolation to zero noise, any `Extrapolation`.
        postselection: Require a post-selected circuit.
    """

    readout: ReadoutMitigation | None = None
    extrapolation: Extrapolation | None = None
    postselection: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.readout, ReadoutMitigation | None):
            raise InvalidInputError(f"readout must be a ReadoutMitigation or None, got {self.readout!r}")
        given = self.extrapolation
        if given is not None and (isinstance(given, type) or not hasattr(given, "extrapolate")):
            raise InvalidInputError(
                f"extrapolation must be an object such as ZeroNoiseExtrapolation() or None, got {given!r}"
            )

    @property
    def factors(self) -> tuple[float, ...]:
        """Folding factors of the circuits that are measured."""
        return (1.0,) if self.extrapolation is None else tuple(self.extrapolation.factors)

    def variants(self, compiled: Compiled) -> list[Folded]:
        """The circuit and its variants with more noise, in the order of the factors.

        Raises:
            InvalidInputError: The circuit does not allow this mitigation.
        """
        if self.postselection and not getattr(compiled, "postselected", False):
            raise InvalidInputError(
                "the model traces out the qubits it discards, whatever they are; post-selection needs one "
                "trained with discard='postselect'"
            )
        found = [folded(compiled, factor) for factor in self.factors]
        achieved = [variant.factor for variant in found]
        if any(later < earlier + _APART for earlier, later in pairwise(achieved)):
            raise InvalidInputError(
                f"folding by {self.factors} makes factors of {tuple(round(f, 3) for f in achieved)} of this "
                f"circuit with {compiled.two_qubit_gates} two-qubit gates, which lie too close to "
                "extrapolate; choose larger factors, or leave extrapolation out"
            )
        check = getattr(self.extrapolation, "check_factors", None)
        if check is not None:
            check(np.array(achieved))
        return found

    def combine(
        self,
        factors: NDArray,
        frequencies: NDArray,
        shots: NDArray | float,
        confusion: Confusion | None,
        levels: NDArray | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Quasi-probabilities (samples, outcomes) and their standard errors.

        Args:
            factors: Achieved folding factors.
            frequencies: Frequencies as read, (factors, samples, outcomes).
            shots: Shots that count of each circuit, a number or (factors, samples); infinity for exact
                probabilities.
            confusion: Confusion of the read-out, to be inverted.
            levels: Noise levels by calibration, if they are known; see `noise_levels`.
        """
        shots = np.broadcast_to(np.asarray(shots, dtype=np.float64), frequencies.shape[:-1])
        inverse = None if confusion is None else confusion.inverse
        undone = frequencies if inverse is None else frequencies @ inverse.T
        values, variances = z_expectations(undone), z_variances(frequencies, shots, inverse)
        if self.extrapolation is None:
            found, spread = values[0], variances[0]
        else:
            found, spread = self.extrapolation.extrapolate(factors, values, variances, levels)
        found, spread = np.array(found), np.array(spread)
        found[..., 0], spread[..., 0] = 1.0, 0.0  # the norm is known
        errors = _outcome_errors(spread, z_correlations(frequencies[0], shots[0], inverse))
        errors[(shots < 1).any(axis=0)] = np.inf  # nothing was seen
        return outcomes_from_z(found), errors


def _outcome_errors(variances: NDArray, correlations: NDArray) -> NDArray:
    """Standard errors of outcomes (samples, outcomes) of Z strings that depend on each other."""
    strings = variances.shape[-1]
    signs = outcomes_from_z(np.eye(strings))
    scaled = np.sqrt(variances)[..., None] * signs
    total = np.einsum("nso,nst,nto->no", scaled, correlations, scaled, optimize=True)
    return np.asarray(np.sqrt(np.clip(total, 0.0, None)))


@dataclass(frozen=True, eq=False, repr=False)
class MitigatedOutcomes(PrintedHtml):
    """Mitigated results of samples.

    Attributes:
        quasi: Quasi-probabilities (samples, outcomes). They sum to 1; some may be negative.
        errors: Their standard errors, from the number of shots; infinite if no shot counted.
        raw: Frequencies of the unfolded circuits.
        factors: Achieved folding factors.
        shots: Shots of each sample, (samples,), over all its circuits and including stored ones.
        extra_shots: Part of `shots` that mitigation added, (samples,).
        calibration_shots: Shots to calibrate the read-out, once for all samples.
        accepted: Fraction (samples,) of the unfolded circuits' shots that counted; 1 without post-selection.
        bias: Largest deviation (samples,) from the noise-free probabilities that remains with infinitely many
            shots. It comes from resets, waiting, read-out and an imperfect fit. None if the noise is not
            known.
        raw_bias: The same deviation without mitigation.
    """

    quasi: NDArray
    errors: NDArray
    raw: NDArray
    factors: tuple[float, ...]
    shots: NDArray
    extra_shots: NDArray
    calibration_shots: int
    accepted: NDArray
    bias: NDArray | None
    raw_bias: NDArray | None

    @property
    def probabilities(self) -> NDArray:
        """The nearest probabilities, (samples, outcomes)."""
        return nearest_probabilities(self.quasi)

    def __str__(self) -> str:
        lines = [
            f"folding factors {', '.join(f'{f:g}' for f in self.factors)}",
            f"{self.shots.mean():,.0f} shots a sample, {self.extra_shots.mean():,.0f} of them for mitigation"
            + (f", and {self.calibration_shots:,} once for the read-out" if self.calibration_shots else ""),
            f"standard error of a probability {self.errors.mean():.4f} on average",
        ]
        if self.accepted.min(initial=1.0) < 1:
            lines.append(f"post-selection kept {self.accepted.mean():.1%} of the shots")
            if not self.accepted.all():
                lines.append(f"nothing is known of {(self.accepted == 0).sum()} samples: no shot counted")
        if self.bias is not None and self.raw_bias is not None:
            lines.append(
                f"left behind with infinitely many shots: {self.bias.mean():.4f} on average (without "
                f"mitigation {self.raw_bias.mean():.4f})"
            )
        return "\n".join(lines)


class MitigatedRun:
    """The circuits that a mitigation measures, and the combination of their results.

    Args:
        compiled: The circuit.
        angles: Data angles (samples, data qubits).
        mitigation: The mitigation to apply.
        shots: Shots of each circuit. A sample takes this number for each factor.
        noise: Noise of the backend, if it is known. The bias is then computed exactly.
        bound: Function that binds the samples to a variant of the circuit; by default with the circuit's own
            weights.
    """

    def __init__(
        self,
        compiled: CompiledCircuit,
        angles: NDArray,
        mitigation: Mitigation,
        shots: int,
        *,
        noise: DeviceNoise | None = None,
        bound: Callable[[CompiledCircuit], Any] | None = None,
    ) -> None:
        self._compiled, self._angles, self._mitigation = compiled, angles, mitigation
        self._noise = noise
        self._variants = mitigation.variants(compiled)
        bind = bound or (lambda variant: variant.bind_angles(angles))
        #: Circuits and shots of each: those of every factor, then those of the read-out.
        self.parts: list[tuple[Any, int]] = [(bind(variant.compiled), shots) for variant in self._variants]
        if mitigation.readout is not None:
            each = mitigation.readout.shots or 4 * shots
            self.parts.append((mitigation.readout.construct_circuits(compiled), each))

    def combine(self, shown: Sequence[Measured]) -> MitigatedOutcomes:
        """Mitigated outcomes from the measured results of the parts."""
        confusion, calibration_shots = None, 0
        count = len(self._variants)
        if self._mitigation.readout is not None:
            confusion = self._mitigation.readout.combine_results(shown[count].frequencies)
            calibration_shots = int(shown[count].shots.sum())
        parts = zip(*shown[:count], strict=True)
        frequencies, counted, taken = (np.array(part) for part in parts)
        factors = np.array([variant.factor for variant in self._variants])
        levels = None if self._noise is None else _levels(self._compiled, self._noise)
        quasi, errors = self._mitigation.combine(factors, frequencies, counted, confusion, levels)
        bias, raw_bias = _bias(
            self._compiled, self._angles, self._mitigation, self._variants, self._noise, levels
        )
        return MitigatedOutcomes(
            quasi=quasi,
            errors=errors,
            raw=frequencies[0],
            factors=tuple(factors.tolist()),
            shots=taken.sum(axis=0),
            extra_shots=taken[1:].sum(axis=0),
            calibration_shots=calibration_shots,
            accepted=counted[0] / np.maximum(taken[0], 1),
            bias=bias,
            raw_bias=raw_bias,
        )


def mitigated_outcomes(
    compiled: CompiledCircuit,
    angles: NDArray,
    mitigation: Mitigation,
    measure: Measure,
    shots: int,
    *,
    noise: DeviceNoise | None = None,
    bound: Callable[[CompiledCircuit], Any] | None = None,
) -> MitigatedOutcomes:
    """Measure all that a mitigation needs, together, and combine it; arguments as for `MitigatedRun`.

    Args:
        compiled, angles, mitigation, shots, noise, bound: As for `MitigatedRun`.
        measure: Function that runs circuits.
    """
    run = MitigatedRun(compiled, angles, mitigation, shots, noise=noise, bound=bound)
    return run.combine(measure(run.parts))


def _bias(
    compiled: CompiledCircuit,
    angles: NDArray,
    mitigation: Mitigation,
    variants: Sequence[Folded],
    noise: DeviceNoise | None,
    levels: NDArray | None,
) -> tuple[NDArray | None, NDArray | None]:
    """What infinitely many shots leave behind, by the exact contraction under the known noise."""
    if noise is None:
        return None, None
    try:
        exact = np.array([NoisyCircuit(v.compiled, noise).evaluate(angles)[0] for v in variants])
    except InvalidInputError:  # a routed circuit is no tree
        return None, None
    ideal = NoisyCircuit(compiled, NOISELESS).evaluate(angles)[0]
    confusion = None
    if mitigation.readout is not None:
        confusion = exact_confusion(compiled, noise)
    factors = np.array([variant.factor for variant in variants])
    found = mitigation.combine(factors, exact, np.inf, confusion, levels)[0]
    return np.abs(found - ideal).max(axis=1), np.abs(exact[0] - ideal).max(axis=1)


def _levels(compiled: CompiledCircuit, noise: DeviceNoise) -> NDArray | None:
    try:
        return noise_levels(NoisyCircuit(compiled, noise))
    except InvalidInputError:  # a routed circuit is no tree
        return None


def exact_confusion(compiled: CompiledCircuit, noise: DeviceNoise) -> Confusion:
    """The matrix that infinitely many calibration shots would show."""
    matrices = []
    for qubit in measured_qubits(compiled.circuit):
        up, down = noise.readout(qubit)
        flip = noise.gate_channel("x", (qubit,)).transfer_map
        z = flip[3, 0] - flip[3, 3]  # of |1> as it is prepared
        one = (1 + z) / 2 * up + (1 - z) / 2 * (1 - down)
        matrices.append(np.array([[1 - up, 1 - one], [up, one]]))
    return Confusion(tuple(matrices))


_NAMES: dict[str, Callable[[], Mitigation]] = {
    "postselection": lambda: Mitigation(postselection=True),
    "readout": lambda: Mitigation(ReadoutMitigation()),
    "zne": lambda: Mitigation(extrapolation=ZeroNoiseExtrapolation()),
    "zne-richardson": lambda: Mitigation(extrapolation=ZeroNoiseExtrapolation(fit="richardson")),
    "zne-exponential": lambda: Mitigation(extrapolation=ZeroNoiseExtrapolation(fit="exponential")),
    "learned": lambda: Mitigation(extrapolation=LearnedExtrapolation.pretrained()),
}


def get_mitigation(mitigation: Any) -> Mitigation | None:
    """The mitigation from a name, names joined by "+", a part of one, or a mitigation; None for none.

    >>> get_mitigation("readout+zne").factors
    (1.0, 3.0, 5.0)
    """
    if mitigation is None or isinstance(mitigation, Mitigation):
        return mitigation
    if isinstance(mitigation, ReadoutMitigation):
        return Mitigation(mitigation)
    if hasattr(mitigation, "extrapolate") and not isinstance(mitigation, type):
        return Mitigation(extrapolation=mitigation)
    if isinstance(mitigation, str) and all(part in _NAMES for part in mitigation.split("+")):
        found = [_NAMES[part]() for part in mitigation.split("+")]
        if sum(part.extrapolation is not None for part in found) > 1:
            raise InvalidInputError(f"{mitigation!r} names more than one extrapolation; choose one")
        readout = next((part.readout for part in found if part.readout), None)
        extrapolation = next((part.extrapolation for part in found if part.extrapolation), None)
        return Mitigation(readout, extrapolation, any(part.postselection for part in found))
    raise InvalidInputError(
        f"unknown mitigation {mitigation!r}; choose of {', '.join(_NAMES)} (joined by +), or an object of "
        "qtnml.mitigation"
    )
