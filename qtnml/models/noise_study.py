"""Accuracy against the numbers of a device: a grid of noise points, each exact."""

import csv
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from qtnml.arrays import NDArray
from qtnml.compile import CompiledCircuit
from qtnml.errors import InvalidInputError
from qtnml.models.classifiers import NetworkClassifier
from qtnml.models.noise import qiskit_device
from qtnml.models.readout import class_probabilities
from qtnml.models.validation import outcomes_of_labels
from qtnml.noise import DeviceNoise, NoisyCircuit, dephasing, depolarizing, noise_settings
from qtnml.noise.device import NUMBERS
from qtnml.shown import rows_html
from qtnml.storage import write_atomically
from qtnml.study import run_study
from qtnml.train.fingerprint import fingerprint

_OTHERS = ("gate_time", "strength", "dephasing", "depolarizing", "num_qubits")
AXES = (*NUMBERS, *_OTHERS)
_SHOTS = 1024


@dataclass(frozen=True, repr=False)
class NoiseStudy:
    """What a study found.

    Attributes:
        axes: Names of the grid's axes.
        rows: One for each point and model: the model's name, its number among those of that name (seeds), the
            axes' values, accuracy, mean probability of the right class, and accuracy with 1,024 emulated
            shots.
        noise: What is the same at every point.
    """

    axes: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    noise: dict[str, Any]

    def __repr__(self) -> str:
        return f"NoiseStudy({len(self.rows)} rows over {', '.join(self.axes)})"

    def _repr_html_(self) -> str:
        return rows_html("NoiseStudy", self.rows)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """One line for each row."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(Path(path), text.getvalue().encode())

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Everything, as one JSON object."""
        whole = {"axes": self.axes, "noise": self.noise, "rows": self.rows}
        write_atomically(Path(path), (json.dumps(_plain(whole), indent=1) + "\n").encode())

    def plain_rows(self) -> list[dict[str, Any]]:
        """The rows in JSON types: infinity as text."""
        return [_plain(row) for row in self.rows]

    def bands(
        self, value: str = "accuracy"
    ) -> dict[str, dict[tuple[float, ...], tuple[float, float, float]]]:
        """For each model and point the mean over seeds, the lowest and the highest."""
        found: dict[str, dict[tuple[float, ...], list[float]]] = {}
        for row in self.rows:
            point = tuple(row[axis] for axis in self.axes)
            found.setdefault(row["model"], {}).setdefault(point, []).append(row[value])
        return {
            model: {point: (float(np.mean(v)), min(v), max(v)) for point, v in points.items()}
            for model, points in found.items()
        }


def noise_study(
    models: Mapping[str, NetworkClassifier | Sequence[NetworkClassifier]],
    X: Any,
    y: Any,
    grid: Mapping[str, Sequence[float]],
    *,
    noise: Any = None,
    reuse_qubits: bool | None = None,
    num_qubits: int | None = None,
    path: str | os.PathLike[str] | None = None,
    engine: str = "serial",
    workers: int | None = None,
    scheduler: str | None = None,
    on_result: Callable[[dict[str, Any], dict[str, Any]], None] | None = None,
) -> NoiseStudy:
    """Test trained classifiers at every point of a grid of noise, exactly.

    Args:
        models: Name -> a fitted classifier, or several that differ in their seed, which make a band.
        X, y: Test samples and their labels.
        grid: Axis -> values; all combinations are taken. An axis is a field of `DeviceNoise`; "gate_time"
            (of gates on one and on two qubits); "strength" of all of the noise; "dephasing" or
            "depolarizing" (a probability after every gate, on each of its qubits); or "num_qubits" (the
            width of the schedule).
        noise: What does not vary: a `DeviceNoise`; or a Qiskit backend or its name ("fake:torino"), whose
            calibration is the noise of circuits compiled for it. Of a backend, "strength" and "num_qubits"
            (at most so many: the compiler takes the circuit that decides best on these samples, and a row
            says under "qubits" how wide it is) may vary.
        reuse_qubits, num_qubits: Of the circuit, as for `compile`; each model's own where nothing is said.
        path: JSON lines, written as they come: started again, the study does what is left.
        engine, workers, scheduler: Where points are computed; see `qtnml.study.run_study`.
        on_result: Called with the settings and the result of a point.

    T2 above 2 T1, which the grid of both meets, counts as 2 T1.
    """
    base, device = DeviceNoise() if noise is None else noise, None
    plain: dict[str, Any]
    if isinstance(base, DeviceNoise):
        plain = noise_settings(base)
    else:
        device, base = noise, DeviceNoise.from_backend(qiskit_device(noise))
        name = noise if isinstance(noise, str) else getattr(noise, "name", type(noise).__name__)
        plain = {"device": name, "calibration": fingerprint(_plain(noise_settings(base)))[:16]}
    seeds = _checked_models(models)
    if not isinstance(grid, Mapping) or not grid:
        raise InvalidInputError("a noise study needs at least one axis with values: {'t1': [1e-5, 1e-4]}")
    fixed = set(grid) - {"num_qubits", "strength"} if device is not None else ()
    if fixed:
        raise InvalidInputError(
            f"a backend has its own {', '.join(sorted(fixed))}; of it, strength and num_qubits may vary"
        )
    grid = {axis: _checked_axis(axis, values, base) for axis, values in grid.items()}
    first = next(iter(seeds.values()))
    given, X = X, first.features(X)
    for model in seeds.values():
        if len(outcomes_of_labels(y, model.classes_)) != len(X) or not len(X):
            raise InvalidInputError(f"{len(X)} samples but {len(y)} labels; give at least one of each")
    y = np.asarray(y).ravel()
    tasks = [
        {
            "model": name,
            "seed": k,
            "fingerprint": fingerprint(model.params_, X, y)[:16],
            "noise": _plain(plain),
            "point": dict(zip(grid, map(_plain, point), strict=True)),
            **model.circuit_meant(reuse_qubits, num_qubits),
        }
        for (name, k), model in seeds.items()
        for point in product(*grid.values())
    ]
    run = _Tester(seeds, X, y, base, device, given)
    with tempfile.TemporaryDirectory() as folder:
        results = run_study(
            run,
            tasks,
            path or f"{folder}/study.jsonl",
            engine=engine,
            workers=workers,
            scheduler=scheduler,
            on_result=on_result,
        )
    rows = tuple(
        {"model": task["model"], "seed": task["seed"], **_numbers(task["point"]), **result}
        for task, result in zip(tasks, results, strict=True)
    )
    return NoiseStudy(tuple(grid), rows, _plain(plain))


def _checked_models(models: Any) -> dict[tuple[str, int], NetworkClassifier]:
    """Fitted classifiers by name and number."""
    if not isinstance(models, Mapping) or not models:
        raise InvalidInputError(
            "a noise study needs at least one model under a name: {'tree': clf}, or several seeds of one: "
            "{'tree': [clf, another]}"
        )
    found = {
        (str(name), k): model
        for name, given in models.items()
        for k, model in enumerate(given if isinstance(given, Sequence) else [given])
    }
    for (name, _), model in found.items():
        if not isinstance(model, NetworkClassifier):
            raise InvalidInputError(f"{name!r} is no tree or chain that classifies: {model!r}")
        check_is_fitted(model)
    return found


def _checked_axis(axis: str, values: Any, base: DeviceNoise) -> list[float]:
    if axis not in AXES:
        raise InvalidInputError(f"unknown axis {axis!r}; choose of {', '.join(AXES)}")
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"axis {axis!r} takes a list of numbers, got {values!r}") from error
    if not found:
        raise InvalidInputError(f"axis {axis!r} has no values")
    for value in found:
        if axis != "num_qubits":
            at_point(base, {axis: value})
        elif not value.is_integer():
            raise InvalidInputError(f"num_qubits must be integers, got {value!r}")
    return [int(value) for value in found] if axis == "num_qubits" else found


def at_point(noise: DeviceNoise, point: Mapping[str, float]) -> DeviceNoise:
    """The noise with a point's values; T2 is at most 2 T1."""
    point = {axis: float(value) for axis, value in point.items()}
    changes: dict[str, Any] = {axis: value for axis, value in point.items() if axis in NUMBERS}
    if "gate_time" in point:
        changes |= {"one_qubit_time": point["gate_time"], "two_qubit_time": point["gate_time"]}
    for axis, channel in (("dephasing", dephasing), ("depolarizing", depolarizing)):
        if axis in point:
            changes |= {"one_qubit_channel": channel(point[axis]), "two_qubit_channel": channel(point[axis])}
    if "t1" in changes and "t2" not in changes and noise.t2 == _longest(noise.t1):
        changes["t2"] = None  # was not given: it goes on following T1
    elif "t1" in changes or "t2" in changes:
        changes["t2"] = _no_longer(changes.get("t2", noise.t2), _longest(changes.get("t1", noise.t1)))
    changed = replace(noise, **changes)
    return changed.scaled(point["strength"]) if "strength" in point else changed


def _longest(t1: Any) -> Any:
    """2 T1, of one number or of each qubit."""
    return tuple(2 * t for t in t1) if isinstance(t1, tuple) else 2 * t1


def _no_longer(t2: Any, most: Any) -> Any:
    """T2, but no longer than can be."""
    if isinstance(t2, tuple) or isinstance(most, tuple):
        both = np.broadcast_arrays(t2, most)
        return tuple(np.minimum(*both).tolist())
    return min(t2, most)


@dataclass(eq=False)
class _Tester:
    """The task of a study: accuracy of one model at one point.

    Attributes:
        models: By name and number.
        X: Samples as networks take them.
        y: Labels.
        base: The noise at strength 1.
        device: What circuits are compiled for; None for circuits of qubits that are alike.
        samples: As the user gave them, by which circuits for a device are compared.
        circuits: That were compiled, by model and width.
    """

    models: Mapping[tuple[str, int], NetworkClassifier]
    X: NDArray
    y: NDArray
    base: DeviceNoise
    device: Any = None
    samples: Any = None
    circuits: dict[tuple[Any, ...], CompiledCircuit] = field(default_factory=dict)

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        model = self.models[task["model"], task["seed"]]
        compiled = self._compiled(model, task)
        noisy = NoisyCircuit(compiled, at_point(self.base, task["point"]))
        outcomes = noisy.probabilities(self.X)
        proba, lost = class_probabilities(outcomes, len(model.classes_))
        labels = np.searchsorted(model.classes_, self.y)
        shares = outcomes / outcomes.sum(axis=1, keepdims=True)
        counts = np.random.default_rng(0).multinomial(_SHOTS, shares)
        measured = counts[:, : len(model.classes_)].argmax(axis=1)
        return {
            "accuracy": float((proba.argmax(axis=1) == labels).mean()),
            "mean_probability": float(proba[np.arange(len(labels)), labels].mean()),
            "accuracy_1024_shots": float((measured == labels).mean()),
            "lost_mass": float(lost.mean()),
            "qubits": compiled.num_qubits,
        }

    def _compiled(self, model: NetworkClassifier, task: dict[str, Any]) -> CompiledCircuit:
        """Points of one width share their circuit."""
        width = task["point"].get("num_qubits", task["num_qubits"])
        key = (task["model"], task["seed"], width)
        if key not in self.circuits:
            self.circuits[key] = model.compile(
                target=None if self.device is None else qiskit_device(self.device),
                samples=None if self.device is None else self.samples,
                reuse_qubits=task["reuse_qubits"],
                num_qubits=None if width is None else int(width),
            )
        return self.circuits[key]


def _numbers(point: Any) -> dict[str, float]:
    return {axis: int(v) if axis == "num_qubits" else float(v) for axis, v in point.items()}


def _plain(value: Any) -> Any:
    """JSON types: infinity, which JSON lacks, as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and math.isinf(value) else value
