"""Target of an approximation: a state as a chain of qubits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError, StateWarning, warn_user
from qtnml.states import State, as_state
from qtnml.states.chains import Chain, chain_of, check_bond, compressed
from qtnml.states.qubits import qubit_chain
from qtnml.states.state import reordered
from qtnml.structure.information import seriation

_TRACE = 1e-6
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Target:
    """A state, and the chain of qubits that circuits are compared with.

    Attributes:
        state: What circuits should prepare: as it was given, or truncated where that was asked for.
        given: As it was given.
        tensors: (left bond, 2, right bond) of each qubit in the order of the chain.
        bits: Qubits of each site in turn.
        sites: Number of the site at each turn.
        qubits: Number of the qubit at each place: sites in order, the most significant qubit of each first.
    """

    state: State
    given: State
    tensors: tuple[NDArray, ...]
    bits: tuple[int, ...]
    sites: tuple[int, ...]
    qubits: tuple[int, ...]

    @classmethod
    def of(cls, given: Any, max_bond: int | None = None, order: Any = None) -> "Target":
        """Of a `State`, a `TreeState` or a fitted Born machine.

        Args:
            given: The state.
            max_bond: Largest bond of the chain; a smaller one than it has is another state, which is said.
            order: Sites along the chain: a permutation, or "mutual-information", which brings together what
                is entangled; None leaves them. Bonds grow as they must.

        Raises:
            InvalidInputError: It is no state, or of a single qubit.

        Warns:
            StateWarning: Truncation to `max_bond` has lost more than rounding.
        """
        state = whole = as_state(given)
        if max_bond is not None:
            check_bond(max_bond)
            chain = chain_of(state.tree_state, int(max_bond))
            tensors = compressed(chain.tensors, int(max_bond))
            # Each truncation is a projection of what the ones before left: the norm is the overlap.
            kept = float(np.linalg.norm(tensors[0]) ** 2)
            if kept < 1 - _ROUNDING:
                warn_user(
                    f"the chain of bond {max_bond} has a fidelity of {kept:.6g} with the state; fidelities "
                    "of circuits are with that chain",
                    StateWarning,
                )
                state = State(Chain(tuple(tensors), chain.order).state())
        chain = state.chain()
        if order is not None:
            chain = reordered(chain, _checked_order(order, state))
        bits = tuple(max(1, (tensor.shape[1] - 1).bit_length()) for tensor in chain.tensors)
        qubits = qubit_chain(chain)
        if len(qubits.tensors) < 2:
            raise InvalidInputError(
                "a state of one qubit needs no two-qubit gate; state.compile() makes its circuit"
            )
        # Right-canonical, of norm 1: the first tensor holds it.
        tensors = compressed(qubits.tensors)
        tensors[0] = tensors[0] / np.linalg.norm(tensors[0])
        return cls(state, whole, tuple(tensors), bits, chain.order, qubits.order)

    @property
    def num_places(self) -> int:
        """Qubits."""
        return len(self.tensors)

    @cached_property
    def is_real(self) -> bool:
        """Whether all amplitudes are real."""
        return not any(np.iscomplexobj(tensor) for tensor in self.tensors)

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Between neighbouring qubits."""
        return tuple(tensor.shape[2] for tensor in self.tensors[:-1])


def _checked_order(order: Any, state: State) -> list[int]:
    if isinstance(order, str):
        if order != "mutual-information":
            raise InvalidInputError(
                f"order must be 'mutual-information', a permutation of the sites or None, got {order!r}"
            )
        information = state.mutual_information()
        # Parts that know nothing of each other are kept in order by a trace of their neighbourhood.
        steps = np.linspace(1.0, 2.0, state.num_sites - 1)  # unequal, so that no two parts fall together
        trace = _TRACE * information.max() * np.diag(steps, k=1)
        return seriation(information + trace + trace.T)
    found = [int(site) for site in order]
    if sorted(found) != list(range(state.num_sites)):
        raise InvalidInputError(f"order is a permutation of {state.num_sites} sites, got {found}")
    return found
