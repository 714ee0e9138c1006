"""`State`: a tensor network state on a chain or a tree, its properties, and its compilation to a circuit."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState, bond_entropies, expectation, log_amplitudes, reduced_states, schmidt_values
from qtnml.born.reduced import mutual_information
from qtnml.born.sampling import sample
from qtnml.compile import GenerativeCircuit, compile_state
from qtnml.errors import InvalidInputError
from qtnml.progress import progress_bar
from qtnml.shown import facts_html, some
from qtnml.states.chains import (
    Chain,
    chain_of,
    check_bond,
    check_cutoff,
    compressed,
    overlap,
    path_of,
)
from qtnml.states.dense import vector_of
from qtnml.states.hamiltonian import PAULIS, Hamiltonian
from qtnml.states.layouts import Layout, arrays_as
from qtnml.states.libraries import to_quimb, to_tenpy
from qtnml.states.qubits import qubit_chain
from qtnml.states.reduced import reduced_density_matrix
from qtnml.states.renormalise import on_balanced_tree

_MOST_BOND = 512  # while sites change places


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """A normalised pure state on a chain or a tree of sites.

    States are made by `from_arrays`, `from_quimb`, `from_tenpy`, `from_vector`, `from_function` and
    `from_born`.

    Attributes:
        tree_state: The state as a `TreeState` with canonical cores.

    >>> from qtnml.states import from_vector
    >>> ghz = from_vector(np.array([1, 0, 0, 0, 0, 0, 0, 1]))
    >>> ghz
    State(chain of 3 sites, 2 levels, bonds up to 2, real)
    >>> ghz.entropies().round(4), round(ghz.expectation({0: "Z", 2: "Z"}).real, 12)
    (array([0.6931, 0.6931]), 1.0)
    """

    tree_state: TreeState

    @property
    def dims(self) -> tuple[int, ...]:
        """Levels of each site."""
        return self.tree_state.sites.dims

    @property
    def num_sites(self) -> int:
        """Number of sites."""
        return len(self.dims)

    @property
    def is_chain(self) -> bool:
        """Whether it is a matrix product state, in any order of its sites."""
        return path_of(self.tree_state.tree) is not None

    @property
    def is_complex(self) -> bool:
        """Whether amplitudes are complex."""
        return self.tree_state.is_complex

    @property
    def bond_dims(self) -> tuple[int, ...]:
        """Bond dimensions: between neighbours of a chain, or above each node of a tree except the root."""
        return self._chain.bond_dims if self.is_chain else self.tree_state.bond_dims

    @property
    def num_parameters(self) -> int:
        """Number of entries in the cores."""
        return self.tree_state.num_parameters

    @cached_property
    def _chain(self) -> Chain:
        return chain_of(self.tree_state)

    def chain(self, max_bond: int | None = None) -> Chain:
        """Tensors (left bond, level, right bond) in the order of the chain, and that order.

        A tree becomes a chain exactly, or truncated to `max_bond`. A bond of the exact chain is at most the
        product of the tree's bonds that the cut severs.
        """
        check_bond(max_bond)
        return self._chain if max_bond is None or self.is_chain else chain_of(self.tree_state, max_bond)

    def schmidt_values(self) -> tuple[NDArray, ...]:
        """Schmidt coefficients across each bond, in the order of `bond_dims`.

        They are in descending order; their squares sum to 1.
        """
        values = schmidt_values(self.tree_state)
        return tuple(values[k] for k in self._bond_order())

    def entropies(self) -> NDArray:
        """Entanglement entropies in nats across each bond, (bonds,), in the order of `bond_dims`."""
        return np.asarray(bond_entropies(self.tree_state)[self._bond_order()])

    def _bond_order(self) -> list[int]:
        tree = self.tree_state.tree
        path = path_of(tree)
        if path is None:
            return list(range(tree.root))
        # The bond between two neighbours is above the one that is further from the root.
        return [a if tree.parents[a] == b else b for a, b in itertools.pairwise(path)]

    def expectation(self, operators: "Mapping[int, NDArray | str] | str | Hamiltonian | Any") -> complex:
        """Exact expectation value <psi| O |psi>.

        Args:
            operators: A product, as a mapping from site to matrix (levels, levels) or "X", "Y", "Z"; a string
                with one letter for each site, such as "IZZ"; or a sum: a `Hamiltonian` or Qiskit's
                `SparsePauliOp`, whose qubit k is site k.
        """
        if isinstance(operators, str):
            if len(operators) != self.num_sites or not set(operators) <= set(PAULIS):
                raise InvalidInputError(
                    f"expected {self.num_sites} letters of I, X, Y and Z, got {operators!r}"
                )
            operators = {site: letter for site, letter in enumerate(operators) if letter != "I"}
        if isinstance(operators, Mapping):
            return expectation(self.tree_state, operators)
        if hasattr(operators, "to_sparse_list"):
            return self._pauli_sum(operators)
        if not isinstance(operators, Hamiltonian):
            raise InvalidInputError(
                "expected site -> operator, letters, a Hamiltonian or a SparsePauliOp, got "
                f"{type(operators).__name__}"
            )
        self._check_size(operators.num_sites)
        if wrong := [dim for dim in self.dims if dim != 2]:
            raise InvalidInputError(f"a Hamiltonian is of qubits, a site has {wrong[0]} levels")
        found = [np.trace(self.reduced(sites) @ matrix) for sites, matrix in operators.terms]
        return complex(sum(found))

    def _pauli_sum(self, operator: Any) -> complex:
        self._check_size(operator.num_qubits)
        return complex(
            sum(
                coefficient * expectation(self.tree_state, dict(zip(sites, letters, strict=True)))
                for letters, sites, coefficient in operator.to_sparse_list()
            )
        )

    def _check_size(self, sites: int) -> None:
        if sites != self.num_sites:
            raise InvalidInputError(f"the operator is of {sites} sites, the state of {self.num_sites}")

    def correlations(
        self, first: NDArray | str = "Z", second: NDArray | str | None = None, *, connected: bool = True
    ) -> NDArray:
        """Correlations <A_i B_j> of all pairs of sites, (sites, sites), minus <A_i> <B_j> if connected.

        Args:
            first: A, a matrix (levels, levels) or "X", "Y", "Z".
            second: B; by default A.
            connected: Whether the product of the means is subtracted.

        Returns:
            The matrix; it is real if B is A and Hermitian. The diagonal holds A B on one site.
        """
        a = _matrix_of(first)
        b = a if second is None else _matrix_of(second)
        for matrix in (a, b):
            if wrong := [dim for dim in self.dims if matrix.shape != (dim, dim)]:
                raise InvalidInputError(f"an operator has shape {matrix.shape}, a site has {wrong[0]} levels")
        reduced = reduced_states(self.tree_state)
        found = np.zeros((self.num_sites,) * 2, complex)
        for site, matrix in enumerate(reduced.single):
            found[site, site] = np.trace(matrix @ a @ b)
        for (i, j), block in reduced.pairs.items():
            found[i, j] = np.einsum("abcd,ca,db->", block, a, b)
            found[j, i] = np.einsum("abcd,ca,db->", block, b, a)
        if connected:
            means = [np.array([np.trace(matrix @ o) for matrix in reduced.single]) for o in (a, b)]
            found -= np.outer(*means)
        hermitian = all(np.allclose(matrix, matrix.conj().T) for matrix in (a, b))
        return np.asarray(found.real if hermitian and second is None else found)

    def mutual_information(self) -> NDArray:
        """Quantum mutual information of every pair of sites in nats, (sites, sites)."""
        return mutual_information(reduced_states(self.tree_state))

    def reduced(self, sites: Sequence[int]) -> NDArray:
        """Density matrix (levels, levels) of a few sites; the first one varies slowest."""
        return reduced_density_matrix(self.tree_state, tuple(sites))

    def overlap(self, other: "State | TreeState") -> complex:
        """Overlap <self|other>. Both may be chains or trees, with the same levels."""
        mine, theirs = self._chain, chain_of(as_tree_state(other))
        if sorted(zip(mine.order, (t.shape[1] for t in mine.tensors), strict=True)) != sorted(
            zip(theirs.order, (t.shape[1] for t in theirs.tensors), strict=True)
        ):
            raise InvalidInputError(f"states of other levels: {self.dims} and {as_state(other).dims}")
        if mine.order != theirs.order:
            theirs = reordered(theirs, mine.order)
        return overlap(mine.tensors, theirs.tensors)

    def fidelity(self, other: "State | TreeState") -> float:
        """Fidelity |<self|other>|**2."""
        return abs(self.overlap(other)) ** 2

    def amplitudes(self, strings: Any) -> NDArray:
        """Amplitudes psi(x) of strings (samples, sites) of levels."""
        logs, phases = log_amplitudes(self.tree_state, np.asarray(strings))
        return np.asarray(np.exp(logs) * phases)

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> NDArray:
        """Exact samples (n_samples, sites) of levels, with probability |psi|**2."""
        return sample(self.tree_state, np.random.default_rng(random_state), int(n_samples))

    def to_vector(self) -> NDArray:
        """All amplitudes. The first site varies slowest; Qiskit's order is the reverse."""
        return vector_of(self.tree_state)

    def truncated(self, max_bond: int | None = None, cutoff: float = 1e-12) -> "State":
        """The chain truncated to smaller bonds by its singular values; `fidelity` gives the loss."""
        check_bond(max_bond)
        check_cutoff(cutoff)
        chain = self._chain
        return State(Chain(tuple(compressed(chain.tensors, max_bond, cutoff)), chain.order).state())

    def renormalised(self, max_bond: int | None = None) -> "State":
        """The state on a balanced tree, whose exact circuit has logarithmic depth (arXiv:2605.06579).

        Neighbours are joined repeatedly. Each pair keeps the `max_bond` combinations of levels that carry
        most of the state; `fidelity` gives the loss.

        Args:
            max_bond: Largest bond of the tree. None is exact, with bonds up to the square of the chain's.
        """
        check_bond(max_bond)
        if self.num_sites < 2:
            return self
        chain = self._chain
        return State(
            on_balanced_tree(chain.tensors, chain.order, None if max_bond is None else int(max_bond))
        )

    def qubits(self) -> "State":
        """The state with every site of k levels as ceil(log2 k) qubits, the first qubit most significant."""
        return State(qubit_chain(self._chain).state())

    def to_arrays(self, layout: Layout = "lpr") -> Any:
        """Tensors for other packages, with sites in the order 0, 1, 2, ...

        Args:
            layout: "lpr" (left, level, right); "pennylane" (`qml.MPSPrep`), "cuquantum"
                (`NetworkState.set_initial_mps`), "aer" (`QuantumCircuit.set_matrix_product_state`), "vidal"
                (Gammas and Schmidt values).
        """
        return arrays_as(self._in_order().tensors, layout)

    def _in_order(self) -> Chain:
        return reordered(self._chain, tuple(range(self.num_sites)))

    def to_quimb(self) -> Any:
        """The state in quimb: `MatrixProductState`, or for a tree `TensorNetwork` (indices k0, k1, ...)."""
        return to_quimb(self.tree_state)

    def to_tenpy(self) -> Any:
        """The state as TeNPy's `MPS`, with sites in the order 0, 1, 2, ..."""
        return to_tenpy(self._in_order())

    def compile(self, *, verbose: int = 0, **options: Any) -> GenerativeCircuit:
        """The exact circuit on the fewest qubits (with `reuse_qubits=False`: one qubit for each site).

        Compiling takes seconds for bonds up to 8. At bond 16 it takes about half a second for each site.

        Args:
            verbose: 1 shows a progress bar.
            **options: Options of `qtnml.compile.compile_state`: reuse_qubits, num_qubits, target, synthesis,
                passes.

        >>> from qtnml.states import from_vector
        >>> w_state = from_vector(np.array([0, 1, 1, 0, 1, 0, 0, 0]))
        >>> circuit = w_state.compile()
        >>> circuit.num_qubits, circuit.two_qubit_gates
        (2, 3)
        """
        nodes = len(self.tree_state.tree.nodes)
        with progress_bar("compiling", nodes, show=bool(verbose)) as advance:
            return compile_state(
                self.tree_state, **({"on_node": lambda done, _: advance(done, "nodes")} | options)
            )

    def draw(self) -> str:
        """A drawing of the network in text: a chain in one line, a tree with one line for each node."""
        if self.is_chain:
            chain = self._chain
            joined = [f"-{bond}-{site}" for bond, site in zip(chain.bond_dims, chain.order[1:], strict=True)]
            return str(chain.order[0]) + "".join(joined)
        tree, lines = self.tree_state.tree, list[str]()
        pending = [(tree.num_leaves + tree.root, 0)]
        while pending:
            wire, depth = pending.pop()
            indent = "  " * depth
            if wire < tree.num_leaves:
                lines.append(f"{indent}site {wire} ({self.dims[wire]} levels)")
                continue
            k = wire - tree.num_leaves
            bond = "root" if k == tree.root else f"bond {self.tree_state.cores[k].shape[0]}"
            lines.append(f"{indent}o {bond}")
            pending += [(w, depth + 1) for w in reversed(tree.nodes[k])]
        return "\n".join(lines)

    def _facts(self) -> dict[str, str]:
        return {
            "network": f"{'chain' if self.is_chain else 'tree'} of {self.num_sites} sites",
            "levels": some(sorted(set(self.dims))),
            "bonds": f"up to {max(self.bond_dims, default=1)}",
            "amplitudes": "complex" if self.is_complex else "real",
        }

    def __repr__(self) -> str:
        facts = self._facts()
        return (
            f"State({facts['network']}, {facts['levels']} levels, bonds {facts['bonds']}, "
            f"{facts['amplitudes']})"
        )

    def _repr_html_(self) -> str:
        return facts_html("State", {**self._facts(), "parameters": f"{self.num_parameters:,}"})


def _matrix_of(operator: Any) -> NDArray:
    if isinstance(operator, str):
        if operator not in PAULIS:
            raise InvalidInputError(f"an operator is a matrix, 'X', 'Y' or 'Z', got {operator!r}")
        return PAULIS[operator]
    return np.asarray(operator)


def as_tree_state(given: Any) -> TreeState:
    """The `TreeState` of a `State`, of a fitted Born machine, or itself.

    Raises:
        InvalidInputError: It has none.
    """
    found = getattr(given, "tree_state", None) or getattr(given, "state_", None) or given
    if not isinstance(found, TreeState):
        raise InvalidInputError(
            f"expected a state, got {type(given).__name__}; make one with qtnml.states.from_arrays, "
            "from_quimb, from_tenpy, from_vector or from_function, or give a fitted Born machine"
        )
    return found


def as_state(given: Any) -> State:
    """A `State` from anything that `as_tree_state` accepts."""
    return given if isinstance(given, State) else State(as_tree_state(given))


def reordered(chain: Chain, order: Sequence[int]) -> Chain:
    """The same state with its sites in another order, by swaps of neighbours; bonds grow as they must."""
    tensors, places = list(chain.tensors), list(chain.order)
    for target, site in enumerate(order):
        for k in range(places.index(site), target, -1):
            tensors = _swapped(tensors, k - 1)
            places[k - 1], places[k] = places[k], places[k - 1]
    return Chain(tuple(tensors), tuple(places))


def _swapped(tensors: list[NDArray], place: int) -> list[NDArray]:
    """Neighbouring sites changed over."""
    pair = np.tensordot(tensors[place], tensors[place + 1], (2, 0)).transpose(0, 2, 1, 3)
    left, first, second, right = pair.shape
    u, s, vh = np.linalg.svd(pair.reshape(left * first, -1), full_matrices=False)
    kept = max(1, int((s > 1e-14 * s[0]).sum()))
    if kept > _MOST_BOND:
        raise InvalidInputError(
            f"bringing the sites into another order needs bonds of {kept}, more than {_MOST_BOND}; truncate "
            "the state first, or compare states whose chains have one order"
        )
    found = list(tensors)
    found[place] = (u[:, :kept] * s[:kept]).reshape(left, first, kept)
    found[place + 1] = vh[:kept].reshape(kept, second, right)
    return found
