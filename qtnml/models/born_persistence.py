"""Born machines as files: the state's cores, the encoder, the settings."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.table_encoder import TableEncoder
from qtnml.errors import ModelFileError
from qtnml.models.born_machine import BornMachine
from qtnml.models.born_settings import check_born_settings
from qtnml.models.objects import plain, unfitted_encoder
from qtnml.models.settings import is_number
from qtnml.registry import REGISTRIES
from qtnml.structure import Sites, Tree, structure_from_dict
from qtnml.train import EpochRecord
from qtnml.train.born_loop import stored_state
from qtnml.train.born_structure import GrowthRecord


def settings_entry(model: BornMachine) -> dict[str, Any]:
    """Settings of a model as JSON types."""
    parameters = model.get_params(deep=False) | {"checkpoint": None, "resume": False, "callback": None}
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = None
    if isinstance(parameters.get("topology"), Tree):
        parameters["topology"] = parameters["topology"].to_dict()
    encoder = parameters.pop("encoder")
    return {
        "model": REGISTRIES["estimator"].name_of(type(model)) or type(model).__name__,
        "parameters": plain(parameters),
        "encoder_settings": None if encoder is None else plain(encoder.plain_settings()),
    }


def born_entry(model: BornMachine) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """A fitted model as JSON types and arrays."""
    header = settings_entry(model) | {
        "tree": model.state_.sites.to_dict(),
        "encoder": None if model.encoder_ is None else plain(model.encoder_.to_dict()),
        "history": [list(record) for record in model.history_],
        "best_epoch": model.best_epoch_,
        "stopped": model.stopped_,
        "notes": model.notes_,
        "nll": _finite(getattr(model, "nll_", float("nan"))),
        "independent_nll": _finite(getattr(model, "independent_nll_", float("nan"))),
    }
    if (more := len(model.state_.sites.dims) - model.n_features_in_) > 0:
        header["labels"] = model.state_.sites.dims[-more:]
    if hasattr(model, "growth_"):
        header["growth"] = [list(record) for record in model.growth_]
    if hasattr(model, "feature_names_in_"):
        header["feature_names_in"] = [str(name) for name in model.feature_names_in_]
    return header, {f"core_{k}": core for k, core in enumerate(model.state_.cores)}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def unfitted_born(cls: Any, header: dict[str, Any]) -> BornMachine:
    """The inverse of `settings_entry`."""
    parameters = dict(header["parameters"]) | {"checkpoint": None, "resume": False, "callback": None}
    if isinstance(parameters.get("topology"), dict):
        parameters["topology"] = structure_from_dict(parameters["topology"])
    settings = header["encoder_settings"]
    if settings is not None:
        parameters["encoder"] = unfitted_encoder(settings)
    if isinstance(parameters.get("order"), list):
        parameters["order"] = tuple(parameters["order"])
    model: BornMachine = cls(**parameters)
    check_born_settings(model)
    if model.encoder is not None:
        model.encoder.check_settings()
    return model


def restored_born(cls: Any, header: dict[str, Any], arrays: Mapping[str, NDArray]) -> BornMachine:
    """The inverse of `born_entry`; whatever does not fit raises."""
    model = unfitted_born(cls, header)
    sites = Sites.from_dict(header["tree"])
    model.state_ = stored_state(sites, arrays, "core")
    model.encoder_ = None if header["encoder"] is None else TableEncoder.from_dict(header["encoder"])
    labels = tuple(map(int, header.get("labels", ())))  # sites of a class, behind those of the columns
    columns = len(sites.dims) - len(labels)
    dims = (2,) * columns if model.encoder_ is None else model.encoder_.site_dims_
    if sites.dims != (*dims, *labels) or columns < 1:
        raise ModelFileError("its encoder does not fit its tree")
    model.history_ = [EpochRecord(*record) for record in header["history"]]
    records: list[tuple[Any, ...]] = list(model.history_)
    if "growth" in header:
        model.growth_ = [GrowthRecord(*record) for record in header["growth"]]
        records += model.growth_
    numbers = [value for record in records for value in record if value is not None]
    if not all(is_number(value, int, float) for value in numbers):
        raise ModelFileError("its history is not made of numbers")
    model.best_epoch_, model.n_iter_ = int(header["best_epoch"]), len(model.history_)
    if not -1 <= model.best_epoch_ < max(model.n_iter_, 1):
        raise ModelFileError("its best epoch is not one of its history")
    # Files of older versions have none.
    found = [header.get(name) for name in ("nll", "independent_nll")]
    if not all(value is None or is_number(value, int, float) for value in found):
        raise ModelFileError("its likelihoods are not numbers")
    model.nll_, model.independent_nll_ = (float("nan") if v is None else float(v) for v in found)
    model.stopped_, model.notes_ = str(header["stopped"]), dict(header["notes"])
    model.n_features_in_ = columns
    if "feature_names_in" in header:
        names = header["feature_names_in"]
        if len(names) != columns or not all(isinstance(name, str) for name in names):
            raise ModelFileError("its feature names do not fit its tree")
        model.feature_names_in_ = np.array(names, dtype=object)
    return model
