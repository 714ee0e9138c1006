"""One training and its test, described by plain settings: the task of a study."""

import time
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qtnml.compile import minimal_order
from qtnml.contract import AmplitudeModel, Model
from qtnml.data import Dataset, load_dataset
from qtnml.errors import ClippedDataWarning, InvalidInputError
from qtnml.models.amplitude_mps import AmplitudeMPSClassifier
from qtnml.models.amplitude_tree import AmplitudeTreeClassifier
from qtnml.models.classifiers import MPSClassifier, TreeClassifier
from qtnml.models.objects import with_arguments
from qtnml.noise import noise_from_settings
from qtnml.study import task_key

_MODELS = {
    "tree": TreeClassifier,
    "mps": MPSClassifier,
    "amplitude-mps": AmplitudeMPSClassifier,
    "amplitude-tree": AmplitudeTreeClassifier,
}
_SHOTS = 1024


def trial(
    data: str,
    model: Literal["tree", "mps", "amplitude-mps", "amplitude-tree"],
    *,
    size: int | None = 8,
    classes: list[int] | None = None,
    parity: bool = False,
    order: str = "z",
    train_size: int | None = None,
    noise: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Settings of one task, JSON types only.

    Args:
        data: Name or path, as for `load_dataset`, which also takes size, classes, order and train_size.
        model: "tree", "mps", "amplitude-mps" or "amplitude-tree".
        parity: Labels are 0 for even and 1 for odd ones.
        noise: To train and test under: see `qtnml.noise.noise_from_settings`.
        options: Arguments of the estimator (JSON types; objects as {"name": class, field: value}).
    """
    _estimator({"model": model, "options": options})  # fails now, not in a worker
    if noise is not None:
        noise_from_settings(noise)
    settings = {
        "data": data,
        "size": size,
        "classes": classes,
        "parity": parity,
        "order": order,
        "train_size": train_size,
        "model": model,
        "options": options,
    }
    return settings if noise is None else settings | {"noise": noise}


def run_trial(settings: dict[str, Any], checkpoints: str | None = None) -> dict[str, Any]:
    """Train and test one model.

    Args:
        settings: From `trial`.
        checkpoints: Folder of checkpoints; a killed task goes on from its own.

    Returns:
        JSON types: test accuracy, exact and with 1,024 emulated shots, resources, times.
    """
    dataset = _loaded(
        settings["data"],
        settings["size"],
        None if settings["classes"] is None else tuple(settings["classes"]),
        settings["order"],
        settings["train_size"],
    )
    y_train, y_test = dataset.y_train, dataset.y_test
    if settings["parity"]:
        y_train, y_test = y_train % 2, y_test % 2
    estimator = _estimator(settings)
    if checkpoints is not None:
        Path(checkpoints).mkdir(parents=True, exist_ok=True)
        path = Path(checkpoints) / f"{task_key(settings)}.checkpoint"
        estimator.set_params(checkpoint=path, resume=True)
    began = time.perf_counter()
    under: dict[str, Any] = {}
    if "noise" in settings:
        under = {"noise": noise_from_settings(settings["noise"])}
        estimator.set_params(reuse_qubits=False, **under)
    estimator.fit(dataset.X_train, y_train)
    seconds = time.perf_counter() - began
    with warnings.catch_warnings():
        # A few test pixels are brighter than any training pixel at their place.
        warnings.simplefilter("ignore", ClippedDataWarning)
        outcomes = estimator.outcome_probabilities(dataset.X_test, **under)
    labels, num_classes = np.searchsorted(estimator.classes_, y_test), len(estimator.classes_)
    shares = outcomes / outcomes.sum(axis=1, keepdims=True)
    counts = np.random.default_rng(0).multinomial(_SHOTS, shares)[:, :num_classes]
    return {
        "test_accuracy": float((outcomes[:, :num_classes].argmax(axis=1) == labels).mean()),
        "test_accuracy_1024_shots": float((counts.argmax(axis=1) == labels).mean()),
        "train_samples": len(y_train),
        "test_samples": len(y_test),
        "num_features": dataset.num_features,
        "parameters": estimator.model_.num_parameters,
        **_resources(estimator.model_),
        "lost_mass": float(1 - outcomes[:, :num_classes].sum(axis=1).mean()),
        "epochs": estimator.n_iter_,
        "best_epoch": estimator.best_epoch_,
        "train_seconds": round(
            estimator.history_[-1].seconds if checkpoints and estimator.history_ else seconds, 3
        ),
    }


def _resources(model: Model | AmplitudeModel) -> dict[str, int]:
    if isinstance(model, AmplitudeModel):
        return {"bond_dim": model.bond_dim}
    return {
        "nodes": len(model.topology.nodes),
        "two_qubit_gates": model.two_qubit_gates,
        "qubits_with_reuse": minimal_order(model.topology)[0],
    }


def _estimator(settings: dict[str, Any]) -> Any:
    if settings["model"] not in _MODELS:
        raise InvalidInputError(f"model must be one of {sorted(_MODELS)}, got {settings['model']!r}")
    return with_arguments(_MODELS[settings["model"]](), settings["options"])


@lru_cache(maxsize=2)
def _loaded(
    name: str, size: int | None, classes: tuple[int, ...] | None, order: str, train_size: int | None
) -> Dataset:
    """Neighbouring tasks often share their data."""
    return load_dataset(name, size=size, classes=classes, order=order, train_size=train_size)
