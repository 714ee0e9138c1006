"""Compile networks and states into Qiskit circuits: schedule, qubit reuse, parameters."""

from qtnml.compile.bound_files import export_bound
from qtnml.compile.circuit import (
    compile_gates,
    compile_model,
    compile_network,
    compile_state,
    expected_on,
    recalibrated,
)
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.expected import Expected
from qtnml.compile.export import export_circuit, import_circuit
from qtnml.compile.generative import GenerativeCircuit
from qtnml.compile.order import minimal_order
from qtnml.compile.overview import Step, overview
from qtnml.compile.schedule import Schedule, all_qubits, depth_bound, schedule_network
from qtnml.program.bound import BoundCircuits
from qtnml.program.device import can_compile_for
from qtnml.program.timing import Timeline, timeline

__all__ = [
    "BoundCircuits",
    "CompiledCircuit",
    "Expected",
    "GenerativeCircuit",
    "Schedule",
    "Step",
    "Timeline",
    "all_qubits",
    "can_compile_for",
    "compile_gates",
    "compile_model",
    "compile_network",
    "compile_state",
    "depth_bound",
    "expected_on",
    "export_bound",
    "export_circuit",
    "import_circuit",
    "minimal_order",
    "overview",
    "recalibrated",
    "schedule_network",
    "timeline",
]
