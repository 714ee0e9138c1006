"""What is approximated: a state as a chain of qubits."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.states import State, as_state
from qtnml.states.chains import compressed
from qtnml.states.qubits import qubit_chain


@dataclass(frozen=True, eq=False)
class Target:
    """A state, and the chain of qubits that circuits are compared with.

    Attributes:
        state: As it was given.
        tensors: (left bond, 2, right bond) of each qubit in the order of the chain.
        bits: Qubits of each site in turn.
        sites: Number of the site at each turn.
    """

    state: State
    tensors: tuple[NDArray, ...]
    bits: tuple[int, ...]
    sites: tuple[int, ...]

    @classmethod
    def of(cls, given: Any, max_bond: int | None = None) -> "Target":
        """Of a `State`, a `TreeState` or a fitted Born machine.

        Args:
            given: The state.
            max_bond: Of the chain that a tree becomes.

        Raises:
            InvalidInputError: It is no state, or of a single qubit.
        """
        state = as_state(given)
        chain = state.chain(max_bond)
        bits = tuple(max(1, (tensor.shape[1] - 1).bit_length()) for tensor in chain.tensors)
        qubits = qubit_chain(chain)
        if len(qubits.tensors) < 2:
            raise InvalidInputError(
                "a state of one qubit needs no two-qubit gate; state.compile() makes its circuit"
            )
        # Right-canonical, of norm 1: the first tensor holds it.
        tensors = compressed(qubits.tensors)
        tensors[0] = tensors[0] / np.linalg.norm(tensors[0])
        return cls(state, tuple(tensors), bits, chain.order)

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
