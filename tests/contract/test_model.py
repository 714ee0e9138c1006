"""The pure function: JAX transformations, precision, post-selection, read-out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qtnml.ansatz import BrickWall, Orthogonal, TensorNetwork, unitarity_error
from qtnml.contract import AmplitudeModel, Model, Parameters
from qtnml.contract.bloch_plan import contraction_plan
from qtnml.encoding import state_vectors
from qtnml.errors import InvalidInputError
from qtnml.structure import Topology, balanced_tree, chain, mps, with_qubits
from tests.references import ENCODING


def dense_branch(
    network: TensorNetwork, vectors: np.ndarray, root_qubits: int, weight: float = 1.0
) -> tuple[np.ndarray, float]:
    """Amplitudes of the whole register, what a node lets go weighed to |0...0> after it."""
    state, topology = np.ones(1, dtype=complex), network.topology
    for vector in vectors:
        state = np.kron(state, vector)
    state = state.reshape((2,) * len(vectors))
    wires = {leaf: list(qubits) for leaf, qubits in enumerate(topology.leaf_qubits)}
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        qubits = [q for wire in node.children for q in wires[wire]]
        gate = unitary.reshape((2,) * (2 * len(qubits)))
        size = len(qubits)
        state = np.moveaxis(np.tensordot(gate, state, (range(size, 2 * size), qubits)), range(size), qubits)
        zeros = np.zeros(state.shape, dtype=bool)
        zeros[tuple(0 if q in qubits[node.width :] else slice(None) for q in range(len(vectors)))] = True
        state = np.where(zeros, state, np.sqrt(1 - weight) * state)
        wires[topology.num_leaves + k] = qubits[: node.width]
    probabilities = np.abs(state) ** 2
    kept = wires[topology.num_leaves + len(topology.nodes) - 1][:root_qubits]
    rest = tuple(q for q in range(len(vectors)) if q not in kept)
    outcome = probabilities.sum(axis=rest).transpose(np.argsort(np.argsort(kept))).ravel()
    return outcome / outcome.sum(), float(outcome.sum())


@pytest.mark.sampled
@pytest.mark.parametrize(
    "topology", [balanced_tree(8), balanced_tree(6, 2, root_qubits=2), mps(7), mps(7, 2)]
)
def test_postselection_equals_the_projected_state(topology: Topology, rng: np.random.Generator) -> None:
    model = Model(topology, discard="postselect")
    parameters = model.start(rng, scale=2.0)
    X = rng.random((4, topology.num_data_qubits))
    outcomes, log_success = model.predict(parameters, X)
    in_jax = model.apply(jax.tree.map(jnp.asarray, parameters), jnp.asarray(X))
    for x, row, jax_row, log in zip(X, outcomes, in_jax, log_success, strict=True):
        expected, success = dense_branch(
            model.network(parameters), state_vectors(ENCODING, x), topology.root_qubits
        )
        np.testing.assert_allclose(row, expected, atol=1e-12)
        np.testing.assert_allclose(jax_row, expected, atol=1e-5)
        assert np.exp(log) == pytest.approx(success, rel=1e-10)


@pytest.mark.slow
def test_success_does_not_underflow(rng: np.random.Generator) -> None:
    model = Model(mps(784), discard="postselect")
    parameters = jax.tree.map(jnp.asarray, model.init(jax.random.key(0), scale=3.0))
    x = jnp.asarray(rng.random((2, 784)))
    log = model.log_success(parameters, x)
    assert log.shape == (2,)
    assert bool((log < -200).all())
    np.testing.assert_allclose(model.apply(parameters, x).sum(axis=1), 1, atol=1e-5)


def test_homotopy_joins_both_ends(rng: np.random.Generator) -> None:
    model = Model(balanced_tree(8))
    parameters, X = model.start(rng, scale=2.0), rng.random((3, 8))
    traced, _ = model.outcomes(parameters, X)
    selected, log = model.outcomes(parameters, X, postselection=1.0)
    for weight, expected in ((1e-12, traced), (1 - 1e-12, selected)):
        mixed, mixed_log = model.outcomes(parameters, X, postselection=np.asarray(weight))
        np.testing.assert_allclose(mixed, expected, atol=1e-6)
    np.testing.assert_allclose(mixed_log, log, rtol=1e-4)


@pytest.mark.parametrize("topology", [balanced_tree(8), balanced_tree(6, 2, root_qubits=2), mps(6, 2)])
@pytest.mark.parametrize("weight", [0.35, 0.8])
def test_between_both_ends(topology: Topology, weight: float, rng: np.random.Generator) -> None:
    model, X = Model(topology), rng.random((2, topology.num_data_qubits))
    parameters = model.start(rng, scale=2.0)
    outcomes, logs = model.outcomes(parameters, X, postselection=np.asarray(weight))
    for x, row, log in zip(X, outcomes.T, logs, strict=True):
        vectors = state_vectors(ENCODING, x)
        expected, success = dense_branch(model.network(parameters), vectors, topology.root_qubits, weight)
        np.testing.assert_allclose(row, expected, atol=1e-12)
        assert np.exp(log) == pytest.approx(success, rel=1e-10)


@pytest.mark.slow
@pytest.mark.sampled
@pytest.mark.parametrize(
    "model", [Model(balanced_tree(4)), AmplitudeModel.mps(4, 3, 4)], ids=["tree", "chain"]
)
def test_parameters_of_an_estimator_go_into_jax(model: Model, rng: np.random.Generator) -> None:
    """They are NumPy arrays; under a transformation JAX takes over."""
    parameters, X = model.start(rng), rng.random((3, 4))
    plain = model.apply(parameters, X)
    assert isinstance(plain, np.ndarray)
    x = jnp.asarray(X)
    np.testing.assert_allclose(jax.jit(lambda x: model.apply(parameters, x))(x), plain, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(model.apply, (None, 0))(parameters, x), plain, atol=1e-5)
    gradient = jax.grad(lambda x: model.apply(parameters, x)[0, 0])(x)
    step = 1e-4 * np.eye(4)[2]
    expected = (model.apply(parameters, X + step) - model.apply(parameters, X - step))[0, 0] / 2e-4
    assert float(gradient[0, 2]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_jax_transformations_and_an_optax_loop(rng: np.random.Generator) -> None:
    model = Model(balanced_tree(4), ansatz=BrickWall(2, rotations="ry"))
    parameters = model.init(jax.random.key(1))
    X = jnp.asarray(rng.random((64, 4)))
    y = (X[:, 0] > X[:, 1]).astype(int)
    batched = jax.jit(model.apply)(parameters, X)
    np.testing.assert_allclose(jax.vmap(model.apply, (None, 0))(parameters, X), batched, atol=1e-6)
    assert model.apply(parameters, X.reshape(8, 8, 4)).shape == (8, 8, 2)

    def loss(parameters: Parameters) -> jax.Array:
        p = model.apply(parameters, X)
        return -jnp.mean(jnp.log(p[jnp.arange(64), y]))

    optimizer = optax.adam(0.1)
    state, first = optimizer.init(parameters), loss(parameters)

    @jax.jit
    def step(parameters, state):
        updates, state = optimizer.update(jax.grad(loss)(parameters), state)
        return optax.apply_updates(parameters, updates), state

    for _ in range(60):
        parameters, state = step(parameters, state)
    assert float(loss(parameters)) < 0.7 * float(first)


def test_retraction_keeps_matrices_unitary_in_an_optax_loop(rng: np.random.Generator) -> None:
    """The README's loop: optax knows nothing of unitaries."""
    model, X = Model(balanced_tree(4)), jnp.asarray(rng.random((64, 4)))
    y = (X[:, 0] > X[:, 1]).astype(int)

    def loss(parameters: Parameters) -> jax.Array:
        return -jnp.mean(jnp.log(model.apply(parameters, X)[jnp.arange(64), y]))

    optimizer, parameters = optax.adam(0.02), model.init(jax.random.key(1))
    state, first = optimizer.init(parameters), float(loss(parameters))

    @jax.jit
    def step(parameters, state):
        gradient = jax.tree.map(jnp.conj, jax.grad(loss)(parameters))
        updates, state = optimizer.update(gradient, state)
        return model.retract(optax.apply_updates(parameters, updates)), state

    for _ in range(150):
        parameters, state = step(parameters, state)
    assert unitarity_error(np.asarray(parameters.nodes[0])) < 1e-5
    assert float(loss(parameters)) < 0.9 * first


def test_same_key_same_parameters() -> None:
    model = Model(balanced_tree(4, 2), ansatz=Orthogonal())
    one, same, other = (model.init(jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.nodes[0], same.nodes[0])
    assert not np.array_equal(one.nodes[0], other.nodes[0])


@pytest.mark.slow
def test_precision_is_that_of_the_parameters(x64: None) -> None:
    model = Model(balanced_tree(4))
    single = jax.tree.map(lambda a: a.astype(jnp.complex64), model.init(jax.random.key(0)))
    x = jnp.zeros(4)
    assert model.apply(single, x).dtype == jnp.float32
    assert model.apply(model.init(jax.random.key(0)), x).dtype == jnp.float64


def test_expectation_readout(rng: np.random.Generator) -> None:
    classes = Model(balanced_tree(4, 2, root_qubits=2))
    value = Model(balanced_tree(4, 2, root_qubits=2), readout="expectation")
    parameters, x = value.start(rng), rng.random((3, 4))
    parameters = parameters._replace(readout=(np.array([2.0, -3.0]),))
    p = classes.apply(Parameters(parameters.nodes), x)
    np.testing.assert_allclose(value.apply(parameters, x), 2 - 3 * (p @ [1, 1, -1, -1]), atol=1e-12)


def test_summary_counts() -> None:
    model = Model(balanced_tree(64, 2), ansatz=BrickWall(3))
    assert "30 on 4 qubits (0 fresh, 2 kept): 42 parameters and 5 two-qubit gates each" in model.summary()
    assert "1302 parameters, 155 two-qubit gates" in model.summary()


def test_bad_models() -> None:
    with pytest.raises(InvalidInputError, match="discard must be 'trace' or 'postselect', got 'both'"):
        Model(balanced_tree(4), discard="both")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="readout must be"):
        Model(balanced_tree(4), readout="mean")  # type: ignore[arg-type]
    model = Model(balanced_tree(4))
    with pytest.raises(InvalidInputError, match=r"samples with 4 features, got shape \(3,\)"):
        model.apply(model.init(jax.random.key(0)), jnp.zeros(3))


def test_networks_that_do_not_fit_into_memory_are_refused() -> None:
    """Nodes of eight qubits: 4**12 numbers each. Without the check, JAX dies of memory."""
    wide = with_qubits(chain(280, group=4), [1] * 280, 4)
    with pytest.raises(InvalidInputError, match=r"nodes from 8 to 4 qubits have maps of 4\*\*12 .* 17 GiB"):
        Model(wide).predict(Parameters(()), np.zeros((1, 280)))
    contraction_plan(with_qubits(chain(200, group=4), [1] * 200, 4))
