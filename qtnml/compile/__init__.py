"""Network -> Qiskit circuit: schedule, qubit reuse, parameters."""

from qtnml.compile.circuit import compile_model, compile_network
from qtnml.compile.compiled import CompiledCircuit
from qtnml.compile.export import export_circuit
from qtnml.compile.overview import overview_circuit
from qtnml.compile.schedule import Schedule, schedule_network

__all__ = [
    "CompiledCircuit",
    "Schedule",
    "compile_model",
    "compile_network",
    "export_circuit",
    "overview_circuit",
    "schedule_network",
]
