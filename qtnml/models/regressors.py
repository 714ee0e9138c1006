"""`TreeRegressor` and `MPSRegressor`: a number read off as the expectation of a Z at the root."""

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from qtnml.arrays import NDArray
from qtnml.backends import Backend, get_backend
from qtnml.contract import Parameters
from qtnml.errors import InvalidInputError
from qtnml.gates import Synthesis
from qtnml.models.backend_regressor import BackendRegressor, interval_half_width
from qtnml.models.estimator import NetworkEstimator
from qtnml.models.noise import NoisyTraining
from qtnml.models.training import Anew
from qtnml.models.validation import checked_regression_data, generator, hold_out_any
from qtnml.train import CrossEntropy, HingePower, TrainingOptions, TrainingSet, train

_FOLDS, _FEWEST_OF_A_FOLD = 5, 8
_LEAST_PATIENCE = 20  # epochs


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """Predicts offset + scale * <Z> of the root qubit, offset and scale trained with the network."""

    _default_loss: ClassVar[str] = "squared-error"
    target_mean_: float
    target_scale_: float

    def _fit(self, X: Any, y: Any, sample_weight: Any, noisy: NoisyTraining | None = None) -> Self:
        self._check_parameters()
        by_class = (CrossEntropy.name, HingePower.name)
        if self.loss in by_class or isinstance(self.loss, CrossEntropy | HingePower):
            raise InvalidInputError(f"a regressor's loss is 'squared-error', got {self.loss!r}")
        if self.class_weight is not None:
            raise InvalidInputError(f"a regressor has no classes, got class_weight={self.class_weight!r}")
        given = X
        X, y, weights = checked_regression_data(self, X, y, sample_weight)
        rng = generator(self.random_state)
        training, validation, table = self._split_input(given, TrainingSet(X, y, weights), rng)
        y, weights = training.y, training.weights
        going_on = self.warm_start and self.__sklearn_is_fitted__()
        mean = self.target_mean_ if going_on else float(np.average(y, weights=weights))
        size = float(np.abs(y - mean).max()) or 1.0
        spread = size * float(np.sqrt(np.average(((y - mean) / size) ** 2, weights=weights)))
        if not np.isfinite([mean, spread]).all():
            raise InvalidInputError(f"targets up to {np.abs(y).max():.3g} overflow; scale them first")
        scale = self.target_scale_ if going_on else (spread if spread > 0 else 1.0)
        training = training._replace(y=(training.y - mean) / scale)
        if validation is not None:
            validation = validation._replace(y=(validation.y - mean) / scale)
        topology = self._topology(training.X, 1)
        self.residuals_: NDArray = np.zeros(0)
        self._learn(training, validation, topology, "expectation", rng, noisy, table)
        if validation is not None:
            found = self.model_.predict(self.params_, self.scaler_.clipped(validation.X))[0]
            self.residuals_ = np.sort(np.abs(validation.y - found))
        self.residuals_ = self.residuals_ * scale
        self.target_mean_, self.target_scale_ = mean, scale
        return self

    def _stop_after(
        self,
        model: Any,
        parameters: Parameters,
        training: TrainingSet,
        options: TrainingOptions,
        rng: np.random.Generator,
    ) -> int | None:
        """Where the mean loss of the folds of a cross-validation is least, for samples too few to hold out.

        The residuals of the samples that were left out, in standardised units, become `residuals_`.
        """
        wanted = self.epochs is None and self.validation_fraction and not self.warm_start
        if not wanted or len(training.y) < _FOLDS * _FEWEST_OF_A_FOLD or options.shots is not None:
            return None
        folds = np.array_split(rng.permutation(len(training.y)), _FOLDS)
        patience = max(_LEAST_PATIENCE, options.epochs // 4)
        curves, residuals = [], list[NDArray]()
        for held in folds:
            kept = np.setdiff1d(np.arange(len(training.y)), held)
            part, left = (TrainingSet(*(array[rows] for array in training)) for rows in (kept, held))
            anew = options.augment.of(kept) if isinstance(options.augment, Anew) else None
            result = train(
                model,
                parameters,
                part,
                replace(options, patience=patience, augment=anew),
                np.random.default_rng(rng.integers(2**63)),
                validation=left,
            )
            if result.stopped == "interrupted":
                raise KeyboardInterrupt
            curves.append([record.score for record in result.history])
            residuals.append(left.y - model.predict(result.parameters, left.X)[0])
        self.residuals_ = np.sort(np.abs(np.concatenate(residuals)))
        shortest = min(map(len, curves))
        return 1 + int(np.argmin(np.mean([curve[:shortest] for curve in curves], axis=0)))

    def _hold_out(self, y: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        return hold_out_any(len(y), self.validation_fraction, rng)

    def score(self, X: Any, y: Any, sample_weight: Any = None, **noisy: Any) -> float:
        """Coefficient of determination R2; `noisy` are arguments of `predict`."""
        return float(r2_score(y, self.predict(X, **noisy), sample_weight=sample_weight))

    def predict(
        self, X: Any, *, noise: Any = None, reuse_qubits: bool | None = None, num_qubits: int | None = None
    ) -> NDArray:
        """Predicted values, shape (samples,), in the units of the training targets.

        Args:
            X: Samples.
            noise, reuse_qubits, num_qubits: See `NetworkClassifier.outcome_probabilities`.
        """
        values = self._under_noise(X, noise, reuse_qubits, num_qubits)[0]
        return np.asarray(self.target_mean_ + self.target_scale_ * values)

    def predict_interval(self, X: Any, coverage: float = 0.9, **noisy: Any) -> tuple[NDArray, NDArray]:
        """Lower and upper ends of intervals that hold a share `coverage` of new targets, each (samples,).

        Conformal: of the same width for all samples, by the residuals of samples that training had left out,
        `residuals_` (arXiv:2107.07511).

        Args:
            X: Samples.
            coverage: Above 0 and below 1; with n residuals n / (n + 1) at most.
            **noisy: As for `predict`.
        """
        values = self.predict(X, **noisy)
        half = interval_half_width(self.residuals_, coverage)
        return values - half, values + half

    def to_backend(
        self,
        backend: Backend | str,
        *,
        shots: int = 1024,
        reuse_qubits: bool | None = None,
        num_qubits: int | None = None,
        synthesis: Synthesis | None = None,
        for_device: bool = True,
        samples: Any = None,
        passes: Any = (),
        recalibrate: bool = False,
        **settings: Any,
    ) -> BackendRegressor:
        """The same regressor with its values measured on a backend, as means over shots.

        Args:
            backend: A backend, its name, or a Qiskit backend or sampler.
            shots: Measurements per sample.
            reuse_qubits, num_qubits, synthesis, for_device, samples, passes, recalibrate: As for
                `TreeClassifier.to_backend`.
            settings: Other arguments of `BackendRegressor` (jobs, repeat, label, verbose, and those of
                training).
        """
        found = get_backend(backend)
        compiled, pin = self._compiled_for(
            found,
            settings.get("jobs"),
            for_device=for_device,
            recalibrate=recalibrate,
            **self.circuit_meant(reuse_qubits, num_qubits),
            synthesis=synthesis,
            samples=samples,
            passes=passes,
        )
        # The prediction is linear in the outcomes' probabilities.
        each = self.model_.read_out(self.params_, np.eye(compiled.num_outcomes))
        measured = BackendRegressor(
            compiled,
            np.asarray(self.target_mean_ + self.target_scale_ * np.asarray(each), dtype=np.float64),
            found,
            feature_names=getattr(self, "feature_names_in_", None),
            table=self.table_,
            residuals=self.residuals_,
            shots=shots,
            **settings,
        )
        measured.pin = pin
        return measured


class TreeRegressor(NetworkRegressor):
    """Balanced tree of unitaries whose root predicts a number.

    Arguments and attributes are those of `NetworkEstimator`.

    Few samples: where too few are there to hold some out, and `epochs` is None, training ends at the epoch
    that a cross-validation of five folds found best.

    Attributes:
        target_mean_, target_scale_: By which targets are standardised.
        residuals_: Absolute errors of samples that training had left out, rising; may be empty.

    >>> X = np.linspace(0, 1, 200)[:, None]
    >>> y = np.sin(2 * np.pi * X[:, 0])
    >>> reg = TreeRegressor(2, encoding="multi-qubit", epochs=300, random_state=0).fit(X, y)
    >>> bool(reg.score(X, y) > 0.95)
    True
    """

    _shape: ClassVar[Literal["tree", "mps"]] = "tree"


class MPSRegressor(NetworkRegressor):
    """Matrix product state whose last node predicts a number.

    Arguments and attributes are those of `NetworkEstimator`.

    Few samples: where too few are there to hold some out, and `epochs` is None, training ends at the epoch
    that a cross-validation of five folds found best.

    Attributes:
        target_mean_, target_scale_: By which targets are standardised.
        residuals_: Absolute errors of samples that training had left out, rising; may be empty.
    """

    _shape: ClassVar[Literal["tree", "mps"]] = "mps"
