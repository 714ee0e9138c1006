"""Raw, read-out, zero-noise extrapolation, learnt extrapolation at equal numbers of shots; see README.md.

python experiments/mitigation/run.py [--smoke]
"""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml import MPSClassifier, TreeClassifier, load_dataset
from qtnml.backends.ibm import fake_device
from qtnml.compile import CompiledCircuit
from qtnml.errors import ClippedDataWarning
from qtnml.mitigation import Mitigation, get_mitigation
from qtnml.mitigation.learned import noise_levels, random_device
from qtnml.mitigation.method import exact_confusion
from qtnml.noise import DeviceNoise, NoisyCircuit

FOLDER = Path(__file__).parent
METHODS = (
    "raw",
    "readout",
    "zne",
    "readout+zne",
    "readout+zne-richardson",
    "readout+zne-exponential",
    "readout+learned",
)
SHOTS = (1024, 8192, 65536)
CALIBRATION_ERROR = 0.2  # what a device says of its noise is wrong by as much, in the logarithm


def models(data: Any, epochs: int) -> dict[str, Any]:
    """Trained networks: none of them was among the random ones that the learnt method learnt from."""
    settings = {"epochs": epochs, "feature_range": (0, 1), "random_state": 0}
    return {
        "tree": TreeClassifier(**settings).fit(data.X_train, data.y_train),
        "MPS": MPSClassifier(**settings).fit(data.X_train, data.y_train),
    }


def devices(count: int) -> dict[str, DeviceNoise]:
    """Random devices with errors of the read-out."""
    rng = np.random.default_rng(2026)
    found = {}
    for k in range(count):
        noise = random_device(rng)
        error = tuple(float(x) for x in rng.uniform(0.005, 0.06, 2))
        found[f"random device {k}"] = replace(noise, readout_error=error)
    return found


def measured(
    compiled: CompiledCircuit,
    noise: DeviceNoise,
    angles: Any,
    method: str,
    shots: float,
    rng: np.random.Generator,
) -> tuple[Any, Any, int]:
    """Quasi-probabilities, their errors, and calibration shots: `shots` in all for every sample."""
    mitigation = Mitigation() if method == "raw" else get_mitigation(method)
    assert mitigation is not None
    variants = mitigation.variants(compiled)
    exact = np.array([NoisyCircuit(v.compiled, noise).evaluate(angles)[0] for v in variants])
    each = shots / len(variants)
    seen = (
        exact
        if np.isinf(each)
        else rng.multinomial(int(each), exact / exact.sum(-1, keepdims=True)) / int(each)
    )
    confusion, calibration = None, 0
    if mitigation.readout is not None:
        confusion = exact_confusion(compiled, noise)
        if not np.isinf(each):
            calibration = 16_384
            columns = [
                rng.multinomial(calibration, column) / calibration for column in confusion_columns(confusion)
            ]
            confusion = mitigation.readout.combine_results(np.array(columns))
            calibration *= len(columns)
    levels = noise_levels(NoisyCircuit(compiled, noise)) * np.exp(rng.normal(0, CALIBRATION_ERROR, 4))
    factors = np.array([v.factor for v in variants])
    quasi, errors = mitigation.combine(factors, seen, each, confusion, levels)
    return quasi, errors, calibration


def confusion_columns(confusion: Any) -> Any:
    """What each prepared state reads as."""
    whole = np.linalg.inv(confusion.inverse)
    return np.clip(whole.T, 0, None) / np.clip(whole.T, 0, None).sum(axis=1, keepdims=True)


def study(fitted: dict[str, Any], noises: dict[str, DeviceNoise], X: Any, y: Any) -> list[dict[str, Any]]:
    rows = []
    for name, clf in fitted.items():
        labels = np.searchsorted(clf.classes_, y)
        for device, noise in noises.items():
            if device.startswith("fake:"):
                target = fake_device(device)
                compiled = clf.compile(target=target, num_qubits=5)
                noise = DeviceNoise.from_backend(target)
            else:
                compiled = clf.compile()
            angles = compiled.angles(X)
            ideal = NoisyCircuit(compiled, DeviceNoise()).evaluate(angles)[0]
            for shots in (*SHOTS, np.inf):
                for method in METHODS:
                    rng = np.random.default_rng(7)
                    quasi, errors, calibration = measured(compiled, noise, angles, method, shots, rng)
                    off = (quasi - ideal)[:, 1]
                    rows.append(
                        {
                            "model": name, "device": device, "shots": shots, "method": method,
                            "rms": float(np.sqrt(np.mean(off**2))), "mean": float(np.abs(off).mean()),
                            "bias": float(off.mean()), "stated_error": float(errors.mean()),
                            "accuracy": float((quasi.argmax(axis=1) == labels).mean()),
                            "ideal_accuracy": float((ideal.argmax(axis=1) == labels).mean()),
                            "calibration_shots": calibration,
                        }
                    )  # fmt: skip
    return rows


def summary(rows: list[dict[str, Any]]) -> str:
    """Over all models and devices: median and worst rms, accuracy; at each number of shots."""
    lines = [
        "| shots a sample, all circuits together | method | rms error of a probability, median (worst) "
        "| stated error | accuracy lost, median (worst) |",
        f"|{'---|' * 5}",
    ]
    for shots in (*SHOTS, np.inf):
        for method in METHODS:
            mine = [r for r in rows if r["shots"] == shots and r["method"] == method]
            rms = [r["rms"] for r in mine]
            lost = [r["ideal_accuracy"] - r["accuracy"] for r in mine]
            stated = np.median([r["stated_error"] for r in mine])
            name = "infinitely many" if np.isinf(shots) else f"{shots:,}"
            lines.append(
                f"| {name} | {method} | {np.median(rms):.4f} ({max(rms):.4f}) | {stated:.4f} | "
                f"{np.median(lost):.4f} ({max(lost):.4f}) |"
            )
    return "\n".join(lines)


def figure(rows: list[dict[str, Any]]) -> Figure:
    """Median error against shots by method, and every case at one number of shots."""
    drawn = Figure(figsize=(12, 4.2), layout="constrained")
    left, right = drawn.subplots(1, 2)
    colours = ("#777777", "#6fa8dc", "#f0b27a", "#d9822b", "#8e5aa8", "#3a7d44", "#b3261e")
    cases = list(dict.fromkeys((r["model"], r["device"]) for r in rows))
    for method, colour in zip(METHODS, colours, strict=True):
        medians = [
            np.median([r["rms"] for r in rows if r["shots"] == s and r["method"] == method]) for s in SHOTS
        ]
        left.plot(SHOTS, medians, "o-", color=colour, label=method)
        limit = np.median([r["rms"] for r in rows if np.isinf(r["shots"]) and r["method"] == method])
        left.axhline(limit, color=colour, linewidth=0.7, linestyle=":")
        here = {
            (r["model"], r["device"]): r["rms"]
            for r in rows
            if r["shots"] == SHOTS[1] and r["method"] == method
        }
        right.plot(range(len(cases)), [here[case] for case in cases], ".", color=colour)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="shots a sample, all circuits together",
        ylabel="rms error of a probability",
    )
    left.legend(frameon=False, fontsize=8)
    right.set(yscale="log", ylabel=f"rms error, {SHOTS[1]:,} shots")
    right.set_xticks(
        range(len(cases)),
        [f"{m}, {d.replace('random device', 'r')}" for m, d in cases],
        rotation=90,
        fontsize=7,
    )
    for axes in (left, right):
        axes.grid(axis="y", color="0.93")
        axes.spines[["top", "right"]].set_visible(False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="two devices on the built-in digits, prints only"
    )
    small = parser.parse_args().smoke
    data = load_dataset("digits" if small else "mnist", size=4, classes=(3, 5), order="z")
    noises = devices(2 if small else 8) | (
        {} if small else {f"fake:{d}": DeviceNoise() for d in ("torino", "sherbrooke", "fez")}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedDataWarning)
        X, y = data.X_test[:200], data.y_test[:200]
        rows = study(models(data, 5 if small else 30), noises, X, y)
    print(summary(rows))
    if not small:
        detail = [
            "| model | device | method | rms at 8,192 shots | bias left with infinitely many | accuracy |",
            f"|{'---|' * 6}",
        ]
        for row in rows:
            if row["shots"] == SHOTS[1]:
                limit = next(
                    r
                    for r in rows
                    if np.isinf(r["shots"]) and all(r[k] == row[k] for k in ("model", "device", "method"))
                )
                detail.append(
                    f"| {row['model']} | {row['device']} | {row['method']} | {row['rms']:.4f} | "
                    f"{limit['rms']:.4f} | {row['accuracy']:.3f} |"
                )
        (FOLDER / "results.md").write_text(summary(rows) + "\n\n" + "\n".join(detail) + "\n")
        plain = [
            {k: (None if isinstance(v, float) and np.isinf(v) else v) for k, v in r.items()} for r in rows
        ]
        (FOLDER / "results.json").write_text(json.dumps(plain, indent=0) + "\n")
        figure(rows).savefig(FOLDER / "errors.png", dpi=110)


if __name__ == "__main__":
    main()
