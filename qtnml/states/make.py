"""States from other places: arrays, other libraries, vectors, functions, trained Born machines."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError, StateWarning, warn_user
from qtnml.states.chains import Chain, check_bond, check_cutoff
from qtnml.states.dense import chain_from_vector
from qtnml.states.evolution import MovingChain, trotter_steps
from qtnml.states.hamiltonian import Hamiltonian
from qtnml.states.interpolation import interpolate
from qtnml.states.libraries import tensors_of_quimb, tensors_of_tenpy
from qtnml.states.state import State, as_state, as_tree_state, reordered
from qtnml.structure import Sites, Tree

_MOST_LEVELS = 256
_DENSE = 2**16  # amplitudes up to which a function is asked everywhere


def from_arrays(arrays: Sequence[Any], *, tree: Tree | None = None) -> State:
    """A state from its tensors, in any gauge and of any norm (not 0).

    Args:
        arrays: Tensors of a chain in order, each (left bond, level, right bond); outer bonds are 1 or left
            out. With `tree`, one tensor for each node, (bond to its parent, dimensions of its other bonds in
            order); the root's first axis is 1 or left out.
        tree: A `qtnml.structure.Tree` whose leaves are the sites.

    Raises:
        InvalidInputError: The tensors do not fit together, are not finite, have norm 0, or form a periodic
            chain.

    >>> ghz = from_arrays([np.eye(2), np.einsum("lp,pr->lpr", np.eye(2), np.eye(2)), np.eye(2)])
    >>> ghz.to_vector().round(3).tolist()
    [0.707, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.707]
    """
    if not isinstance(arrays, Iterable):
        raise InvalidInputError(f"expected a sequence of tensors, got {type(arrays).__name__}")
    found = [_scaled(_numbers(array, f"tensor {k}")) for k, array in enumerate(arrays)]
    if tree is not None and not isinstance(tree, Tree):
        raise InvalidInputError(f"tree must be a qtnml.structure.Tree, got {type(tree).__name__}")
    if empty := [k for k, tensor in enumerate(found) if not tensor.size]:
        raise InvalidInputError(f"tensor {empty[0]} has a bond of dimension 0: shape {found[empty[0]].shape}")
    if not found:
        raise InvalidInputError("a state has at least one tensor, got none")
    if tree is not None:
        return State(_on_tree(found, tree))
    tensors = [_with_ends(tensor, k, len(found)) for k, tensor in enumerate(found)]
    return _of_chain(tensors)


def _numbers(array: Any, what: str) -> NDArray:
    try:
        found = np.asarray(array)
    except ValueError as error:
        raise InvalidInputError(f"{what} is no array of numbers: {error}") from error
    if found.dtype.kind not in "biufc":
        raise InvalidInputError(f"{what} is no array of numbers, its type is {found.dtype}")
    found = found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)
    if not np.isfinite(found).all():
        raise InvalidInputError(f"{what} has NaN or infinite entries")
    return found


def _scaled(tensor: NDArray) -> NDArray:
    """The same up to a factor, without numbers whose squares over- or underflow."""
    largest = float(np.abs(tensor).max(initial=0.0))
    return tensor / largest if largest > 0 else tensor


def _with_ends(tensor: NDArray, place: int, count: int) -> NDArray:
    """(left, level, right) of a tensor whose outer bond may be left out."""
    ends = (place == 0) + (place == count - 1)
    if tensor.ndim == 3 - ends and ends:
        if count == 1:
            return tensor[None, :, None]
        return tensor[None] if place == 0 else tensor[..., None]
    if tensor.ndim != 3:
        raise InvalidInputError(
            f"tensor {place} has {tensor.ndim} axes, shape {tensor.shape}; a chain has (left bond, level, "
            "right bond), its ends may leave the outer bond out"
        )
    return tensor


def _of_chain(tensors: Sequence[NDArray]) -> State:
    first, last = tensors[0].shape[0], tensors[-1].shape[2]
    if first != 1 or last != 1:
        hint = (
            "; a periodic matrix product state has no circuit of isometries: open it by joining its last "
            "bond to the first tensors, or take from_vector"
            if first == last
            else ""
        )
        raise InvalidInputError(f"the outer bonds of a chain are 1, got {first} and {last}{hint}")
    for place, (one, two) in enumerate(itertools.pairwise(tensors)):
        if one.shape[2] != two.shape[0]:
            raise InvalidInputError(
                f"tensors {place} and {place + 1} do not fit together: shapes {one.shape} and {two.shape}; "
                "axes are (left bond, level, right bond)"
            )
    for place, tensor in enumerate(tensors):
        _check_levels(tensor.shape[1], place)
    return State(Chain(tuple(tensors), tuple(range(len(tensors)))).state())


def _checked_dims(dims: Any) -> list[int]:
    """Levels of at least one site."""
    try:
        found = [int(dim) for dim in dims]
        whole = all(one == two for one, two in zip(found, dims, strict=True))
    except (TypeError, ValueError):
        found, whole = [], False
    if not found or not whole:
        raise InvalidInputError(f"dims is a sequence of integers, the levels of the sites, got {dims!r}")
    for site, dim in enumerate(found):
        _check_levels(dim, site)
    return found


def _check_levels(levels: int, site: int) -> None:
    if not 1 <= levels <= _MOST_LEVELS:
        raise InvalidInputError(
            f"site {site} has {levels} levels, a site has 1 to {_MOST_LEVELS}; if that is a bond, the axes "
            "are in another order than (left bond, level, right bond)"
        )


def _on_tree(arrays: list[NDArray], tree: Tree) -> TreeState:
    if len(arrays) != len(tree.nodes):
        raise InvalidInputError(f"a tree of {len(tree.nodes)} nodes has as many tensors, got {len(arrays)}")
    dims = [0] * tree.num_leaves
    cores = list[NDArray]()
    for k, (array, wires) in enumerate(zip(arrays, tree.nodes, strict=True)):
        core = array[None] if k == tree.root and array.ndim == len(wires) else array
        if core.ndim != 1 + len(wires):
            raise InvalidInputError(
                f"tensor {k} has shape {array.shape}; its node has a bond to its parent and {len(wires)} "
                "wires"
            )
        for wire, dim in zip(wires, core.shape[1:], strict=True):
            if wire < tree.num_leaves:
                _check_levels(dim, wire)
                dims[wire] = dim
            elif dim != cores[wire - tree.num_leaves].shape[0]:
                below = wire - tree.num_leaves
                raise InvalidInputError(
                    f"tensors {below} and {k} do not fit together: a bond of {cores[below].shape[0]} meets "
                    f"one of {dim}"
                )
        cores.append(core)
    if cores[-1].shape[0] != 1:
        raise InvalidInputError(f"the root has no parent, its first axis is 1, got {cores[-1].shape[0]}")
    return TreeState.canonical(Sites(tuple(dims), tree), cores)


def from_quimb(psi: Any) -> State:
    """A state from quimb's `MatrixProductState`, in any gauge and of any norm."""
    return _of_chain([_numbers(t, f"tensor {k}") for k, t in enumerate(tensors_of_quimb(psi))])


def from_tenpy(psi: Any) -> State:
    """A state from TeNPy's finite `MPS`, with or without conserved charges.

    Levels have the order of sites without charges (for `SpinHalfSite`: up, then down).
    """
    return _of_chain([_numbers(t, f"tensor {k}") for k, t in enumerate(tensors_of_tenpy(psi))])


def from_vector(
    vector: Any, max_bond: int | None = None, *, dims: Sequence[int] | None = None, cutoff: float = 1e-12
) -> State:
    """A chain from a dense vector of amplitudes.

    Args:
        vector: Shape (product of levels,), or an array with one axis for each site. The first site varies
            slowest. In vectors of Qiskit qubit 0 varies fastest: reverse their axes.
        max_bond: Largest bond; None keeps all singular values above `cutoff`.
        dims: Levels of the sites; by default 2 (qubits), or the axes of the array.
        cutoff: Share of the largest singular value below which values are dropped.
    """
    found = _numbers(vector, "the vector")
    if dims is None:
        if found.ndim > 1:
            dims = found.shape
        else:
            count = max(1, (found.size - 1).bit_length())
            if found.size != 2**count:
                raise InvalidInputError(
                    f"a vector of {found.size} amplitudes is no power of two; give dims, the levels of the "
                    "sites"
                )
            dims = (2,) * count
    dims = _checked_dims(dims)
    check_cutoff(cutoff)
    if found.size != int(np.prod(dims, dtype=object)):
        raise InvalidInputError(f"{found.size} amplitudes do not fit sites of levels {tuple(dims)}")
    largest = float(np.abs(found).max())
    if not largest > 0:
        raise InvalidInputError("all amplitudes are 0; no state has norm 0")
    found = found / largest  # squares of what is very large or small are no numbers
    norm = float(np.linalg.norm(found))
    check_bond(max_bond)
    return State(chain_from_vector(found.reshape(-1) / norm, dims, max_bond, cutoff).state())


def from_function(
    function: Callable[[NDArray], NDArray],
    dims: Sequence[int],
    *,
    max_bond: int = 64,
    tolerance: float = 1e-8,
    sweeps: int = 8,
    random_state: int = 0,
) -> State:
    """A chain whose amplitudes are proportional to a function's values.

    With up to 65,536 amplitudes the function is evaluated everywhere. With more, tensor cross interpolation
    (arXiv:2009.10644) evaluates it at few points.

    Args:
        function: Maps integer levels (points, sites) to amplitudes (points,).
        dims: Levels of the sites.
        max_bond: Largest bond.
        tolerance: Error as a fraction of the largest amplitude.
        sweeps: Sweeps of the interpolation, each forth and back.
        random_state: Seed of the first points and of the check.

    Warns:
        StateWarning: At random points the state is wrong by more than 100 times the tolerance.

    >>> state = from_function(lambda x: np.exp(-0.1 * x.sum(axis=1)), [2] * 40)
    >>> max(state.bond_dims)
    1
    """
    check_bond(max_bond)
    if max_bond is None:
        raise InvalidInputError("max_bond is an integer here: an interpolation needs a largest bond")
    if not callable(function):
        raise InvalidInputError(f"expected a function of levels (points, sites), got {function!r}")
    check_cutoff(tolerance)
    for name, value in (("sweeps", sweeps), ("random_state", random_state)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise InvalidInputError(f"{name} must be an integer of at least 0, got {value!r}")
    dims = _checked_dims(dims)
    if float(np.prod(dims, dtype=float)) <= _DENSE or len(dims) == 1:
        points = np.stack(np.unravel_index(np.arange(np.prod(dims)), dims), axis=1)
        values = _numbers(function(points), "the function's values")
        if values.shape != (len(points),):
            raise InvalidInputError(
                f"the function must give one value for each of {len(points)} points, got {values.shape}"
            )
        return from_vector(values, max_bond, dims=dims, cutoff=min(tolerance, 1e-10))
    found = interpolate(
        function,
        dims,
        max_bond=int(max_bond),
        tolerance=tolerance,
        sweeps=sweeps,
        rng=np.random.default_rng(random_state),
    )
    if found.error > 100 * tolerance:
        warn_user(
            f"the function is off by {found.error:.1e} of its largest value at random points (tolerance "
            f"{tolerance:.1e}, {found.evaluations:,} points asked); raise max_bond={max_bond} or "
            f"sweeps={sweeps}",
            StateWarning,
        )
    return State(found.chain.state())


def from_born(model: Any) -> State:
    """The state of a fitted Born machine."""
    return State(as_tree_state(model))


def evolve(
    state: State,
    hamiltonian: Hamiltonian,
    time: float,
    steps: int,
    *,
    order: int = 2,
    max_bond: int | None = None,
    cutoff: float = 1e-12,
) -> State:
    """Evolve a state in time, exp(-i H t) psi, by Trotter steps (TEBD, quant-ph/0301063).

    TEBD is time-evolving block decimation.

    Args:
        state: Qubits on a chain, or on a tree, which becomes a chain.
        hamiltonian: A Hamiltonian with as many sites as the state.
        time: t.
        steps: Number of steps of the product formula.
        order: Order of the product formula: 1, 2 or 4.
        max_bond: Largest bond; None keeps all singular values above `cutoff`.
        cutoff: Share of the norm below which singular values are dropped.
    """
    state = as_state(state)
    if not isinstance(hamiltonian, Hamiltonian):
        raise InvalidInputError(f"expected a Hamiltonian, got {type(hamiltonian).__name__}")
    if hamiltonian.num_sites != state.num_sites:
        raise InvalidInputError(
            f"the Hamiltonian is of {hamiltonian.num_sites} sites, the state of {state.num_sites}"
        )
    if set(state.dims) != {2}:
        raise InvalidInputError(f"evolution is of qubits, a site has {max(state.dims)} levels")
    check_bond(max_bond)
    check_cutoff(cutoff)
    chain = reordered(state.chain(), range(state.num_sites))
    moving = MovingChain(chain.tensors, max_bond, cutoff)
    for pair, gate in trotter_steps(hamiltonian, time, steps, order=order):
        moving.apply(gate, *pair)
    return State(Chain(tuple(moving.tensors), chain.order).state())
