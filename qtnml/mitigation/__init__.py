"""Error mitigation that works with resets: read-out, zero-noise extrapolation, a learnt extrapolation."""

from qtnml.mitigation.extrapolation import Extrapolation, ZeroNoiseExtrapolation
from qtnml.mitigation.folding import Folded, folded
from qtnml.mitigation.learned import LearnedExtrapolation, random_examples
from qtnml.mitigation.method import (
    Measured,
    MitigatedOutcomes,
    MitigatedRun,
    Mitigation,
    get_mitigation,
    mitigated_outcomes,
)
from qtnml.mitigation.readout import Confusion, ReadoutMitigation
from qtnml.mitigation.strings import MitigatedMarginal, mitigated_marginal

__all__ = [
    "Confusion",
    "Extrapolation",
    "Folded",
    "LearnedExtrapolation",
    "Measured",
    "MitigatedMarginal",
    "MitigatedOutcomes",
    "MitigatedRun",
    "Mitigation",
    "ReadoutMitigation",
    "ZeroNoiseExtrapolation",
    "folded",
    "get_mitigation",
    "mitigated_marginal",
    "mitigated_outcomes",
    "random_examples",
]
