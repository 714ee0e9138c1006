"""Noise on the wires of a network as rates. Training can differentiate with respect to them.

Rates are proportional to the strength of the noise: times over T1 and T2, depolarising probabilities, errors
of read-outs and resets. `WireNoise.at(strength)` turns them into channels for the contraction, in JAX or
NumPy.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from qtnml.ansatz.tensor_network import stacking
from qtnml.arrays import Array, full_precision, namespace
from qtnml.contract import WireChannels
from qtnml.errors import InvalidInputError
from qtnml.noise.channels import Channel, relaxation_maps
from qtnml.structure import Topology


class Rates(NamedTuple):
    """Noise rates of single qubits at one place: three arrays of the same shape.

    Attributes:
        decay: Time over T1.
        coherence: Time over T2.
        depolarizing: Probability p of a depolarising channel.
    """

    decay: Array
    coherence: Array
    depolarizing: Array

    def maps(self, strength: Array | float, excited: Array | float) -> Array:
        """Transfer maps (..., 4, 4): depolarising, then relaxation."""
        xp = namespace(self.decay)
        relaxed = relaxation_maps(strength * self.decay, strength * self.coherence, excited, xp=xp)
        kept = 1 - strength * self.depolarizing
        factors = xp.stack([xp.ones_like(kept), kept, kept, kept], axis=-1)
        return factors[..., None, :] * relaxed  # type: ignore[no-any-return]


class GateRates(NamedTuple):
    """Noise rates after one operation of a node: each qubit relaxes, and all of them depolarise.

    Attributes:
        qubits: Rates (nodes, k) of each qubit, without depolarising.
        depolarizing: Depolarising probability (nodes,) on all k qubits.
    """

    qubits: Rates
    depolarizing: Array

    def maps(self, strength: Array | float, excited: Array | float) -> Array:
        """Transfer maps (nodes, 4**k, 4**k): depolarising, then relaxation."""
        xp = namespace(self.depolarizing)
        singles = self.qubits.maps(strength, excited)
        joint = singles[:, 0]
        for qubit in range(1, singles.shape[1]):
            other = singles[:, qubit]
            joined = joint[:, :, None, :, None] * other[:, None, :, None, :]
            joint = joined.reshape(len(joint), 4 * joint.shape[1], 4 * joint.shape[2])
        kept = (1 - strength * self.depolarizing)[:, None, None]
        return xp.concat([joint[:, :, :1], kept * joint[:, :, 1:]], axis=2)  # type: ignore[no-any-return]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class WireNoise:
    """Noise rates on all wires of a network, a pytree of arrays; `WireChannels` says where each acts.

    Attributes:
        leaves: Rates (data qubits,).
        nodes: Rates (nodes, m), one for each stack.
        depolarizing: Depolarising probability on all qubits of a node, (nodes,) for each stack.
        readout: Probabilities of reading 1 in |0> and 0 in |1>, (root_qubits, 2).
        fresh_error: Probability that a qubit which should enter in |0> is in |1>, (nodes, m) for each
            stack. If a node has f fresh qubits, only the last f entries count.
        excited: Population of |1> in equilibrium.
        layer: An additional channel (4, 4) on each data qubit and on each outgoing qubit of a node.
        gates: Rates after each operation of a node for each stack, if the ansatz has operations.
    """

    leaves: Rates
    nodes: tuple[Rates, ...]
    depolarizing: tuple[Array, ...]
    readout: Array
    fresh_error: tuple[Array, ...]
    excited: Array
    layer: Array
    gates: tuple[tuple[GateRates, ...], ...] = ()

    @full_precision
    def at(self, strength: Array | float = 1.0) -> WireChannels:
        """Channels at a strength: 0 is no noise, 1 is the full noise."""
        xp, excited = namespace(self.layer), self.excited
        layer = xp.eye(4, dtype=self.layer.dtype) * (1 - strength) + self.layer * strength
        up, down = strength * self.readout[:, 0], strength * self.readout[:, 1]
        one, zero = xp.ones_like(up), xp.zeros_like(up)
        readout = xp.stack(
            [xp.stack([one, zero], axis=-1), xp.stack([down - up, 1 - up - down], axis=-1)], axis=-2
        )
        return WireChannels(
            leaves=xp.matmul(layer, self.leaves.maps(strength, excited)),
            nodes=tuple(xp.matmul(layer, rates.maps(strength, excited)) for rates in self.nodes),
            kept=tuple(1 - strength * p for p in self.depolarizing),
            readout=readout,
            fresh=tuple(1 - 2 * strength * error for error in self.fresh_error),
            gates=tuple(tuple(gate.maps(strength, excited) for gate in stack) for stack in self.gates),
        )


def no_noise(topology: Topology) -> WireNoise:
    """Noise with all rates zero, as a start for `dataclasses.replace`."""
    stacks = stacking(topology)

    def zeros(*shape: int) -> Rates:
        return Rates(*(np.zeros(shape) for _ in Rates._fields))

    return WireNoise(
        leaves=zeros(topology.num_data_qubits),
        nodes=tuple(zeros(len(nodes), size) for size, nodes in stacks),
        depolarizing=tuple(np.zeros(len(nodes)) for _, nodes in stacks),
        readout=np.zeros((topology.root_qubits, 2)),
        fresh_error=tuple(np.zeros((len(nodes), size)) for size, nodes in stacks),
        excited=np.zeros(()),
        layer=np.eye(4),
    )


def layer_noise(topology: Topology, channel: Channel) -> WireNoise:
    """One channel on each data qubit, and on each outgoing qubit of each node (as in arXiv:2209.01195)."""
    if channel.num_qubits != 1:
        raise InvalidInputError(
            f"a channel between layers acts on one qubit, {channel.name!r} acts on {channel.num_qubits}"
        )
    noise = no_noise(topology)
    return WireNoise(**{**vars(noise), "layer": np.array(channel.transfer_map)})
