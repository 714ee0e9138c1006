"""What `engine.py` times, with public estimators alone, so that earlier versions run it as well.

python experiments/speed/cases.py CASE [--smoke]   prints {"value": number, "unit": text}
"""

import argparse
import json
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

SITES, SAMPLES = 64, 10_000


def bits(rows: int, sites: int = SITES) -> np.ndarray:
    """Strings whose neighbours are mostly alike."""
    rng = np.random.default_rng(0)
    flips = rng.random((rows, sites)) < 0.2
    return (np.cumsum(flips, axis=1) % 2).astype(int)


def gradient(model: str, bond: int) -> Callable[[bool], tuple[float, str]]:
    """A gradient step of a Born machine at batch 250: microseconds a sample, median over later epochs."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        X = bits(500 if smoke else 2000)
        epochs = 3 if smoke else 8
        machine = getattr(qtnml, model)(
            bond, method="gradient", batch_size=250, epochs=epochs, validation_fraction=0.0, random_state=0
        ).fit(X)
        ends = [record.seconds for record in machine.history_]
        return statistics.median(np.diff(ends)) / len(X) * 1e6, "us a sample"

    return case


def repeated(call: Callable[[], Any], count: int, smoke: bool) -> float:
    """Median seconds of calls after a first one."""
    call()
    seconds = []
    for _ in range(1 if smoke else count):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def inference(model: str, samples: int, **settings: Any) -> Callable[[bool], tuple[float, str]]:
    """Class probabilities or log-likelihoods: microseconds a sample."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        rows = bits(200)
        machine = getattr(qtnml, model)(epochs=1, random_state=0, **settings)
        X = bits(200 if smoke else samples)
        if model.endswith("BornMachine"):
            fitted = machine.fit(rows)
            seconds = repeated(lambda: fitted.score_samples(X), 5, smoke)
        else:
            fitted = machine.fit(rows.astype(float), rows[:, 0] ^ rows[:, -1])
            seconds = repeated(lambda: fitted.predict_proba(X.astype(float)), 5, smoke)
        return seconds / len(X) * 1e6, "us a sample"

    return case


def ten(model: str, **settings: Any) -> Callable[[bool], tuple[float, str]]:
    """Ten samples of a model that has answered once: milliseconds."""

    def case(smoke: bool) -> tuple[float, str]:
        per_sample, _ = inference(model, 10, **settings)(smoke)
        return per_sample * (200 if smoke else 10) / 1000, "ms"

    return case


def compiled(model: str, **settings: Any) -> Callable[[bool], tuple[float, str]]:
    """The first epoch less a later one: what a compilation adds to a circuit model's training, seconds."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        del smoke
        X = bits(1000).astype(float)
        fitted = getattr(qtnml, model)(epochs=3, random_state=0, **settings).fit(X, bits(1000)[:, 0])
        ends = [0.0, *(record.seconds for record in fitted.history_)]
        return ends[1] - statistics.median(np.diff(ends[1:])), "s"

    return case


def training(model: str, **settings: Any) -> Callable[[bool], tuple[float, str]]:
    """A whole training step of a classifier: microseconds a sample."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        X = bits(500 if smoke else 4000).astype(float)
        y = X[:, 0].astype(int) ^ X[:, -1].astype(int)
        fitted = getattr(qtnml, model)(
            epochs=3 if smoke else 8, validation_fraction=0.0, random_state=0, **settings
        ).fit(X, y)
        ends = [record.seconds for record in fitted.history_]
        return statistics.median(np.diff(ends)) / len(X) * 1e6, "us a sample"

    return case


def sweep(model: str, bond: int, rows: int, sites: int) -> Callable[[bool], tuple[float, str]]:
    """A sweep of a Born machine whose bonds are as large as they may be: seconds, median over later ones."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        X = bits(100 if smoke else rows, 20 if smoke else sites)
        machine = getattr(qtnml, model)(
            bond, init_bond=bond, epochs=5, validation_fraction=0.0, complex_amplitudes=False, random_state=0
        ).fit(X)
        return statistics.median(np.diff([record.seconds for record in machine.history_])), "s"

    return case


def sweep_memory(bond: int, rows: int, sites: int) -> Callable[[bool], tuple[float, str]]:
    """What two sweeps of a chain add to the largest resident memory of the process."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        X = bits(100 if smoke else rows, 20 if smoke else sites)
        settings = {"epochs": 2, "validation_fraction": 0.0, "complex_amplitudes": False, "random_state": 0}
        qtnml.MPSBornMachine(2, **settings).fit(X[:60, :20])  # what is imported and compiled once
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        qtnml.MPSBornMachine(bond, init="product", init_bond=bond, **settings).fit(X)
        return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, "MB"

    return case


def explained(model: str, bond: int, sites: int) -> Callable[[bool], tuple[float, str]]:
    """The explanation of one record."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        X = bits(200, 30 if smoke else sites)
        machine = getattr(qtnml, model)(
            bond, init_bond=bond, epochs=1, validation_fraction=0.0, complex_amplitudes=False, random_state=0
        ).fit(X)
        return repeated(lambda: machine.explain(X[0]), 3, smoke), "s"

    return case


def sampled(model: str, bond: int) -> Callable[[bool], tuple[float, str]]:
    """Exact samples: microseconds each."""

    def case(smoke: bool) -> tuple[float, str]:
        import qtnml

        machine = getattr(qtnml, model)(
            bond, init_bond=bond, epochs=1, validation_fraction=0.0, complex_amplitudes=False, random_state=0
        ).fit(bits(200))
        count = 100 if smoke else SAMPLES
        return repeated(lambda: machine.sample(count, random_state=0), 3, smoke) / count * 1e6, "us a sample"

    return case


def detector(smoke: bool) -> tuple[float, str]:
    """An anomaly detector with its defaults on 59 rows of 13 numbers."""
    import qtnml

    del smoke
    X, kind = np.random.default_rng(0).normal(size=(59, 13)), qtnml.AnomalyDetector
    began = time.perf_counter()
    kind(random_state=0).fit(X)
    return time.perf_counter() - began, "s"


CASES: dict[str, Callable[[bool], tuple[float, str]]] = {
    "Born gradient, chain D=16": gradient("MPSBornMachine", 16),
    "Born gradient, chain D=32": gradient("MPSBornMachine", 32),
    "Born gradient, tree D=8": gradient("TreeBornMachine", 8),
    "Born gradient, tree D=16": gradient("TreeBornMachine", 16),
    "train tree V=1": training("TreeClassifier"),
    "train tree V=2": training("TreeClassifier", bond_qubits=2),
    "train chain V=1": training("MPSClassifier"),
    "train chain V=2": training("MPSClassifier", bond_qubits=2),
    "train amplitude MPS D=16": training("AmplitudeMPSClassifier", max_bond=16),
    "train amplitude MPS D=32": training("AmplitudeMPSClassifier", max_bond=32),
    "predict tree V=1": inference("TreeClassifier", SAMPLES),
    "predict tree V=2": inference("TreeClassifier", SAMPLES, bond_qubits=2),
    "predict chain V=2": inference("MPSClassifier", SAMPLES, bond_qubits=2),
    "predict amplitude MPS D=16": inference("AmplitudeMPSClassifier", SAMPLES, max_bond=16),
    "predict amplitude MPS D=32": inference("AmplitudeMPSClassifier", SAMPLES, max_bond=32),
    "Born likelihood, chain D=32": inference("MPSBornMachine", SAMPLES, max_bond=32, init_bond=32),
    "Born likelihood, 100,000 samples": inference("MPSBornMachine", 10 * SAMPLES, max_bond=32, init_bond=32),
    "Born likelihood, tree D=16": inference("TreeBornMachine", SAMPLES, max_bond=16, init_bond=16),
    "Born sweep, chain D=100, 784 sites": sweep("MPSBornMachine", 100, 1000, 784),
    "Born sweep, memory of the same": sweep_memory(100, 1000, 784),
    "Born sweep, tree D=16, 1600 x 180": sweep("TreeBornMachine", 16, 1600, 180),
    "explain, chain D=30, 784 sites": explained("MPSBornMachine", 30, 784),
    "explain, tree D=30, 784 sites": explained("TreeBornMachine", 30, 784),
    "sample, chain D=32": sampled("MPSBornMachine", 32),
    "sample, tree D=16": sampled("TreeBornMachine", 16),
    "detector, 59 x 13, defaults": detector,
    "ten samples, tree V=1": ten("TreeClassifier"),
    "ten samples, Born chain D=32": ten("MPSBornMachine", max_bond=32, init_bond=32),
    "compilation, tree V=2": compiled("TreeClassifier", bond_qubits=2),
    "compilation, chain V=2": compiled("MPSClassifier", bond_qubits=2),
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--smoke", action="store_true")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    value, unit = CASES[chosen.case](chosen.smoke)
    print(json.dumps({"value": value, "unit": unit}))
