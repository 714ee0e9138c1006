"""Approximate circuits as estimators take them: a number of gates, a fidelity, or what was found before."""

from typing import Any

import numpy as np

from qtnml.born import TreeState
from qtnml.errors import InvalidInputError
from qtnml.shallow import Approximation, approximate


def approximated(state: TreeState, wanted: Any, *, verbose: bool) -> Approximation:
    """The approximation of a state that an argument asks for.

    Args:
        state: Of the estimator.
        wanted: An integer, the most two-qubit gates; a number between 0 and 1, the fidelity to reach; or an
            `Approximation` of this state.
        verbose: Whether a bar is shown.

    Raises:
        InvalidInputError: It is none of these, or an approximation of another state.
    """
    if isinstance(wanted, Approximation):
        target = wanted.target.given.tree_state
        if target.sites != state.sites or not all(
            np.array_equal(one, two) for one, two in zip(target.cores, state.cores, strict=True)
        ):
            raise InvalidInputError("this approximation is of another state; approximate this model anew")
        return wanted
    if isinstance(wanted, int | np.integer) and not isinstance(wanted, bool):
        return approximate(state, max_two_qubit_gates=int(wanted), verbose=int(verbose))
    if isinstance(wanted, float | np.floating) and 0 < wanted < 1:
        return approximate(state, target_fidelity=float(wanted), verbose=int(verbose))
    raise InvalidInputError(
        "approximate is a number of two-qubit gates (an integer), a fidelity between 0 and 1, or a "
        f"qtnml.shallow.Approximation, got {wanted!r}"
    )
