"""Checkpoints of training on a backend: a killed run goes on as if it had not been killed."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from qtnml.arrays import NDArray
from qtnml.compile import BoundCircuits
from qtnml.errors import ModelFileError
from qtnml.hybrid.optimizers import State, get_hybrid_optimizer
from qtnml.hybrid.settings import HybridRecord, HybridTraining, Where
from qtnml.ledger.identity import job_ids
from qtnml.storage import load_archive, save_archive

KIND = "qtnml-hybrid-checkpoint"


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step."""

    weights: NDArray
    state: State
    average: NDArray
    averaged: int
    history: tuple[HybridRecord, ...]
    seed: int


def fingerprint_of(start: BoundCircuits, loss: object, data: bytes, where: Where, how: HybridTraining) -> str:
    """Of all that a training depends on, but for its length and its stops.

    Args:
        start: One circuit with the weights it starts from.
        loss: Of the training.
        data: It learns from.
        where, how: Of the training.
    """
    free = (
        "steps",
        "max_shots",
        "target",
        "patience",
        "smoothing",
        "callback",
        "tail",
        "checkpoint",
        "resume",
        "random_state",
    )
    settings = {
        name: repr(value) for name, value in asdict(replace(how, callback=None)).items() if name not in free
    }
    settings["optimizer"] = repr(get_hybrid_optimizer(how.optimizer))
    # The address of a plain function is another one in the next process.
    settings["loss"] = re.sub(r" at 0x[0-9a-f]+", "", repr(loss))
    identity = job_ids(start, where.backend, versioned=False)  # a training outlives an update
    text = json.dumps([settings, where.shots, where.repeat, str(how.random_state), identity])
    return hashlib.sha256(text.encode() + data).hexdigest()


def save(how: HybridTraining, fingerprint: str, progress: Progress) -> None:
    """Write where a training stands, atomically; nothing without a path."""
    if how.checkpoint is None:
        return
    header = {
        "fingerprint": fingerprint,
        "seed": progress.seed,
        "averaged": progress.averaged,
        "history": [list(record) for record in progress.history],
    }
    arrays = {"weights": progress.weights, "average": progress.average}
    arrays |= {f"state_{name}": array for name, array in progress.state.items()}
    save_archive(Path(how.checkpoint), header, arrays, kind=KIND)


def restored(how: HybridTraining, fingerprint: str) -> Progress | None:
    """Where a checkpoint stands; None if there is nothing to resume."""
    if how.checkpoint is None or not Path(how.checkpoint).exists():
        return None
    header, arrays = load_archive(Path(how.checkpoint), kind=KIND)
    if not how.resume:
        return None
    if header.get("fingerprint") != fingerprint:
        raise ModelFileError(
            f"the checkpoint {how.checkpoint} belongs to a training with other data, circuit, backend or "
            "settings; resume with the same ones, or choose another path to start anew"
        )
    try:
        state = {name.removeprefix("state_"): a for name, a in arrays.items() if name.startswith("state_")}
        history = tuple(HybridRecord(*record) for record in header["history"])
        progress = Progress(
            arrays["weights"], state, arrays["average"], int(header["averaged"]), history, int(header["seed"])
        )
        if len(history) < round(
            (1 - how.tail) * how.steps
        ):  # now a longer training, whose tail is yet to come
            progress = replace(progress, average=np.zeros_like(progress.weights), averaged=0)
        if not np.isfinite(progress.weights).all():
            raise ValueError("its weights are not finite")
    except Exception as error:  # a damaged file may hold anything
        raise ModelFileError(
            f"the checkpoint {how.checkpoint} is damaged ({error}); delete it to start anew"
        ) from error
    return progress
