"""Checks of estimators' arguments, each with one clear error, before any work is done."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.ansatz import get_ansatz
from qtnml.encoding import get_encoding
from qtnml.errors import InvalidInputError
from qtnml.structure import Topology, Tree
from qtnml.structure.topology import MAX_BOND_QUBITS
from qtnml.train import get_loss, get_optimizer

_LEAST = {
    "max_bond": 1,
    "batch_size": 1,
    "epochs": 0,
    "patience": 1,
    "shots": 1,
    "homotopy": 0,
    "reuploads": 0,
    "checkpoint_every": 1,
    "devices": 1,
    "num_qubits": 1,
}
_MOST_SHOTS = 2**24
_LARGEST = float(np.finfo(np.float64).max)
_MOST = {"reuploads": 100}
_OPTIONAL = ("epochs", "patience", "shots", "devices", "num_qubits")


def is_number(value: Any, *kinds: type) -> bool:
    """A number of these kinds; True and False are none here."""
    return isinstance(value, kinds) and not isinstance(value, bool | np.bool_)


def check_settings(estimator: Any) -> None:
    """Refuse arguments that cannot be used."""
    for name, bound in _LEAST.items():
        if not hasattr(estimator, name):
            continue
        value = getattr(estimator, name)
        optional = value is None and name in _OPTIONAL
        if not optional and not (is_number(value, int, np.integer) and value >= bound):
            raise InvalidInputError(f"{name} must be an integer of at least {bound}, got {value!r}")
        if name in _MOST and value > _MOST[name]:
            raise InvalidInputError(f"{name} must be at most {_MOST[name]}, got {value!r}")
    if getattr(estimator, "shots", None) is not None and estimator.shots > _MOST_SHOTS:
        raise InvalidInputError(
            f"shots must be at most 2**24 (exact in single precision), got {estimator.shots}"
        )
    for name in ("learning_rate", "init_scale", "cutoff"):
        number: Any = getattr(estimator, name, None)
        if number is None and (name == "cutoff" or hasattr(estimator, "max_bond")):
            continue
        if not (is_number(number, int, float, np.number) and 0 < number <= _LARGEST):
            raise InvalidInputError(f"{name} must be a positive number, got {number!r}")
    if getattr(estimator, "cutoff", 0) >= 1:
        raise InvalidInputError(f"cutoff must be below 1 (nothing would be kept), got {estimator.cutoff!r}")
    fraction = estimator.validation_fraction
    if not (is_number(fraction, int, float, np.number) and 0 <= fraction < 1):
        raise InvalidInputError(f"validation_fraction must be at least 0 and below 1, got {fraction!r}")
    _check_augment(estimator)
    if estimator.loss is not None:
        get_loss(estimator.loss)
    optimizer = get_optimizer(estimator.optimizer)
    get_encoding(estimator.encoding)
    if getattr(estimator, "shots", None) is not None and optimizer.needs_gradient:
        raise InvalidInputError(
            f"shots={estimator.shots} has no gradient for optimizer={estimator.optimizer!r}; set "
            "optimizer='spsa', or shots=None"
        )
    if hasattr(estimator, "bond_qubits"):
        _check_network(estimator)
    else:
        _check_amplitudes(estimator)
    check_run(estimator)


def _check_augment(estimator: Any) -> None:
    augment: Any = getattr(estimator, "augment", None)
    if augment is not None and not callable(augment):
        raise InvalidInputError(
            "augment must be None, or callable with samples and a generator, such as "
            f"qtnml.data.PictureAugmentation; got {augment!r}"
        )
    if augment is not None and estimator.encoder is not None:
        raise InvalidInputError("augment changes numbers; of tables leave encoder out, or augment")
    dropout: Any = getattr(estimator, "dropout", 0.0)
    if not (is_number(dropout, int, float, np.number) and 0 <= dropout < 1):
        raise InvalidInputError(f"dropout must be at least 0 and below 1, got {dropout!r}")


def _check_amplitudes(estimator: Any) -> None:
    for name, choices in (("method", ("gradient", "sweeps")), ("metric", ("data", "cores"))):
        if getattr(estimator, name) not in choices:
            raise InvalidInputError(f"{name} must be one of {choices}, got {getattr(estimator, name)!r}")
    if estimator.method == "sweeps" and (estimator.learning_rate or 0) > np.pi / 2:
        raise InvalidInputError(
            f"learning_rate is the angle of a sweep's steps, at most pi/2, got {estimator.learning_rate!r}"
        )
    topology = getattr(estimator, "topology", None)
    is_name = isinstance(topology, str) and topology in ("chow-liu", "star")
    if not (topology is None or is_name or isinstance(topology, Tree)):
        raise InvalidInputError(f"topology must be None, 'chow-liu', 'star' or a Tree, got {topology!r}")


def _check_network(estimator: Any) -> None:
    width, topology = estimator.bond_qubits, estimator.topology
    if width is not None and not (is_number(width, int, np.integer) and 1 <= width <= MAX_BOND_QUBITS):
        raise InvalidInputError(
            f"bond_qubits must be 1 to {MAX_BOND_QUBITS}, got {width!r}: a node of a tree is a unitary on "
            "twice as many qubits"
        )
    is_name = isinstance(topology, str) and topology == "chow-liu"
    if not (topology is None or is_name or isinstance(topology, Topology | Tree)):
        raise InvalidInputError(f"topology must be None, 'chow-liu', a Topology or a Tree, got {topology!r}")
    if estimator.leaf not in ("data", "fresh"):
        raise InvalidInputError(f"leaf must be 'data' or 'fresh', got {estimator.leaf!r}")
    if estimator.discard not in ("trace", "postselect"):
        raise InvalidInputError(f"discard must be 'trace' or 'postselect', got {estimator.discard!r}")
    if estimator.homotopy and estimator.discard != "trace":
        raise InvalidInputError(
            f"homotopy={estimator.homotopy} ends in the trace; set discard='trace', or homotopy=0"
        )
    get_ansatz(estimator.ansatz)
    if not isinstance(estimator.reuse_qubits, bool | np.bool_):
        raise InvalidInputError(f"reuse_qubits must be True or False, got {estimator.reuse_qubits!r}")
    if estimator.num_qubits is not None and not estimator.reuse_qubits:
        raise InvalidInputError(
            f"num_qubits={estimator.num_qubits} needs reuse_qubits=True; leave one of them out"
        )


def check_run(estimator: Any) -> None:
    """Refuse a callback that cannot be called, or a checkpoint that cannot be written or resumed."""
    if estimator.callback is not None and not callable(estimator.callback):
        raise InvalidInputError(f"callback must be callable or None, got {estimator.callback!r}")
    if estimator.checkpoint is None:
        if estimator.resume:
            raise InvalidInputError("resume=True needs checkpoint=PATH, got checkpoint=None")
        return
    if not isinstance(estimator.checkpoint, str | os.PathLike):
        raise InvalidInputError(f"checkpoint must be a path, got {estimator.checkpoint!r}")
    folder = Path(estimator.checkpoint).resolve().parent
    if not folder.is_dir():
        raise InvalidInputError(
            f"cannot write checkpoint {estimator.checkpoint}: there is no folder {folder}"
        )
    if estimator.resume and not is_number(estimator.random_state, int, np.integer):
        raise InvalidInputError(
            f"resume=True needs an integer random_state, got {estimator.random_state!r}: split and first "
            "weights must be the same again"
        )
