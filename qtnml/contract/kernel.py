"""The contraction: maps applied from the leaves of a tree to its root, step by step of a plan.

The same code serves every network that is linear in its leaves, with Pauli coefficients of a density matrix
or amplitudes on its wires, in NumPy and in JAX. Arrays are (nodes, dimension, batch): the batch is the
fastest axis, so that outer products of small dimensions are vectorised. A chain is a scan in JAX and a loop
in NumPy.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax.custom_derivatives import SymbolicZero

from qtnml.arrays import Array, namespace
from qtnml.contract.plan import Chain, Gather, Lane, Plan, Step

#: What a node's output is divided by: its first entry (a trace), its largest one, or nothing.
Rescaling = Literal["first", "largest"] | None
#: From a step's inputs (nodes, dimension, batch) their joint one as its maps are to see it, or None.
BeforeMaps = Callable[[Step, list[Array]], Array | None]

_MOST_SLICES = 64
_MOST_SEGMENTS = 4
_SMALL = 4  # dimension of a leaf
_TINY = 1e-30


def contract_plan(
    plan: Plan,
    maps: tuple[Array, ...],
    leaves: list[Array],
    *,
    rescaling: Rescaling = None,
    before_maps: BeforeMaps | None = None,
) -> tuple[Array, Array]:
    """What leaves the root, and the logarithm of everything divided out on the way.

    Args:
        plan: Of the tree.
        maps: For each group (nodes, outputs, inputs); inputs are the product of the children's dimensions,
            the first child's slowest.
        leaves: For each leaf pool its vectors, (leaves, dimension, batch).
        rescaling: Keeps products of hundreds of factors within the range of floats. By "first" derivatives
            are those of the quotients; by "largest" the factor counts as a constant, which is right for
            all that depends on ratios, and for logarithms to which the factor is added again.
        before_maps: Acts on the inputs of a step.

    Returns:
        (outputs, batch) and (batch,).
    """
    pools: list[Any] = list(leaves)
    log_scale: Any = 0.0
    for step in plan.steps:
        out: Any
        if isinstance(step, Chain):
            out, log = _run_chain(step, maps, pools, rescaling)
        else:
            inputs = [gathered(pools, gather) for gather in step.gathers]
            chosen = maps[step.group][step.start : step.stop]
            if before_maps is not None and (joint := before_maps(step, inputs)) is not None:
                inputs = [joint]
            out, size = _rescaled(_applied(chosen, inputs), rescaling)
            log = _logs([size])
        pools.append(out)
        log_scale = log_scale + log
    root = rows_of(pools[-1], (0,))[0]
    xp = namespace(root)
    return root, xp.zeros(root.shape[-1], dtype=root.real.dtype) + log_scale


def outer(vectors: list[Array]) -> Array:
    """Products of vectors (n, dimension, batch): (n, product of dimensions, batch)."""
    joint, *others = vectors
    for other in others:
        joint = (joint[:, :, None, :] * other[:, None, :, :]).reshape(joint.shape[0], -1, joint.shape[-1])
    return joint


class LaneEnds(NamedTuple):
    """What leaves the lanes of a chain, (batch, out) each: transposed only by what wants it so."""

    vectors: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """As an array (lanes, out, batch)."""
        batch, out = self.vectors[0].shape
        return len(self.vectors), out, batch


def gathered(pools: Sequence[Any], gather: Gather) -> Array:
    """Rows of several pools as one array."""
    segments = [rows_of(pools[pool], rows) for pool, rows in gather]
    if len(segments) == 1:
        return segments[0]
    joined: Array = namespace(segments[0]).concat(segments, axis=0)
    return joined


def rows_of(array: Any, rows: tuple[int, ...]) -> Array:
    """Rows of an array: slices where they are evenly spaced (no copy, cheap gradient)."""
    if isinstance(array, LaneEnds):
        chosen = [array.vectors[row].T for row in rows]
        return chosen[0][None] if len(rows) == 1 else namespace(chosen[0]).stack(chosen)
    slices = _slices(rows)
    if len(slices) == 1:
        return array[slices[0]]  # type: ignore[no-any-return]
    if len(slices) <= _MOST_SEGMENTS:
        return namespace(array).concat([array[part] for part in slices])  # type: ignore[no-any-return]
    return array[np.asarray(rows)]  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def _slices(rows: tuple[int, ...]) -> tuple[slice, ...]:
    """Rows as evenly spaced parts, in order."""
    found, start = list[slice](), 0
    while start < len(rows):
        stop = start + 1
        step = rows[stop] - rows[start] if stop < len(rows) else 1
        while step != 0 and stop < len(rows) and rows[stop] - rows[stop - 1] == step:
            stop += 1
        end = rows[stop - 1] + (1 if step > 0 else -1)
        found.append(slice(rows[start], end if end >= 0 else None, step or 1))
        start = stop
    return tuple(found)


def _applied(maps: Array, inputs: list[Array]) -> Array:
    """Maps (n, out, in) on the vectors (n, dimension, batch) of every child: (n, out, batch)."""
    dims = [vectors.shape[1] for vectors in inputs]
    if len(maps) == 1 and len(dims) > 1 and not isinstance(maps, np.ndarray):
        return _applied_by_row(maps[0], [vectors[0].T for vectors in inputs]).T[None]
    slot, out = int(np.argmax(dims)), maps.shape[1]
    # NumPy sums over a middle axis slowly.
    if len(dims) == 1 or out > dims[slot] or (out == dims[slot] and isinstance(maps, np.ndarray)):
        return _product(maps, outer(inputs))
    # One child by a product; the others, the largest first, weigh what it gives. The outer product of large
    # children takes more memory, and its derivative sums over middle axes.
    others = sorted((k for k in range(len(dims)) if k != slot), key=lambda k: -dims[k])
    n, batch = len(maps), inputs[0].shape[-1]
    found = _product(_split(maps, dims, others, slot), inputs[slot])
    for other in others:
        found = _weighing(found.reshape(n, dims[other], -1, batch), inputs[other])
    return found


def _applied_by_row(matrix: Array, inputs: list[Array]) -> Array:
    """One map (out, in) on the vectors (batch, dimension) of every child: (batch, out)."""
    dims = [vectors.shape[1] for vectors in inputs]
    falling = sorted(range(len(dims)), key=lambda k: -dims[k])
    # The largest child, and all that are small, by a product; the others weigh what it gives.
    weighing = [k for k in falling[1:] if dims[k] > _SMALL]
    taken = [k for k in falling if k not in weighing]
    joint = inputs[taken[0]]
    for k in taken[1:]:
        joint = (joint[:, :, None] * inputs[k][:, None]).reshape(len(joint), -1)
    axes = (*(1 + k for k in taken), 0, *(1 + k for k in weighing))
    found = joint @ matrix.reshape(-1, *dims).transpose(axes).reshape(joint.shape[1], -1)
    for k in reversed(weighing):
        found = (found.reshape(len(found), -1, dims[k]) * inputs[k][:, None]).sum(axis=2)
    return found


def _product(matrices: Array, vectors: Array) -> Array:
    """(n, out, in) times (n, in, batch)."""
    if len(matrices) == 1:  # XLA's batched product is slower by far
        return (matrices[0] @ vectors[0])[None]
    return namespace(matrices).matmul(matrices, vectors)  # type: ignore[no-any-return]


def _split(maps: Array, dims: Sequence[int], others: Sequence[int], slot: int) -> Array:
    """Maps (n, out, in) as (n, other children * out, child `slot`)."""
    n, out = maps.shape[:2]
    axes = (0, *(2 + k for k in others), 1, 2 + slot)
    return maps.reshape(n, out, *dims).transpose(axes).reshape(n, -1, dims[slot])


def _rescaled(out: Array, rescaling: Rescaling) -> tuple[Array, Any]:
    """Vectors along axis 1 divided, and what they were divided by, without that axis; None for nothing."""
    xp = namespace(out)
    if rescaling is None:
        return out, None
    if rescaling == "first":
        size = xp.maximum(out[:, :1], _TINY)
    else:
        size = _constant(xp.max(xp.abs(out), axis=1, keepdims=True)) + _TINY
    return out / size, size[:, 0]


def _logs(sizes: Sequence[Any]) -> Any:
    """Sum over all but the batch (last) of the logarithms of factors."""
    return sum(namespace(size).log(size).sum(axis=0) for size in sizes if size is not None)


def _constant(array: Array) -> Array:
    """As far as derivatives are concerned."""
    return array if isinstance(array, np.ndarray) else jax.lax.stop_gradient(array)


def _run_chain(
    chain: Chain, maps: tuple[Array, ...], pools: list[Any], rescaling: Rescaling
) -> tuple[LaneEnds, Any]:
    """What leaves a chain, and logarithms (batch,).

    Here the batch comes first: the products are large enough, and run up to twice as fast.
    """
    inputs = [_lane_inputs(lane, maps, pools) for lane in chain.lanes]
    first = [gathered(pools, lane.carried)[0].T for lane in chain.lanes]

    def step(carried: list[Array], given: Any) -> tuple[list[Array], Any]:
        out, sizes = list[Array](), list[Any]()
        for vectors, (matrix, weights) in zip(carried, given, strict=True):
            found, size = _rescaled(_weighing_rows(vectors @ matrix, weights), rescaling)
            out.append(found)
            sizes.append(size)
        return out, sizes

    if isinstance(first[0], np.ndarray):
        total: Any = 0.0
        for k in range(len(inputs[0][0])):
            first, sizes = step(first, [(matrices[k], weights[k]) for matrices, weights in inputs])
            total = total + _logs([size if size is None else size[None] for size in sizes])
        return LaneEnds(tuple(first)), total
    # Vectors may be narrower in type than what leaves a node (real leaves, complex maps).
    dtype = np.result_type(*(array.dtype for lane in inputs for array in lane), *(v.dtype for v in first))
    # Sizes leave the scan as they are: logarithms that nobody asks for then cost nothing.
    carried, sizes = jax.lax.scan(step, [v.astype(dtype) for v in first], inputs)
    return LaneEnds(tuple(carried)), _logs(sizes)


def _lane_inputs(lane: Lane, maps: tuple[Array, ...], pools: list[Any]) -> tuple[Array, Array]:
    """Matrices (n, carried, weights * out) and weights (n, batch, weights) of a lane's leaves."""
    chosen = maps[lane.group][lane.start : lane.stop]
    carried = pools[lane.carried[0][0]]
    dims = [pools[pool].shape[1] for pool, _ in lane.leaves]
    dims.insert(lane.slot, carried.shape[1])
    vectors = [rows_of(pools[pool], rows) for pool, rows in lane.leaves]
    if not vectors:
        vectors = [namespace(carried).ones((len(chosen), 1, carried.shape[-1]), dtype=carried.dtype)]
    if lane.slot == 0:
        matrices = chosen.swapaxes(1, 2).reshape(len(chosen), dims[0], -1)
    else:
        others = [k for k in range(len(dims)) if k != lane.slot]
        matrices = _split(chosen, dims, others, lane.slot).swapaxes(1, 2)
    return matrices, outer(vectors).swapaxes(1, 2)


def _weighing(by_weight: Array, weights: Array) -> Array:
    """(n, weights, out, batch) weighed by (n, weights, batch) and summed over them: (n, out, batch)."""
    if isinstance(by_weight, np.ndarray) or weights.shape[1] > _MOST_SLICES:
        return _weighed(by_weight, weights)  # type: ignore[no-any-return]
    return _weighed_in_slices(by_weight, weights)


def _weighing_rows(by_weight: Array, weights: Array) -> Array:
    """(batch, weights * out) weighed by (batch, weights) and summed over them: (batch, out)."""
    if isinstance(by_weight, np.ndarray) or weights.shape[1] > _MOST_SLICES:
        return _weighed_rows(by_weight, weights)  # type: ignore[no-any-return]
    return _weighed_rows_in_slices(by_weight, weights)


def _weighed(by_weight: Any, weights: Any) -> Any:
    return (by_weight * weights[:, :, None]).sum(axis=1)


def _weighed_rows(by_weight: Any, weights: Any) -> Any:
    return (by_weight.reshape(*weights.shape, -1) * weights[:, :, None]).sum(axis=1)


# For JAX slice by slice: twice as fast, as a sum over a short axis is not vectorised. The derivative keeps
# the form of one sum, whose transpose is one product; that of slices is not.


@jax.custom_jvp
def _weighed_in_slices(by_weight: jax.Array, weights: jax.Array) -> jax.Array:
    parts = (by_weight[:, k] * weights[:, k, None] for k in range(weights.shape[1]))
    return sum(parts)  # type: ignore[return-value]


@jax.custom_jvp
def _weighed_rows_in_slices(by_weight: jax.Array, weights: jax.Array) -> jax.Array:
    number = weights.shape[1]
    parts = jax.lax.split(by_weight, (by_weight.shape[1] // number,) * number, axis=1)
    return sum(part * weights[:, k : k + 1] for k, part in enumerate(parts))  # type: ignore[return-value]


def _tangent(value: Any, whole: Any) -> Any:
    """The derivative of a product of its two arguments, for `jax.custom_jvp`."""

    def tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
        (by_weight, weights), (d_by_weight, d_weights) = primals, tangents
        # A tangent that is zero must cost nothing: data rarely have derivatives.
        fixed = [isinstance(change, SymbolicZero) for change in tangents]
        terms = [] if fixed[0] else [whole(d_by_weight, weights)]
        terms += [] if fixed[1] else [whole(by_weight, d_weights)]
        return value(by_weight, weights), sum(terms[1:], start=terms[0])

    return tangent


_weighed_in_slices.defjvp(_tangent(_weighed_in_slices, _weighed), symbolic_zeros=True)
_weighed_rows_in_slices.defjvp(_tangent(_weighed_rows_in_slices, _weighed_rows), symbolic_zeros=True)
