"""Checkpoints of training: a killed run goes on as if it had not been killed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.arrays import NDArray
from qtnml.errors import ModelFileError
from qtnml.storage import CHECKPOINT, load_archive, save_archive
from qtnml.train.records import EpochRecord


@dataclass(frozen=True)
class Progress:
    """Where a training run stands at the end of an epoch.

    Attributes:
        parameters, state: Now: pytrees of arrays, on the device where there is one.
        best: Parameters with the best score so far.
        rng_state: Of the generator that permutes the samples.
        key: Base of the keys of all steps (key data).
        history: One record per finished epoch.
        best_epoch, best_score: Of `best`; the index is -1 for the first parameters.
        improved: Index of the epoch that last improved the score.
        seconds_before: Training time of the process that was killed.
    """

    parameters: Any
    state: Any
    best: Any
    rng_state: dict[str, Any]
    key: NDArray
    history: tuple[EpochRecord, ...] = ()
    best_epoch: int = -1
    best_score: float = float("inf")
    improved: int = 0
    seconds_before: float = 0.0

    @property
    def epoch(self) -> int:
        """Epochs finished."""
        return len(self.history)


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the training state is written.

    Attributes:
        path: The file; it is replaced atomically.
        every: Number of epochs between two writes; the last epoch is always written.
        resume: Go on from the file if it exists.
        check: Function that refuses invalid restored parameters. With it, arrays may have any shape, since
            adaptive bonds change shapes.
    """

    path: Path
    every: int = 1
    resume: bool = False
    check: Callable[[Any], None] | None = None

    def save(self, progress: Progress, fingerprint: str) -> None:
        """Write the training state."""
        arrays: dict[str, NDArray] = {}
        for name in ("parameters", "state", "best", "key"):
            leaves = jax.tree.leaves(getattr(progress, name))
            arrays |= {f"{name}_{k}": np.asarray(leaf) for k, leaf in enumerate(leaves)}
        header = {
            "fingerprint": fingerprint,
            "rng_state": progress.rng_state,
            "history": [list(record) for record in progress.history],
            "best_epoch": progress.best_epoch,
            "best_score": None if np.isinf(progress.best_score) else progress.best_score,
            "improved": progress.improved,
        }
        save_archive(self.path, header, arrays, kind=CHECKPOINT)

    def restored(self, fresh: Progress, fingerprint: str, epochs: int) -> Progress:
        """The saved state in the form of a fresh one, or the fresh state if nothing is resumed.

        Raises:
            ModelFileError: The file is damaged, of another run, or not a checkpoint.
        """
        if not self.path.exists():
            return fresh
        if not self.resume:
            load_archive(self.path, kind=CHECKPOINT)  # only another checkpoint may be written over
            return fresh
        header, arrays = load_archive(self.path, kind=CHECKPOINT)
        if header.get("fingerprint") != fingerprint:
            raise ModelFileError(
                f"the checkpoint {self.path} belongs to a run with other data, model or settings; resume "
                "with the same ones, or delete it or choose another path to start anew"
            )
        try:
            history = tuple(EpochRecord(*record) for record in header["history"])
            np.random.default_rng().bit_generator.state = header["rng_state"]
            _check_history(history, header, epochs)
            any_shape = self.check is not None
            restored = replace(
                fresh,
                parameters=_like(fresh.parameters, arrays, "parameters", any_shape=any_shape),
                state=_like(fresh.state, arrays, "state"),
                best=_like(fresh.best, arrays, "best", any_shape=any_shape),
                rng_state=header["rng_state"],
                key=_like(fresh.key, arrays, "key"),
                history=history,
                best_epoch=int(header["best_epoch"]),
                best_score=float("inf") if header["best_score"] is None else float(header["best_score"]),
                improved=int(header["improved"]),
                seconds_before=float(history[-1].seconds) if history else 0.0,
            )
            if self.check is not None:
                self.check(restored.parameters)
                self.check(restored.best)
            return restored
        except Exception as error:  # whatever a damaged file makes the parts above raise
            raise ModelFileError(
                f"the checkpoint {self.path} does not fit this run: {error}; delete it to start anew"
            ) from error


def _check_history(history: tuple[EpochRecord, ...], header: dict[str, Any], epochs: int) -> None:
    numbers = [value for record in history for value in record if value is not None]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        raise ValueError("its history is not made of numbers")
    if not np.isfinite([[record.loss, record.score, record.seconds] for record in history]).all():
        raise ValueError("its history is not finite")
    places = (header["best_epoch"], header["improved"])
    if len(history) > epochs or not all(
        type(place) is int and -1 <= place < max(len(history), 1) for place in places
    ):
        raise ValueError("its epochs are not those of this run")


def _like(tree: Any, arrays: Mapping[str, NDArray], name: str, *, any_shape: bool = False) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    saved = [arrays[f"{name}_{k}"] for k in range(len(leaves))]
    for leaf, array in zip(leaves, saved, strict=True):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
        if (not any_shape and leaf.shape != array.shape) or leaf.dtype != array.dtype:
            raise ValueError(
                f"{name} of shape {array.shape} and type {array.dtype}, expected {leaf.shape} and "
                f"{leaf.dtype}"
            )
    on_device = [
        jnp.asarray(array) if isinstance(leaf, jax.Array) else array
        for leaf, array in zip(leaves, saved, strict=True)
    ]
    return jax.tree.unflatten(structure, on_device)
