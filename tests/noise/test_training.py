"""Training under noise: the noise on wires is that of the circuit, and what is learnt stands it better."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from qtnml import MPSClassifier, TreeClassifier, load_model
from qtnml.ansatz import BrickWall, FullUnitary, TensorNetwork
from qtnml.backends.ibm import fake_device
from qtnml.compile import compile_model
from qtnml.compile.wire_noise import scheduled_noise
from qtnml.contract import Model, Parameters
from qtnml.contract.dense import _embed, _marginal
from qtnml.encoding import AngleEncoding, state_vectors
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.noise import (
    Channel,
    DeviceNoise,
    NoiseSchedule,
    NoisyCircuit,
    bit_flip,
    dephasing,
    depolarizing,
    from_kraus,
    layer_noise,
    no_noise,
)
from qtnml.noise.device import Instruction
from qtnml.structure import balanced_tree, mps, with_reuploads
from tests.noise.test_circuit import EVERYTHING

KRAUS = np.linalg.qr(np.random.default_rng(5).normal(size=(6, 2, 2)) @ [1, 1j])[0].reshape(3, 2, 2)
TREES = {
    "tree": balanced_tree(8),
    "tree V=2": balanced_tree(8, 2),
    "fresh leaves": balanced_tree(4, 2, leaf="fresh"),
    "chain": mps(6),
    "chain V=2": mps(4, 2, leaf="fresh", root_qubits=2),
}


def dense_with_layers(network: TensorNetwork, vectors: np.ndarray, channel: Channel) -> np.ndarray:
    """The whole register, a Kraus sum on each data qubit and each kept qubit."""
    topology = network.topology
    total = topology.num_data_qubits + sum(node.fresh for node in topology.nodes)
    state = np.eye(1)[0]
    for amplitudes in [*vectors, *[np.array([1.0, 0.0])] * (total - len(vectors))]:
        state = np.kron(state, amplitudes)
    rho = np.outer(state, state.conj())

    def noisy(rho: np.ndarray, qubit: int) -> np.ndarray:
        operators = [_embed(k, [qubit], total) for k in channel.kraus()]
        return sum(k @ rho @ k.conj().T for k in operators)

    for qubit in range(topology.num_data_qubits):
        rho = noisy(rho, qubit)
    wires = {leaf: list(qubits) for leaf, qubits in enumerate(topology.leaf_qubits)}
    fresh = topology.num_data_qubits
    for k, (node, unitary) in enumerate(zip(topology.nodes, network.node_unitaries(), strict=True)):
        qubits = [q for wire in node.children for q in wires[wire]] + list(range(fresh, fresh + node.fresh))
        fresh += node.fresh
        full = _embed(unitary, qubits, total)
        rho = full @ rho @ full.conj().T
        wires[topology.num_leaves + k] = qubits[: node.width]
        for qubit in qubits[: node.width]:
            rho = noisy(rho, qubit)
    return _marginal(np.diag(rho).real, qubits[: topology.root_qubits], total)


@pytest.mark.sampled
@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("channel", [from_kraus(KRAUS), dephasing(0.3)], ids=["Kraus", "dephasing"])
def test_a_channel_between_the_layers(name, channel, rng):
    model = Model(TREES[name])
    parameters = model.start(rng, scale=2.0)
    X = rng.uniform(size=(2, model.num_features))
    channels = layer_noise(model.topology, channel).at(1.0)
    ours = model.predict(parameters, X, channels=channels)[0]
    network = model.network(parameters)
    expected = [dense_with_layers(network, v, channel) for v in state_vectors(AngleEncoding(), X)]
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@pytest.mark.parametrize("reuse_qubits", [True, False])
@pytest.mark.parametrize("ansatz", [BrickWall(3), BrickWall(2, "rzz", "ry")], ids=["cx", "rzz"])
@pytest.mark.parametrize("name", TREES)
def test_gate_by_gate_it_is_the_circuits_noise(name, ansatz, reuse_qubits, rng):
    model = Model(TREES[name], ansatz=ansatz)
    parameters = model.start(rng, scale=1.0)
    X = rng.uniform(size=(3, model.num_features))
    wires = scheduled_noise(model, parameters, EVERYTHING, reuse_qubits=reuse_qubits)
    ours = model.predict(parameters, X, channels=wires.at(1.0))[0]
    circuit = compile_model(model, parameters, reuse_qubits=reuse_qubits)
    np.testing.assert_allclose(ours, NoisyCircuit(circuit, EVERYTHING).probabilities(X), atol=1e-12)


@pytest.mark.parametrize("topology", [balanced_tree(16), mps(16), with_reuploads(balanced_tree(8), 1)])
def test_a_full_unitary_gets_channels_that_stand_for_its_gates(topology, rng):
    """Not exact, but most of what noise does to the outcome."""
    model = Model(topology, ansatz=FullUnitary())
    parameters = model.start(rng, scale=0.5)
    X = rng.uniform(size=(50, model.num_features))
    wires = scheduled_noise(model, parameters, EVERYTHING, reuse_qubits=True)
    modelled = model.predict(parameters, X, channels=wires.at(1.0))[0]
    exact = NoisyCircuit(compile_model(model, parameters), EVERYTHING).probabilities(X)
    plain = model.predict(parameters, X)[0]
    assert np.abs(modelled - exact).mean() < 0.35 * np.abs(plain - exact).mean()


def test_strength_zero_is_no_noise_and_rates_grow_with_it(rng):
    model = Model(balanced_tree(8), ansatz=BrickWall(2))
    parameters = model.start(rng, scale=1.0)
    X = rng.uniform(size=(3, 8))
    wires = scheduled_noise(model, parameters, EVERYTHING)
    plain = model.predict(parameters, X)[0]
    np.testing.assert_allclose(model.predict(parameters, X, channels=wires.at(0.0))[0], plain, atol=1e-14)
    np.testing.assert_allclose(
        model.predict(parameters, X, channels=no_noise(model.topology).at(1.0))[0], plain, atol=1e-14
    )
    off = [
        np.abs(model.predict(parameters, X, channels=wires.at(s))[0] - plain).max() for s in (0.1, 0.5, 1.0)
    ]
    assert off[0] < off[1] < off[2]


@pytest.mark.slow
def test_gradients_with_respect_to_the_noise(x64, rng):
    """JAX differentiates by every rate; compared with a difference."""
    model = Model(balanced_tree(4), ansatz=BrickWall(2))
    parameters = jax.tree.map(jnp.asarray, model.start(rng, scale=1.0))
    X = jnp.asarray(rng.uniform(size=(3, 4)))
    wires = jax.tree.map(jnp.asarray, scheduled_noise(model, parameters, EVERYTHING))

    @jax.jit
    def mean(wires):
        return model.outcomes(parameters, X, channels=wires.at(1.0))[0][0].mean()

    slopes = jax.jit(jax.grad(mean))(wires)
    for pick in (
        lambda w: w.readout,
        lambda w: w.leaves.decay,
        lambda w: w.gates[0][0].depolarizing,
        lambda w: w.gates[0][1].qubits.coherence,
    ):
        slope, step = np.asarray(pick(slopes)), 1e-6
        assert np.abs(slope).max() > 1e-3
        place = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        target = pick(wires)

        def moved(amount, target=target, place=place):
            return jax.tree.map(lambda leaf: leaf.at[place].add(amount) if leaf is target else leaf, wires)

        difference = (mean(moved(step)) - mean(moved(-step))) / (2 * step)
        np.testing.assert_allclose(slope[place], difference, rtol=1e-5)


HARSH = DeviceNoise(
    t1=20e-6,
    t2=15e-6,
    one_qubit_time=50e-9,
    two_qubit_time=300e-9,
    reset_time=1e-6,
    one_qubit_error=2e-3,
    two_qubit_error=2e-2,
)


@pytest.mark.sampled
@pytest.mark.parametrize("noise", [HARSH, dephasing(0.6)], ids=["device", "channel"])
def test_training_under_noise_lowers_the_loss_under_it(noise, small_digits):
    X, y = small_digits.X_train, small_digits.y_train
    settings = {"epochs": 40, "random_state": 0, "feature_range": (0, 1), "validation_fraction": 0.0}
    plain = TreeClassifier(**settings).fit(X, y)
    aware = TreeClassifier(noise=noise, **settings).fit(X, y)

    def right(clf):
        proba = clf.predict_proba(X, noise=noise)
        return proba[np.arange(len(y)), np.searchsorted(clf.classes_, y)]

    # The margin of the samples that are hardest, which is what the sharpened loss is about.
    assert np.quantile(right(aware), 0.1) > np.quantile(right(plain), 0.1)


@pytest.mark.slow
def test_a_schedule_ends_with_all_of_the_noise(small_digits):
    X, y = small_digits.X_train[:100], small_digits.y_train[:100]
    settings = {"epochs": 6, "random_state": 0, "feature_range": (0, 1)}
    ramp = TreeClassifier(noise=NoiseSchedule(dephasing(0.5), start=0.2, epochs=3), **settings).fit(X, y)
    assert ramp.best_epoch_ >= 3  # only epochs under all of the noise count
    # The first loss is that of a fifth of the noise.
    fifth = TreeClassifier(noise=dephasing(0.1), **settings).fit(X, y)
    whole = TreeClassifier(noise=dephasing(0.5), **settings).fit(X, y)
    assert ramp.history_[0].loss == pytest.approx(fifth.history_[0].loss, rel=1e-5)
    assert ramp.history_[0].loss < whole.history_[0].loss
    with pytest.raises(InvalidInputError, match="leaves none with all of it"):
        TreeClassifier(noise=NoiseSchedule(dephasing(0.5), epochs=6), **settings).fit(X, y)
    for bad, message in (({"start": 1.5}, "start must be a probability"), ({"epochs": -1}, "epochs must be")):
        with pytest.raises(InvalidInputError, match=message):
            NoiseSchedule(dephasing(0.5), **bad)


def test_a_killed_run_goes_on_under_the_same_noise(small_digits, tmp_path):
    X, y = small_digits.X_train[:100], small_digits.y_train[:100]
    settings = {"random_state": 0, "feature_range": (0, 1), "checkpoint": tmp_path / "c", "resume": True}
    TreeClassifier(epochs=4, **settings, noise=HARSH).fit(X, y)
    again = TreeClassifier(epochs=4, **settings, noise=HARSH).fit(X, y)
    assert len(again.history_) == 4
    with pytest.raises(ModelFileError, match="belongs to a run with other data, model or settings"):
        TreeClassifier(epochs=4, **settings, noise=dephasing(0.1)).fit(X, y)


def test_a_device_in_the_loop(small_digits):
    X, y = small_digits.X_train[:100], small_digits.y_train[:100]
    clf = TreeClassifier(epochs=3, random_state=0, feature_range=(0, 1), noise="fake:torino", num_qubits=5)
    clf.fit(X, y)
    assert np.isfinite(clf.history_[-1].loss)


def test_what_cannot_be_trained_under(small_digits):
    X, y = small_digits.X_train[:60], small_digits.y_train[:60]
    clf = TreeClassifier(epochs=2, random_state=0)
    with pytest.raises(InvalidInputError, match="noise must be a qtnml.noise.DeviceNoise or Channel"):
        clone(clf).set_params(noise=0.1).fit(X, y)
    with pytest.raises(InvalidInputError, match="not channels of your own"):
        clone(clf).set_params(noise=DeviceNoise(one_qubit_channel=bit_flip(0.1))).fit(X, y)
    with pytest.raises(InvalidInputError, match="acts on one qubit"):
        clone(clf).set_params(noise=depolarizing(0.1, 2)).fit(X, y)
    with pytest.raises(InvalidInputError, match="needs discard='trace'"):
        MPSClassifier(epochs=2, discard="postselect", noise=HARSH).fit(X[:, :4], y)
    with pytest.raises(InvalidInputError, match="needs discard='trace', and no homotopy"):
        TreeClassifier(epochs=4, homotopy=2, noise=dephasing(0.1)).fit(X, y)
    model = Model(balanced_tree(4))
    with pytest.raises(InvalidInputError, match="noise on wires needs discard='trace'"):
        model.outcomes(
            Parameters(model.start(np.random.default_rng(0)).nodes),
            X[:2, :4],
            postselection=1.0,
            channels=no_noise(model.topology).at(1.0),
        )


@pytest.mark.parametrize(
    "noise",
    [
        None,
        "fake:torino",
        dephasing(0.3),
        HARSH,
        DeviceNoise(
            t1=(1e-4, 2e-4, 3e-4, 4e-4, 5e-4),
            readout_error=((0.1, 0.2),) * 5,
            two_qubit_channel=bit_flip(0.1),
            instructions=(Instruction("cx", (0, 1), 1e-7, 1e-2),),
            dt=1e-9,
        ),
        NoiseSchedule(HARSH, start=0.5, epochs=2),
    ],
)
def test_noise_is_kept_in_files(noise, small_digits, tmp_path):
    """Also where it was never trained under: settings are written as they are."""
    clf = TreeClassifier(epochs=1, random_state=0).fit(small_digits.X_train[:50], small_digits.y_train[:50])
    clf.set_params(noise=noise, num_qubits=5).save(tmp_path / "model.qtnml")
    again = load_model(tmp_path / "model.qtnml")
    assert repr(again.noise) == repr(noise)
    assert (again.reuse_qubits, again.num_qubits) == (True, 5)
    if isinstance(noise, DeviceNoise):
        for name, qubits in (("cx", (0, 1)), ("sx", (2,))):
            one, other = (n.gate_channel(name, qubits).transfer_map for n in (noise, again.noise))
            np.testing.assert_array_equal(one, other)
    assert again.compile().num_qubits == 5
    assert again.compile(reuse_qubits=False).num_qubits > 5


@pytest.mark.slow
def test_noise_is_searched_and_cloned(small_digits):
    X, y = small_digits.X_train[:100], small_digits.y_train[:100]
    search = GridSearchCV(
        TreeClassifier(epochs=2, random_state=0, feature_range=(0, 1)),
        {"noise": [None, dephasing(0.2)]},
        cv=2,
    )
    assert len(search.fit(X, y).cv_results_["params"]) == 2
    assert clone(TreeClassifier(noise=HARSH)).noise == HARSH


def test_a_backend_as_noise_is_not_written(small_digits, tmp_path):
    clf = TreeClassifier(epochs=1, random_state=0).fit(small_digits.X_train[:50], small_digits.y_train[:50])
    clf.set_params(noise=fake_device("fake:torino"))
    with pytest.raises(ModelFileError, match="give the device's name"):
        clf.save(tmp_path / "model.qtnml")
    clf.set_params(noise=None).save(tmp_path / "model.qtnml")


def test_noise_given_to_fit_still_works(small_digits):
    """The way of version 0.1, without reuse where nothing is said."""
    X, y = small_digits.X_train[:100], small_digits.y_train[:100]
    settings = {"epochs": 2, "random_state": 0, "feature_range": (0, 1)}
    with pytest.warns(FutureWarning, match="give them to the constructor"):
        old = TreeClassifier(**settings).fit(X, y, noise=HARSH)
    new = TreeClassifier(noise=HARSH, reuse_qubits=False, **settings).fit(X, y)
    assert old.history_[-1].loss == new.history_[-1].loss
    with pytest.warns(FutureWarning), pytest.raises(InvalidInputError, match="give noise"):
        TreeClassifier(**settings).fit(X, y, reuse_qubits=True)


def test_the_circuit_of_the_constructor_is_the_one_meant(small_digits):
    X, y = small_digits.X_train[:60], small_digits.y_train[:60]
    clf = TreeClassifier(epochs=2, random_state=0, num_qubits=9).fit(X, y)
    own = clf.predict_proba(X, noise=HARSH)
    np.testing.assert_array_equal(own, clf.predict_proba(X, noise=HARSH, num_qubits=9))
    fewest = clf.predict_proba(X, noise=HARSH, reuse_qubits=True)  # says it all, so that nothing is added
    assert np.abs(own - fewest).max() > 1e-6
    clf.set_params(num_qubits=None)
    np.testing.assert_array_equal(clf.predict_proba(X, noise=HARSH), fewest)
    clf.set_params(reuse_qubits=False)
    assert clf.compile().num_resets == 0
    for wrong in ({"reuse_qubits": 1}, {"num_qubits": 3, "reuse_qubits": False}, {"num_qubits": 0}):
        with pytest.raises(InvalidInputError, match="qubits"):
            TreeClassifier(epochs=1, **wrong).fit(X, y)
