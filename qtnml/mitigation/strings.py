"""Mitigation for generative circuits: of the distribution of a few of their sites."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit

from qtnml.arrays import NDArray
from qtnml.backends import Counts
from qtnml.compile.generative import GenerativeCircuit
from qtnml.errors import InvalidInputError
from qtnml.mitigation.extrapolation import nearest_probabilities
from qtnml.mitigation.learned import LearnedExtrapolation
from qtnml.mitigation.method import Mitigation
from qtnml.mitigation.readout import Confusion, flip
from qtnml.program import Read
from qtnml.shown import PrintedHtml

_MOST_BITS = 12  # of the sites together
Run = Callable[[Sequence[tuple[Sequence[QuantumCircuit], int]]], Sequence[list[Counts]]]
"""[(circuits, shots), ...] -> counts of each part, all measured together."""


@dataclass(frozen=True, eq=False, repr=False)
class MitigatedMarginal(PrintedHtml):
    """The measured and mitigated distribution of some sites.

    Attributes:
        quasi: Quasi-probabilities of their bits, (2**bits,). The bits of the first site are the most
            significant.
        errors: Their standard errors, from the number of shots.
        raw: Frequencies of the unfolded circuit.
        factors: Achieved folding factors.
        shots: Shots over all folded circuits.
        calibration_shots: Shots to calibrate the read-out.
        site_bits: Number of bits of each site.
        site_dims: Number of levels of each site.
    """

    quasi: NDArray
    errors: NDArray
    raw: NDArray
    factors: tuple[float, ...]
    shots: int
    calibration_shots: int
    site_bits: tuple[int, ...]
    site_dims: tuple[int, ...]

    @property
    def probabilities(self) -> NDArray:
        """The nearest probabilities, one axis of levels for each site."""
        found = nearest_probabilities(self.quasi[None])[0].reshape([2**bits for bits in self.site_bits])
        found = found[tuple(slice(dim) for dim in self.site_dims)]
        total = found.sum()
        return np.asarray(found / total if total > 0 else np.full_like(found, 1 / found.size))

    def __str__(self) -> str:
        lines = [
            f"{len(self.site_bits)} site(s), folding factors {', '.join(f'{f:g}' for f in self.factors)}",
            f"{self.shots:,} shots"
            + (f", and {self.calibration_shots:,} for the read-out" if self.calibration_shots else ""),
            f"standard error of a probability {self.errors.mean():.4f} on average",
        ]
        return "\n".join(lines)


def mitigated_marginal(
    compiled: GenerativeCircuit,
    sites: Sequence[int],
    mitigation: Mitigation,
    run: Run,
    shots: int,
    *,
    bound: Callable[[GenerativeCircuit], Any] | None = None,
) -> MitigatedMarginal:
    """Measure the distribution of some sites and mitigate the noise.

    Args:
        compiled: The circuit.
        sites: Sites to measure, all different.
        mitigation: Mitigation of the read-out, by extrapolation, or both.
        run: Function that runs circuits, all parts together.
        shots: Shots of each folded circuit.
        bound: Function that binds a variant of the circuit; by default with its own weights.

    Raises:
        InvalidInputError: A site does not exist, there are too many sites, or generative circuits do not
            support the mitigation.
    """
    places = _bits_of(compiled, sites)
    _check(mitigation, len(places))
    variants = mitigation.variants(compiled)
    bind = bound or (lambda variant: [variant.trained_circuit])
    parts = [(bind(variant.compiled), shots) for variant in variants]
    if mitigation.readout is not None:
        parts.append((calibration_circuits(compiled, places), mitigation.readout.shots or 4 * shots))
    shown = run(parts)
    confusion, calibration_shots = None, 0
    if mitigation.readout is not None:
        confusion = _confusion(compiled, places, shown[-1])
        calibration_shots = sum(sum(each.values()) for each in shown[-1])
    counts = [each[0] for each in shown[: len(variants)]]
    frequencies = np.array([[_frequencies(each, places)] for each in counts])
    taken = np.array([[sum(each.values())] for each in counts])
    factors = np.array([variant.factor for variant in variants])
    quasi, errors = mitigation.combine(factors, frequencies, taken, confusion)
    return MitigatedMarginal(
        quasi=quasi[0],
        errors=errors[0],
        raw=frequencies[0, 0],
        factors=tuple(factors.tolist()),
        shots=int(taken.sum()),
        calibration_shots=calibration_shots,
        site_bits=tuple(len(compiled.site_bits[site]) for site in sites),
        site_dims=tuple(compiled.site_dims[site] for site in sites),
    )


def calibration_circuits(compiled: GenerativeCircuit, places: Sequence[int]) -> list[QuantumCircuit]:
    """All qubits that these bits are read from in |0>, and all in |1>."""
    qubits = sorted(set(_qubit_of(compiled, places)))
    found = []
    for state in (0, 1):
        circuit = QuantumCircuit(*compiled.circuit.qregs, ClassicalRegister(len(qubits), "c"))
        for qubit in qubits if state else ():
            flip(circuit, qubit, compiled.device)
        circuit.measure(qubits, range(len(qubits)))
        found.append(circuit)
    return found


def _confusion(compiled: GenerativeCircuit, places: Sequence[int], counts: Sequence[Counts]) -> Confusion:
    """Of each bit, by the counts of the calibration circuits; the same qubit's read-outs err alike."""
    read_from = _qubit_of(compiled, places)
    number = {qubit: bit for bit, qubit in enumerate(sorted(set(read_from)))}
    ones = [
        [sum(n for k, n in each.items() if k >> number[qubit] & 1) / sum(each.values()) for each in counts]
        for qubit in read_from
    ]
    return Confusion(tuple(np.array([[1 - up, 1 - one], [up, one]]) for up, one in ones))


def _qubit_of(compiled: GenerativeCircuit, places: Sequence[int]) -> list[int]:
    """The qubit that each bit is read from."""
    qubits = {step.bit: step.qubits[0] for step in compiled.program.steps if isinstance(step, Read)}
    return [qubits[place] for place in places]


def _bits_of(compiled: GenerativeCircuit, sites: Sequence[int]) -> list[int]:
    """Classical bits of sites, the most significant first."""
    if not len(sites) or len(set(sites)) < len(sites):
        raise InvalidInputError(f"give at least one site, none of them twice, got {list(sites)}")
    if strange := [site for site in sites if not 0 <= site < compiled.num_sites]:
        raise InvalidInputError(f"sites must be 0 to {compiled.num_sites - 1}, got {strange[0]}")
    return [bit for site in sites for bit in compiled.site_bits[site]]


def _check(mitigation: Mitigation, bits: int) -> None:
    if mitigation.postselection or isinstance(mitigation.extrapolation, LearnedExtrapolation):
        raise InvalidInputError(
            "strings take mitigation 'readout', 'zne' (or 'zne-richardson', 'zne-exponential') or both; "
            "others know classes alone"
        )
    if bits > _MOST_BITS:
        raise InvalidInputError(
            f"these sites have {bits} bits and 2**{bits} strings; ask for at most {_MOST_BITS} bits at once"
        )


def _frequencies(counts: Counts, places: Sequence[int]) -> NDArray:
    """Of the values of some bits, the first the most significant."""
    found = np.zeros(2 ** len(places))
    for outcome, shots in counts.items():
        value = 0
        for place in places:
            value = 2 * value + (outcome >> place & 1)
        found[value] += shots
    return np.asarray(found / max(found.sum(), 1.0))
