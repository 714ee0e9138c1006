"""The doors: calls with values, data, files, a ledger or a command line of a stranger's, what must hold."""

import contextlib
import gzip
import io
import json
import os
import sqlite3
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qiskit import QuantumCircuit

import qtnml
from qtnml.backends import Capabilities, JobStatus, Result
from qtnml.compile import export_circuit, import_circuit
from qtnml.errors import QtnmlError
from qtnml.hybrid import HybridTraining
from qtnml.jobs import Patience
from qtnml.noise import DeviceNoise, NoisyCircuit, noise_from_settings, noise_from_text
from qtnml.structure import (
    Sites,
    Topology,
    Tree,
    balanced,
    balanced_site_tree,
    balanced_tree,
    chain,
    chow_liu_tree,
    from_brackets,
    mps,
    site_chain,
    topology_from_parents,
    with_reuploads,
)
from tests.fuzz import values as v

Rng = np.random.Generator
DOORS: dict[str, Callable[[Rng], None]] = {}
FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


class WrongResultError(AssertionError):
    """Something came back that is not true."""


def door(function: Callable[[Rng], None]) -> Callable[[Rng], None]:
    DOORS[function.__name__] = function
    return function


def hold(truth: Any, what: str) -> None:
    if not truth:
        raise WrongResultError(what)


def distributions(found: Any, what: str) -> None:
    hold(np.isfinite(found).all() and (found >= -1e-9).all(), f"{what}: {found}")
    hold(
        np.allclose(np.sum(found, axis=-1), 1, atol=1e-5),
        f"{what} do not add up to 1: {np.sum(found, axis=-1)}",
    )


def _written(name: str, content: bytes | str) -> Path:
    path = FOLDER / name
    path.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)
    return path


@lru_cache(maxsize=1)
def tree() -> Any:
    rng = np.random.default_rng(0)
    X = rng.random((40, 4))
    return qtnml.TreeClassifier(epochs=2, random_state=0).fit(X, (X[:, 0] + X[:, 1] > 1).astype(int))


@lru_cache(maxsize=1)
def compiled() -> Any:
    return tree().compile()


@lru_cache(maxsize=1)
def born() -> Any:
    return qtnml.MPSBornMachine(2, epochs=2, random_state=0).fit(
        np.random.default_rng(0).integers(0, 2, (40, 4))
    )


@lru_cache(maxsize=1)
def born_of_table() -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=60), "b": rng.choice(["x", "y"], 60), "c": rng.integers(0, 3, 60)}
    )
    encoder = qtnml.TableEncoder(bins=4, unseen="missing")
    return qtnml.MPSBornMachine(3, epochs=2, encoder=encoder, smoothing=0.05, random_state=0).fit(frame)


# --- estimators and data ------------------------------------------------------------------------------------
@door
def fit_classifier(rng: Rng) -> None:
    X = v.samples(rng)
    model = v.choice(
        rng,
        qtnml.TreeClassifier(epochs=1, random_state=0),
        qtnml.MPSClassifier(epochs=1, random_state=0),
        qtnml.AmplitudeMPSClassifier(2, epochs=1, random_state=0),
        qtnml.AmplitudeTreeClassifier(2, epochs=1, random_state=0),
        qtnml.AmplitudeMPSClassifier(2, epochs=1, random_state=0, method="sweeps"),
    )
    model.fit(X, v.labels(rng, len(X)), sample_weight=v.weights(rng, len(X)))
    distributions(model.predict_proba(X), "class probabilities")
    distributions(model.predict_proba(v.samples(rng)), "class probabilities")


@door
def fit_regressor(rng: Rng) -> None:
    X = v.samples(rng)
    y = rng.normal(size=len(X)) * 10.0 ** rng.integers(-200, 200)
    if rng.random() < 0.2:
        y[0] = float(v.choice(rng, np.nan, np.inf, 1e308))
    model = qtnml.TreeRegressor(epochs=1, random_state=0).fit(X, y, sample_weight=v.weights(rng, len(X)))
    hold(np.isfinite(model.predict(X)).all(), "predicted values")


@door
def settings_of_classifiers(rng: Rng) -> None:
    X = rng.random((30, 3))
    numbers = ("learning_rate", "init_scale", "validation_fraction")
    counts = ("epochs", "batch_size", "patience", "reuploads", "homotopy", "bond_qubits", "devices", "shots")
    changes: dict[str, Any] = {"epochs": 1, "random_state": 0}
    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.5:
            changes[numbers[rng.integers(len(numbers))]] = v.number(rng)
        else:
            changes[counts[rng.integers(len(counts))]] = v.choice(rng, 0, 1, 2, -1, 3, 10**6, None)
    if isinstance(changes["epochs"], int) and changes["epochs"] > 3:
        changes["epochs"] = 3
    if rng.random() < 0.2:
        changes["feature_range"] = (v.number(rng), v.number(rng))
    model = qtnml.TreeClassifier(**changes).fit(X, np.arange(30) % 2)
    distributions(model.predict_proba(X), "class probabilities")


@door
def settings_of_born_machines(rng: Rng) -> None:
    X = rng.integers(0, 2, (30, 4))
    numbers = ("learning_rate", "cutoff", "smoothing", "validation_fraction")
    changes: dict[str, Any] = {"epochs": 1, "random_state": 0, "max_bond": int(v.choice(rng, 1, 2, 4))}
    changes[numbers[rng.integers(len(numbers))]] = v.number(rng)
    changes["method"] = v.choice(rng, "sweeps", "gradient")
    changes["steps"] = v.choice(rng, 1, 1, 1, 2, 3, 0)
    model = qtnml.MPSBornMachine(**changes).fit(X, sample_weight=v.weights(rng, 30))
    everything = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    total = np.exp(model.log_likelihood(everything)).sum()
    hold(abs(total - 1) < 1e-6, f"probabilities add up to {total}")


@door
def fit_table(rng: Rng) -> None:
    X = v.table(rng)
    encoder = qtnml.TableEncoder(
        bins=int(v.choice(rng, 2, 3, 8)), binning=v.choice(rng, "quantile", "uniform"), unseen=v.choice(rng, "error", "missing")
    )  # fmt: skip
    levels = encoder.fit(X).transform(X)
    for seed in (None, 0):
        back = encoder.inverse_transform(levels, seed)
        again = encoder.transform(back)
        hold((again == levels).all(), f"levels {levels.tolist()} came back as {again.tolist()}")
    stored = qtnml.TableEncoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    hold((stored.transform(X) == levels).all(), "a stored encoder sees other levels")
    with contextlib.suppress(QtnmlError):
        encoder.transform(v.table(rng))


@door
def fit_born_table(rng: Rng) -> None:
    X = v.table(rng)
    encoder = qtnml.TableEncoder(bins=3, unseen="missing")
    model = qtnml.MPSBornMachine(2, epochs=1, encoder=encoder, random_state=0).fit(
        X, sample_weight=v.weights(rng, len(X))
    )
    hold(np.isfinite(model.log_likelihood(X)).all(), "log-likelihoods")
    drawn = model.sample(5, random_state=0)
    hold(len(drawn) == 5, "samples")
    hold((model.levels(drawn) >= 0).all(), "drawn records have unseen values")
    filled = model.impute(X)
    hold((model.levels(filled) >= 0).all(), "completions have missing values")
    with contextlib.suppress(QtnmlError):
        model.score_samples(v.table(rng))


@door
def fit_on_tables(rng: Rng) -> None:
    """Classifiers and regressors with an encoder of their own, written and read again."""
    X, encoder = v.table(rng), qtnml.TableEncoder(bins=3, unseen="missing")
    settings: dict[str, Any] = {"encoder": encoder, "epochs": 1, "random_state": 0}
    models: list[Any] = [
        qtnml.TreeClassifier(**settings),
        qtnml.MPSClassifier(**settings),
        qtnml.AmplitudeMPSClassifier(2, **settings),
        qtnml.AmplitudeTreeClassifier(2, **settings),
        qtnml.TreeRegressor(**settings),
    ]
    model = models[rng.integers(len(models))]
    targets = rng.normal(size=len(X)) if hasattr(model, "_default_loss") else v.labels(rng, len(X))
    model.fit(X, targets, sample_weight=v.weights(rng, len(X)))
    model.save(FOLDER / "table.qtnml")
    again = qtnml.load_model(FOLDER / "table.qtnml")
    hold((again.predict(X) == model.predict(X)).all(), "a model that was read again predicts otherwise")
    if hasattr(model, "predict_proba"):
        distributions(model.predict_proba(X), "class probabilities")
    with contextlib.suppress(QtnmlError):
        model.predict(v.table(rng))


@door
def fit_born_classifier(rng: Rng) -> None:
    bits = rng.random() < 0.5
    X: Any = rng.integers(0, 2, (30, 4)) if bits else v.table(rng)
    machine = qtnml.MPSBornMachine(
        2, epochs=1, encoder=None if bits else qtnml.TableEncoder(bins=3, unseen="missing")
    )
    share = v.choice(rng, 0.0, 0.0, 0.5, 1.0, v.number(rng))
    if share:
        machine.set_params(method="gradient")
    model = qtnml.BornClassifier(machine, discriminative=share, random_state=0)
    model.fit(X, v.labels(rng, len(X)), sample_weight=v.weights(rng, len(X)))
    distributions(model.predict_proba(X), "class probabilities")
    drawn, labels = model.sample(3, random_state=0)
    hold(len(drawn) == 3 and set(labels.tolist()) <= set(model.classes_.tolist()), "samples")
    with contextlib.suppress(QtnmlError):
        model.sample(2, label=v.choice(rng, model.classes_[0], "other", np.nan, None))


@door
def noise_in_models(rng: Rng) -> None:
    """Noise and circuit of the constructor: trained under, written, read."""
    noise = v.choice(
        rng,
        None,
        "fake:none",
        v.number(rng),
        DeviceNoise(t1=10.0 ** rng.integers(-9, 3), two_qubit_time=1e-7, two_qubit_error=rng.random() / 2),
        noise_from_settings({"channel": "dephasing", "p": rng.random()}),
        qtnml.noise.NoiseSchedule(noise_from_settings({"channel": "dephasing", "p": 0.1}), epochs=1),
    )
    model = qtnml.TreeClassifier(
        epochs=int(v.choice(rng, 1, 2)),
        random_state=0,
        noise=noise,
        reuse_qubits=v.choice(rng, True, True, False, 1, None),
        num_qubits=v.choice(rng, None, None, 1, 3, 4, 0, 10**6, 2.5),
    )
    X = rng.random((20, 4))
    with contextlib.suppress(RuntimeError):  # no such device
        model.fit(X, np.arange(20) % 2)
        model.save(FOLDER / "noise.qtnml")
        again = qtnml.load_model(FOLDER / "noise.qtnml")
        distributions(again.predict_proba(X, noise=DeviceNoise(readout_error=0.1)), "class probabilities")
        hold((again.predict_proba(X) == model.predict_proba(X)).all(), "a model that was read again")


@door
def fit_bits(rng: Rng) -> None:
    X = v.samples(rng)
    if rng.random() < 0.7:
        X = (rng.random((20, 3)) < 0.5).astype(v.choice(rng, int, float, bool, object))
    model = qtnml.TreeBornMachine(2, epochs=1, random_state=0).fit(X, sample_weight=v.weights(rng, len(X)))
    hold(np.isfinite(model.log_likelihood(X)).all(), "log-likelihoods")


@door
def detect(rng: Rng) -> None:
    X = v.table(rng)
    model = qtnml.MPSBornMachine(2, epochs=1, encoder=qtnml.TableEncoder(bins=3, unseen="missing"))
    detector = qtnml.AnomalyDetector(model, random_state=0).fit(X, sample_weight=v.weights(rng, len(X)))
    hold(np.isfinite(detector.score_samples(X)).all(), "scores")
    hold(set(detector.predict(X).tolist()) <= {1, -1}, "predictions")


@door
def queries(rng: Rng) -> None:
    model = born_of_table()
    kind = rng.integers(5)
    if kind == 0:
        model.sample(v.choice(rng, 0, 3, -1, 10**9, 10**12), random_state=v.choice(rng, None, 0, -1, 2**40))
    elif kind == 1:
        model.conditional_log_likelihood(model.sample(3, random_state=0), [v.choice(rng, 0, "a", 7, -9, "z")])
    elif kind == 2:
        model.impute(_record(rng))
    elif kind == 3:
        model.explain(_record(rng))
    else:
        born().log_likelihood_of_levels(rng.integers(-2, 3, (3, 4)))


def _record(rng: Rng) -> pd.DataFrame:
    return pd.DataFrame({"a": [v.number(rng)], "b": [v.text(rng)], "c": [v.number(rng)]}, dtype=object)


# --- noise and circuits -------------------------------------------------------------------------------------
@door
def device_noise(rng: Rng) -> None:
    fields = (
        "t1", "t2", "one_qubit_time", "two_qubit_time", "reset_time", "readout_time", "one_qubit_error",
        "two_qubit_error", "reset_error", "readout_error", "excited_population", "strength", "dt",
    )  # fmt: skip
    chosen = {fields[rng.integers(len(fields))]: abs(v.number(rng)) for _ in range(int(rng.integers(1, 5)))}
    noise = DeviceNoise(**chosen)
    if rng.random() < 0.3:
        noise = noise.scaled(v.number(rng))
    distributions(NoisyCircuit(compiled(), noise).probabilities(rng.random((2, 4))), "noisy probabilities")


@door
def noise_of_text(rng: Rng) -> None:
    usual: Any = v.choice(
        rng,
        {"channel": "depolarizing", "p": 0.1},
        {"channel": "relaxation", "t1": 1e-4, "t2": 1e-4, "time": 1e-6},
        {"t1": 1e-4, "two_qubit_error": 0.01},
        {"instructions": [{"name": "cx", "qubits": [0, 1], "time": 1e-7, "error": 0.01}]},
    )
    changed = v.json_mutated(rng, usual)
    if rng.random() < 0.5:
        noise_from_text(v.choice(rng, json.dumps(changed), f"dephasing={v.number(rng)}", v.text(rng)))
    else:
        noise_from_settings(changed)


@door
def compile_arguments(rng: Rng) -> None:
    how: dict[str, Any] = {"reuse_qubits": bool(rng.random() < 0.8)}
    if rng.random() < 0.6:
        how["num_qubits"] = v.count(rng)
    if rng.random() < 0.6:
        how["synthesis"] = qtnml.Synthesis(
            v.choice(rng, "auto", "analytic"),
            max_two_qubit_gates=v.choice(rng, None, None, 0, 2, -1, 100),
            target_infidelity=v.choice(rng, 0.0, 0.0, 0.1, float("nan")),
        )
    found = tree().compile(**how)
    distributions(found.probabilities(rng.random((2, 4))), "probabilities")
    found.bind(v.samples(rng, 4))


@door
def trees(rng: Rng) -> None:
    kind = rng.integers(9)
    if kind == 0:
        balanced_tree(
            v.choice(rng, 1, 2, 5, 0, -3, 64),
            v.choice(rng, 1, 2, 3, 0, 4),
            root_qubits=v.choice(rng, 1, 2, 9),
        )
    elif kind == 1:
        mps(v.choice(rng, 1, 2, 5, 0, 64), v.choice(rng, 1, 2, 3, 4))
    elif kind == 2:
        size = int(rng.integers(0, 8))
        topology_from_parents(rng.integers(-1, 9, size).tolist(), rng.integers(0, 4, size).tolist())
    elif kind == 3:
        Topology.from_dict(v.json_mutated(rng, balanced_tree(4).to_dict()))
    elif kind == 4:
        Sites.from_dict(v.json_mutated(rng, site_chain([2, 3, 2]).to_dict()))
    elif kind == 5:
        chow_liu_tree(rng.random((5, 4)) * 10.0 ** rng.integers(-300, 308), int(v.choice(rng, 1, 2, 3)))
    elif kind == 6:
        Tree.from_dict(v.json_mutated(rng, chain(4).to_dict()))
    elif kind == 7:
        from_brackets(v.json_mutated(rng, [[0, 1], [2, [3, 4]]]))
        balanced(v.choice(rng, 0, 1, 5, -3), arity=v.choice(rng, 2, 3, 1, 0, 2.5, True))
    else:
        with_reuploads(balanced_tree(int(v.choice(rng, 2, 5))), v.choice(rng, 0, 1, 3, -1))
        balanced_site_tree(rng.integers(0, 4, int(rng.integers(0, 6))).tolist())


@door
def hybrid_settings(rng: Rng) -> None:
    fields = (
        "steps",
        "batch_size",
        "shots",
        "shots_per_step",
        "max_shots",
        "target",
        "patience",
        "smoothing",
        "tail",
    )
    how = {
        fields[rng.integers(len(fields))]: v.choice(rng, v.number(rng), v.count(rng), None) for _ in range(2)
    }
    training = HybridTraining(**{**how, "random_state": 0})
    qclf = tree().to_backend(
        "aer", shots=5, jobs=qtnml.JobStore("sqlite://", max_shots=200), training=training
    )
    qclf.plan_fit(rng.random((4, 4)))
    if (training.steps or 0) < 5 and training.batch_size < 50:
        qclf.fit(rng.random((4, 4)), np.array([0, 1, 0, 1]))


# --- files --------------------------------------------------------------------------------------------------
@lru_cache(maxsize=8)
def _file(kind: str) -> bytes:
    path = FOLDER / f"sound.{kind}"
    if kind == "tree":
        tree().save(path)
    elif kind == "born":
        born_of_table().save(path)
    elif kind == "measured":
        tree().to_backend("aer").save(path)
    elif kind == "detector":
        model = qtnml.MPSBornMachine(2, epochs=1)
        qtnml.AnomalyDetector(model, random_state=0).fit(np.eye(4, dtype=int)[[0, 1, 2, 3] * 8]).save(path)
    else:
        export_circuit(compiled(), path, free_weights=kind == "qpy")
    return path.read_bytes()


@door
def model_files(rng: Rng) -> None:
    content = _file(v.choice(rng, "tree", "born", "measured", "detector"))
    if rng.random() < 0.15:
        path = _written("m.qtnml", v.mutated(rng, content))
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        name = list(parts)[rng.integers(len(parts))] if rng.random() < 0.4 else "model.json"
        if name == "model.json":
            parts[name] = json.dumps(v.json_mutated(rng, json.loads(parts[name]))).encode()
        else:
            parts[name] = v.choice(
                rng,
                v.mutated(rng, parts[name]),
                v.npy(np.full((2, 2), np.nan)),
                v.npy(np.array([], dtype=object)),
            )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, part in parts.items():
                archive.writestr(member, part)
        path = _written("m.qtnml", buffer.getvalue())
    model = qtnml.load_model(path)
    if hasattr(model, "predict_proba") and not hasattr(model, "jobs"):
        distributions(model.predict_proba(rng.random((2, 4))), "class probabilities")


@door
def circuit_files(rng: Rng) -> None:
    kind = v.choice(rng, "qasm", "qpy")
    found = import_circuit(_written(f"c.{kind}", v.mutated(rng, _file(kind))))
    distributions(found.probabilities(rng.random((2, 4))), "probabilities")


@door
def tables_in_files(rng: Rng) -> None:
    text = v.csv_text(rng)
    content = text.encode("utf-8", "replace")
    if rng.random() < 0.2:
        content = v.mutated(rng, content)
    packed = rng.random() < 0.2
    path = _written("t.csv.gz" if packed else "t.csv", gzip.compress(content) if packed else content)
    kind = rng.integers(3)
    if kind == 0:
        qtnml.load_dataset(path)
    elif kind == 1:
        from qtnml.data.mixed import read_table

        _, cells = read_table(path)
        qtnml.TableEncoder(bins=3).fit(cells)
    else:
        from qtnml.data import read_samples

        hold(np.isfinite(read_samples(path, 2)[0]).all(), "samples")


@door
def arrays_in_files(rng: Rng) -> None:
    array = v.choice(
        rng, rng.random((6, 3)), rng.integers(0, 3, (6, 3)), np.array([["a", "b"]]), np.zeros((0, 3))
    )
    kind = rng.integers(3)
    if kind == 0:
        from qtnml.data import read_samples

        read_samples(
            _written("x.npy", v.mutated(rng, v.npy(array)) if rng.random() < 0.7 else v.npy(array)), 3
        )
    elif kind == 1:
        buffer = io.BytesIO()
        np.savez(buffer, X=array, y=np.arange(len(array)) % 2)
        content = buffer.getvalue()
        qtnml.load_dataset(_written("d.npz", v.mutated(rng, content) if rng.random() < 0.8 else content))
    else:
        header = b"\0\0\x08\x03" + rng.integers(0, 40, 12, dtype=np.uint8).tobytes()
        path = _written("a-images-idx3-ubyte", v.mutated(rng, header + bytes(60)))
        _written("a-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x06" + bytes([0, 1] * 3))
        qtnml.load_dataset(path)


@door
def names_of_data(rng: Rng) -> None:
    qtnml.load_dataset(
        v.choice(rng, v.text(rng), "iris", "digits", str(FOLDER), "/", "/dev/null"),
        size=v.choice(rng, None, None, None, 4, -1, 10**6, (2, 3)),
        classes=v.choice(rng, None, None, (0, 1), (3,), ("a", "b"), ()),
        train_size=v.choice(rng, None, None, 10, 0, 10**9),
    )


# --- ledgers and backends -----------------------------------------------------------------------------------
class Answering:
    """A backend whose answers are what somebody else wrote."""

    name = "vendor"

    def __init__(self, rng: Rng) -> None:
        self.settings: dict[str, Any] = {}
        self.capabilities = Capabilities(
            resets=True, durable=bool(rng.random() < 0.5), searchable=True, paid=True
        )
        self._rng, self._sold = rng, list[tuple[int, int]]()

    def submit(self, circuits: Any, *, shots: int, seed: int | None = None, tag: str | None = None) -> str:
        self._sold.append((len(circuits), shots))
        return f"job{len(self._sold)}"

    def status(self, job_id: str) -> Any:
        done = JobStatus.DONE
        return v.choice(self._rng, done, done, done, done, JobStatus.FAILED, "COMPLETED", None)

    def fetch(self, job_id: str) -> Any:
        rng, (circuits, shots) = self._rng, self._sold[-1]
        if rng.random() < 0.1:
            return v.choice(rng, None, [], {}, Result(None), Result([None]))  # type: ignore[arg-type]
        outcome = v.choice(rng, 0, 0, 1, 1, np.int64(1), "0x0", -1, 2**70, 0.5, None)
        return Result(
            [{outcome: v.choice(rng, shots, shots, shots, shots // 2, v.number(rng), True)}] * circuits
        )

    def cancel(self, job_id: str) -> None: ...

    def find(self, tag: str) -> str | None:
        return None


def _coins(rng: Rng, count: int = 2) -> list[QuantumCircuit]:
    circuits = []
    for _ in range(count):
        circuit = QuantumCircuit(1, 1)
        circuit.ry(float(rng.random()), 0)
        circuit.measure(0, 0)
        circuits.append(circuit)
    return circuits


def _store(location: Any) -> qtnml.JobStore:
    return qtnml.JobStore(location, patience=Patience(2, 0.001, 0.002))


@door
def backends(rng: Rng) -> None:
    store = _store("sqlite://")
    found = store.run(_coins(rng), Answering(rng), shots=10)  # type: ignore[arg-type]
    hold(all(sum(each.values()) >= 10 for each in found), "fewer shots than asked for")


@door
def backend_options(rng: Rng) -> None:
    name = v.choice(
        rng,
        "aer",
        "aer:statevector",
        "aer:abacus",
        "fake:manila",
        "fake:nowhere",
        v.text(rng),
        "ibm",
        "pennylane",
    )
    options = v.choice(
        rng, {}, {"seed": v.count(rng)}, {"optimization_level": v.count(rng)}, {"nonsense": 1}, {"qubits": [0, 0]},
        {"mode": "x"}, {"method": v.text(rng)}, {"transpiler_seed": v.count(rng)}, {"options": {"x": 1}},
    )  # fmt: skip
    backend = qtnml.get_backend(name, **options)
    backend.fetch(backend.submit(_coins(rng, 1), shots=int(v.choice(rng, 1, 20))))


@lru_cache(maxsize=1)
def _ledger() -> bytes:
    path = FOLDER / "sound.sqlite"
    store = _store(path)
    store.run(_coins(np.random.default_rng(0)), "aer", shots=10, label="first")
    store.close()
    return path.read_bytes()


@door
def damaged_ledgers(rng: Rng) -> None:
    path = FOLDER / f"l{rng.integers(10**9)}.sqlite"
    if rng.random() < 0.3:
        path.write_bytes(v.mutated(rng, _ledger()))
    else:
        path.write_bytes(_ledger())
        with contextlib.closing(sqlite3.connect(path)) as db:
            tables = [row[0] for row in db.execute("select name from sqlite_master where type='table'")]
            tables = [
                name for name in tables if not name.startswith("sqlite_")
            ]  # SQLite drops none of its own
            table = tables[rng.integers(len(tables))]
            columns = [row[1] for row in db.execute(f"pragma table_info({table})")]
            cell = v.choice(rng, "", "x", "|||", "{}", "[1]", '{"0": "x"}', None, -1, 2**40, 1e300, b"\xff")
            with contextlib.suppress(sqlite3.Error):
                db.execute(f"update {table} set {columns[rng.integers(len(columns))]} = ?", [cell])
                db.commit()
            if rng.random() < 0.1:
                db.execute(f"drop table {table}")
                db.commit()
    try:
        store = _store(path)
        with contextlib.suppress(QtnmlError):
            for found in store.submissions():
                repr(found)
        with contextlib.suppress(QtnmlError):
            store.resume()
        counts = store.run(_coins(np.random.default_rng(0)), "aer", shots=10)
        hold(all(sum(each.values()) >= 10 for each in counts), "fewer shots than asked for")
        store.close()
    finally:
        for each in FOLDER.glob(f"{path.name}*"):
            each.unlink()


# --- command lines ------------------------------------------------------------------------------------------
def _words(rng: Rng) -> list[str]:
    path = str(_written("cli.csv", v.csv_text(rng)))
    model, machine = str(FOLDER / "cli.qtnml"), str(FOLDER / "cli-born.qtnml")
    if not Path(model).exists():
        tree().save(model)
        born_of_table().save(machine)
    value = lambda: str(v.choice(rng, v.number(rng), v.count(rng), v.text(rng)))  # noqa: E731
    small = ["--epochs", "1", "-o", str(FOLDER / "out.qtnml")]
    ledger = ["--jobs", str(FOLDER / "cli.sqlite")]
    commands: list[list[str]] = [
        ["train", v.choice(rng, path, "iris", v.text(rng)), *small, v.choice(rng, "--set", "--noise", "--classes", "--loss", "--target"), v.choice(rng, value(), f"learning_rate={value()}", f"dephasing={value()}")],
        ["predict", v.choice(rng, model, machine, path), v.choice(rng, path, "iris"), v.choice(rng, "--limit", "--size", "--shots", "--num-qubits"), value()],
        ["predict", model, path, "--backend", v.choice(rng, "aer", v.text(rng)), "--shots", v.choice(rng, "5", value()), *ledger],
        ["compile", v.choice(rng, model, machine, path), v.choice(rng, "--num-qubits", "--max-gates", "--target-infidelity", "--two-qubit-gate", "-o", "--draw"), value()],
        ["born", "fit", path, "-b", v.choice(rng, "2", value()), "--set", "epochs=1", "-o", str(FOLDER / "b.qtnml")],
        ["born", v.choice(rng, "score", "explain"), v.choice(rng, machine, model), path],
        ["born", "sample", machine, "-n", v.choice(rng, "3", value()), "--seed", v.choice(rng, "0", value())],
        ["noise", model, "--data", path, v.choice(rng, "--t1", "--t2", "--readout-error", "--grid"), v.choice(rng, value(), f"t1={value()}")],
        ["jobs", v.choice(rng, "list", "show", "resume", "cancel", "export"), v.choice(rng, "s1", value()), *ledger],
        ["jobs", "list", v.choice(rng, "--limit", "--state", "--label"), value(), *ledger],
        ["circuits", v.choice(rng, "list", "show"), value()],
        ["study", v.choice(rng, path, "iris"), "--engine", "serial", "--epochs", "1", "--bonds", v.choice(rng, "1", value()), "--set", f"batch_size={value()}", "-o", str(FOLDER / "s.jsonl")],
        [v.text(rng), value()],
    ]  # fmt: skip
    return [word.replace("\x00", "") for word in commands[rng.integers(len(commands))]]


@door
def command_lines(rng: Rng) -> None:
    from qtnml import cli

    words = _words(rng)
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, warnings.showwarning
    sys.argv = ["qtnml", *words]
    status: Any = 0
    os.chdir(FOLDER)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stopped:
        status = stopped.code or 0
    finally:
        sys.argv, warnings.showwarning = before
        (FOLDER / "s.jsonl").unlink(missing_ok=True)
    said = f"{words}: exit {status}, {err.getvalue()[-300:]}"
    hold(status in (0, 1, 2, 130), said)
    hold("Traceback" not in err.getvalue(), said)
    hold(
        status == 0 or err.getvalue().strip() or out.getvalue().strip(), f"{words}: exit {status} in silence"
    )
    hold("nan" not in out.getvalue() or any("nan" in word for word in words) or "nan" in Path(FOLDER / "cli.csv").read_text(), f"{words}: {out.getvalue()[:300]}")  # fmt: skip
