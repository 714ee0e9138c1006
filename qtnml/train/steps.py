"""The compiled part of training: an epoch of steps in one function, on one device or shared over several.

Steps run in calls of about a third of a second, so that KeyboardInterrupt is handled promptly. Sample counts
are padded to a few sizes with samples of weight zero, so that fits of similar size share one compilation.
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from qtnml.arrays import NDArray
from qtnml.contract import Parameters
from qtnml.errors import InvalidInputError
from qtnml.train.checkpoint import Progress
from qtnml.train.fit_loop import Epoch
from qtnml.train.losses import Loss
from qtnml.train.optimizer import Optimizer
from qtnml.train.records import Trainable, TrainingOptions, TrainingSet

_CALL_SECONDS = 0.3
_EVALUATION_BATCH = 1024
Samples = tuple[jax.Array, jax.Array, jax.Array]


class Problem(NamedTuple):
    """What a compiled step depends on beside its arrays: hashable, one compilation for each."""

    model: Trainable
    loss: Loss
    num_classes: int
    shots: int | None
    mesh: Mesh | None
    dropout: float = 0.0


class GradientStep:
    """The arrays of one training run on the device, and the compiled functions over them: a `Step`."""

    def __init__(
        self, model: Trainable, options: TrainingOptions, data: TrainingSet, validation: TrainingSet | None
    ) -> None:
        _check_options(options)
        self._real_dtype = jnp.zeros(()).dtype  # float32 unless the user enabled float64
        self._options = options
        self._samples = len(data.y)
        self._batch = min(options.batch_size, _padded_size(self._samples))
        self._steps = -(-self._samples // self._batch)
        mesh = _mesh(options.devices)
        num_classes = _num_classes([part.y for part in (data, validation) if part is not None])
        self._problem = Problem(model, options.loss, num_classes, options.shots, mesh, options.dropout)
        self._data = self._on_device(data, _padded_size(self._samples))
        self._noise = jax.tree.map(
            lambda leaf: self._placed(jnp.asarray(leaf, dtype=self._real_dtype)), options.noise
        )
        self._steps_per_call = 1
        self._validation = None
        if validation is not None:
            size = -(-len(validation.y) // _EVALUATION_BATCH) * _EVALUATION_BATCH
            if len(validation.y) < _EVALUATION_BATCH:
                size = _padded_size(len(validation.y))
            self._validation = self._on_device(validation, size)
        # One step per epoch and nothing held out: the loss belongs to the weights before the step.
        self._measures_before = validation is None and self._steps == 1

    def _on_device(self, data: TrainingSet, size: int) -> Samples:
        extra = size - len(data.y)
        has_labels = data.y.ndim == 1 and self._problem.num_classes > 0
        weights = data.weights / data.weights.mean()  # the mean of losses then is the weighted mean
        y_dtype = jnp.int32 if has_labels else self._real_dtype
        rows = (0, extra)
        return (
            self._padded(data.X, size),
            self._placed(jnp.asarray(np.pad(data.y, [rows, (0, 0)][: data.y.ndim]), dtype=y_dtype)),
            self._placed(jnp.asarray(np.pad(weights, rows), dtype=self._real_dtype)),
        )

    def _padded(self, X: NDArray, size: int) -> jax.Array:
        rows = np.pad(X, ((0, size - len(X)), (0, 0)))
        return self._placed(jnp.asarray(rows, dtype=self._real_dtype))

    def _placed(self, array: jax.Array) -> jax.Array:
        """On every device of the mesh, where there is one."""
        mesh = self._problem.mesh
        return array if mesh is None else jax.device_put(array, _sharding(mesh))

    def start(self, parameters: Parameters, rng: np.random.Generator) -> Progress:
        """The state before the first epoch."""
        complex_dtype = jnp.result_type(self._real_dtype, jnp.complex64)

        def cast(leaf: Any) -> jax.Array:
            dtype = complex_dtype if np.iscomplexobj(leaf) else self._real_dtype
            return self._placed(jnp.asarray(leaf, dtype=dtype))

        on_device = jax.tree.map(cast, parameters)
        state = jax.tree.map(self._placed, self._options.optimizer.init(on_device))
        key = np.asarray(jax.random.key_data(jax.random.key(int(rng.integers(2**31)))))
        return Progress(on_device, state, on_device, dict(rng.bit_generator.state), key)

    @property
    def comparable(self) -> bool:
        """Every epoch sees all samples."""
        return True

    @property
    def warm_up(self) -> int:
        """Epochs without the trace, or without all of the noise."""
        return self._options.warm_up

    @property
    def cure(self) -> str:
        """What to do if the first epoch diverges."""
        return f"lower the learning rate ({self._options.learning_rate:g})"

    def epoch(self, progress: Progress) -> Epoch:
        """One pass over the samples."""
        parameters, state, sums, rng_state = self._pass(progress)
        loss, accuracy = float(sums[0] / sums[2]), float(sums[1] / sums[2])
        held = self._validate(parameters)
        # A full-batch epoch measured the weights it began with, those of the epoch before.
        measured = progress.parameters if self._measures_before else parameters
        if self._problem.num_classes == 0:
            return Epoch(parameters, state, rng_state, measured, loss, None, held[0], None)
        return Epoch(parameters, state, rng_state, measured, loss, accuracy, *held)

    def is_over(self, progress: Progress) -> bool:  # noqa: ARG002
        """Never: the schedule is as long as training."""
        return False

    def finish(self, progress: Progress) -> Progress:
        """Measure the last weights too, where an epoch measures those before its step."""
        if not (self._measures_before and progress.history):
            return progress
        sums = self._pass(progress)[2]
        if not sums[0] / sums[2] < progress.best_score:
            return progress
        return replace(progress, best=progress.parameters, best_epoch=progress.epoch - 1)

    def _pass(self, progress: Progress) -> tuple[Parameters, Any, np.ndarray[Any, Any], dict[str, Any]]:
        """Every sample once: parameters, optimiser state, sums and the generator's state."""
        options, epoch = self._options, min(progress.epoch, self._options.epochs - 1)
        rng = np.random.default_rng()
        rng.bit_generator.state = progress.rng_state
        order = self._placed(self._batches(rng))
        if options.augment is not None:
            self._data = (self._padded(options.augment(rng), len(self._data[0])), *self._data[1:])
        parameters, state = progress.parameters, progress.state
        sums = self._placed(jnp.zeros(3, dtype=self._real_dtype))
        key, done = self._placed(jnp.asarray(progress.key)), 0
        while done < self._steps:
            upto = min(self._steps, done + self._steps_per_call)
            began = time.perf_counter()
            parameters, state, sums = run_steps(
                parameters,
                state,
                sums,
                self._data,
                order,
                key,
                jnp.asarray([done, upto, epoch * self._steps, options.epochs * self._steps]),
                jnp.asarray(options.learning_rate, dtype=self._real_dtype),
                problem=self._problem,
                optimizer=options.optimizer,
                homotopy_steps=options.homotopy * self._steps if epoch < options.homotopy else 0,
                noise=self._noise,
                ramp=self._ramp(epoch),
            )
            sums.block_until_ready()
            if upto - done == self._steps_per_call and time.perf_counter() - began < _CALL_SECONDS / 2:
                self._steps_per_call *= 2
            done = upto
        return parameters, state, np.asarray(sums, dtype=np.float64), dict(rng.bit_generator.state)

    def _ramp(self, epoch: int) -> jax.Array | None:
        """First strength of the noise and steps until it is 1, while it grows."""
        options = self._options
        if epoch >= options.noise_ramp:
            return None
        return jnp.asarray([options.noise_start, options.noise_ramp * self._steps], dtype=self._real_dtype)

    def _batches(self, rng: np.random.Generator) -> jax.Array:
        """A permutation of the samples in rows of one batch each, filled up with padding.

        As many rows as the padded number of samples takes: fits of similar size share one compilation.
        """
        order = np.arange(self._samples) if self._steps == 1 else rng.permutation(self._samples)
        nowhere = len(self._data[1])  # out of range: weight 0
        filled = np.full(-(-nowhere // self._batch) * self._batch, nowhere)
        filled[: self._samples] = order
        rows = filled.reshape(-1, self._batch)
        extra = 0 if self._problem.mesh is None else -self._batch % self._problem.mesh.size
        return jnp.asarray(np.pad(rows, ((0, 0), (0, extra)), constant_values=nowhere), dtype=jnp.int32)

    def _validate(self, parameters: Parameters) -> tuple[float, float] | tuple[None, None]:
        """Mean loss and accuracy on the held-out samples, exact."""
        if self._validation is None:
            return None, None
        problem = self._problem._replace(shots=None)
        sums = np.asarray(
            _evaluate(parameters, self._validation, self._noise, problem=problem), dtype=np.float64
        )
        return float(sums[0] / sums[2]), float(sums[1] / sums[2])


def _num_classes(targets: list[NDArray]) -> int:
    """Of labels, or of soft ones (samples, classes); 0 of a regression's values."""
    if targets[0].ndim == 2:
        return int(targets[0].shape[1])
    return 0 if targets[0].dtype.kind == "f" else int(max(y.max() for y in targets)) + 1


def _check_options(options: TrainingOptions) -> None:
    if options.shots is not None and options.optimizer.needs_gradient:
        raise InvalidInputError(
            f"emulated shots (shots={options.shots}) have no gradient; set optimizer='spsa', or shots=None"
        )


def _mesh(devices: int | None) -> Mesh | None:
    if devices is None or devices == 1:
        return None
    if devices > jax.device_count():
        raise InvalidInputError(
            f"devices={devices}, but JAX has {jax.device_count()}; on a CPU set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={devices} before JAX starts"
        )
    return Mesh(np.array(jax.devices()[:devices]), ("batch",))


def _sharding(mesh: Mesh, *axes: str) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]


def _padded_size(samples: int) -> int:
    """The next power of two from 32 on, or the next multiple of 4096."""
    return max(32, 1 << (samples - 1).bit_length()) if samples < 4096 else -(-samples // 4096) * 4096


def _weighted_sums(
    problem: Problem,
    parameters: Parameters,
    samples: Samples,
    key: jax.Array | None,
    postselection: jax.Array | None = None,
    channels: Any = None,
) -> jax.Array:
    """Sums over samples of weight * (loss, correct, 1), shape (3,)."""
    X, y, weights = samples
    noise = {} if channels is None else {"channels": channels}
    outcomes, _ = problem.model.outcomes(parameters, X, postselection=postselection, **noise)
    outcomes = jnp.asarray(outcomes)
    if problem.shots is not None and key is not None:
        outcomes = emulate_shots(key, outcomes, problem.shots)
    outputs = jnp.asarray(problem.model.read_out(parameters, outcomes))
    if problem.num_classes:
        labels = jnp.argmax(y, axis=1) if y.ndim == 2 else y
        correct = (jnp.argmax(outputs[: problem.num_classes], axis=0) == labels).astype(weights.dtype)
    else:
        correct = jnp.zeros_like(weights)
    losses = problem.loss(outputs, y) if y.ndim == 1 else _soft_loss(problem.loss, outputs, y)
    if jnp.shape(losses) != weights.shape:
        raise InvalidInputError(
            f"the loss returns shape {jnp.shape(losses)} for {weights.shape[0]} samples; it must return one "
            "number for each, shape (batch,)"
        )
    per_sample = jnp.stack([losses, correct, jnp.ones_like(weights)])
    return jnp.sum(per_sample * weights, axis=1)


def _soft_loss(loss: Loss, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """The mean loss of labels drawn from targets (batch, classes), (batch,)."""
    each = [loss(outputs, jnp.full(targets.shape[0], label)) for label in range(targets.shape[1])]
    return (jnp.stack(each) * targets.T).sum(axis=0)


def emulate_shots(key: jax.Array, outcomes: jax.Array, shots: int) -> jax.Array:
    """Relative frequencies of `shots` measurements, drawn from probabilities (outcomes, batch).

    Each sample has its own key, so its draws do not depend on the number of other samples.
    """
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(outcomes.shape[1]))
    return jax.vmap(partial(_counts, shots=shots), (0, 1), 1)(keys, outcomes) / shots


def _counts(key: jax.Array, outcomes: jax.Array, *, shots: int) -> jax.Array:
    """One sample's counts, outcome by outcome: binomial draws from what is left."""
    probabilities = jnp.clip(outcomes, 0.0, 1.0)
    left, counts = jnp.full((), float(shots), outcomes.dtype), []
    tail = jnp.cumsum(probabilities[::-1])[::-1]
    for k, share in enumerate(jax.random.split(key, len(outcomes))[:-1]):
        conditional = jnp.where(tail[k] > 0, probabilities[k] / jnp.maximum(tail[k], 1e-30), 0.0)
        drawn = jax.random.binomial(share, left, jnp.clip(conditional, 0.0, 1.0), dtype=outcomes.dtype)
        counts.append(drawn)
        left = left - drawn
    return jnp.stack([*counts, left])


@partial(jax.jit, static_argnames=("problem", "optimizer", "homotopy_steps"))
def run_steps(
    parameters: Parameters,
    state: Any,
    sums: jax.Array,
    data: Samples,
    order: jax.Array,
    key: jax.Array,
    span: jax.Array,
    learning_rate: jax.Array,
    *,
    problem: Problem,
    optimizer: Optimizer,
    homotopy_steps: int,
    noise: Any = None,
    ramp: jax.Array | None = None,
) -> tuple[Parameters, Any, jax.Array]:
    """Steps span[0] to span[1] of an epoch that begins at overall step span[2] of span[3].

    `noise` grows linearly from strength ramp[0] to 1 over the first ramp[1] steps; without a ramp it is
    all there.
    """
    X, y, weights = data
    base_key = jax.random.wrap_key_data(key)
    all_of_it = None if noise is None else noise.at(1.0)

    def step(k: jax.Array, carry: tuple[Parameters, Any, jax.Array]) -> tuple[Parameters, Any, jax.Array]:
        parameters, state, totals = carry
        chosen = order[k]
        batch_weights = weights.at[chosen].get(mode="fill", fill_value=0)
        batch = _shared(problem, (X[chosen], y[chosen], batch_weights))
        number = span[2] + k
        weight = 1.0 - number / homotopy_steps if homotopy_steps else None
        channels = all_of_it
        if noise is not None and ramp is not None:
            channels = noise.at(ramp[0] + (1 - ramp[0]) * jnp.minimum(1.0, number / ramp[1]))

        def mean_loss(parameters: Parameters, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            if problem.dropout:
                key, own = jax.random.split(key)
                parameters = problem.model.dropped(parameters, own, problem.dropout)  # type: ignore[attr-defined]
            sums = _weighted_sums(problem, parameters, batch, key, weight, channels)
            # Per sample, not per weight: a weight multiplies a sample's loss in whatever batch it is.
            return sums[0] / jnp.sum(chosen < len(y)), sums

        rate = learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * number / span[3]))
        step_key = jax.random.fold_in(base_key, number)
        parameters, state, part = optimizer.step(mean_loss, parameters, state, rate, step_key)
        return parameters, state, totals + part

    return jax.lax.fori_loop(span[0], span[1], step, (parameters, state, sums))  # type: ignore[no-any-return]


def _shared(problem: Problem, samples: Samples) -> Samples:
    """Each device of the mesh gets its part of the batch; XLA adds up the gradients."""
    if problem.mesh is None:
        return samples
    sharding = _sharding(problem.mesh, "batch")
    X, y, weights = (jax.lax.with_sharding_constraint(array, sharding) for array in samples)  # type: ignore[no-untyped-call]
    return X, y, weights


@partial(jax.jit, static_argnames=("problem",))
def _evaluate(parameters: Parameters, data: Samples, noise: Any = None, *, problem: Problem) -> jax.Array:
    """Weighted sums over a whole set, a batch at a time, under all of the noise."""
    channels = None if noise is None else noise.at(1.0)
    batch = min(_EVALUATION_BATCH, data[1].shape[0])
    batches = tuple(array.reshape(-1, batch, *array.shape[1:]) for array in data)
    sums = jax.lax.map(
        lambda part: _weighted_sums(problem, parameters, part, None, channels=channels), batches
    )
    return jnp.sum(sums, axis=0)
