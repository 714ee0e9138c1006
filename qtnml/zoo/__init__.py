"""Folders of trained circuits with model, circuit files and card, and checks that these agree.

A circuit NAME has four files: `NAME.qtnml` (the model), `NAME.qasm` (OpenQASM 3, weights bound), `NAME.qpy`
(Qiskit, weights free) and `NAME.json` (the card).
"""

from qtnml.zoo.cards import default_folder, draws, read_card, read_cards
from qtnml.zoo.checks import CircuitCheck, DrawingCheck, check_circuit, gate_difference
from qtnml.zoo.files import rebuild_circuit, write_circuit

__all__ = [
    "CircuitCheck",
    "DrawingCheck",
    "check_circuit",
    "default_folder",
    "draws",
    "gate_difference",
    "read_card",
    "read_cards",
    "rebuild_circuit",
    "write_circuit",
]
