"""The traced tree at V = 1: ours, TensorCircuit-NG twice, PennyLane. The same unitaries, samples, loss."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from contest import BATCH, Contestant

from qtnml.contract import Model, Parameters
from qtnml.structure import balanced_tree
from qtnml.train import CrossEntropy, RiemannianAdam

LOSS = CrossEntropy(sharpness=1.0)
Probabilities = Callable[[jax.Array, jax.Array], jax.Array]  # (matrices, X) -> (2, batch)


class TreeProblem:
    """Matrices (nodes, 4, 4), samples and labels."""

    def __init__(self, qubits: int) -> None:
        rng = np.random.default_rng(0)
        self.qubits, self.model = qubits, Model(balanced_tree(qubits))
        self.matrices = jnp.asarray(self.model.start(rng).nodes[0], jnp.complex64)
        self.X = jnp.asarray(rng.random((BATCH, qubits)), jnp.float32)
        self.y = jnp.asarray(rng.integers(0, 2, BATCH))

    def ours(self, matrices: jax.Array, X: jax.Array) -> jax.Array:
        return self.model.outcomes(Parameters((matrices,)), X)[0]

    def pairs(self) -> list[tuple[int, int]]:
        """Qubits of every node in node order; a node keeps its first."""
        wires = dict(enumerate(range(self.qubits)))
        pairs = []
        for k, node in enumerate(self.model.topology.nodes):
            left, right = (wires[child] for child in node.children)
            pairs.append((left, right))
            wires[self.qubits + k] = left
        return pairs

    def check(self, probabilities: Probabilities, batch: int) -> None:
        """Fail unless the contestant computes the same numbers."""
        theirs = jax.jit(probabilities)(self.matrices, self.X[:batch])
        off = float(jnp.abs(theirs - self.ours(self.matrices, self.X[:batch])).max())
        if not off < 1e-4:
            raise AssertionError(f"probabilities differ by {off:.1e}")


def mean_loss(probabilities: Probabilities, matrices: jax.Array, X: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(LOSS(probabilities(matrices, X), y))


def ours(problem: TreeProblem, *, with_optimiser: bool = True) -> Contestant:
    adam = RiemannianAdam()
    parameters = (problem.matrices,)
    state = {"parameters": parameters, "adam": adam.init(parameters)}

    @jax.jit
    def step(parameters: Any, adam_state: Any) -> Any:
        gradient = jax.grad(lambda p: mean_loss(problem.ours, p[0], problem.X, problem.y))(parameters)
        return adam.update(gradient, adam_state, parameters, 0.01) if with_optimiser else gradient

    def run() -> None:
        result = step(state["parameters"], state["adam"])
        if with_optimiser:
            state["parameters"], state["adam"] = result
        jax.block_until_ready(result)

    return Contestant("qtnml" if with_optimiser else "qtnml, engine alone", run, calls=40)


def with_optax(
    name: str, probabilities: Probabilities, problem: TreeProblem, batch: int, note: str
) -> Contestant:
    """Adam on real and imaginary parts."""
    problem.check(probabilities, min(batch, 5))
    optimizer = optax.adam(0.01)
    parts = (problem.matrices.real, problem.matrices.imag)
    state = {"parts": parts, "adam": optimizer.init(parts)}
    X, y = problem.X[:batch], problem.y[:batch]

    @jax.jit
    def step(parts: Any, adam_state: Any) -> Any:
        gradient = jax.grad(lambda p: mean_loss(probabilities, p[0] + 1j * p[1], X, y))(parts)
        updates, adam_state = optimizer.update(gradient, adam_state)
        return optax.apply_updates(parts, updates), adam_state

    def run() -> None:
        state["parts"], state["adam"] = step(state["parts"], state["adam"])
        jax.block_until_ready(state["parts"])

    return Contestant(name, run, batch, note)


def tensorcircuit_expectation(problem: TreeProblem) -> Contestant:
    """The library's own `expectation` with light cone, vmapped over samples."""
    import tensorcircuit as tc

    tc.set_backend("jax")
    tc.set_dtype("complex64")

    def probability(matrices: jax.Array, x: jax.Array) -> jax.Array:
        circuit = tc.Circuit(problem.qubits)
        for qubit in range(problem.qubits):
            circuit.ry(qubit, theta=jnp.pi * x[qubit])
        for matrix, pair in zip(matrices, problem.pairs(), strict=True):
            circuit.unitary(*pair, unitary=matrix)
        z = jnp.real(circuit.expectation((tc.gates.z(), [0]), enable_lightcone=True))
        return jnp.stack([(1 + z) / 2, (1 - z) / 2])

    def probabilities(matrices: jax.Array, X: jax.Array) -> jax.Array:
        return jax.vmap(probability, (None, 0), 1)(matrices, X)

    return with_optax(
        "TensorCircuit-NG expectation", probabilities, problem, BATCH, "light cone, default contractor, vmap"
    )


def tensorcircuit_density(problem: TreeProblem) -> Contestant:
    """A density-matrix contraction by hand on the library's JAX backend, level by level, batch as an axis."""
    import tensorcircuit as tc

    backend = tc.set_backend("jax")

    def probabilities(matrices: jax.Array, X: jax.Array) -> jax.Array:
        cos, sin = backend.cos(jnp.pi / 2 * X), backend.sin(jnp.pi / 2 * X)
        vectors = backend.stack([cos, sin], axis=-1)
        states = backend.cast(backend.einsum("bli,blj->lbij", vectors, vectors), "complex64")
        start = 0
        while states.shape[0] > 1:
            nodes = states.shape[0] // 2
            U = backend.reshape(matrices[start : start + nodes], (nodes, 2, 2, 2, 2))
            joint = backend.einsum("nodij,nbik->nbodkj", U, states[0::2])
            joint = backend.einsum("nbodkj,nbjl->nbodkl", joint, states[1::2])
            states = backend.einsum("nbodkl,npdkl->nbop", joint, backend.conj(U))
            start += nodes
        return jnp.real(jnp.stack([states[0, :, 0, 0], states[0, :, 1, 1]]))

    return with_optax(
        "density matrices, TensorCircuit-NG's JAX backend", probabilities, problem, BATCH, "levels stacked"
    )


def pennylane_backprop(problem: TreeProblem) -> Contestant:
    """default.qubit, backprop, JAX; vmapped over a smaller batch, because 250 states do not fit."""
    import pennylane as qml

    batch = 25
    device = qml.device("default.qubit", wires=problem.qubits)

    @qml.qnode(device, interface="jax", diff_method="backprop")
    def circuit(matrices: jax.Array, x: jax.Array) -> Any:
        for qubit in range(problem.qubits):
            qml.RY(jnp.pi * x[qubit], wires=qubit)
        for matrix, pair in zip(matrices, problem.pairs(), strict=True):
            qml.QubitUnitary(matrix, wires=pair, unitary_check=False)
        return qml.probs(wires=0)

    def probabilities(matrices: jax.Array, X: jax.Array) -> jax.Array:
        return jax.vmap(circuit, (None, 0))(matrices, X).T

    note = f"default.qubit, backprop, batch {batch}"
    return with_optax("PennyLane", probabilities, problem, batch, note)
