"""Read-out, extrapolation and the learnt network, each against what is known exactly."""

import numpy as np
import pytest

from qtnml import JobStore, TreeClassifier, get_backend
from qtnml.ansatz import TensorNetwork
from qtnml.compile import compile_network
from qtnml.errors import BudgetError, InvalidInputError, JobError, ModelFileError
from qtnml.mitigation import (
    Confusion,
    LearnedExtrapolation,
    Mitigation,
    ReadoutMitigation,
    ZeroNoiseExtrapolation,
    get_mitigation,
    random_examples,
)
from qtnml.mitigation.extrapolation import (
    nearest_probabilities,
    outcomes_from_z,
    z_expectations,
    z_variances,
)
from qtnml.mitigation.method import exact_confusion
from qtnml.noise import DeviceNoise
from qtnml.structure import balanced_tree
from tests.references import ENCODING

NOISE = DeviceNoise(
    t1=150e-6,
    t2=120e-6,
    one_qubit_time=35e-9,
    two_qubit_time=150e-9,
    reset_time=1e-6,
    one_qubit_error=4e-4,
    two_qubit_error=8e-3,
    reset_error=0.005,
    readout_error=(0.02, 0.06),
)
READOUT = DeviceNoise(readout_error=((0.1, 0.2), (0.05, 0.15), (0.03, 0.02), (0.1, 0.1)))


def test_expectations_and_back(rng):
    outcomes = rng.dirichlet(np.ones(8), size=5)
    z = z_expectations(outcomes)
    np.testing.assert_allclose(z[:, 0], 1)
    np.testing.assert_allclose(z[:, 4], outcomes[:, :4].sum(1) - outcomes[:, 4:].sum(1))
    np.testing.assert_allclose(outcomes_from_z(z), outcomes, atol=1e-15)


def test_variances_are_those_of_counts(rng):
    outcomes = rng.dirichlet(np.ones(4))
    drawn = rng.multinomial(200, outcomes, size=20_000) / 200
    inverse = np.linalg.inv(np.array([[0.9, 0.2], [0.1, 0.8]]))
    inverse = np.kron(inverse, inverse)
    for matrix in (None, inverse):
        seen = z_expectations(drawn if matrix is None else drawn @ matrix.T)
        np.testing.assert_allclose(
            z_variances(outcomes, 200, matrix), seen.var(axis=0), rtol=0.05, atol=1e-12
        )


def test_nearest_probabilities(rng):
    quasi = np.array([[1.2, -0.2], [0.5, 0.5], [0.7, 0.7]])
    np.testing.assert_allclose(nearest_probabilities(quasi), [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    quasi = rng.normal(size=(50, 4))
    found = nearest_probabilities(quasi)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found.min() >= 0
    others = rng.dirichlet(np.ones(4), size=200)
    distance = ((quasi - found) ** 2).sum(axis=1)
    assert (distance <= ((quasi[:, None] - others) ** 2).sum(axis=2).min(axis=1) + 1e-12).all()


@pytest.mark.parametrize("topology", [balanced_tree(4), balanced_tree(4, 2, root_qubits=3)], ids=["1", "3"])
def test_read_out_is_undone_exactly(topology, rng):
    compiled = compile_network(TensorNetwork.random(topology, rng), ENCODING)
    backend, method = get_backend("aer", noise=READOUT), ReadoutMitigation()
    calibration = method.construct_circuits(compiled)
    assert len(calibration) == 2**topology.root_qubits
    confusion = method.combine_results(backend.probabilities(calibration))
    np.testing.assert_allclose(confusion.inverse, exact_confusion(compiled, READOUT).inverse, atol=1e-9)
    read = backend.probabilities(compiled.bind(X := rng.uniform(size=(3, 4))))
    np.testing.assert_allclose(read @ confusion.inverse.T, compiled.probabilities(X), atol=1e-9)
    assert 0 < confusion.error < 0.5


def test_many_bits_count_as_independent(rng):
    topology = balanced_tree(6, 3, root_qubits=5)
    compiled = compile_network(TensorNetwork.random(topology, rng), ENCODING)
    noise = DeviceNoise(readout_error=(0.1, 0.2))
    backend, method = get_backend("aer", noise=noise), ReadoutMitigation()
    calibration = method.construct_circuits(compiled)
    assert len(calibration) == 2
    confusion = method.combine_results(backend.probabilities(calibration))
    assert len(confusion.matrices) == 5
    np.testing.assert_allclose(confusion.inverse, exact_confusion(compiled, noise).inverse, atol=1e-9)


def test_a_blind_read_out_is_refused():
    with pytest.raises(InvalidInputError, match="hardly tells states apart"):
        Confusion((np.array([[0.5, 0.5], [0.5, 0.5]]),))


def curve(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One sample with one Z."""
    stacked = np.stack([np.ones_like(values), values], axis=-1)[:, None]
    return stacked, np.full(stacked.shape, 1e-6)


def test_fits_find_the_curve_they_are_made_for():
    factors = np.array([1.0, 3.0, 5.0])
    cases = {
        "linear": 0.8 - 0.1 * factors,
        "richardson": 0.8 - 0.2 * factors + 0.02 * factors**2,
        "exponential": 0.8 * np.exp(-0.3 * factors),
    }
    for fit, values in cases.items():
        found, variance = ZeroNoiseExtrapolation(fit=fit).extrapolate(factors, *curve(values))
        assert found[0, 1] == pytest.approx(0.8, abs=1e-12), fit
        assert variance[0, 1] > 0


def test_an_exponential_that_changes_sign_becomes_a_line():
    factors, values = np.array([1.0, 3.0, 5.0]), np.array([0.1, 0.0, -0.1])
    found, _ = ZeroNoiseExtrapolation(fit="exponential").extrapolate(factors, *curve(values))
    assert found[0, 1] == pytest.approx(0.15)


def test_error_bars_hold(rng):
    factors, shots = np.array([1.0, 3.0, 5.0]), 500
    mean = np.array([0.7, 0.5, 0.35])
    seen = 2 * rng.binomial(shots, (1 + mean[:, None]) / 2, (3, 4000)) / shots - 1
    stacked = np.stack([np.ones_like(seen), seen], axis=-1)
    variances = np.stack([np.zeros_like(seen), (1 - seen**2) / shots], axis=-1)
    for fit in ("linear", "richardson", "exponential"):
        found, variance = ZeroNoiseExtrapolation(fit=fit).extrapolate(factors, stacked, variances)
        assert found[:, 1].std() == pytest.approx(np.sqrt(variance[:, 1].mean()), rel=0.1), fit


@pytest.fixture(scope="module")
def learned() -> LearnedExtrapolation:
    return LearnedExtrapolation.pretrained()


@pytest.mark.slow
def test_the_learnt_network_on_circuits_and_noise_it_has_not_seen(learned):
    unseen = random_examples(12, np.random.default_rng(99), factors=learned.factors)
    factors = np.array(learned.factors)

    def rms(extrapolation, use_levels):
        off = []
        for noisy, clean, levels in zip(unseen.noisy, unseen.clean, unseen.levels, strict=True):
            values = np.stack([np.ones_like(noisy), noisy], axis=-1)
            args = (factors, values, np.zeros(values.shape), levels if use_levels else None)
            off.append(extrapolation.extrapolate(*args)[0][:, 1] - clean)
        return np.sqrt(np.mean(np.square(off)))

    raw = np.sqrt(np.mean((unseen.noisy[:, 0] - unseen.clean) ** 2))
    assert rms(learned, True) < 0.6 * rms(ZeroNoiseExtrapolation(fit="exponential"), False)
    assert rms(learned, True) < 0.5 * raw
    assert rms(learned, False) < 0.6 * raw  # without any calibration


@pytest.mark.slow
def test_a_network_of_ones_own(tmp_path, rng):
    few = random_examples(6, rng, factors=(1.0, 3.0))
    mine = LearnedExtrapolation.trained(few, few, steps=200)
    before = np.sqrt(np.mean((few.noisy[:, 0] - few.clean) ** 2))
    assert mine.residual < before
    mine.save(tmp_path / "mine.qtnml")
    again = LearnedExtrapolation.load(tmp_path / "mine.qtnml")
    assert (again.factors, again.residual) == (mine.factors, mine.residual)
    for a, b in zip(mine.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InvalidInputError, match=r"learnt with folding factors \(1.0, 3.0\)"):
        again.extrapolate(np.array([1.0, 5.0]), np.zeros((2, 1, 2)), np.zeros((2, 1, 2)))
    with pytest.raises(ModelFileError, match="no mitigation file"):
        LearnedExtrapolation.load(tmp_path / "nothing.qtnml")


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """The trained tree on a noisy Aer, by mitigation."""
    jobs = tmp_path_factory.mktemp("jobs") / "jobs.sqlite"

    def measured(mitigation, shots=4096):
        return trained.to_backend(
            get_backend("exact", noise=NOISE), shots=shots, mitigation=mitigation, jobs=jobs
        )

    return measured


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("mitigation", "share"),
    [("readout", 0.9), ("zne", 0.85), ("readout+zne-exponential", 0.75), ("readout+learned", 0.4)],
)
def test_a_classifier_with_mitigation(mitigation, share, measured, trained, small_digits):
    X = small_digits.X_test
    ideal = trained.predict_proba(X)
    raw = np.abs(measured(None).predict_proba(X) - ideal).mean()
    qclf = measured(mitigation)
    proba = qclf.predict_proba(X)
    assert np.abs(proba - ideal).mean() < share * raw
    found = qclf.mitigated_outcomes(X)
    np.testing.assert_allclose(found.quasi.sum(axis=1), 1)
    np.testing.assert_allclose(found.probabilities, proba)
    # What is left over is what the exact contraction says is left over, within the error bars.
    assert np.abs(proba - ideal).mean() < found.bias.mean() + 2 * found.errors.mean()
    assert found.bias.mean() < share * found.raw_bias.mean()
    assert (found.shots == 4096 * len(found.factors)).all()
    assert (found.extra_shots == found.shots - 4096).all()
    assert found.calibration_shots == (2 * 4 * 4096 if "readout" in mitigation else 0)
    assert "left behind" in str(found)
    plan = qclf.plan(X)  # all of it is stored now
    assert (plan.shots, plan.stored_shots > 0) == (0, True)


def test_without_noise_nothing_is_made_worse(trained, small_digits):
    X = small_digits.X_test[:20]
    qclf = trained.to_backend("exact", shots=4096, mitigation="readout+zne")
    found = qclf.mitigated_outcomes(X)
    assert found.bias is not None
    assert found.bias.max() < 1e-12  # a simulator without noise says so
    off = np.abs(found.probabilities - trained.predict_proba(X))
    assert off.max() < 5 * found.errors.max()


def test_post_selection_counts_what_is_left(small_digits):
    X, y = small_digits.X_train[:, :4], small_digits.y_train
    clf = TreeClassifier(discard="postselect", epochs=10, random_state=0).fit(X, y)
    backend = get_backend("exact", noise=NOISE)
    found = clf.to_backend(backend, shots=8192, mitigation="postselection+readout").mitigated_outcomes(X[:10])
    assert 0 < found.accepted.min() < 1
    assert "post-selection kept" in str(found)
    off = np.abs(found.probabilities - clf.predict_proba(X[:10]))
    assert off.mean() < found.bias.mean() + 2 * found.errors.mean()


def test_clear_errors(trained, small_digits, tmp_path):
    X = small_digits.X_test[:2]
    with pytest.raises(
        InvalidInputError, match="unknown mitigation 'magic'; choose of postselection, readout"
    ):
        trained.to_backend("exact", mitigation="magic").predict_proba(X)
    with pytest.raises(InvalidInputError, match="no mitigation was chosen"):
        trained.to_backend("exact").mitigated_outcomes(X)
    with pytest.raises(InvalidInputError, match="post-selection needs one trained with discard='postselect'"):
        trained.to_backend("exact", mitigation="postselection").predict_proba(X)
    with pytest.raises(JobError, match="nothing was bought"):
        trained.to_backend(
            get_backend("exact", noise=NOISE), shots=17, mitigation="zne", jobs=tmp_path / "jobs.sqlite"
        ).mitigated_outcomes(X, confirm=lambda plan: plan.shots == 0)
    for bad in (ZeroNoiseExtrapolation, "zne+learned"):
        with pytest.raises(InvalidInputError, match="unknown mitigation|more than one extrapolation"):
            get_mitigation(bad)
    with pytest.raises(InvalidInputError, match="extrapolation must be an object"):
        Mitigation(extrapolation="zne")
    with pytest.raises(InvalidInputError, match="readout must be a ReadoutMitigation"):
        Mitigation("readout")
    with pytest.raises(InvalidInputError, match="factors must rise from 1 to at most 99"):
        ZeroNoiseExtrapolation(factors=(1, float("inf")))
    with pytest.raises(InvalidInputError, match="shots must be an integer"):
        ReadoutMitigation(True)


def test_nothing_is_bought_that_cannot_be_used(trained, small_digits, tmp_path):
    X = small_digits.X_test[:10]
    jobs = JobStore(tmp_path / "jobs.sqlite", max_shots=2500)
    backend = get_backend("exact", noise=NOISE)
    settings = {"shots": 100, "jobs": jobs}
    with pytest.raises(BudgetError, match="nothing more was bought"):
        trained.to_backend(backend, mitigation="zne", **settings).predict_proba(X)  # 3,000 shots
    close = ZeroNoiseExtrapolation((1, 1.01))
    with pytest.raises(InvalidInputError, match="lie too close to extrapolate"):
        trained.to_backend(backend, mitigation=close, **settings).predict_proba(X)
    one = TreeClassifier(epochs=1, random_state=0, feature_range=(0, 1)).fit(
        X[:, :1], small_digits.y_test[:10]
    )
    with pytest.raises(InvalidInputError, match="with 0 two-qubit gates"):
        one.to_backend(backend, mitigation="learned", **settings).predict_proba(X[:, :1])
    with pytest.raises(InvalidInputError, match="compile for the device's own qubits"):
        trained.to_backend(
            get_backend("aer", noise="fake:torino"), mitigation="readout", for_device=False, **settings
        ).predict_proba(X)
    assert jobs.bought_shots == 0


def test_error_bars_of_many_outcomes(rng):
    shots, probabilities = 1000, np.array([0.85, 0.05, 0.05, 0.05])
    drawn = rng.multinomial(shots, probabilities, size=4000) / shots
    method = Mitigation(ReadoutMitigation())
    confusion = Confusion((np.array([[0.95, 0.1], [0.05, 0.9]]),) * 2)
    quasi, errors = method.combine(np.array([1.0]), drawn[None], shots, confusion)
    np.testing.assert_allclose(errors.mean(axis=0), quasi.std(axis=0), rtol=0.1)
    # Extrapolated ones, too: outcomes of every factor err alike.
    factors = np.array([1.0, 3.0])
    seen = np.stack([rng.multinomial(shots, probabilities, size=4000) / shots for _ in factors])
    quasi, errors = Mitigation(extrapolation=ZeroNoiseExtrapolation((1, 3))).combine(
        factors, seen, shots, None
    )
    np.testing.assert_allclose(errors.mean(axis=0), quasi.std(axis=0), rtol=0.1)


def test_where_no_shot_counted_nothing_is_known(small_digits):
    X, y = small_digits.X_train[:, :16], small_digits.y_train
    clf = TreeClassifier(discard="postselect", epochs=1, random_state=0).fit(X, y)
    found = clf.to_backend("exact", shots=2, mitigation="postselection").mitigated_outcomes(X[:10])
    assert np.isinf(found.errors[found.accepted == 0]).all()
    assert "no shot counted" in str(found)


@pytest.mark.slow
def test_the_learnt_network_on_single_samples(trained, small_digits, measured):
    """Less is known of one sample than of many, but no harm is done."""
    X, ideal = small_digits.X_test[:20], trained.predict_proba(small_digits.X_test[:20])
    one_by_one = np.vstack([measured("readout+learned").predict_proba(x[None]) for x in X])
    raw = np.abs(measured(None).predict_proba(X) - ideal).mean()
    assert np.abs(one_by_one - ideal).mean() < 0.9 * raw
    with pytest.raises(InvalidInputError, match="factors must rise from 1"):
        ZeroNoiseExtrapolation(factors=(3, 1))
    with pytest.raises(InvalidInputError, match="fit must be"):
        ZeroNoiseExtrapolation(fit="cubic")
    with pytest.raises(InvalidInputError, match="shots must be an integer of at least 1 or None"):
        ReadoutMitigation(shots=0)
    assert get_mitigation(ReadoutMitigation(100)) == Mitigation(ReadoutMitigation(100))
    assert get_mitigation(ZeroNoiseExtrapolation((1, 3))).factors == (1, 3)
    assert get_mitigation(None) is None


def test_error_bars_are_those_of_the_shots_that_were_counted(trained, small_digits):
    """Shots that are stored already are used, and make the error smaller."""
    X, jobs = small_digits.X_test[:5], JobStore("sqlite://")
    backend = get_backend("exact", noise=NOISE)
    many = trained.to_backend(backend, shots=20_000, mitigation="readout", jobs=jobs).mitigated_outcomes(X)
    few = trained.to_backend(backend, shots=100, mitigation="readout", jobs=jobs).mitigated_outcomes(X)
    np.testing.assert_allclose(few.errors, many.errors)
    assert few.shots.tolist() == [20_000] * 5
    assert few.calibration_shots == many.calibration_shots == 2 * 4 * 20_000
    assert "20,000 shots a sample" in str(few)
