"""Greedy search over the structure of a tree: bonds grow where the data need them.

As in arXiv:2008.05437: start with all bonds at one, score the growth of each edge by a short trial, raise the
best, train, and repeat until the held-out likelihood no longer improves.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.train.born_loop import Strings, train_born
from qtnml.train.objectives import LogLikelihood
from qtnml.train.sweep_loop import SweepTraining
from qtnml.train.sweeps import SweepOptions, growth_gains

_TRIAL_STEPS, _TRIAL_ANGLE = 4, 0.5


@dataclass(frozen=True)
class GreedyGrowth:
    """How bonds grow.

    Attributes:
        share: Of all edges, the share raised by one in each round, at least one edge.
        sweeps: Of training after each round.
        patience: Rounds without a better validation NLL until it ends.
        rounds: The most rounds.
    """

    share: float = 0.05
    sweeps: int = 3
    patience: int = 3
    rounds: int = 200


class GrowthRecord(NamedTuple):
    """After one round: NLL of training and held-out strings (nats), parameters, the largest bond."""

    round: int
    nll: float
    validation_nll: float
    num_parameters: int
    largest_bond: int


def grow_bonds(
    state: TreeState,
    data: Strings,
    validation: Strings,
    training: SweepTraining,
    growth: GreedyGrowth,
    rng: np.random.Generator,
    on_round: Callable[[GrowthRecord], None] | None = None,
) -> tuple[TreeState, tuple[GrowthRecord, ...], bool]:
    """Raise bonds one by one where a trial gains most, until validation stops improving.

    Ctrl-C returns the best so far; before the first round is over it is passed on.

    Args:
        state: To start from: `TreeState.product` has all bonds at one. A tree with nodes that have no
            sites of their own needs bonds of two, as one bond alone carries nothing across such a node.
        data: Trains and scores edges.
        validation: Ends the search and chooses the best state.
        training: Of each round: its `max_bond` bounds all bonds.
        growth: How.
        rng: Chooses batches.
        on_round: Called after each.

    Returns:
        The best state by validation, how the search went, and whether it was interrupted.
    """
    if not isinstance(training.max_bond, int):
        raise InvalidInputError("grow_bonds chooses each bond itself; give one max_bond for all")
    most = np.minimum(state.sites.largest_bonds[:-1], training.max_bond)
    best, best_score, records, improved = state, validation.nll(state), list[GrowthRecord](), 0
    trial = SweepOptions(steps=_TRIAL_STEPS, max_angle=_TRIAL_ANGLE, cutoff=training.cutoff)
    number = max(1, round(growth.share * len(most)))
    interrupted = False
    try:
        for turn in range(1, growth.rounds + 1):
            bonds = np.array(state.bond_dims, dtype=int)
            part = data if len(data.X) <= training.batch_size else data.drawn(training.batch_size, rng)
            objective = LogLikelihood(part.weights.astype(np.float32))
            gains = growth_gains(state.cores, part.batch(state.sites), objective, trial)
            gains = np.where(bonds < most, gains, -np.inf)
            chosen = np.argsort(-gains, kind="stable")[:number]
            chosen = chosen[gains[chosen] > 0]
            if not len(chosen):
                break
            bonds[chosen] += 1
            # Two sites at once, so that a raised bond is filled; the others keep their limits.
            settings = replace(
                training, epochs=growth.sweeps, max_bond=tuple(int(b) for b in bonds), one_site_share=0.0
            )
            result = train_born(state, data, settings, rng)
            if result.stopped == "interrupted":
                raise KeyboardInterrupt
            state = result.state
            score = validation.nll(state)
            records.append(
                GrowthRecord(
                    turn,
                    result.history[-1].loss,
                    score,
                    state.num_parameters,
                    max(state.bond_dims, default=1),
                )
            )
            if on_round is not None:
                on_round(records[-1])
            if score < best_score:
                best, best_score, improved = state, score, turn
            if turn - improved >= growth.patience:
                break
    except KeyboardInterrupt:
        if not records:
            raise
        interrupted = True
    return best, tuple(records), interrupted
