"""A run killed with SIGKILL goes on bit for bit; checkpoints of other runs and broken ones are refused."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from qtnml import TreeClassifier, TreeRegressor, load_model
from qtnml.data import Dataset
from qtnml.errors import ModelFileError, TrainingInterruptedWarning
from qtnml.train import SPSA, CalibratedSPSA, OptaxOptimizer
from qtnml.train.fingerprint import fingerprint

pytestmark = pytest.mark.portable

KILLED = """
import os, signal, sys
from pathlib import Path
from qtnml import TreeClassifier, load_dataset
from qtnml.train import CalibratedSPSA, Checkpoint

data = load_dataset("digits", size=4, classes=(3, 5), order="z")
moment, epoch, optimizer = sys.argv[2], int(sys.argv[3]), sys.argv[4]

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

save, replace = Checkpoint.save, Path.replace

def save_or_die(self, progress, fingerprint):
    if moment == "while writing" and progress.epoch == epoch:
        Path.replace = kill  # the new file is complete but not in its place yet
    save(self, progress, fingerprint)
    if progress.epoch == epoch:
        kill()

Checkpoint.save = save_or_die
TreeClassifier(epochs=12, batch_size=32, random_state=3, optimizer=optimizer, validation_fraction=0.2,
               shots=100 if optimizer == "spsa" else None, checkpoint=sys.argv[1], resume=True
               ).fit(data.X_train, data.y_train)
"""


@pytest.mark.slow  # the loop is that of Born machines, which are killed by default
@pytest.mark.parametrize("optimizer", ["adam", "spsa"])
def test_killed_and_resumed_is_never_killed(optimizer: str, small_digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    for moment, epoch in (("after writing", 3), ("while writing", 7)):
        command = [sys.executable, "-c", KILLED, str(path), moment, str(epoch), optimizer]
        assert subprocess.run(command, check=False).returncode == -9
        assert path.exists()
    options = {"epochs": 12, "batch_size": 32, "random_state": 3, "optimizer": optimizer}
    options |= {"validation_fraction": 0.2, "shots": 100 if optimizer == "spsa" else None}
    resumed = TreeClassifier(**options, checkpoint=path, resume=True)  # type: ignore[arg-type]
    resumed.fit(small_digits.X_train, small_digits.y_train)
    whole = TreeClassifier(**options).fit(small_digits.X_train, small_digits.y_train)  # type: ignore[arg-type]
    assert [record[:5] for record in resumed.history_] == [record[:5] for record in whole.history_]
    assert [record.seconds for record in resumed.history_] == sorted(r.seconds for r in resumed.history_)
    np.testing.assert_array_equal(resumed.params_.nodes[0], whole.params_.nodes[0])
    again = resumed.fit(small_digits.X_train, small_digits.y_train)  # finished: nothing left to do
    np.testing.assert_array_equal(again.params_.nodes[0], whole.params_.nodes[0])


def test_without_resume_it_starts_anew(small_digits: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "c"
    clf = TreeClassifier(epochs=4, random_state=0, checkpoint=path, checkpoint_every=3)
    clf.fit(small_digits.X_train, small_digits.y_train)
    clf.set_params(random_state=1).fit(small_digits.X_train, small_digits.y_train)
    assert clf.n_iter_ == 4


def test_other_runs_are_refused(small_digits: Dataset, tmp_path: Path) -> None:
    path, X, y = tmp_path / "c", small_digits.X_train, small_digits.y_train
    options = {"epochs": 2, "random_state": 0, "checkpoint": path, "resume": True}
    TreeClassifier(**options).fit(X, y)  # type: ignore[arg-type]
    for changed in ({"epochs": 3}, {"random_state": 1}, {"loss": "hinge"}, {"ansatz": "orthogonal"}):
        with pytest.raises(ModelFileError, match="belongs to a run with other data, model or settings"):
            TreeClassifier(**{**options, **changed}).fit(X, y)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match="belongs to a run with other"):
        TreeClassifier(**options).fit(X[1:], y[1:])  # type: ignore[arg-type]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match="is not a checkpoint file, or it is damaged"):
        TreeClassifier(**options).fit(X, y)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (CalibratedSPSA(perturbation=0.1), CalibratedSPSA(perturbation=0.2)),
        (SPSA(), SPSA.later()),
        (OptaxOptimizer(optax.sgd(0.5)), OptaxOptimizer(optax.sgd(0.1))),
    ],
)
def test_constants_of_an_optimiser_are_part_of_a_run(first: object, second: object) -> None:
    assert fingerprint(first) != fingerprint(second)
    assert fingerprint(first) == fingerprint(copy.deepcopy(first))


def test_functions_are_known_by_what_they_are() -> None:
    """Not by their address, which is another one in the process that resumes."""

    def scaled(factor: float) -> Callable[[float], float]:
        return lambda x: factor * x

    assert fingerprint(scaled(2.0)) == fingerprint(scaled(2.0)) != fingerprint(scaled(3.0))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("held_out", [0.0, 0.3])
def test_weights_that_stop_being_finite_are_not_kept(
    held_out: float, small_digits: Dataset, tmp_path: Path
) -> None:
    """The loss of a step is measured before it: the last step's damage shows in the weights alone."""

    class Exploding(CalibratedSPSA):
        def step(self, loss, parameters, state, learning_rate, key):
            parameters, state, sums = super().step(loss, parameters, state, learning_rate, key)
            bad = jax.numpy.where(state.step == 10, jax.numpy.nan, 1.0)
            return jax.tree.map(lambda leaf: leaf * bad, parameters), state, sums

    options = {"epochs": 4, "batch_size": 64, "validation_fraction": held_out, "checkpoint": tmp_path / "c"}
    clf = TreeClassifier(optimizer=Exploding(), feature_range=(0, 1), random_state=0, **options)
    X, y = small_digits.X_train[:300], small_digits.y_train[:300]
    with pytest.warns(TrainingInterruptedWarning, match="diverged"):
        clf.fit(X, y)
    assert clf.stopped_ == "diverged"
    assert np.isfinite(clf.params_.nodes[0]).all()


def test_only_checkpoints_are_written_over(small_digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("precious")
    clf = TreeClassifier(epochs=1, checkpoint=tmp_path / "data.csv")
    with pytest.raises(ModelFileError, match="is not a checkpoint file"):
        clf.fit(small_digits.X_train, small_digits.y_train)
    assert (tmp_path / "data.csv").read_text() == "precious"


def test_a_model_file_does_not_say_where_to_write(small_digits: Dataset, tmp_path: Path) -> None:
    clf = TreeClassifier(epochs=1, checkpoint=tmp_path / "c", resume=True, random_state=0)
    clf.fit(small_digits.X_train, small_digits.y_train).save(tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    assert (loaded.checkpoint, loaded.resume) == (None, False)


def test_a_model_is_no_checkpoint(trained: TreeClassifier, small_digits: Dataset, tmp_path: Path) -> None:
    trained.save(tmp_path / "m")
    clf = TreeClassifier(random_state=0, checkpoint=tmp_path / "m", resume=True)
    with pytest.raises(ModelFileError, match="is not a checkpoint file: its header does not say"):
        clf.fit(small_digits.X_train, small_digits.y_train)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverging_run_keeps_the_last_good_weights(small_digits: Dataset) -> None:
    """Angles that overflow after a few epochs: a warning that names the cure, and a usable model."""

    class Exploding(CalibratedSPSA):
        def step(self, loss, parameters, state, learning_rate, key):
            parameters, state, sums = super().step(loss, parameters, state, learning_rate, key)
            bad = jax.numpy.where(state.step > 8, jax.numpy.nan, 1.0)
            return jax.tree.map(lambda leaf: leaf * bad, parameters), state, sums

    clf = TreeClassifier(
        epochs=10, batch_size=64, optimizer=Exploding(), feature_range=(0, 1), random_state=0
    )
    with pytest.warns(
        TrainingInterruptedWarning, match="diverged.* after 1 of 10 epochs; .*lower the learning"
    ):
        clf.fit(small_digits.X_train, small_digits.y_train)
    assert (clf.stopped_, clf.n_iter_, clf.best_epoch_) == ("diverged", 1, 0)
    assert clf.predict(small_digits.X_test).shape == small_digits.y_test.shape


def test_losing_ground_a_hundredfold_is_divergence(small_digits: Dataset) -> None:
    class Runaway(CalibratedSPSA):
        def step(self, loss, parameters, state, learning_rate, key):
            parameters, state, sums = super().step(loss, parameters, state, learning_rate, key)
            return parameters, state, sums * jax.numpy.array([10.0 ** state.step.astype(float), 1, 1])

    clf = TreeClassifier(epochs=10, batch_size=300, optimizer=Runaway(), random_state=0)
    with pytest.warns(TrainingInterruptedWarning, match="diverged"):
        clf.fit(small_digits.X_train, small_digits.y_train)
    assert clf.n_iter_ < 5


def test_regression_resumes(tmp_path: Path, rng: np.random.Generator) -> None:
    X = rng.random((200, 2))
    options = {"epochs": 6, "random_state": 0, "encoding": "trainable-angle"}
    whole = TreeRegressor(2, **options).fit(X, X[:, 0])  # type: ignore[arg-type]
    part = TreeRegressor(2, **options, checkpoint=tmp_path / "c", resume=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(part.fit(X, X[:, 0]).predict(X), whole.predict(X))
    np.testing.assert_array_equal(part.fit(X, X[:, 0]).predict(X), whole.predict(X))
