"""The search for circuits: it adds layers at the identity and removes blocks again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.shallow.approximation import Approximation, approximation_of
from qtnml.shallow.blocks import Blocks, Kind, Point, moved_by, on_jax, on_numpy
from qtnml.shallow.emit import check_nodes
from qtnml.shallow.fidelity import Fidelity
from qtnml.shallow.optimise import Objective, OnIteration, Optimised, adam, lbfgs
from qtnml.shallow.starts import Start, first_layer, next_layer
from qtnml.shallow.sweeps import polar_sweeps
from qtnml.shallow.target import Target
from qtnml.shallow.window import Pair

_FIRST_SPREAD = 0.3  # radians, of the first layer
_FREE_SPREAD = 1.0  # of blocks that have no identity
_NEW_SPREADS = 0.02, 0.1  # of layers that are added

Layout = Callable[[int, int], tuple[Pair, ...]]


@dataclass(frozen=True)
class Effort:
    """How long is searched.

    Attributes:
        iterations: Of each optimisation, at most.
        starts: Circuits that are optimised side by side; the best is kept.
        tolerance: An optimisation ends when nothing has fallen by this share of itself in 50 iterations.
        optimizer: "lbfgs", "adam" or "sweeps".
        start: What one of the circuits begins with, see `qtnml.shallow.starts`.
        seed: Of the starts.
        on_iteration: Called after each iteration.
    """

    iterations: int = 500
    starts: int = 4
    tolerance: float = 1e-3
    optimizer: str = "lbfgs"
    start: Start = "identity"
    seed: int = 0
    on_iteration: OnIteration | None = None


def stacked(points: list[Point]) -> Point:
    """Several circuits of the same blocks."""
    return Point(*map(np.stack, zip(*points, strict=True)))


def best_of(
    target: Target, blocks: Blocks, points: list[Point], effort: Effort, mask: NDArray | None = None
) -> tuple[Point, float]:
    """The best of several circuits after optimisation, and ln of its fidelity.

    Args:
        target: What they should be near to.
        blocks: Of all of them.
        points: Their numbers.
        effort: How long.
        mask: Coordinates that may move, (coordinates,) of 0 and 1; None for all.
    """
    common: Any = {
        "iterations": effort.iterations,
        "tolerance": effort.tolerance,
        "on_iteration": effort.on_iteration,
    }
    # A sweep replaces whole gates: of those that must not move it knows nothing.
    if effort.optimizer == "sweeps" and mask is None:
        found: Optimised = polar_sweeps(blocks, target.tensors, stacked(points), **common)
    else:
        fidelity = Fidelity(blocks, target.tensors)
        objective = fidelity if mask is None else _masked(fidelity, mask)
        run = adam if effort.optimizer == "adam" else lbfgs
        found = run(objective, stacked(points), blocks.dimension, **common)
    best = int(np.nanargmin(found.losses))
    log = -float(found.losses[best]) * blocks.num_places
    return Point(*(part[best] for part in found.points)), log


def _masked(objective: Objective, mask: NDArray) -> Objective:
    """Slopes of some coordinates alone."""

    def masked(points: Point, steps: NDArray) -> tuple[Point, NDArray, NDArray]:
        moved, losses, slopes = objective(points, steps)
        return moved, losses, slopes * mask

    return masked


def grown(target: Target, layout: Layout, name: str, kind: Kind, effort: Effort) -> Iterator[Approximation]:
    """Circuits of one layer, two layers, and so on without end; each starts from the one before.

    Half of the starts have the new layer before the old ones, half after them: either may be the better
    direction. Blocks that have no identity start anew each time.
    """
    rng = np.random.default_rng(effort.seed)
    count = target.num_places
    repeats = layout(count, 2) == layout(count, 1) * 2
    last: Point | None = None
    layers = 0
    while True:
        layers += 1
        blocks = Blocks(count, layout(count, layers), kind)
        check_nodes(blocks, target.bits)
        if last is None or not blocks.starts_at_identity:
            spread = _FIRST_SPREAD if blocks.starts_at_identity else _FREE_SPREAD
            points = [blocks.start(rng, spread) for _ in range(effort.starts)]
            if effort.start != "identity":
                points[0] = first_layer(effort.start, blocks, target.tensors)
        else:
            points = []
            for k in range(max(2, effort.starts) if repeats else effort.starts):
                new = blocks.start(rng, _NEW_SPREADS[(k // 2) % 2])
                points.append(_joined(blocks, last, new, before=repeats and k % 2 == 1))
            if effort.start == "bond-2":
                new = blocks.identity()
                left = next_layer(blocks, last, target.tensors).whole
                new = new._replace(whole=np.concatenate([left, new.whole[len(left) :]]))
                points.append(_joined(blocks, last, new, before=True))
        last, log = best_of(target, blocks, points, effort)
        yield approximation_of(target, blocks, last, name, log)


def _joined(blocks: Blocks, old: Point, new: Point, *, before: bool) -> Point:
    """Old blocks with a new layer before or after them.

    Args:
        blocks: Of both.
        old: Numbers of fewer blocks.
        new: Numbers of all blocks, of which the new layer's are taken.
        before: Whether the new layer comes first.
    """

    def join(mine: NDArray, fresh: NDArray) -> NDArray:
        size = len(fresh) - len(mine)
        return np.concatenate([fresh[:size], mine] if before else [mine, fresh[len(mine) :]])

    found = Point(
        join(old.whole, new.whole), old.before, join(old.middle, new.middle), join(old.after, new.after)
    )
    if not before or blocks.is_whole:
        return found
    # The rotations that stood first now stand behind the last new block of their place.
    added = len(blocks.pairs) - len(old.after)
    after, entering = found.after.copy(), new.before.copy()
    ends: dict[int, tuple[int, int]] = {}
    for gate, pair in enumerate(blocks.pairs[:added]):
        for side, place in enumerate(pair):
            ends[place] = (gate, side)
    for place, rotation in enumerate(old.before):
        if place in ends:
            after[ends[place]] = rotation @ after[ends[place]]
        else:
            entering[place] = rotation
    return found._replace(before=entering, after=after)


def refine(
    approximation: Approximation,
    iterations: int = 2000,
    *,
    objective: Objective | None = None,
    free: Iterable[int] | None = None,
    tolerance: float = 1e-6,
    on_iteration: OnIteration | None = None,
) -> Approximation:
    """Optimise the parameters of a circuit further; the result is never worse.

    Args:
        approximation: Circuit to start from.
        iterations: Largest number of L-BFGS iterations.
        objective: Loss to minimise instead of -ln F, for `approximation.blocks`. It is one of
            `qtnml.shallow.objectives` (the energy of a Hamiltonian, the likelihood of data, the distance of
            reduced states) or your own. The result's `fidelity` is with the same target as before, and may be
            lower.
        free: Indices of the blocks that may change, in the order of `approximation.blocks.pairs`; None for
            all.
        tolerance: The search ends if the loss has fallen by less than this fraction of itself in 50
            iterations.
        on_iteration: Called with (iterations done, losses (1,)). Losses are -ln F / N or the objective's. The
            search ends if it returns True.
    """
    if isinstance(iterations, bool) or not isinstance(iterations, int | np.integer) or iterations < 1:
        raise InvalidInputError(f"iterations must be an integer of at least 1, got {iterations!r}")
    target, blocks = approximation.target, approximation.blocks
    effort = Effort(iterations, starts=1, tolerance=tolerance, on_iteration=on_iteration)
    mask = None if free is None else _mask(blocks, free)
    if objective is not None:
        lowered = objective if mask is None else _masked(objective, mask)
        ended = lbfgs(
            lowered,
            stacked([approximation.point]),
            blocks.dimension,
            iterations=iterations,
            tolerance=tolerance,
            on_iteration=on_iteration,
        )
        lowest = Point(*(part[0] for part in ended.points))
        return approximation_of(target, blocks, lowest, approximation.layout)
    point, log = best_of(target, blocks, [approximation.point], effort, mask)
    found = approximation_of(target, blocks, point, approximation.layout, log)
    return found if found.fidelity >= approximation.fidelity else approximation


def _mask(blocks: Blocks, free: Iterable[int], *, before: bool = False) -> NDArray:
    """Coordinates of some blocks (coordinates,), and of the rotations before them, with `before` of all."""
    try:
        chosen = set(free)
    except TypeError as error:
        raise InvalidInputError(f"free is a sequence of numbers of blocks, got {free!r}") from error
    if odd := [g for g in chosen if isinstance(g, bool) or not isinstance(g, int | np.integer)]:
        raise InvalidInputError(f"blocks are numbered by integers, got {odd[0]!r}")
    if wrong := [gate for gate in chosen if not 0 <= gate < len(blocks.pairs)]:
        raise InvalidInputError(f"blocks are numbered from 0 to {len(blocks.pairs) - 1}, got {wrong[0]}")
    point = blocks.identity()
    is_free = np.array([gate in chosen for gate in range(len(blocks.pairs))])
    first = [0] * blocks.num_places  # block that the rotation before a place's blocks stands with
    for gate, pair in reversed(list(enumerate(blocks.pairs))):
        for place in pair:
            first[place] = gate
    parts = []
    turns = np.ones(blocks.num_places, bool) if before else is_free[first]
    for matrices, own in zip(point, (is_free, turns, is_free, is_free), strict=True):
        if len(matrices):
            each = blocks.dimension_of(matrices) // len(matrices)
            parts.append(np.repeat(own, each))
    return np.concatenate(parts).astype(float)


def pruned(approximation: Approximation, most: int, effort: Effort) -> Approximation | None:
    """The same circuit without the blocks that do least, until at most so many CX are left; optimised.

    None where a place would have no block any more. The blocks that are taken away stay in the optimisation
    as identities that do not move: a circuit of another shape would have to be compiled anew.
    """
    blocks, point = approximation.blocks, approximation.point
    if not blocks.starts_at_identity:
        return None
    removed = set[int]()
    for gate in np.argsort(entangling(blocks.gates(point))):
        if sum(_without(blocks, removed).two_qubit_gates) <= most:
            break
        left = _without(blocks, removed | {int(gate)})
        if {place for pair in left.pairs for place in pair} == set(range(blocks.num_places)):
            removed.add(int(gate))
    smaller = _without(blocks, removed)
    if sum(smaller.two_qubit_gates) > most:
        return None
    if not removed:
        return approximation
    kept = [gate for gate in range(len(blocks.pairs)) if gate not in removed]
    start, rng = _merged(blocks, point, removed), np.random.default_rng(effort.seed)
    mask = _mask(blocks, kept, before=True)
    points = [start, *(_shaken(start, mask, rng) for _ in range(effort.starts - 1))]
    best, log = best_of(approximation.target, blocks, points, effort, mask)

    def stay(array: NDArray) -> NDArray:
        return array[kept] if len(array) else array

    found = Point(stay(best.whole), best.before, stay(best.middle), stay(best.after))
    return approximation_of(approximation.target, smaller, found, f"{approximation.layout}, pruned", log)


def _shaken(point: Point, mask: NDArray, rng: np.random.Generator) -> Point:
    """A little way off, in the coordinates that may move."""
    with jax.enable_x64(True):
        step = _NEW_SPREADS[0] * rng.normal(size=len(mask)) * mask
        return on_numpy(moved_by(on_jax(point), jnp.asarray(step)))


def entangling(gates: NDArray) -> NDArray:
    """How far blocks are from products of rotations: 1 - the largest operator-Schmidt weight, (gates,)."""
    matrices = gates.reshape(-1, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 4)
    values = np.linalg.svd(matrices, compute_uv=False)
    return np.asarray(1 - values[:, 0] ** 2 / 4)


def _without(blocks: Blocks, removed: set[int]) -> Blocks:
    pairs = tuple(pair for gate, pair in enumerate(blocks.pairs) if gate not in removed)
    return replace(blocks, pairs=pairs)


def _merged(blocks: Blocks, point: Point, removed: set[int]) -> Point:
    """Numbers with some blocks turned into identities, whose nearest rotations move to the block before them
    on their place, or after them where they are the first.
    """
    whole, before, after = point.whole.copy(), point.before.copy(), point.after.copy()
    gates = blocks.gates(point)
    last: dict[int, tuple[int, int]] = {}  # block that stays, and side, that a place met last
    waiting: dict[int, NDArray] = {}  # rotations of places that have met none yet
    for gate, pair in enumerate(blocks.pairs):
        if gate not in removed:
            for side, place in enumerate(pair):
                if place in waiting:
                    whole[gate] = whole[gate] @ _on_side(waiting.pop(place), side)
                last[place] = (gate, side)
            continue
        for place, turn in zip(pair, _nearest_product(gates[gate]), strict=True):
            if place in last and blocks.is_whole:
                earlier, side = last[place]
                whole[earlier] = _on_side(turn, side) @ whole[earlier]
            elif place in last:
                after[last[place]] = turn @ after[last[place]]
            elif blocks.is_whole:
                waiting[place] = turn @ waiting.get(place, np.eye(2))
            else:
                before[place] = turn if _is_first(blocks, gate, place) else turn @ before[place]
    middle, gone = point.middle.copy(), sorted(removed)
    if blocks.is_whole:
        whole[gone] = np.eye(4)
    else:
        middle[gone] = after[gone] = np.eye(2)
    return Point(whole, before, middle, after)


def _is_first(blocks: Blocks, gate: int, place: int) -> bool:
    """Whether a block is its place's first, so that its matrix holds the rotation before it."""
    return all(place not in pair for pair in blocks.pairs[:gate])


def _on_side(turn: NDArray, side: int) -> NDArray:
    return np.kron(turn, np.eye(2)) if side == 0 else np.kron(np.eye(2), turn)


def _nearest_product(matrix: NDArray) -> tuple[NDArray, NDArray]:
    """Rotations A, B with A (x) B nearest to a unitary (4, 4)."""
    moved = matrix.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    u, _, vh = np.linalg.svd(moved)
    found = []
    for vector in (u[:, 0], vh[0]):
        left, _, right = np.linalg.svd(vector.reshape(2, 2))
        found.append(left @ right)
    return found[0], found[1]
