"""Classes of a user's own: registered, saved, loaded in a process that knows them, refused elsewhere."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtnml
from qtnml import AmplitudeTreeClassifier, MPSBornMachine, TreeClassifier, load_model
from qtnml.encoding import AngleEncoding
from qtnml.errors import InvalidInputError, ModelFileError, NotRegisteredError
from qtnml.registry import REGISTRIES
from qtnml.train import RiemannianAdam

pytestmark = pytest.mark.portable


@qtnml.register("loss")
@dataclass(frozen=True)
class Brier:
    """Squared distance of probabilities from the label, with a weight."""

    weight: float = 1.0

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return self.weight * (1 - jnp.take_along_axis(outputs, targets[None], axis=0)[0]) ** 2


@qtnml.register("encoding")
@dataclass(frozen=True)
class HalfAngle(AngleEncoding):
    """An encoding by half the angle."""

    name: ClassVar[str] = "half-angle"

    def angles(self, X: Any, parameters: Any = ()) -> Any:
        return super().angles(X, parameters) / 2


@qtnml.register("estimator")
class Counting(TreeClassifier):
    """Remembers how many samples of each class it has seen."""

    learnt_attributes = ("counts_", "remark_")

    def fit(self, X: Any, y: Any, **others: Any) -> "Counting":
        super().fit(X, y, **others)
        self.counts_ = np.unique(y, return_counts=True)[1]
        self.remark_ = {"rows": len(X)}
        return self


@qtnml.register("estimator", name="born-of-mine")
class OwnBorn(MPSBornMachine):
    """A Born machine under another name."""


@pytest.fixture
def samples(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = rng.random((60, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "model",
    [
        TreeClassifier(epochs=2, loss=Brier(2.0), random_state=0),
        AmplitudeTreeClassifier(3, epochs=2, encoding=HalfAngle(), random_state=0),
        TreeClassifier(epochs=2, encoding=HalfAngle(trainable=True), optimizer=RiemannianAdam(beta1=0.8)),
    ],
    ids=str,
)
def test_registered_objects_come_back(
    model: Any, samples: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = samples
    model.fit(X, y).save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    for name in ("loss", "encoding", "optimizer"):
        assert getattr(again, name) == getattr(model, name)


def test_registered_estimators_come_back_with_what_they_learnt(
    samples: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = samples
    Counting(epochs=1, random_state=0).fit(X, y).save(tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert type(again) is Counting
    assert again.counts_.tolist() == np.unique(y, return_counts=True)[1].tolist()
    assert again.remark_ == {"rows": 60}
    OwnBorn(2, epochs=1, random_state=0).fit(y[:30, None] == [0, 1]).save(tmp_path / "b")
    assert type(load_model(tmp_path / "b")) is OwnBorn


@pytest.mark.slow
def test_a_process_that_does_not_know_the_class_says_what_to_do(
    samples: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = samples
    TreeClassifier(epochs=1, loss=Brier(), random_state=0).fit(X, y).save(tmp_path / "loss")
    Counting(epochs=1, random_state=0).fit(X, y).save(tmp_path / "estimator")
    for kind, name in (("loss", "Brier"), ("estimator", "Counting")):
        code = f"import qtnml; qtnml.load_model({str(tmp_path / kind)!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"the {kind} '{name}' is not known here; import the module" in done.stderr
        assert "NotRegisteredError" in done.stderr
    assert issubclass(NotRegisteredError, ModelFileError)


def test_names_are_taken_once() -> None:
    with pytest.raises(InvalidInputError, match="the name 'TreeClassifier' is taken by the estimator TreeCl"):
        qtnml.register("estimator", Counting, name="TreeClassifier")
    with pytest.raises(InvalidInputError, match="kind must be one of .* got 'plot'"):
        qtnml.register("plot", Counting)  # type: ignore[call-overload]
    with pytest.raises(InvalidInputError, match="only classes can be registered, got Brier"):
        qtnml.register("loss", Brier())  # type: ignore[type-var]
    # Defined again, as in a notebook, a class takes the place of its former self.
    again = type("Brier", (Brier,), {"__module__": Brier.__module__, "__qualname__": "Brier"})
    assert REGISTRIES["loss"].register(again) is again
    qtnml.register("loss", Brier)
    assert "Brier" in REGISTRIES["loss"]
    assert {"cross-entropy", "hinge"} <= set(REGISTRIES["loss"])


def test_what_is_no_dataclass_is_refused(samples: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    def plain(outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return 1 - outputs[0]

    with pytest.raises(ModelFileError, match="its class function is not registered"):
        TreeClassifier(epochs=1, loss=plain).fit(*samples).save(tmp_path / "m")
