"""Synthesis of one node's unitary into gates, and the fidelity of the result."""

from qtnml.gates.fidelity import channel_infidelity
from qtnml.gates.node import NodeGates, Synthesis, own_gates, synthesize_node
from qtnml.gates.shape import NodeShape
from qtnml.gates.synthesis import SynthesizedNode, append_rotation, synthesize

__all__ = [
    "NodeGates",
    "NodeShape",
    "Synthesis",
    "SynthesizedNode",
    "append_rotation",
    "channel_infidelity",
    "own_gates",
    "synthesize",
    "synthesize_node",
]
