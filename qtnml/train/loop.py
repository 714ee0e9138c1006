"""The training loop: epochs of jitted steps, validation, the best weights, early stop.

All steps of an epoch run inside one compiled function, called for about a third of a second of
steps at a time so that Ctrl-C is heard. Sample counts are padded to a few sizes with samples of
weight zero, so that fits of similar size share one compilation.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qtnml.contract.bloch import BlochEncoding, contract, transfer_maps
from qtnml.errors import TrainingError
from qtnml.network.tensor_network import TensorNetwork
from qtnml.network.topology import Topology
from qtnml.train.losses import Loss
from qtnml.train.records import EpochRecord, TrainingOptions, TrainingResult, TrainingSet
from qtnml.train.riemannian_adam import AdamState, RiemannianAdam

_CALL_SECONDS = 0.3
Unitaries = tuple[jax.Array, ...]


def train(
    network: TensorNetwork,
    encoding: BlochEncoding,
    data: TrainingSet,
    options: TrainingOptions,
    rng: np.random.Generator,
    *,
    validation: TrainingSet | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainingResult:
    """Train a network's unitaries.

    Runs in float64 if JAX has it enabled, else in float32. The best epoch is the one with the least
    validation loss, or the least training loss where there is no validation set. Ctrl-C returns the
    best so far, or is passed on if no epoch has finished.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    run = _Run(network.topology, encoding, options, data, validation)
    unitaries = tuple(jnp.asarray(stack, dtype=run.complex_dtype) for stack in network.unitaries)
    state = options.optimizer.init(unitaries)
    best, history, best_epoch, stopped = unitaries, list[EpochRecord](), -1, "finished"
    best_score, improved = np.inf, 0
    began = time.perf_counter()
    try:
        for epoch in range(options.epochs):
            before = unitaries
            unitaries, state, loss, accuracy = run.epoch(unitaries, state, epoch, rng)
            if not np.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {epoch + 1}; lower the learning rate "
                    f"({options.learning_rate:g})"
                )
            validation_loss, validation_accuracy = run.validate(unitaries)
            seconds = time.perf_counter() - began
            record = EpochRecord(epoch + 1, loss, accuracy, validation_loss, validation_accuracy, seconds)
            history.append(record)
            if record.score < best_score:
                # A full-batch epoch measured the weights it began with, those of the epoch before.
                best, best_epoch = (before, epoch - 1) if run.measures_before else (unitaries, epoch)
                best_score, improved = record.score, epoch
            if on_epoch is not None:
                on_epoch(record)
            if options.patience is not None and epoch - improved >= options.patience:
                stopped = "early"
                break
    except KeyboardInterrupt:
        if not history:  # nothing was learnt
            raise
        stopped = "interrupted"
    if run.measures_before and history and run.epoch(unitaries, state, 0, rng)[2] < best_score:
        best, best_epoch = unitaries, len(history) - 1
    best_network = TensorNetwork(network.topology, best).projected()
    return TrainingResult(best_network, state, tuple(history), best_epoch, stopped)


class _Run:
    """The arrays of one training run on the device, and the compiled functions over them."""

    def __init__(
        self,
        topology: Topology,
        encoding: BlochEncoding,
        options: TrainingOptions,
        data: TrainingSet,
        validation: TrainingSet | None,
    ) -> None:
        self.real_dtype = jnp.zeros(()).dtype  # float32 unless the user enabled float64
        self.complex_dtype = jnp.result_type(self.real_dtype, jnp.complex64)
        self._options = options
        self._samples = len(data.y)
        self._batch = min(options.batch_size, _padded_size(self._samples))
        self._steps = -(-self._samples // self._batch)
        self._data = self._on_device(data, _padded_size(self._samples))
        num_classes = int(max(part.y.max() for part in (data, validation) if part is not None)) + 1
        self._static = {
            "topology": topology,
            "encoding": encoding,
            "loss": options.loss,
            "num_classes": num_classes,
        }
        self._steps_per_call = 1
        self._validation = None
        if validation is not None:
            size = -(-len(validation.y) // _EVALUATION_BATCH) * _EVALUATION_BATCH
            if len(validation.y) < _EVALUATION_BATCH:
                size = _padded_size(len(validation.y))
            self._validation = self._on_device(validation, size)
        # One step per epoch and nothing held out: the loss belongs to the weights before the step.
        self.measures_before = validation is None and self._steps == 1

    def _on_device(self, data: TrainingSet, size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        extra = size - len(data.y)
        return (
            jnp.asarray(np.pad(data.X, ((0, extra), (0, 0))), dtype=self.real_dtype),
            jnp.asarray(np.pad(data.y, (0, extra)), dtype=jnp.int32),
            jnp.asarray(np.pad(data.weights, (0, extra)), dtype=self.real_dtype),
        )

    def epoch(
        self, unitaries: Unitaries, state: AdamState, epoch: int, rng: np.random.Generator
    ) -> tuple[Unitaries, AdamState, float, float]:
        """Run one pass; return weights, optimiser state, mean loss and accuracy."""
        order = self._batches(rng)
        sums = np.zeros(3)
        done = 0
        while done < self._steps:
            upto = min(self._steps, done + self._steps_per_call)
            began = time.perf_counter()
            unitaries, state, part = _run_steps(
                unitaries,
                state,
                self._data,
                order,
                jnp.asarray([done, upto, epoch * self._steps, self._options.epochs * self._steps]),
                jnp.asarray(self._options.learning_rate, dtype=self.real_dtype),
                batch=self._batch,
                optimizer=self._options.optimizer,
                **self._static,
            )
            sums += np.asarray(part)  # waits for the result
            if upto - done == self._steps_per_call and time.perf_counter() - began < _CALL_SECONDS / 2:
                self._steps_per_call *= 2
            done = upto
        return unitaries, state, float(sums[0] / sums[2]), float(sums[1] / sums[2])

    def _batches(self, rng: np.random.Generator) -> jax.Array:
        """A permutation of the samples, filled up with padding rows, cut into batches."""
        order = np.arange(self._samples) if self._steps == 1 else rng.permutation(self._samples)
        length = -(-len(self._data[1]) // self._batch) * self._batch
        padding = np.full(length - self._samples, len(self._data[1]))  # out of range: weight 0
        return jnp.asarray(np.concatenate([order, padding]), dtype=jnp.int32)

    def validate(self, unitaries: Unitaries) -> tuple[float, float] | tuple[None, None]:
        """Mean loss and accuracy on the held-out samples."""
        if self._validation is None:
            return None, None
        sums = np.asarray(_evaluate(unitaries, self._validation, **self._static))
        return float(sums[0] / sums[2]), float(sums[1] / sums[2])


_EVALUATION_BATCH = 1024


def _padded_size(samples: int) -> int:
    """The next power of two from 32 on, or the next multiple of 4096."""
    return max(32, 1 << (samples - 1).bit_length()) if samples < 4096 else -(-samples // 4096) * 4096


def _weighted_sums(
    unitaries: Unitaries,
    X: jax.Array,
    y: jax.Array,
    weights: jax.Array,
    *,
    topology: Topology,
    encoding: BlochEncoding,
    loss: Loss,
    num_classes: int,
) -> jax.Array:
    """Sums over samples of weight * (loss, correct, 1), shape (3,)."""
    maps = transfer_maps(TensorNetwork(topology, unitaries), encoding.paulis)
    probabilities = jnp.asarray(contract(topology, maps, encoding.bloch(X.T)))
    correct = (jnp.argmax(probabilities[:num_classes], axis=0) == y).astype(weights.dtype)
    per_sample = jnp.stack([loss(probabilities, y), correct, jnp.ones_like(weights)])
    return jnp.sum(per_sample * weights, axis=1)


@partial(jax.jit, static_argnames=("batch", "optimizer", "topology", "encoding", "loss", "num_classes"))
def _run_steps(
    unitaries: Unitaries,
    state: AdamState,
    data: tuple[jax.Array, jax.Array, jax.Array],
    order: jax.Array,
    span: jax.Array,
    learning_rate: jax.Array,
    *,
    batch: int,
    optimizer: RiemannianAdam,
    **static: Any,
) -> tuple[Unitaries, AdamState, jax.Array]:
    """Steps span[0] to span[1] of an epoch that begins at overall step span[2] of span[3]."""
    X, y, weights = data

    def mean_loss(unitaries: Unitaries, chosen: jax.Array) -> tuple[jax.Array, jax.Array]:
        batch_weights = weights.at[chosen].get(mode="fill", fill_value=0)
        sums = _weighted_sums(unitaries, X[chosen], y[chosen], batch_weights, **static)
        return sums[0] / sums[2], sums

    def step(
        k: jax.Array, carry: tuple[Unitaries, AdamState, jax.Array]
    ) -> tuple[Unitaries, AdamState, jax.Array]:
        unitaries, state, totals = carry
        chosen = jax.lax.dynamic_slice_in_dim(order, k * batch, batch)
        gradients, sums = jax.grad(mean_loss, has_aux=True)(unitaries, chosen)
        progress = (span[2] + k) / span[3]
        rate = learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * progress))
        unitaries, state = optimizer.update(gradients, state, unitaries, rate)
        return unitaries, state, totals + sums

    totals = jnp.zeros(3, dtype=weights.dtype)
    return jax.lax.fori_loop(span[0], span[1], step, (unitaries, state, totals))  # type: ignore[no-any-return]


@partial(jax.jit, static_argnames=("topology", "encoding", "loss", "num_classes"))
def _evaluate(unitaries: Unitaries, data: tuple[jax.Array, jax.Array, jax.Array], **static: Any) -> jax.Array:
    """Weighted sums over a whole set, a batch at a time."""
    batch = min(_EVALUATION_BATCH, data[1].shape[0])
    batches = tuple(array.reshape(-1, batch, *array.shape[1:]) for array in data)
    sums = jax.lax.map(lambda part: _weighted_sums(unitaries, *part, **static), batches)
    return jnp.sum(sums, axis=0)
