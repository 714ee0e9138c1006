"""States in and out: arrays, quimb, TeNPy, PennyLane, Aer, vectors, functions."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qtnml import MPSBornMachine, TableEncoder, TreeBornMachine, load_model, states
from qtnml.born import TreeState
from qtnml.errors import InvalidInputError, StateWarning
from qtnml.noise import DeviceNoise
from qtnml.states import State
from qtnml.structure import Sites, balanced, chain


def random_state(num_sites: int = 6, bond: int = 4, *, dims: tuple[int, ...] = ()) -> State:
    sites = Sites(dims or (2,) * num_sites, chain(len(dims) or num_sites))
    return State(TreeState.random(sites, bond, np.random.default_rng(3), is_complex=True))


def test_arrays_of_any_gauge_and_norm() -> None:
    state = random_state()
    arrays = state.to_arrays()
    rng = np.random.default_rng(0)
    for k in range(5):  # another gauge between neighbours
        gauge = rng.normal(size=(arrays[k].shape[2],) * 2)
        arrays[k] = arrays[k] @ gauge
        arrays[k + 1] = np.tensordot(np.linalg.inv(gauge), arrays[k + 1], 1)
    arrays[2] = 7 * arrays[2]
    assert states.from_arrays(arrays).overlap(state) == pytest.approx(1, abs=1e-9)
    ends = [arrays[0][0], *arrays[1:-1], arrays[-1][..., 0]]
    assert states.from_arrays(ends).overlap(state) == pytest.approx(1, abs=1e-9)


def test_arrays_on_a_tree() -> None:
    tree = balanced(5)
    state = State(TreeState.random(Sites((2, 3, 2, 2, 2), tree), 3, np.random.default_rng(0)))
    cores = [3 * core for core in state.tree_state.cores]
    assert states.from_arrays(cores, tree=tree).overlap(state) == pytest.approx(1, abs=1e-12)
    with pytest.raises(InvalidInputError, match="as many tensors"):
        states.from_arrays(cores[1:], tree=tree)
    with pytest.raises(InvalidInputError, match="do not fit together"):
        states.from_arrays([cores[0][:1], *cores[1:]], tree=tree)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], "at least one tensor"),
        ([np.ones((1, 2, 3)), np.ones((2, 2, 1))], "tensors 0 and 1 do not fit together"),
        ([np.ones((2, 2, 2))] * 3, "periodic"),
        ([np.ones((1, 2, 2)), np.ones((2, 2, 3))], "outer bonds of a chain are 1"),
        ([np.ones((1, 2, 2)), np.full((2, 2, 1), np.nan)], "tensor 1 has NaN"),
        ([np.zeros((1, 2, 2)), np.ones((2, 2, 1))], "no state has norm 0"),
        ([np.ones((1, 2, 2)), np.ones((2, 2))[..., None, None]], "tensor 1 has 4 axes"),
        ([np.array(["a", "b"])], "no array of numbers"),
        ([np.ones((1, 300, 1))], "site 0 has 300 levels"),
    ],
)
def test_arrays_that_are_no_chain(arrays: list[Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        states.from_arrays(arrays)


class TestQuimb:
    qtn = pytest.importorskip("quimb.tensor")

    @pytest.mark.parametrize("dtype", ["float64", "complex128"])
    def test_there_and_back(self, dtype: str) -> None:
        psi = self.qtn.MPS_rand_state(7, 5, dtype=dtype, seed=1) * 2.5
        state = states.from_quimb(psi)
        back = state.to_quimb()
        assert abs(psi.H @ back) / psi.norm() == pytest.approx(1, abs=1e-12)
        vector = psi.to_dense().reshape(-1) / psi.norm()
        np.testing.assert_allclose(state.to_vector(), vector, atol=1e-12)

    def test_sites_of_three_levels_and_trees(self) -> None:
        psi = self.qtn.MPS_rand_state(5, 4, phys_dim=3, seed=1)
        assert abs(np.vdot(states.from_quimb(psi).to_vector(), psi.to_dense())) == pytest.approx(psi.norm())
        tree = State(TreeState.random(Sites((2,) * 5, balanced(5)), 3, np.random.default_rng(0)))
        network = tree.to_quimb()
        found = network.to_dense([f"k{site}" for site in range(5)]).reshape(-1)
        np.testing.assert_allclose(found, tree.to_vector(), atol=1e-13)

    def test_what_is_no_open_chain(self) -> None:
        with pytest.raises(InvalidInputError, match="periodic"):
            states.from_quimb(self.qtn.MPS_rand_state(6, 3, cyclic=True, seed=1))
        with pytest.raises(InvalidInputError, match="got PEPS"):
            states.from_quimb(self.qtn.PEPS.rand(2, 2, 2, seed=1))


class TestTenpy:
    tenpy = pytest.importorskip("tenpy")

    def test_there_and_back(self) -> None:
        state = random_state(dims=(2, 3, 2, 2, 5))
        psi = state.to_tenpy()
        assert states.from_tenpy(psi).overlap(state) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(psi.entanglement_entropy(), state.entropies(), atol=1e-10)

    @pytest.mark.parametrize("conserve", [None, "parity", "Sz"])
    def test_conserved_charges_sort_levels_which_come_back_in_order(self, conserve: str | None) -> None:
        from tenpy.networks.mps import MPS
        from tenpy.networks.site import SpinHalfSite

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            site = SpinHalfSite(conserve=conserve, sort_charge=True)
            psi = MPS.from_product_state([site] * 4, ["up", "down", "down", "up"], bc="finite")
            psi.canonical_form()
        found = states.from_tenpy(psi).to_vector()
        assert abs(found[0b0110]) == pytest.approx(1)

    def test_an_infinite_state_is_refused(self) -> None:
        from tenpy.networks.mps import MPS
        from tenpy.networks.site import SpinHalfSite

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            psi = MPS.from_product_state([SpinHalfSite(conserve=None)] * 2, ["up"] * 2, bc="infinite")
        with pytest.raises(InvalidInputError, match="expected a finite state"):
            states.from_tenpy(psi)
        with pytest.raises(InvalidInputError, match="expected TeNPy's MPS, got int"):
            states.from_tenpy(3)


def test_pennylane_prepares_what_it_is_given() -> None:
    qml = pytest.importorskip("pennylane")
    state = random_state(5, 3)
    mps = state.to_arrays("pennylane")

    @qml.qnode(qml.device("default.qubit", wires=7))  # type: ignore[untyped-decorator]
    def prepared() -> Any:
        qml.MPSPrep(mps, wires=range(2, 7), work_wires=[0, 1])
        return qml.state()

    found = np.asarray(prepared()).reshape(4, 32)[0]
    assert abs(np.vdot(found, state.to_vector())) == pytest.approx(1, abs=1e-9)


def test_aer_prepares_what_it_is_given() -> None:
    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator

    state = random_state(5, 3)
    circuit = QuantumCircuit(5)
    circuit.set_matrix_product_state(state.to_arrays("aer"))
    circuit.save_statevector()
    simulator = AerSimulator(method="matrix_product_state")
    found = np.asarray(simulator.run(circuit).result().get_statevector())
    in_order = found.reshape([2] * 5).transpose().reshape(-1)
    np.testing.assert_allclose(in_order, state.to_vector(), atol=1e-12)


def test_other_layouts() -> None:
    state = random_state(5, 3)
    tensors = state.to_arrays("cuquantum")
    assert [t.shape for t in tensors] == [(2, 2), (2, 2, 3), (3, 2, 3), (3, 2, 2), (2, 2)]
    assert states.from_arrays(tensors).overlap(state) == pytest.approx(1, abs=1e-12)
    gammas, lambdas = state.to_arrays("vidal")
    np.testing.assert_allclose(np.concatenate(lambdas), np.concatenate(state.schmidt_values()), atol=1e-9)
    joined = [gamma * value for gamma, value in zip(gammas, lambdas, strict=False)]
    assert states.from_arrays([*joined, gammas[-1]]).overlap(state) == pytest.approx(1, abs=1e-9)
    with pytest.raises(InvalidInputError, match="layout must be"):
        state.to_arrays("itensor")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="is of qubits, a site has 3 levels"):
        random_state(dims=(2, 3, 2)).to_arrays("pennylane")


def test_vectors() -> None:
    vector = np.random.default_rng(0).normal(size=(2, 3, 4))
    state = states.from_vector(vector)
    assert state.dims == (2, 3, 4)
    np.testing.assert_allclose(state.to_vector(), vector.reshape(-1) / np.linalg.norm(vector), atol=1e-13)
    assert max(states.from_vector(np.ones(64), max_bond=3).bond_dims) == 1
    for bad, message in [
        (np.ones(6), "no power of two"),
        (np.zeros(4), "norm 0"),
        ([1, np.inf], "NaN or infinite"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            states.from_vector(bad)
    with pytest.raises(InvalidInputError, match="do not fit sites"):
        states.from_vector(np.ones(8), dims=[2, 2])
    with pytest.raises(InvalidInputError, match="max_bond must be"):
        states.from_vector(np.ones(8), 0)


class TestFunctions:
    def test_a_function_that_fits_in_a_vector(self) -> None:
        state = states.from_function(lambda x: 1.0 + x[:, 0] + 2 * x[:, 2], [2, 3, 3])
        points = np.stack(np.unravel_index(np.arange(18), (2, 3, 3)), axis=1)
        wanted = 1.0 + points[:, 0] + 2 * points[:, 2]
        np.testing.assert_allclose(state.to_vector(), wanted / np.linalg.norm(wanted), atol=1e-12)

    @pytest.mark.parametrize("num_sites", [20, 40])
    def test_one_that_does_not(self, num_sites: int) -> None:
        weights = 0.5 ** np.arange(1, num_sites + 1)

        def lorentz(x: np.ndarray) -> np.ndarray:
            return np.exp(2j * x @ weights) / (1 + 25 * (x @ weights - 0.3) ** 2)

        state = states.from_function(lorentz, [2] * num_sites, max_bond=40)
        points = np.random.default_rng(0).integers(2, size=(200, num_sites))
        found, wanted = state.amplitudes(points), lorentz(points)
        scale = np.vdot(wanted, found) / np.vdot(wanted, wanted)
        assert np.abs(found / scale - wanted).max() < 1e-6
        # The integral of the square, by the midpoint rule in closed form of the same grid of 2**20 points.
        if num_sites == 20:
            grid = np.arange(2**20) / 2**20
            norm = np.linalg.norm(1 / (1 + 25 * (grid - 0.3) ** 2))
            assert abs(1 / abs(scale)) == pytest.approx(norm, rel=1e-6)

    def test_what_cannot_be_found_is_said(self) -> None:
        with pytest.warns(StateWarning, match="raise max_bond=2"):
            states.from_function(
                lambda x: np.cos(0.1 * (x @ np.arange(1, 31)) ** 2), [2] * 30, max_bond=2, sweeps=2
            )
        with pytest.raises(InvalidInputError, match="zero at all of"):
            states.from_function(lambda x: np.zeros(len(x)), [2] * 30)
        with pytest.raises(InvalidInputError, match="one value for each"):
            states.from_function(lambda _: np.ones(3), [2] * 30)
        with pytest.raises(InvalidInputError, match="no finite number at"):
            states.from_function(lambda x: np.full(len(x), np.nan), [2] * 30)


def test_a_born_machine() -> None:
    bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], 10, axis=0)
    born = MPSBornMachine(max_bond=4, random_state=0, epochs=5).fit(bits)
    state = states.from_born(born)
    np.testing.assert_allclose(
        np.abs(state.amplitudes(bits)) ** 2, np.exp(born.log_likelihood(bits)), atol=1e-12
    )


class TestEstimators:
    def test_a_foreign_state_is_an_estimator(self, tmp_path: Path) -> None:
        state = random_state(6, 4)
        born = MPSBornMachine.from_state(state)
        X = np.random.default_rng(0).integers(2, size=(20, 6))
        np.testing.assert_allclose(born.log_likelihood(X), 2 * np.log(np.abs(state.amplitudes(X))), atol=1e-9)
        born.save(tmp_path / "model.qtnml")
        again = load_model(tmp_path / "model.qtnml")
        np.testing.assert_allclose(again.log_likelihood(X), born.log_likelihood(X), atol=1e-12)
        given = np.full((1, 6), np.nan)
        given[0, 2] = 1
        assert (born.sample(50, given=given, random_state=0)[:, 2] == 1).all()
        assert born.compile().verify(born.state_, X) < 1e-9
        with_noise = born.log_likelihood(X, noise=DeviceNoise(two_qubit_error=0.01))
        assert np.isfinite(with_noise).all()

    def test_it_is_trained_further(self) -> None:
        bits = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], 20, axis=0)
        start = states.from_vector(np.random.default_rng(0).normal(size=16))
        for kind in (MPSBornMachine, TreeBornMachine):
            born = kind.from_state(start, epochs=5, random_state=0)
            before = born.score(bits)
            born.fit(bits)
            assert born.score(bits) > before

    def test_sites_of_more_levels_are_columns_of_numbers(self) -> None:
        state = random_state(dims=(2, 3, 5))
        born = MPSBornMachine.from_state(state)
        X = np.stack(np.unravel_index(np.arange(30), (2, 3, 5)), axis=1)
        np.testing.assert_allclose(np.exp(born.log_likelihood(X)), np.abs(state.to_vector()) ** 2, atol=1e-12)
        assert born.sample(30, random_state=0).max() <= 4
        with pytest.raises(InvalidInputError, match="the encoder's columns have levels"):
            MPSBornMachine.from_state(state, encoder=TableEncoder().fit(X[:, ::-1]))

    def test_a_tree_becomes_a_chain_or_stays(self) -> None:
        tree = State(TreeState.random(Sites((2,) * 6, balanced(6)), 3, np.random.default_rng(0)))
        X = np.random.default_rng(0).integers(2, size=(20, 6))
        one, two = MPSBornMachine.from_state(tree), TreeBornMachine.from_state(tree)
        np.testing.assert_allclose(one.log_likelihood(X), two.log_likelihood(X), atol=1e-9)
        assert two.state_.tree == balanced(6)
