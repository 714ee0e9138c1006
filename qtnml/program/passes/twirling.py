"""Pauli twirling: random Paulis around two-qubit gates, which average their errors to Pauli errors."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from qiskit.circuit import Instruction
from qiskit.circuit.library import RGate, RXGate, RYGate, RZGate, SXGate, UGate, XGate, YGate, ZGate

from qtnml.errors import InvalidInputError
from qtnml.program.device import Device
from qtnml.program.operations import Gate, Node, Operation
from qtnml.program.program import Program

_PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}
_CLIFFORDS = ("cx", "cz", "ecr", "swap", "cy", "iswap")
_Frame = tuple[str, str]  # Paulis on the first and second qubit
_FRAMES: list[_Frame] = [(a, b) for a in "IXYZ" for b in "IXYZ"]


@dataclass(frozen=True)
class Twirl:
    """One random instance of twirling: a Pauli before each two-qubit gate, and its inverse after the gate.

    Averaged over instances, an error of a gate, coherent or not, acts as a random Pauli
    (arXiv:quant-ph/0407011, arXiv:1512.01098). For gates with a free angle (`rzz`) only Paulis that commute
    with them are used. The pass "merge" joins the Paulis with neighbouring gates, so that they cost nothing.

    Attributes:
        seed: Seed of the random choice; average over several seeds.
    """

    seed: int = 0
    binds_weights = False

    def __post_init__(self) -> None:
        is_integer = isinstance(self.seed, int | np.integer) and not isinstance(self.seed, bool)
        if not is_integer or self.seed < 0:
            raise InvalidInputError(f"seed must be a non-negative integer, got {self.seed!r}")

    @property
    def name(self) -> str:
        """Name with the seed."""
        return f"twirl-{self.seed}"

    def __call__(self, program: Program, device: Device | None) -> Program:
        """The program with Paulis around its two-qubit gates."""
        rng = np.random.default_rng(self.seed)

        def twirled(gate: Any) -> tuple[Any, ...]:
            frames = _frames(gate)
            if not frames:
                return (gate,)
            before, after = frames[int(rng.integers(len(frames)))]
            return (*_gates(before, gate.qubits, device), gate, *_gates(after, gate.qubits, device))

        found = list[Operation]()
        for operation in program.operations:
            if isinstance(operation, Node):
                gates = tuple(part for gate in operation.gates for part in twirled(gate))
                found.append(replace(operation, gates=gates))
            else:
                found += twirled(operation)
        return replace(program, operations=tuple(found))


def _frames(gate: Operation) -> tuple[tuple[_Frame, _Frame], ...]:
    """Paulis before and after a gate that together change nothing; none of gates that are no Clifford."""
    if not isinstance(gate, Gate) or len(gate.qubits) != 2:
        return ()
    if gate.name == "rzz":
        commuting = [(a, b) for a, b in _FRAMES if (a in "XY") == (b in "XY")]
        return tuple((frame, frame) for frame in commuting)
    return _clifford_frames(gate.name, gate.instruction.base_class) if gate.name in _CLIFFORDS else ()


@cache
def _clifford_frames(name: str, gate: Any) -> tuple[tuple[_Frame, _Frame], ...]:  # noqa: ARG001
    matrix = gate().to_matrix()
    found = []
    for before in _FRAMES:
        wanted = matrix @ _pauli(before) @ matrix.conj().T
        after = max(_FRAMES, key=lambda frame: abs(np.trace(_pauli(frame) @ wanted)))
        found.append((before, after))
    return tuple(found)


def _pauli(frame: _Frame) -> Any:
    return np.kron(_PAULIS[frame[1]], _PAULIS[frame[0]])  # Qiskit's first qubit is the least significant


def _gates(frame: _Frame, qubits: tuple[int, ...], device: Device | None) -> list[Gate]:
    """Paulis on qubits, in gates that the device has."""
    return [
        Gate(instruction, (qubit,))
        for pauli, qubit in zip(frame, qubits, strict=True)
        for instruction in _native(pauli, device)
    ]


def _native(pauli: str, device: Device | None) -> list[Instruction]:
    if pauli == "I":
        return []
    found = _direct(pauli, device)
    if found is None:  # up to a phase it is the product of the two others
        others = [_direct(other, device) for other in {"X": "YZ", "Y": "ZX", "Z": "XY"}[pauli]]
        parts = [part for part in others if part is not None]
        if len(parts) < 2:
            raise InvalidInputError(
                f"device {device.name if device else ''!r} has no gates for a Pauli {pauli}; leave twirling "
                "out"
            )
        found = [gate for part in parts for gate in part]
    return found


def _direct(pauli: str, device: Device | None) -> list[Instruction] | None:
    """A Pauli by gates about its own axis, the first of them that the device has."""
    half = np.pi / 2
    ways: list[tuple[str, list[Instruction]]] = {
        "X": [
            ("x", [XGate()]),
            ("sx", [SXGate(), SXGate()]),
            ("rx", [RXGate(np.pi)]),
            ("r", [RGate(np.pi, 0.0)]),
            ("u", [UGate(np.pi, 0.0, np.pi)]),
        ],
        "Y": [
            ("y", [YGate()]),
            ("ry", [RYGate(np.pi)]),
            ("r", [RGate(np.pi, half)]),
            ("u", [UGate(np.pi, half, half)]),
        ],
        "Z": [("z", [ZGate()]), ("rz", [RZGate(np.pi)]), ("u", [UGate(0.0, 0.0, np.pi)])],
    }[pauli]
    names = None if device is None else set(device.target.operation_names)
    return next((gates for name, gates in ways if names is None or name in names), None)
