"""A model on a device: in lanes without SWAPs, or with Qiskit's layout, whichever is better.

Every cut of the tree into lanes lies between few qubits (many resets, long waits) and many qubits (no reset,
more SWAPs where lanes meet). The same holds for Qiskit's layouts of schedules on different numbers of qubits.
Each candidate is compiled, and its outcome under the device's calibration is computed exactly.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit, transpile
from qiskit.transpiler.exceptions import TranspilerError

from qtnml.compile.compiled import Compiled
from qtnml.compile.lanes import Arrangement, arrange, in_stack_order, possible_lengths
from qtnml.compile.order import minimal_order
from qtnml.compile.placement import Load, place
from qtnml.compile.schedule import all_qubits
from qtnml.compile.source import C, Source
from qtnml.errors import InvalidInputError
from qtnml.gates import Synthesis
from qtnml.noise import DeviceNoise
from qtnml.noise.calibration import calibrated
from qtnml.program import Program
from qtnml.program.device import Device, estimated_success
from qtnml.program.rotations import without_symbolic_phases
from qtnml.program.timing import timeline

# Numbers of qubits, from the fewest to all, and seeds that Qiskit's own layout is tried with.
_QISKIT_WIDTHS, _QISKIT_SEEDS = 3, 3
_TRAP_WIDTHS = 5  # the same where all qubits are joined, so that one layout is as good as another


def best_on_device(
    source: Source[C],
    device: Device,
    synthesis: Synthesis,
    *,
    reuse_qubits: bool,
    num_qubits: int | None,
) -> C:
    """The candidate that does best under the device's calibration, exactly.

    By its decisions, or the likelihood of its strings. Those whose qubits are entangled too widely for an
    exact distribution are only asked, by their estimated success, where there is no other.

    Args:
        source: What to compile.
        device: Where it will run.
        synthesis: How nodes become gates; the device decides on the two-qubit gate and the pairs.
        reuse_qubits: Whether qubits may be reset and reused.
        num_qubits: The most physical qubits; None leaves the choice to the estimate.

    Raises:
        InvalidInputError: A device without resets, or with too few qubits.
    """
    every = all_qubits(source.topology)
    least = minimal_order(source.topology)[0] if reuse_qubits else every
    if num_qubits is not None and (
        isinstance(num_qubits, bool) or not isinstance(num_qubits, int | np.integer) or num_qubits < 1
    ):
        raise InvalidInputError(f"num_qubits must be an integer from {least} to {every}, got {num_qubits!r}")
    most = device.num_qubits if num_qubits is None else min(device.num_qubits, int(num_qubits))
    if most < least:
        raise InvalidInputError(
            f"this network needs {least} qubits{'' if reuse_qubits else ' without reuse'}, and "
            f"{'num_qubits' if num_qubits else f'device {device.name!r}'} allows {most}"
        )
    if reuse_qubits and not device.can_reset and least < every:
        if every > most:
            raise InvalidInputError(
                f"device {device.name!r} has no reset, and {every} qubits are needed "
                f"without; it has {device.num_qubits}; choose another device or a smaller model"
            )
        raise InvalidInputError(
            f"device {device.name!r} has no reset to reuse qubits with; compile with reuse_qubits=False"
        )
    found = candidates(source, device, synthesis, reuse_qubits=reuse_qubits, most=most)
    if not found:
        raise InvalidInputError(
            f"device {device.name!r} cannot run this circuit: no joined part of it holds the {least} qubits "
            "needed, or it lacks one-qubit gates or a measurement"
        )
    known = [each for each in found if each.expected is not None]
    best = max(known or found, key=_merit)
    if not best.estimated_success:
        warnings.warn(f"device {device.name!r} reports errors of 1 wherever this circuit fits", stacklevel=4)
    return best


def candidates(
    source: Source[C], device: Device, synthesis: Synthesis, *, reuse_qubits: bool, most: int
) -> list[C]:
    """All circuits that are compared, each with what is expected of it where that can be told exactly."""
    synthesis = replace(synthesis, two_qubit_gate=device.two_qubit_gate)  # type: ignore[arg-type]
    noise = calibrated(device.target)
    source.check_samples()
    if device.joins_all:
        found = list(unrouted(source, device, synthesis, reuse_qubits=reuse_qubits, most=most))
    else:
        found = [
            *in_lanes(source, device, synthesis, reuse_qubits=reuse_qubits, most=most),
            *by_qiskit(source, device, synthesis, reuse_qubits=reuse_qubits, most=most),
        ]
    return [with_expected(source, each, noise) for each in found]


def with_expected(source: Source[C], compiled: C, noise: DeviceNoise) -> C:
    """A circuit with what is expected of it under noise; None of one whose exact distribution is refused."""
    try:
        return replace(compiled, expected=source.expected(compiled, noise))
    except InvalidInputError:
        return compiled


def _merit(compiled: Compiled) -> tuple[float, ...]:
    """The larger the better."""
    first = () if compiled.expected is None else compiled.expected.rank
    return (*first, compiled.estimated_success or 0.0, -compiled.two_qubit_gates, -compiled.depth)


def unrouted(
    source: Source[C], device: Device, synthesis: Synthesis, *, reuse_qubits: bool, most: int
) -> Iterator[C]:
    """Schedules on several numbers of qubits of a device that joins them all, on its best ones."""
    layout = best_qubits(device)
    for width in _widths(source, _TRAP_WIDTHS, reuse_qubits=reuse_qubits, most=most):
        compiled = source.scheduled(width, synthesis)
        chosen = tuple(layout[: compiled.num_qubits])
        method = f"{width} qubits, all joined"
        yield from on_device(compiled, device, chosen, synthesis.seed, method, level=3)


def best_qubits(device: Device) -> list[int]:
    """Qubits, those that err least in two-qubit gates and when they are read first."""
    gate, every = device.two_qubit_gate, range(device.num_qubits)
    errors = np.array([[device.error(gate, (a, b)) if a != b else 0.0 for b in every] for a in every]).mean(
        axis=1
    )
    reads = np.array([device.error("measure", (qubit,)) for qubit in every])
    return [int(qubit) for qubit in np.argsort(errors + 1e-3 * reads, kind="stable")]


def _widths(source: Source[Any], count: int, *, reuse_qubits: bool, most: int) -> list[int]:
    """Numbers of qubits from the fewest to all, that a device has."""
    widest = all_qubits(source.topology)
    least = minimal_order(source.topology)[0] if reuse_qubits else widest
    found = {round(least * (widest / least) ** (k / (count - 1))) for k in range(count)}
    return sorted(width for width in found if least <= width <= most)


def in_lanes(
    source: Source[C], device: Device, synthesis: Synthesis, *, reuse_qubits: bool, most: int
) -> Iterator[C]:
    """One circuit for each way to cut the tree into lanes."""
    ordered = source if source.prescribes_gates else source.on(in_stack_order(source.network))
    for length in possible_lengths(ordered.topology):
        arrangement = arrange(ordered.topology, length, reuse_qubits=reuse_qubits)
        schedule = arrangement.schedule
        if schedule.num_qubits > most or (schedule.num_resets and not reuse_qubits):
            continue
        compiled = ordered.compiled(schedule, _synthesis_in(arrangement, ordered, synthesis))
        layout = place(arrangement, _load(compiled, device), device, synthesis.seed)
        if layout is not None:
            method = f"{len(arrangement.lanes)} lane(s)"
            yield from on_device(compiled, device, layout, synthesis.seed, method)


def by_qiskit(
    source: Source[C], device: Device, synthesis: Synthesis, *, reuse_qubits: bool, most: int
) -> Iterator[C]:
    """Schedules on a few numbers of qubits, laid out and routed by Qiskit at its highest level."""
    for width in _widths(source, _QISKIT_WIDTHS, reuse_qubits=reuse_qubits, most=most):
        compiled = source.scheduled(width, synthesis)
        for seed in range(synthesis.seed, synthesis.seed + _QISKIT_SEEDS):
            yield from on_device(compiled, device, None, seed, "Qiskit's layout")


def on_device(
    compiled: C, device: Device, layout: tuple[int, ...] | None, seed: int, method: str, level: int = 1
) -> Iterator[C]:
    """Translated into a device's gates; laid out by Qiskit at level 3 where no layout is given.

    Nothing if Qiskit finds no way, as on parts of a device that are not joined.
    """
    plain = without_symbolic_phases(compiled.circuit, device.target)
    try:
        circuit = _transpiled(plain, device, layout, seed, level)
    except TranspilerError:
        return
    # A phase of hundreds of parameters, which nothing can see, makes every binding evaluate it.
    circuit.global_phase = 0.0
    if layout is None:  # a device that joins all qubits leaves them where they are
        given = circuit.layout
        plain_layout = range(compiled.num_qubits)
        layout = tuple(plain_layout if given is None else given.initial_index_layout(filter_ancillas=True))
    yield replace(
        compiled,
        program=Program.read(circuit, getattr(compiled, "x", ()), compiled.program.direction),
        device=device,
        layout=layout,
        estimated_success=estimated_success(circuit, device),
        method=method,
    )


def _transpiled(
    circuit: QuantumCircuit, device: Device, layout: tuple[int, ...] | None, seed: int, level: int
) -> QuantumCircuit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Qiskit's own, inside its passes
        return transpile(
            circuit,
            target=device.target,
            initial_layout=None if layout is None else list(layout),
            optimization_level=3 if layout is None else level,
            seed_transpiler=seed,
        )


def _synthesis_in(arrangement: Arrangement, source: Source[Any], synthesis: Synthesis) -> list[Synthesis]:
    """Nodes of lanes join neighbours; those above join the bottoms of their children's lanes."""
    found = [replace(synthesis, pairs="line")] * len(source.topology.nodes)
    for join in arrangement.joins:
        node, first, pairs = source.topology.nodes[join.node], 0, []
        starts = []
        for wire in node.children:
            width = source.topology.wire_width(wire)
            pairs += [(q, q + 1) for q in range(first, first + width - 1)]
            starts.append(first)
            first += width
        pairs += [(0, start) for start in starts[1:]]
        pairs += [(0, first + k) for k in range(node.fresh)]
        found[join.node] = replace(synthesis, pairs=tuple(pairs))
    return found


def _load(compiled: Compiled, device: Device) -> Load:
    """What each position has to bear, before it is placed."""
    gates: dict[tuple[int, int], int] = {}
    resets = [0] * compiled.circuit.num_qubits
    for instruction in compiled.circuit.data:
        qubits = tuple(compiled.circuit.find_bit(bit).index for bit in instruction.qubits)
        if len(qubits) == 2:
            pair = (min(qubits), max(qubits))
            gates[pair] = gates.get(pair, 0) + 1
        elif instruction.operation.name == "reset":
            resets[qubits[0]] += 1
    line = timeline(compiled.circuit, device.typical_times())
    return Load(gates, tuple(resets), line.idle, compiled.schedule.measured)
