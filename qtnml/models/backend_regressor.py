"""A trained regressor whose values are means over counted outcomes; it can be trained further there."""

import os
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm
from sklearn.base import RegressorMixin

from qtnml.arrays import NDArray
from qtnml.backends import Backend
from qtnml.compile import CompiledCircuit
from qtnml.errors import InvalidInputError, NoShotsWarning, warn_user
from qtnml.hybrid import HybridTraining
from qtnml.jobs import JobStore, Plan
from qtnml.mitigation import get_mitigation
from qtnml.models.backend_model import BackendModel
from qtnml.models.settings import is_number
from qtnml.models.table_input import TableInput
from qtnml.train import MeanSquaredError


@dataclass(frozen=True)
class SquaredErrorOfMean:
    """Squared error of sum_k p_k v_k, the mean of what outcomes stand for.

    Attributes:
        values: What each outcome stands for.
        scale: Unit of the error.
    """

    name: ClassVar[str] = "squared-error-of-mean"
    values: tuple[float, ...]
    scale: float

    def __call__(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """Loss of each sample, of probabilities (outcomes, batch) and values (batch,)."""
        found = jnp.tensordot(jnp.asarray(self.values), outputs, 1)
        return ((found - targets) / self.scale) ** 2


class BackendRegressor(RegressorMixin, BackendModel):
    """Made, ready to predict, by `TreeRegressor.to_backend`; a prediction is a mean over counted shots.

    Ledger, files, mitigation and training are those of `BackendClassifier`.

    Args:
        compiled: The circuit with its trained weights.
        values: What each outcome stands for, (outcomes,), in units of the targets.
        backend: A backend, its name, or a Qiskit backend or sampler.
        feature_names: Column names the model was fitted on; other names are refused.
        table: What turns tables into features, of a model with an encoder.
        residuals: Absolute errors of samples left out in training, rising; see `predict_interval`.
        shots: Measurements per sample.
        jobs: The ledger: a `JobStore`, a file or SQLAlchemy URL, or None for the user's own (of simulators in
            this process: one in memory, which writes no file). False keeps nothing, and simulates again what
            is asked for again; not for backends that are paid for.
        repeat: Another number measures anew, independently of what is stored.
        label: For people, to find the runs in `qtnml jobs list`.
        mitigation: Of noise, as for `BackendClassifier`.
        max_age: Seconds since they were measured after which stored shots no longer count; "calibration"
            takes those of the device's present calibration alone; None takes all.
        training: How `fit` trains; its loss is the squared error of the predictions.
        verbose: 1 shows a progress bar on standard error.
    """

    def __init__(
        self,
        compiled: CompiledCircuit,
        values: NDArray,
        backend: Backend | str | None = "aer",
        *,
        feature_names: NDArray | None = None,
        table: TableInput | None = None,
        residuals: NDArray | None = None,
        shots: int = 1024,
        jobs: JobStore | str | os.PathLike[str] | bool | None = None,
        repeat: int = 0,
        label: str = "",
        mitigation: Any = None,
        max_age: float | str | None = None,
        training: HybridTraining | None = None,
        verbose: int = 0,
    ) -> None:
        self.compiled = compiled
        self.values = values
        self.backend = backend
        self.feature_names = feature_names
        self.table = table
        self.residuals = residuals
        self.shots = shots
        self.jobs = jobs
        self.repeat = repeat
        self.label = label
        self.mitigation = mitigation
        self.max_age = max_age
        self.training = training
        self.verbose = verbose

    def predict(self, X: Any, *, return_std: bool = False) -> Any:
        """Predicted values (samples,), in the units of the training targets.

        Args:
            X: Samples.
            return_std: Also the standard errors (samples,) that the number of shots leaves: infinite where no
                shot counted.
        """
        if get_mitigation(self.mitigation) is not None:
            found = self.mitigated_outcomes(X)
            values, spread = self._predicted(found.probabilities, found.errors, None)
        else:
            measured = self._plain(self.circuits(X))
            values, spread = self._predicted(measured.frequencies, None, measured.counted)
        return (values, spread) if return_std else values

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[NDArray, NDArray]:
        """Lower and upper ends of intervals that hold a share `coverage` of new targets, each (samples,).

        As `TreeRegressor.predict_interval`, and wider by what the number of shots leaves open: a sample's
        half width is sqrt(r**2 + (z s)**2), with r that of the residuals, s the standard error of its
        prediction, and z the normal quantile of the coverage.
        """
        values, spread = self.predict(X, return_std=True)
        residuals = np.zeros(0) if self.residuals is None else self.residuals
        half = np.hypot(interval_half_width(residuals, coverage), norm.ppf((1 + coverage) / 2) * spread)
        return values - half, values + half

    def _predicted(
        self, outcomes: NDArray, errors: NDArray | None, counted: NDArray | None
    ) -> tuple[NDArray, NDArray]:
        """Values (samples,) and their standard errors."""
        mean = outcomes @ self.values
        if errors is not None:
            # Of two outcomes, the usual case, the errors are those of one number; of more this is a bound.
            return mean, np.abs(self.values - self.values.mean()) @ errors.T
        shots = np.asarray(counted)
        variance = outcomes @ self.values**2 - mean**2
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt(np.maximum(variance, 0.0) / shots)
        seen = shots > 0
        if not seen.all():
            warn_user(
                f"{int((~seen).sum())} of {len(seen)} samples have no shot that counts, and no prediction "
                f"(NaN); take more than shots={self.shots}",
                NoShotsWarning,
            )
        return np.where(seen, mean, np.nan), np.where(seen, spread, np.inf)

    def _promising(self, plan: Plan, X: Any) -> Plan:
        """What noise and so many shots do to predictions, in units of the targets."""
        outlook = self._outlook(X)
        if outlook is None:
            return plan
        ideal, noisy, success = outlook
        off = float(np.abs((noisy - ideal) @ self.values).mean())
        variance = np.maximum(noisy @ self.values**2 - (noisy @ self.values) ** 2, 0.0)
        error = float(np.sqrt(variance / np.maximum(self.shots * success, 1e-12)).mean())
        remark = (
            f"expected there: predictions off by {off:.3g} on average, with a standard error of {error:.2g}"
        )
        return replace(plan, remark=remark)

    def _targets(self, y: NDArray) -> NDArray:
        try:
            wanted = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"values to learn must be numbers ({error})") from error
        if not np.isfinite(wanted).all():
            raise InvalidInputError("values to learn must be finite, got NaN or infinity")
        return wanted

    def _training(self) -> HybridTraining:
        how = super()._training()
        given = how.loss
        usual = given is None or given == MeanSquaredError.name or isinstance(given, MeanSquaredError)
        if not (usual or isinstance(given, SquaredErrorOfMean)):
            raise InvalidInputError(f"a regressor's loss is 'squared-error', got {given!r}")
        scale = float(np.ptp(self.values)) or 1.0
        return replace(how, loss=SquaredErrorOfMean(tuple(np.asarray(self.values).tolist()), scale))


def interval_half_width(residuals: NDArray, coverage: float) -> float:
    """The quantile of absolute residuals (rising) that holds a new one with probability `coverage`.

    Raises:
        InvalidInputError: There are too few residuals for the coverage, or none.
    """
    if not (is_number(coverage, int, float, np.number) and 0 < coverage < 1):
        raise InvalidInputError(f"coverage must be above 0 and below 1, got {coverage!r}")
    if not len(residuals):
        raise InvalidInputError(
            "no sample was left out in training, so that errors are not known; fit with "
            "validation_fraction above 0 and at least 500 samples, or with epochs=None and at least 40"
        )
    place = int(np.ceil((len(residuals) + 1) * coverage))
    if place > len(residuals):
        most = len(residuals) / (len(residuals) + 1)
        raise InvalidInputError(
            f"{len(residuals)} residuals allow a coverage up to {most:.3f}, got {coverage}"
        )
    return float(residuals[place - 1])
