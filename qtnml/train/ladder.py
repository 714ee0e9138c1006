"""Bonds that grow in rungs, as long as the held-out likelihood improves.

Every rung starts at the best state so far, with a larger limit for all bonds. So a bond of 32 does not have
to learn again what a bond of two has learnt. Training ends at the first bond that only overfits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

_PROGRESS = 1e-6  # of the score: a smaller fall does not count


class Rung(NamedTuple):
    """Where a ladder stands before a sweep.

    Attributes:
        bond: Limit of all bonds.
        sweep: Number of the sweep on this rung, from 0.
        begins: This sweep is to start at the best state so far.
    """

    bond: int
    sweep: int
    begins: bool


@dataclass(frozen=True)
class Ladder:
    """Limits of bonds, one after another.

    Attributes:
        bonds: Rising.
        sweeps: The most on each.
        patience: A rung is left after so many sweeps without a better score of its own.
    """

    bonds: tuple[int, ...]
    sweeps: int = 8
    patience: int = 3

    @classmethod
    def to(cls, max_bond: int, first: int = 2) -> "Ladder":
        """By up to a quarter, from `first` to `max_bond`: 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, ..."""
        bonds, bond = list[int](), min(first, max_bond)
        while bond < max_bond:
            bonds.append(bond)
            step = 1 << max(0, bond.bit_length() - 3)
            bond = (bond // step + 1) * step
        return cls((*bonds, max_bond))

    @property
    def most_sweeps(self) -> int:
        """On all rungs together."""
        return len(self.bonds) * self.sweeps

    def rung(self, start: float, scores: Sequence[float]) -> Rung | None:
        """What follows after sweeps with these scores; None where the ladder ends.

        It ends on top, and where a rung did not better the score, but for the first.

        Args:
            start: Score of the first state; lower is better.
            scores: After each sweep.
        """
        number, sweep, own, since = 0, 0, float("inf"), 0
        before = best = start
        for score in scores:
            sweep += 1
            own, since = (score, 0) if score < own - _PROGRESS * abs(score) else (own, since + 1)
            best = min(best, score)
            if sweep < self.sweeps and since < self.patience:
                continue
            if number and not best < before - _PROGRESS * abs(best):
                return None
            number, sweep, own, since, before = number + 1, 0, float("inf"), 0, best
            if number == len(self.bonds):
                return None
        return Rung(self.bonds[number], sweep, sweep == 0 and number > 0)
