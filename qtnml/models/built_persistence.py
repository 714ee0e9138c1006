"""What is built on Born machines as files: detectors and clusterings, each with the machines it holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.born.reduced import schmidt_values
from qtnml.errors import ModelFileError
from qtnml.models.anomaly import AnomalyDetector
from qtnml.models.born_classifier import BornClassifier
from qtnml.models.born_machine import BornMachine
from qtnml.models.born_persistence import (
    born_entry,
    restored_born,
    settings_entry,
    unfitted_born,
)
from qtnml.models.clustering import SchmidtClustering
from qtnml.models.mixture import BornMixture
from qtnml.models.objects import plain
from qtnml.models.settings import is_number
from qtnml.registry import REGISTRIES
from qtnml.storage import arrays_under

BUILT: tuple[type, ...] = (AnomalyDetector, BornClassifier, BornMixture, SchmidtClustering)
_LEARNT: dict[type, tuple[str, ...]] = {
    AnomalyDetector: ("offset_", "usual_"),
    BornMixture: ("weights_", "lower_bound_", "nll_", "n_iter_", "converged_", "labels_"),
    SchmidtClustering: ("bond_", "schmidt_values_", "labels_"),
    BornClassifier: ("classes_",),
}


def _learnt(cls: type) -> tuple[str, ...]:
    """What a class learns beside its machines."""
    return next(names for known, names in _LEARNT.items() if issubclass(cls, known))


def entry_of(estimator: Any) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A fitted Born machine, or what is built on some, as JSON types and arrays."""
    if isinstance(estimator, BornMachine):
        return born_entry(estimator)
    parameters = estimator.get_params(deep=False)
    given = parameters.pop("model")
    if isinstance(parameters.get("random_state"), np.random.RandomState):
        parameters["random_state"] = None
    learnt = {key: getattr(estimator, key) for key in _learnt(type(estimator))}
    arrays = {k: v for k, v in learnt.items() if isinstance(v, np.ndarray) and v.dtype != object}
    parts = []
    for k, machine in enumerate(_machines(estimator)):
        header, cores = born_entry(machine)
        parts.append(header)
        arrays |= {f"part{k}_{key}": core for key, core in cores.items()}
    return {
        "parameters": plain(parameters),
        "given": None if given is None else settings_entry(given),
        # Of a model from an older file NaN stands for what it did not hold.
        "learnt": plain({k: v for k, v in learnt.items() if k not in arrays and not _is_nan(v)}),
        "parts": parts,
    }, arrays


def restored(cls: Any, header: dict[str, Any], arrays: Mapping[str, NDArray]) -> Any:
    """The inverse of `entry_of`; whatever does not fit raises."""
    if issubclass(cls, BornMachine):
        return restored_born(cls, header, arrays)
    find, given = REGISTRIES["estimator"].find, None
    if header["given"] is not None:
        given = unfitted_born(find(header["given"]["model"]), header["given"])
    estimator = cls(model=given, **header["parameters"])
    estimator.check_settings()
    machines = []
    for k, part in enumerate(header["parts"]):
        machines.append(restored_born(find(part["model"]), part, arrays_under(arrays, f"part{k}_")))
    learnt = header["learnt"] | {key: arrays[key] for key in _learnt(cls) if key in arrays}
    for key in _learnt(cls):
        setattr(estimator, key, learnt[key] if key in learnt else _of_older_files(key))
    if isinstance(estimator, BornMixture):
        _check_mixture(estimator, machines)
        estimator.models_ = machines
    else:
        (machine,) = machines
        estimator.model_ = machine
        if isinstance(estimator, SchmidtClustering):
            _check_schmidt(estimator)
        elif isinstance(estimator, BornClassifier):
            estimator.classes_ = _checked_classes(learnt["classes_"], machine)
        else:
            _check_detector(estimator)
    estimator.n_features_in_ = machines[0].n_features_in_
    if not isinstance(estimator, SchmidtClustering) and hasattr(machines[0], "feature_names_in_"):
        estimator.feature_names_in_ = machines[0].feature_names_in_
    return estimator


def _of_older_files(key: str) -> Any:
    """What files of older versions do not hold."""
    return {"nll_": float("nan"), "usual_": np.array([[0.0], [1.0]])}[key]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _machines(estimator: Any) -> Sequence[BornMachine]:
    return estimator.models_ if isinstance(estimator, BornMixture) else (estimator.model_,)


def _check_mixture(mixture: BornMixture, machines: list[BornMachine]) -> None:
    shares = mixture.weights_
    if len(machines) % mixture.n_components or shares.shape != (len(machines),):
        raise ModelFileError("its shares do not fit its components")
    if not (shares.dtype == np.float64 and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-6):
        raise ModelFileError("its shares are not probabilities")
    if len({(machine.state_.sites.dims, str(_columns(machine))) for machine in machines}) > 1:
        raise ModelFileError("its components are not of the same table")
    _check_labels(mixture.labels_, len(machines))
    sound = isinstance(mixture.lower_bound_, float) and isinstance(mixture.converged_, bool)
    if not (sound and is_number(mixture.n_iter_, int)):
        raise ModelFileError("its record of the fit is not made of numbers")


def _check_detector(detector: AnomalyDetector) -> None:
    if not isinstance(detector.offset_, float):
        raise ModelFileError("its threshold is not a number")
    columns = 1 if detector.by in ("record", "dependence") else detector.model_.n_features_in_ + 1
    usual = detector.usual_
    sound = usual.shape == (2, columns) and usual.dtype == np.float64 and np.isfinite(usual).all()
    if not (sound and (usual[1] > 0).all()):
        raise ModelFileError("what is usual there does not fit its model")


def _check_schmidt(clustering: SchmidtClustering) -> None:
    bonds = clustering.model_.bond_dims_
    if not (is_number(clustering.bond_, int) and 0 <= clustering.bond_ < len(bonds)):
        raise ModelFileError("its bond is none of its model's")
    values = clustering.schmidt_values_
    own = schmidt_values(clustering.model_.state_)[clustering.bond_][: len(values)]
    if not (values.dtype == np.float64 and values.shape == own.shape and np.allclose(values, own)):
        raise ModelFileError("its Schmidt values are not those of its model")
    if len(values) != min(clustering.n_clusters, bonds[clustering.bond_]):
        raise ModelFileError("its Schmidt values do not fit n_clusters")
    _check_labels(clustering.labels_, len(values))


def _checked_classes(stored: Any, machine: BornMachine) -> NDArray:
    classes = stored if isinstance(stored, np.ndarray) else np.array([str(c) for c in stored], dtype=object)
    sites = len(machine.state_.sites.dims) - machine.n_features_in_
    if sites != 1 or classes.ndim != 1 or len(set(classes.tolist())) != machine.state_.sites.dims[-1]:
        raise ModelFileError("its classes do not fit its distribution")
    return classes


def _check_labels(labels: NDArray, count: int) -> None:
    if not (labels.ndim == 1 and labels.dtype == np.int64 and ((labels >= 0) & (labels < count)).all()):
        raise ModelFileError("its labels are none of its clusters")


def _columns(machine: BornMachine) -> Any:
    return None if machine.encoder_ is None else machine.encoder_.columns_
