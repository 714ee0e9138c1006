"""Schmidt values and entropies of bonds, and reduced density matrices of sites and pairs of sites."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.evidence import close, messages_down, messages_up, through
from qtnml.born.state import TreeState
from qtnml.errors import InvalidInputError

_LARGEST = 2e8  # numbers: 1.6 GB


def bond_states(state: TreeState) -> tuple[NDArray, ...]:
    """Reduced density matrix (1, bond, bond) of the bond above each node, the root's (1, 1, 1) last.

    Entry (p, q) is the sum of R_p conj(R_q) over all strings of what is not below the node, where
    psi = sum_p L_p R_p and the L_p, of what is below, are orthonormal.
    """
    evidence = tuple(np.ones((1, dim)) for dim in state.sites.dims)
    return messages_down(state, evidence, messages_up(state, evidence))


def schmidt_values(state: TreeState) -> tuple[NDArray, ...]:
    """Schmidt coefficients across the bond above each node except the root.

    They are in descending order; their squares sum to 1.
    """
    found = []
    for matrix in bond_states(state)[: state.tree.root]:
        squares = np.linalg.eigvalsh(matrix[0])[::-1]
        squares = np.maximum(squares, 0)
        found.append(np.sqrt(squares / squares.sum()))
    return tuple(found)


def bond_entropies(state: TreeState) -> NDArray:
    """Von Neumann entropy in nats across the bond above each node except the root, (nodes - 1,)."""
    return np.array([entropy(values**2) for values in schmidt_values(state)])


def entropy(distribution: NDArray) -> float:
    """-sum p ln p in nats of probabilities (or eigenvalues of a density matrix)."""
    used = distribution[distribution > 0]
    return float(-(used * np.log(used)).sum())


_PAULIS: dict[str, NDArray] = {
    "X": np.array([[0, 1], [1, 0]], dtype=float),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0, -1.0]),
}


def expectation(state: TreeState, operators: Mapping[int, NDArray | str]) -> complex:
    """Expectation value <psi| O |psi> of a product of operators on different sites.

    The time is linear in the number of sites.

    Args:
        state: A normalised state.
        operators: Mapping from site to matrix (levels, levels), or to "X", "Y", "Z" for a site of two levels.
            Sites without an operator are traced out.

    Returns:
        A complex number; up to rounding it is real for Hermitian operators.

    >>> from qtnml.structure import site_chain
    >>> plus = TreeState.product(site_chain([2, 2]), [np.ones(2) / 2**0.5, np.array([1.0, 0.0])])
    >>> round(expectation(plus, {0: "X", 1: "Z"}).real, 12)
    1.0
    """
    tree, matrices = state.tree, dict[int, NDArray]()
    for given, operator in operators.items():
        site = _checked_site(state, given)
        matrices[site] = _checked_operator(state, site, operator)
    up: list[NDArray | None] = []
    for core, wires in zip(state.cores, tree.nodes, strict=True):
        legs: list[NDArray | None] = [
            up[wire - tree.num_leaves] if wire >= tree.num_leaves else matrices.get(wire) for wire in wires
        ]
        up.append(None if all(leg is None for leg in legs) else close(through(core[None], legs), core))
    return 1.0 + 0.0j if up[-1] is None else complex(up[-1][0, 0, 0])


def _checked_site(state: TreeState, site: int) -> int:
    count = len(state.sites.dims)
    if isinstance(site, bool) or not isinstance(site, int | np.integer) or not 0 <= site < count:
        raise InvalidInputError(f"sites are integers from 0 to {count - 1}, got {site!r}")
    return int(site)


def _checked_operator(state: TreeState, site: int, operator: NDArray | str) -> NDArray:
    """(1, levels, levels), its transpose: the first index meets the state."""
    if isinstance(operator, str):
        if operator not in _PAULIS:
            raise InvalidInputError(f"an operator is a matrix, 'X', 'Y' or 'Z', got {operator!r}")
        operator = _PAULIS[operator]
    matrix, dim = np.asarray(operator), state.sites.dims[site]
    if matrix.shape != (dim, dim):
        raise InvalidInputError(f"site {site} has {dim} levels, its operator has shape {matrix.shape}")
    return matrix.T[None]


class SpectrumDecay(NamedTuple):
    """Fit of the squared Schmidt values p_k of a bond over their rank k = 1, 2, ...: p_k ~ k**-exponent
    (least
    squares on logarithms), and the coefficient of determination of the fit.
    """

    exponent: float
    r_squared: float


def spectrum_decay(values: NDArray, cutoff: float = 1e-10) -> SpectrumDecay:
    """Power law by which an entanglement spectrum falls; NaN for fewer than three values above `cutoff`."""
    squares = values**2
    squares = squares[squares > cutoff]
    if len(squares) < 3:
        return SpectrumDecay(float("nan"), float("nan"))
    x, y = np.log(np.arange(1, len(squares) + 1)), np.log(squares)
    slope, intercept = np.polyfit(x, y, 1)
    rest, total = ((y - slope * x - intercept) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    return SpectrumDecay(float(-slope), float(1 - rest / total) if total > 0 else float("nan"))


class ReducedStates(NamedTuple):
    """Density matrices of single sites, (d, d) each, and of pairs i < j, (d_i, d_j, d_i, d_j) each."""

    single: tuple[NDArray, ...]
    pairs: dict[tuple[int, int], NDArray]


def reduced_states(state: TreeState) -> ReducedStates:
    """Exact reduced density matrices of all sites and all pairs of sites.

    Raises:
        InvalidInputError: The sites have so many levels that the matrices do not fit in memory.

    Every pair meets at one node. Operators of both sites are carried up to this node; above it, the bond's
    reduced state is used. The time grows as the number of sites squared times the bond cubed.
    """
    tree = state.tree
    total = float(np.sum(np.square(state.sites.dims, dtype=float)))
    if total**2 / 2 > _LARGEST:
        raise InvalidInputError(
            f"reduced states of all pairs of these sites have {total**2 / 2:.1e} numbers, more than "
            f"{_LARGEST:.0e}; use fewer bins or categories"
        )
    down = bond_states(state)
    single: dict[int, NDArray] = {}
    pairs: dict[tuple[int, int], NDArray] = {}
    carried: list[dict[int, NDArray]] = []
    for k, (core, wires) in enumerate(zip(state.cores, tree.nodes, strict=True)):
        above = down[k][0]
        groups: list[dict[int, NDArray]] = []
        for wire in wires:
            if wire < tree.num_leaves:
                dim = state.sites.dims[wire]
                # Operator |a><b| enters the leg as a matrix (a b, d, d).
                groups.append({wire: np.eye(dim * dim).reshape(dim * dim, dim, dim)})
            else:
                groups.append(carried[wire - tree.num_leaves])
                carried[wire - tree.num_leaves] = {}
        for place, group in enumerate(groups):
            for site, operators in group.items():
                if wires[place] == site:
                    dim = state.sites.dims[site]
                    rest = _environment(core, above, place)
                    single[site] = np.einsum("ij,oij->o", rest, operators).reshape(dim, dim)
        for first in range(len(groups)):
            for second in range(first + 1, len(groups)):
                _meet(state, core, above, first, second, groups, pairs)
        carried.append(_lifted(core, groups))
    return ReducedStates(tuple(_hermitian(single[s]) for s in range(tree.num_leaves)), pairs)


def _environment(core: NDArray, above: NDArray, place: int) -> NDArray:
    """R (d, d) of one leg, all others traced: sum over A[p, i..] above[p, q] conj(A)[q, j..]."""
    moved = np.moveaxis(core, place + 1, 1)
    parent, dim = moved.shape[:2]
    left = np.tensordot(above.T, moved, (1, 0)).reshape(parent, dim, -1)
    return np.asarray(np.einsum("pik,pjk->ij", left, moved.reshape(parent, dim, -1).conj()))


def _meet(
    state: TreeState,
    core: NDArray,
    above: NDArray,
    first: int,
    second: int,
    groups: list[dict[int, NDArray]],
    pairs: dict[tuple[int, int], NDArray],
) -> None:
    """Reduced states of all pairs with one site below each of two legs."""
    moved = np.moveaxis(core, (first + 1, second + 1), (1, 2))
    parent, one, two = moved.shape[:3]
    flat = moved.reshape(parent, one, two, -1)
    left = np.tensordot(above.T, flat, (1, 0))
    # joint (i, i', j, j'): what both legs see of the rest
    joint = np.einsum("pijk,pabk->iajb", left, flat.conj(), optimize=True).reshape(one * one, two * two)
    dims = state.sites.dims
    stacks = [
        np.concatenate([ops.reshape(len(ops), -1) for ops in groups[g].values()]) for g in (first, second)
    ]
    values = stacks[0] @ joint @ stacks[1].T
    row = 0
    for i in groups[first]:
        column = 0
        for j in groups[second]:
            block = values[row : row + dims[i] ** 2, column : column + dims[j] ** 2]
            block = block.reshape(dims[i], dims[i], dims[j], dims[j]).transpose(0, 2, 1, 3)
            if i < j:
                pairs[i, j] = block
            else:
                pairs[j, i] = block.transpose(1, 0, 3, 2)
            column += dims[j] ** 2
        row += dims[i] ** 2


def _lifted(core: NDArray, groups: list[dict[int, NDArray]]) -> dict[int, NDArray]:
    """Operators of all sites below a node, seen from the wire above it."""
    lifted: dict[int, NDArray] = {}
    for place, group in enumerate(groups):
        if not group:
            continue
        stack = np.concatenate(list(group.values()))
        moved = np.moveaxis(core, place + 1, 1)
        parent, dim = moved.shape[:2]
        flat = moved.reshape(parent, dim, -1)
        # (o, p, j, k) = sum_i O[o, i, j] A[p, i, k], then with conj(A)[q, j, k]
        right = flat.transpose(1, 0, 2).reshape(dim, -1)
        turned = (np.swapaxes(stack, 1, 2).reshape(-1, dim) @ right).reshape(len(stack), dim, parent, -1)
        rows = turned.transpose(0, 2, 1, 3).reshape(len(stack) * parent, -1)
        out = (rows @ flat.reshape(parent, -1).conj().T).reshape(len(stack), parent, parent)
        row = 0
        for site, operators in group.items():
            lifted[site] = out[row : row + len(operators)]
            row += len(operators)
    return lifted


def _hermitian(matrix: NDArray) -> NDArray:
    return np.asarray((matrix + matrix.conj().T) / 2)


def mutual_information(reduced: ReducedStates, kind: Literal["quantum", "classical"] = "quantum") -> NDArray:
    """I(i : j) of every pair of sites in nats, (sites, sites); the diagonal is each site's entropy.

    "quantum" is S(i) + S(j) - S(ij) of the reduced states; "classical" that of the joint distribution of the
    levels, what measured data show.
    """
    count = len(reduced.single)
    found = np.zeros((count, count))

    def spectrum(matrix: NDArray) -> NDArray:
        if kind == "classical":
            return np.asarray(np.maximum(np.diagonal(matrix).real, 0))
        return np.maximum(np.linalg.eigvalsh(_hermitian(matrix)), 0)

    alone = [entropy(spectrum(matrix)) for matrix in reduced.single]
    found[np.diag_indices(count)] = alone
    for (i, j), block in reduced.pairs.items():
        size = block.shape[0] * block.shape[1]
        both = entropy(spectrum(block.reshape(size, size)))
        found[i, j] = found[j, i] = max(0.0, alone[i] + alone[j] - both)
    return found
