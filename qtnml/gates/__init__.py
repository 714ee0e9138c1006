"""One node's unitary <-> gates, and how near two of them are."""

from qtnml.gates.fidelity import channel_infidelity
from qtnml.gates.synthesis import SynthesizedNode, append_rotation, synthesize

__all__ = ["SynthesizedNode", "append_rotation", "channel_infidelity", "synthesize"]
