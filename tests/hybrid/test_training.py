from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from qtnml import JobStore, TreeClassifier, get_backend
from qtnml.backends import Result
from qtnml.backends.base import Capabilities
from qtnml.compile import CompiledCircuit
from qtnml.data import Dataset
from qtnml.errors import InvalidInputError, ModelFileError
from qtnml.hybrid import (
    SPSA,
    AveragedSPSA,
    HybridRecord,
    HybridTraining,
    Objective,
    ParameterShift,
    Where,
    train_on_backend,
)
from qtnml.hybrid.training import Supervised, trained_places
from qtnml.train import get_loss

pytestmark = pytest.mark.portable


@pytest.fixture(scope="module")
def small() -> tuple[CompiledCircuit, np.ndarray, np.ndarray]:
    """A tree of four features, its weights turned away from what it learnt, and its data."""
    rng = np.random.default_rng(0)
    X = rng.random((120, 4))
    y = (X[:, 0] + X[:, 1] > X[:, 2] + X[:, 3]).astype(int)
    clf = TreeClassifier(feature_range=(0, 1), epochs=60, random_state=0).fit(X, y)
    compiled = clf.compile()
    return compiled, compiled.angles(X), y


def objective(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], shots: int, samples: int = 20
) -> Objective:
    compiled, angles, targets = small
    store = JobStore("sqlite://")
    exact = get_backend("exact")
    return Objective(
        compiled, angles[:samples], targets[:samples], get_loss("squared-error"),
        lambda circuits, each: store.run(circuits, exact, shots=each), shots,
    )  # fmt: skip


def exact_loss(
    compiled: CompiledCircuit, angles: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> float:
    probabilities = get_backend("aer").probabilities(  # type: ignore[attr-defined]
        compiled.bind_angles(angles, weights)
    )
    return float(jnp.mean(get_loss("squared-error")(jnp.asarray(probabilities.T), jnp.asarray(targets))))


def test_shift_gradient_is_that_of_the_exact_loss(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], x64: None
) -> None:
    compiled, angles, targets = small
    angles, targets = angles[:3], targets[:3]
    chosen = np.array([0, 5, 17, len(compiled.weights) - 1])
    aer = get_backend("aer")

    class Exact(Objective):
        def outcomes(self, points, samples):  # type: ignore[no-untyped-def]
            return [
                aer.probabilities(self.compiled.bind_angles(self.angles[places], point)).T  # type: ignore[attr-defined]
                for point, places in zip(points, samples, strict=True)
            ]

    exact = Exact(compiled, angles, targets, get_loss("squared-error"), lambda *_: [])
    found, loss = exact.shift_gradient(compiled.weights, chosen, [np.arange(3)] * 4)
    assert loss == pytest.approx(exact_loss(compiled, angles, targets, compiled.weights), abs=1e-9)
    for place, slope in zip(chosen, found, strict=True):
        step = np.zeros(len(compiled.weights))
        step[place] = 1e-4
        plus, minus = (exact_loss(compiled, angles, targets, compiled.weights + s * step) for s in (1, -1))
        assert slope == pytest.approx((plus - minus) / 2e-4, abs=1e-6)


def test_measured_gradient_is_within_its_noise(small: tuple[CompiledCircuit, np.ndarray, np.ndarray]) -> None:
    measured = objective(small, shots=4000, samples=10)
    chosen = np.arange(0, 12, 3)
    everyone = [np.arange(10)] * len(chosen)
    found, _ = measured.shift_gradient(small[0].weights, chosen, everyone)
    step = 1e-2
    for place, slope in zip(chosen, found, strict=True):
        shift = step * np.eye(len(small[0].weights))[place]
        plus, minus = (
            exact_loss(small[0], small[1][:10], small[2][:10], small[0].weights + s * shift) for s in (1, -1)
        )
        # A probability has a deviation of at most 1/(2 sqrt(shots)); two points, two outcomes, ten samples.
        assert abs(slope - (plus - minus) / (2 * step)) < 5 * 2 / np.sqrt(4000) / np.sqrt(10)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "optimizer",
    [
        SPSA(learning_rate=0.1),
        pytest.param(AveragedSPSA(3, spsa=SPSA(learning_rate=0.1)), marks=pytest.mark.slow),
        pytest.param(AveragedSPSA(4, scatter=True, spsa=SPSA(learning_rate=0.1)), marks=pytest.mark.slow),
        ParameterShift(subset=6, samples_per_weight=4, learning_rate=0.1),
    ],
    ids=["spsa", "averaged", "scattered", "shift"],
)
def test_every_optimiser_brings_a_spoilt_circuit_back(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], optimizer: object
) -> None:
    """The median of nine spoilt circuits: how much one can gain depends on where it was turned."""
    compiled, angles, targets = small
    how = HybridTraining(optimizer, steps=40, batch_size=16, shots=200, random_state=1, loss="squared-error")  # type: ignore[arg-type]
    gains = []
    for seed in range(9):
        turned = np.random.default_rng(seed).normal(0, 0.4, len(compiled.weights))
        spoilt, store = compiled.with_weights(compiled.weights + turned), JobStore("sqlite://")
        result = train_on_backend(spoilt, angles, targets, Where(get_backend("exact"), store), how)
        before, after = (
            exact_loss(compiled, angles, targets, weights)
            for weights in (spoilt.weights, result.compiled.weights)
        )
        gains.append(before - after)
        assert result.stopped == "steps"
        assert result.shots == result.circuits * 200 == store.bought_shots
        assert [record.step for record in result.history] == list(range(1, 41))
    assert np.median(gains) > 0.04


def where(store: JobStore) -> Where:
    return Where(get_backend("exact"), store, shots=50)


def test_stops(small: tuple[CompiledCircuit, np.ndarray, np.ndarray]) -> None:
    compiled, angles, targets = small
    quick = HybridTraining(steps=30, batch_size=4, random_state=0, smoothing=3, tail=0)
    for how, stopped, steps in (
        (replace(quick, max_shots=1000), "budget", 2),  # 2 points * 4 samples * 50 shots a step
        (replace(quick, max_shots=10), "budget", 0),
        (replace(quick, target=100.0), "target", 3),
        (replace(quick, patience=2, optimizer=SPSA(learning_rate=1e-9)), "plateau", None),
        (replace(quick, steps=4), "steps", 4),
    ):
        result = train_on_backend(compiled, angles, targets, where(JobStore("sqlite://")), how)
        assert result.stopped == stopped
        assert steps is None or len(result.history) == steps
        assert result.shots <= (how.max_shots or 10**9)


def test_a_callback_sees_every_step_and_ends_training(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    compiled, angles, y = small
    seen: list[int] = []

    def callback(record: HybridRecord) -> bool:
        seen.append(record.step)
        return len(seen) == 3

    where = Where(get_backend("exact"), JobStore("sqlite://"), 50)
    path = tmp_path / "c.ckpt"
    how = HybridTraining(steps=9, batch_size=4, random_state=0, callback=callback, checkpoint=path)
    result = train_on_backend(compiled, angles, y, where, how)
    assert (result.stopped, seen, len(result.history)) == ("callback", [1, 2, 3], 3)
    # Who watches is no part of the training: the checkpoint goes on without it.
    more = train_on_backend(compiled, angles, y, where, replace(how, callback=None, resume=True, steps=5))
    assert (more.stopped, len(more.history)) == ("steps", 5)
    with pytest.raises(InvalidInputError, match="callback must be None or a function"):
        HybridTraining(callback=3)  # type: ignore[arg-type]


def test_shots_of_a_step_are_divided(small: tuple[CompiledCircuit, np.ndarray, np.ndarray]) -> None:
    compiled, angles, targets = small
    store = JobStore("sqlite://")
    how = HybridTraining(AveragedSPSA(2), steps=2, batch_size=5, shots_per_step=1000, random_state=0)
    result = train_on_backend(compiled, angles, targets, where(store), how)
    assert (result.circuits, result.shots) == (40, 2000)


def test_a_killed_training_goes_on_and_buys_nothing_again(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    compiled, angles, targets = small
    how = HybridTraining(steps=6, batch_size=3, random_state=3, checkpoint=tmp_path / "run.ckpt", resume=True)
    whole = train_on_backend(
        compiled, angles, targets, where(JobStore("sqlite://")), replace(how, checkpoint=None, resume=False)
    )

    class Dying:
        """Aer that dies in its fourth job, after it was computed."""

        def __init__(self) -> None:
            self._inner, self.fetched = get_backend("exact"), 0
            self.name, self.settings = self._inner.name, self._inner.settings
            self.version = self._inner.version  # type: ignore[attr-defined]
            self.capabilities: Capabilities = self._inner.capabilities
            self.submit, self.status = self._inner.submit, self._inner.status
            self.cancel, self.find = self._inner.cancel, self._inner.find

        def fetch(self, job_id: str) -> Result:
            self.fetched += 1
            if self.fetched == 4:
                raise SystemExit("killed")
            return self._inner.fetch(job_id)

    store = JobStore(tmp_path / "jobs.sqlite")
    with pytest.raises(SystemExit, match="killed"):
        train_on_backend(compiled, angles, targets, Where(Dying(), store, shots=50), how)
    later = JobStore(tmp_path / "jobs.sqlite")
    result = train_on_backend(compiled, angles, targets, where(later), how)
    np.testing.assert_array_equal(result.compiled.weights, whole.compiled.weights)
    assert [r[:4] for r in result.history] == [r[:4] for r in whole.history]
    assert later.bought_shots == 2 * 3 * 50 * 2  # the last two of six steps; the fourth was resumed
    # Without its checkpoint the training reads all it did before from the ledger.
    third = JobStore(tmp_path / "jobs.sqlite")
    again = train_on_backend(
        compiled, angles, targets, where(third), replace(how, checkpoint=None, resume=False)
    )
    np.testing.assert_array_equal(again.compiled.weights, whole.compiled.weights)
    assert third.bought_shots == 0


def test_checkpoints_of_other_trainings(
    small: tuple[CompiledCircuit, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    compiled, angles, targets = small
    store = JobStore("sqlite://")
    how = HybridTraining(steps=1, batch_size=2, checkpoint=tmp_path / "run.ckpt", resume=True)
    train_on_backend(compiled, angles, targets, where(store), how)
    with pytest.raises(ModelFileError, match="belongs to a training with other data"):
        train_on_backend(compiled, angles[1:], targets[1:], where(store), how)
    longer = train_on_backend(compiled, angles, targets, where(store), replace(how, steps=3))
    assert len(longer.history) == 3
    (tmp_path / "run.ckpt").write_bytes(b"nonsense")
    with pytest.raises(ModelFileError, match="hybrid-checkpoint file, or it is damaged"):
        train_on_backend(compiled, angles, targets, where(store), how)
    assert (tmp_path / "run.ckpt").read_bytes() == b"nonsense"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"shots": 5, "shots_per_step": 5}, "not both"),
        ({"tail": 2}, r"tail must be in \[0, 1\], got 2"),
        ({"resume": True}, "resume=True needs checkpoint=PATH"),
        ({"max_shots": -1}, "max_shots must be None or at least 0"),
        ({"max_shots": "5"}, "max_shots must be None or at least 0, got '5'"),
        ({"random_state": -1}, "random_state must be None or an integer of at least 0, got -1"),
        ({"target": "x"}, "target must be None or a number, got 'x'"),
        ({"checkpoint": 5}, "checkpoint must be None or a path, got 5"),
    ],
)
def test_bad_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        HybridTraining(**settings)  # type: ignore[arg-type]


def test_bad_optimisers() -> None:
    for make, message in (
        (lambda: SPSA(learning_rate=0), "learning_rate must be positive, got 0"),
        (lambda: SPSA(momentum=1), "momentum and memory must be in"),
        (lambda: AveragedSPSA(directions=0), "directions must be a positive integer, got 0"),
        (lambda: ParameterShift(subset=1.5), "subset must be a positive integer, got 1.5"),  # type: ignore[arg-type]
        (lambda: SPSA(learning_rate="a"), "learning_rate must be positive, got 'a'"),  # type: ignore[arg-type]
        (lambda: ParameterShift(beta1=1), "beta1 and beta2 must be in"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            make()


def test_only_the_last_nodes_are_trained(small: tuple[CompiledCircuit, np.ndarray, np.ndarray]) -> None:
    compiled, angles, targets = small
    problem = Supervised(compiled, angles, targets)
    places = trained_places(problem, 1)
    how = HybridTraining(steps=2, batch_size=2, trained_nodes=1, random_state=0)
    result = train_on_backend(compiled, angles, targets, where(JobStore("sqlite://")), how)
    moved = np.flatnonzero(result.compiled.weights != compiled.weights)
    np.testing.assert_array_equal(moved, places)
    assert 0 < len(places) < len(compiled.weights)
    assert len(trained_places(problem, 99)) == len(compiled.weights)


def test_classifier_is_trained_on_its_backend(
    trained: TreeClassifier, small_digits: Dataset, tmp_path: Path
) -> None:
    X, y = small_digits.X_train[:40], small_digits.y_train[:40]
    how = HybridTraining(steps=3, batch_size=4, random_state=0)
    measured = trained.to_backend(
        "exact", shots=30, jobs=JobStore(tmp_path / "jobs.sqlite"), training=how, label="tuned"
    )
    plan = measured.plan_fit(X)
    assert (plan.steps, plan.circuits, plan.shots) == (3, 24, 720)
    assert "3 steps, at most 24 circuits and 720 shots" in str(plan)
    before = measured.compiled.weights.copy()
    assert measured.fit(X, y) is measured
    assert measured.stopped_ == "steps"
    assert measured.history_[-1].shots == 720
    assert not np.array_equal(measured.compiled_.weights, before)
    np.testing.assert_array_equal(measured.compiled.weights, before)
    assert measured.trained is measured.compiled_
    assert measured.predict(X[:2]).shape == (2,)
    with pytest.raises(InvalidInputError, match=r"labels \['8'\] are none of the model's classes \[3, 5\]"):
        measured.fit(X[:2], [3, 8])
    with pytest.raises(InvalidInputError, match="2 samples but 3 labels"):
        measured.fit(X[:2], [3, 5, 3])
