"""The usual way to train the same model: complex density matrices and einsum, in the same framework.

Nodes of a level are stacked and the batch is one einsum axis; `optimize="optimal"` finds the best
pairwise contraction path. Covers data leaves with the number of leaves a power of two.
"""

import jax
import jax.numpy as jnp


def class_probabilities(unitaries: jax.Array, X: jax.Array, bond_qubits: int) -> jax.Array:
    """Probabilities (2, batch) of the first root qubit.

    Args:
        unitaries: Nodes in level order, complex (nodes, 4**V, 4**V).
        X: Features in [0, 1], shape (batch, features).
        bond_qubits: V.
    """
    dim = 2**bond_qubits
    states = leaf_states(X, bond_qubits)
    start = 0
    while states.shape[0] > 1:
        nodes = states.shape[0] // 2
        U = unitaries[start : start + nodes].reshape(nodes, dim, dim, dim, dim)
        states = jnp.einsum(
            "nodij,nbik,nbjl,npdkl->nbop", U, states[0::2], states[1::2], U.conj(), optimize="optimal"
        )
        start += nodes
    diagonal = jnp.real(jnp.einsum("bkk->kb", states[0]))
    return diagonal.reshape(2, dim // 2, -1).sum(axis=1)


def leaf_states(X: jax.Array, bond_qubits: int) -> jax.Array:
    """Density matrices of the leaf wires, shape (leaves, batch, 2**V, 2**V)."""
    qubits = jnp.stack([jnp.cos(jnp.pi / 2 * X), jnp.sin(jnp.pi / 2 * X)], axis=-1)
    qubits = qubits.reshape(X.shape[0], -1, bond_qubits, 2).transpose(1, 0, 2, 3)
    vectors = qubits[:, :, 0]
    for qubit in range(1, bond_qubits):
        vectors = jnp.einsum("lbi,lbj->lbij", vectors, qubits[:, :, qubit]).reshape(*vectors.shape[:2], -1)
    return jnp.einsum("lbi,lbj->lbij", vectors, vectors).astype(jnp.complex64)
