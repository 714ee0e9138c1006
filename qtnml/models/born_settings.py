"""Checks of a Born machine's arguments, each with one clear error, before any work is done."""

from typing import Any

import numpy as np

from qtnml.errors import InvalidInputError
from qtnml.models.settings import check_run, is_number
from qtnml.structure import Tree

_CHOICES = {
    "method": ("sweeps", "gradient", "greedy"),
    "init": ("markov", "product"),
    "precision": ("single", "double"),
}
_TOPOLOGIES = ("chow-liu", "hierarchical", "balanced")
_LEAST = {
    "max_bond": 1,
    "init_bond": 1,
    "steps": 1,
    "epochs": 1,
    "batch_size": 1,
    "patience": 1,
    "n_init": 1,
    "checkpoint_every": 1,
    "devices": 1,
}
_OPTIONAL = ("epochs", "batch_size", "patience", "devices")


def check_born_settings(estimator: Any) -> None:
    """Refuse arguments that cannot be used."""
    for name, bound in _LEAST.items():
        value = getattr(estimator, name)
        if value is None and name in _OPTIONAL:
            continue
        if not (is_number(value, int, np.integer) and value >= bound):
            raise InvalidInputError(f"{name} must be an integer of at least {bound}, got {value!r}")
    for name, choices in _CHOICES.items():
        if getattr(estimator, name) not in choices:
            raise InvalidInputError(f"{name} must be one of {choices}, got {getattr(estimator, name)!r}")
    for name, least, most in (("learning_rate", 1e-12, np.pi / 2), ("cutoff", 0.0, 1.0)):
        number: Any = getattr(estimator, name)
        if not (is_number(number, int, float, np.number) and least < number < most):
            raise InvalidInputError(f"{name} must be above {least:g} and below {most:.3g}, got {number!r}")
    for name in ("validation_fraction", "smoothing"):
        fraction: Any = getattr(estimator, name)
        if not (is_number(fraction, int, float, np.number) and 0 <= fraction < 1):
            raise InvalidInputError(f"{name} must be at least 0 and below 1, got {fraction!r}")
    if isinstance(estimator.order, str) and estimator.order != "mutual-information":
        raise InvalidInputError(
            f"order must be None, 'mutual-information' or a permutation, got {estimator.order!r}"
        )
    if estimator.complex_amplitudes not in (None, True, False):
        raise InvalidInputError(
            f"complex_amplitudes must be True, False or None, got {estimator.complex_amplitudes!r}"
        )
    functions = getattr(estimator.encoder, "functions", None)
    if functions is not None and estimator.method == "gradient":
        raise InvalidInputError(
            f"functions of columns (encoder with functions={functions!r}) are trained by sweeps; set "
            "method='sweeps', or leave functions out"
        )
    rounds = getattr(estimator, "reconnect", 0)
    if not (is_number(rounds, int, np.integer) and rounds >= 0):
        raise InvalidInputError(f"reconnect must be an integer of at least 0, got {rounds!r}")
    topology = getattr(estimator, "topology", None)
    is_name = isinstance(topology, str) and topology in _TOPOLOGIES
    if not (topology is None or is_name or isinstance(topology, Tree)):
        raise InvalidInputError(f"topology must be None, one of {_TOPOLOGIES} or a Tree, got {topology!r}")
    if topology not in (None, "balanced") and estimator.order is not None:
        raise InvalidInputError("a topology brings its own order; leave order out")
    if estimator.devices is not None and estimator.method != "gradient":
        raise InvalidInputError(
            f"method={estimator.method!r} runs on one device: devices={estimator.devices!r} has no effect; "
            "leave it at None, or set method='gradient'"
        )
    check_run(estimator)
