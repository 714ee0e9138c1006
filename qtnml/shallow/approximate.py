"""`approximate` and `pareto`: the best shallow circuits of a state for a number of gates."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from qtnml.errors import InvalidInputError, TrainingInterruptedWarning, warn_user
from qtnml.progress import progress_bar
from qtnml.shallow.approximation import Approximation
from qtnml.shallow.blocks import Blocks, Kind
from qtnml.shallow.device import line_on
from qtnml.shallow.front import OnDevice, ParetoFront, front_of
from qtnml.shallow.layouts import LAYOUTS, on_edges
from qtnml.shallow.search import Effort, Layout, grown, pruned
from qtnml.shallow.starts import Start, check_start
from qtnml.shallow.target import Target
from qtnml.shallow.window import Pair, window_of

_MOST_LAYERS = 64
_WIDEST = 10  # qubits in the window, beyond which an added layer takes minutes


def approximate(
    state: Any,
    *,
    layers: int | None = None,
    max_two_qubit_gates: int | None = None,
    target_fidelity: float | None = None,
    layout: Any = "staircase",
    blocks: Kind | None = None,
    iterations: int = 500,
    starts: int = 4,
    optimizer: Literal["lbfgs", "adam", "sweeps"] = "lbfgs",
    start: Start = "identity",
    max_bond: int | None = None,
    order: Sequence[int] | Literal["mutual-information"] | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> Approximation:
    """Approximate a state by a shallow circuit; all gates are optimised on the exact fidelity.

    Give one of `layers`, `max_two_qubit_gates` and `target_fidelity`. Layers are added one by one. A new
    layer starts at the identity, and all gates are optimised together by L-BFGS on the manifold of unitaries.
    arXiv:2209.00595 calls this scheme Iter[I, O_all]; its sweeps go gate by gate.

    Args:
        state: A `State`, a `TreeState` or a fitted Born machine.
        layers: Number of layers.
        max_two_qubit_gates: Largest number of CX. The best circuit over all kinds of blocks is returned.
        target_fidelity: Fidelity to reach. The circuit with the fewest CX found is returned.
        layout: "staircase" (fewest gates), "brick-wall" (least depth), "parallel-sequential", "tree", a
            function (qubits, layers) -> pairs, a device (a Qiskit backend, a `Target` or one of
            `get_backend`: its coupling map around a line of qubits), or pairs of neighbours in order of time
            (`layers` is not needed).
        blocks: "su4" (any gate: 3 CX), "so4" (any real gate: 2 CX), "two-cx", "cx", see
            `qtnml.shallow.blocks`. None takes "so4" for real states and "two-cx" for complex states, or the
            best of all kinds if `max_two_qubit_gates` or `target_fidelity` is given.
        iterations: Largest number of iterations of each optimisation.
        starts: Number of circuits that are optimised in parallel, each from its own start.
        optimizer: "lbfgs" or "adam", both Riemannian, or "sweeps" (polar, for whole blocks; the fidelity
            never decreases).
        start: Start of one of the circuits, for whole blocks; all others start near the identity. "bond-2"
            (each staircase starts from what the previous ones leave of the state), "product", "tree" (for the
            layout "tree").
        max_bond: Largest bond of the chain that circuits are compared with. The loss from this truncation is
            reported.
        order: Sites along the chain: a permutation, or "mutual-information", which places entangled sites
            together. None keeps their order.
        random_state: Seed.
        verbose: 1 shows a progress bar.

    Returns:
        An `Approximation`; its `fidelity` is exact.

    >>> import numpy as np
    >>> from qtnml import states
    >>> w_state = states.from_vector(np.array([0, 1, 1, 0, 1, 0, 0, 0]))
    >>> found = approximate(w_state, layers=1)
    >>> found.two_qubit_gates, bool(found.infidelity < 1e-9)
    (3, True)
    """
    target = Target.of(state, max_bond, order)
    effort = _effort(iterations, starts, optimizer, start, random_state)
    _check_one_goal(layers, max_two_qubit_gates, target_fidelity, layout)
    placed, name = layout_of(layout, target.num_places)
    kinds = kinds_of(target, blocks, optimizer, start)
    check_start(start, name, kinds)
    with _shown(effort, show=bool(verbose)) as effort:
        if max_two_qubit_gates is not None:
            found = _points(target, placed, name, kinds, max_two_qubit_gates, effort, between=0)
            within = [each for each in found if each.two_qubit_gates <= max_two_qubit_gates]
            if not within:
                raise InvalidInputError(
                    f"{max_two_qubit_gates} two-qubit gates are too few to join {target.num_places} qubits "
                    f"by {name!r}; take at least {target.num_places - 1}"
                )
            return max(within, key=lambda each: each.fidelity)
        if target_fidelity is not None:
            return _reaching(target, placed, name, kinds, target_fidelity, effort)
        return next(islice(grown(target, placed, name, kinds[0], effort), (layers or 1) - 1, None))


def _check_one_goal(layers: Any, gates: Any, fidelity: Any, layout: Any) -> None:
    given = [value for value in (layers, gates, fidelity) if value is not None]
    explicit = isinstance(layout, Iterable) and not isinstance(layout, str)
    if len(given) != 1 and not (explicit and not given):
        raise InvalidInputError(
            "give one of layers=, max_two_qubit_gates= and target_fidelity=, got "
            f"{'none' if not given else 'several'}"
        )
    for name, value in (("layers", layers), ("max_two_qubit_gates", gates)):
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1
        ):
            raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
    if layers is not None and layers > _MOST_LAYERS:
        raise InvalidInputError(f"layers must be at most {_MOST_LAYERS}, got {layers}")
    if fidelity is not None and (
        isinstance(fidelity, bool)
        or not isinstance(fidelity, float | int | np.floating)
        or not 0 < fidelity < 1
    ):
        raise InvalidInputError(f"target_fidelity must be between 0 and 1, got {fidelity!r}")


def _effort(iterations: Any, starts: Any, optimizer: Any, start: Any, seed: Any) -> Effort:
    for name, value in (("iterations", iterations), ("starts", starts)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InvalidInputError(f"{name} must be an integer of at least 1, got {value!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InvalidInputError(f"random_state must be an integer of at least 0, got {seed!r}")
    if optimizer not in ("lbfgs", "adam", "sweeps"):
        raise InvalidInputError(f"optimizer must be 'lbfgs', 'adam' or 'sweeps', got {optimizer!r}")
    return Effort(int(iterations), int(starts), optimizer=optimizer, start=start, seed=int(seed))


def layout_of(layout: Any, num_places: int) -> tuple[Layout, str]:
    """A layout as a function (places, layers) -> pairs, and its name."""
    if isinstance(layout, str) and layout in LAYOUTS:
        return LAYOUTS[layout], layout
    if callable(layout) and not hasattr(layout, "coupling_map") and not hasattr(layout, "target"):
        return (lambda count, layers: _own(layout(count, layers))), getattr(layout, "__name__", "own layout")
    if isinstance(layout, Iterable) and not isinstance(layout, str):
        pairs = _own(layout)
        window_of(num_places, pairs)  # which checks them
        return (lambda _count, layers: pairs * layers), "own pairs"
    edges, name = line_on(layout, num_places)
    return (lambda count, layers: on_edges(count, edges, layers)), name


def _own(given: Any) -> tuple[Pair, ...]:
    """Pairs of a user's."""
    try:
        pairs = tuple((int(a), int(b)) for a, b in given)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"a layout of your own is pairs of places such as [(0, 1), (1, 2)]: {error}"
        ) from error
    if not pairs:
        raise InvalidInputError("a layout has at least one pair, got none")
    return pairs


def kinds_of(target: Target, blocks: Any, optimizer: str, start: str) -> tuple[Kind, ...]:
    """Kinds of blocks to try: the given one, or all that suit; sweeps and known starts take whole ones."""
    if blocks is not None:
        if not isinstance(blocks, str):
            raise InvalidInputError(f"blocks is the name of one kind, got {blocks!r}")
        kind: Any = blocks
        Blocks(target.num_places, (), kind)  # which checks the name
        return (kind,)
    if optimizer == "sweeps" or start != "identity":
        return ("so4",) if target.is_real else ("su4",)
    return ("so4", "cx", "two-cx") if target.is_real else ("two-cx", "cx", "su4")


def _points(
    target: Target,
    layout: Layout,
    name: str,
    kinds: Sequence[Kind],
    most: int,
    effort: Effort,
    *,
    between: int,
) -> Iterator[Approximation]:
    """Circuits of growing cost of each kind, up to so many CX; those between two layers by pruning."""
    for kind in kinds:
        before = 0
        for layers in range(1, _MOST_LAYERS + 1):
            pairs = layout(target.num_places, layers)
            cost = sum(Blocks(target.num_places, pairs, kind).two_qubit_gates)
            beyond = cost > most
            if (layers > 1 and _is_too_wide(target.num_places, pairs)) or (beyond and kind == "cx"):
                break
            if layers == 1:
                growth = grown(target, layout, name, kind, effort)
            last = next(growth)
            budgets = [before + (cost - before) * k // (between + 1) for k in range(1, between + 1)]
            if beyond:
                budgets = [b for b in budgets if b < most] + [most]
            else:
                yield last
            for budget in budgets if kind != "cx" else []:
                # Fewer than one gate for each neighbour join nothing.
                if before < budget and budget >= target.num_places - 1:
                    fewer = pruned(last, budget, effort)
                    if fewer is not None:
                        yield fewer
            if beyond:
                break
            before = cost


def _is_too_wide(num_places: int, pairs: tuple[Pair, ...]) -> bool:
    try:
        return window_of(num_places, pairs).width > _WIDEST
    except InvalidInputError:
        return True


def _reaching(
    target: Target, layout: Layout, name: str, kinds: Sequence[Kind], fidelity: float, effort: Effort
) -> Approximation:
    """The fewest CX found that reach a fidelity: the first layer that does, and fewer blocks of it."""
    best: Approximation | None = None
    nearest: Approximation | None = None
    for kind in kinds:
        before = 0.0
        growth = grown(target, layout, name, kind, effort)
        for layers in range(1, _MOST_LAYERS + 1):
            pairs = layout(target.num_places, layers)
            cost = sum(Blocks(target.num_places, pairs, kind).two_qubit_gates)
            too_dear = best is not None and before >= best.two_qubit_gates
            if too_dear or (layers > 1 and _is_too_wide(target.num_places, pairs)):
                break
            found = next(growth)
            if nearest is None or found.fidelity > nearest.fidelity:
                nearest = found
            if found.fidelity >= fidelity:
                for candidate in (found, _fewest(found, int(before), fidelity, effort)):
                    if best is None or candidate.two_qubit_gates < best.two_qubit_gates:
                        best = candidate
                break
            before = cost
    if best is None:
        assert nearest is not None  # of the first kind there is one layer at least
        raise InvalidInputError(
            f"no circuit reached a fidelity of {fidelity:g}: the nearest has {nearest.fidelity:.6g} with "
            f"{nearest.two_qubit_gates} two-qubit gates; raise iterations= or starts=, or take another layout"
        )
    return best


def _fewest(found: Approximation, least: int, fidelity: float, effort: Effort) -> Approximation:
    """A circuit without as many blocks as a fidelity allows, by bisection on the number of CX.

    All are pruned from the same circuit, whose shape is compiled already.
    """
    best, low, high = found, max(least, found.target.num_places - 2), found.two_qubit_gates
    while high - low > max(1, high // 40):
        middle = (low + high) // 2
        fewer = pruned(found, middle, effort)
        if fewer is not None and fewer.fidelity >= fidelity:
            best, high = fewer, min(middle, fewer.two_qubit_gates)
        else:
            low = middle
    return best


@contextmanager
def _shown(effort: Effort, *, show: bool) -> Iterator[Effort]:
    """An effort whose iterations move a bar."""
    with progress_bar("optimising", effort.iterations, show=show) as advance:

        def on_iteration(done: int, losses: Any) -> bool:
            advance(done, f"-ln F / N {float(np.min(losses)):.3g}")
            return False

        yield replace(effort, on_iteration=on_iteration)


def pareto(
    state: Any,
    *,
    max_two_qubit_gates: int,
    layout: Any = "staircase",
    blocks: Kind | None = None,
    between: int = 1,
    target: Any = None,
    reuse_qubits: bool = True,
    iterations: int = 500,
    starts: int = 4,
    optimizer: Literal["lbfgs", "adam", "sweeps"] = "lbfgs",
    start: Start = "identity",
    max_bond: int | None = None,
    order: Sequence[int] | Literal["mutual-information"] | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> ParetoFront:
    """Approximate a state by circuits from few to many two-qubit gates, with all kinds of blocks.

    Ctrl-C ends the search and returns what was found so far.

    Args:
        state: As for `approximate`.
        max_two_qubit_gates: Number of CX of the longest circuit.
        layout: As for `approximate`, or several of its names.
        blocks: One kind of blocks; None tries all kinds that suit the state.
        between: Number of circuits between two layers, made by removing blocks.
        target: A Qiskit backend, a `Target` or a `qtnml` backend. Every circuit is compiled for it, and the
            likelihood of its strings under the device's noise is computed exactly.
        reuse_qubits: Whether to reset and reuse qubits on the device.
        iterations, starts, optimizer, start, max_bond, order, random_state, verbose: As for `approximate`.
    """
    goal = Target.of(state, max_bond, order)
    if isinstance(between, bool) or not isinstance(between, int | np.integer) or between < 0:
        raise InvalidInputError(f"between must be an integer of at least 0, got {between!r}")
    effort = _effort(iterations, starts, optimizer, start, random_state)
    _check_one_goal(None, max_two_qubit_gates, None, "staircase")
    several = isinstance(layout, Sequence) and not isinstance(layout, str)
    names = layout if several and layout and all(isinstance(each, str) for each in layout) else [layout]
    found = list[Approximation]()
    try:
        with _shown(effort, show=bool(verbose)) as effort:
            for each in names:
                placed, name = layout_of(each, goal.num_places)
                kinds = kinds_of(goal, blocks, optimizer, start)
                check_start(start, name, kinds)
                for point in _points(goal, placed, name, kinds, max_two_qubit_gates, effort, between=between):
                    if point.two_qubit_gates <= max_two_qubit_gates:
                        found.append(point)
    except KeyboardInterrupt:
        if not found:
            raise
        warn_user(f"interrupted; the front is of {len(found)} circuits", TrainingInterruptedWarning)
    if not found:
        raise InvalidInputError(
            f"{max_two_qubit_gates} two-qubit gates are too few to join {goal.num_places} qubits; take at "
            f"least {goal.num_places - 1}"
        )
    points = front_of(found)
    if target is None:
        return ParetoFront(points)
    compiled = [each.compile(target=target, reuse_qubits=reuse_qubits) for each in points]
    return ParetoFront(
        points, tuple(OnDevice(each, each.expected, each.estimated_success) for each in compiled)
    )
