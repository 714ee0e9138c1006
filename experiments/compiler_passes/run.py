"""What each pass is worth on devices, exactly: trees on 7 to 64 qubits, and a Born machine; see README.md.

python experiments/compiler_passes/run.py [--smoke]
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qiskit import transpile
from qiskit.circuit.library import RZGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

from qtnml import MPSBornMachine, TreeClassifier, load_dataset
from qtnml.compile import CompiledCircuit, GenerativeCircuit
from qtnml.compile.expected import compared
from qtnml.errors import InvalidInputError
from qtnml.noise import DeviceNoise, NoisyCircuit, NoisyGenerativeCircuit
from qtnml.program import Device, Gate, Node, Program, Reset, timeline
from qtnml.program.operations import Operation
from qtnml.program.passes.waits import flat_steps

FOLDER = Path(__file__).parent
TREES: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "7 qubits": (1, {"num_qubits": 7}, {}),
    "20 qubits": (1, {"num_qubits": 20}, {}),
    "64 qubits": (1, {"reuse_qubits": False}, {}),
    "12 qubits": (2, {"num_qubits": 12}, {}),
    "4 qubits, 8 pixels, post-selected": (1, {"num_qubits": 4}, {"discard": "postselect"}),
}
FRAMES = 8  # random Pauli frames that twirling is averaged over
CHOSEN_BY = 64  # training images that "auto" compares on
DETUNING = 2 * np.pi * 5e3  # rad/s: standard deviation of a qubit's slow drift
DRIFTS = 8
Passes = tuple[str, ...]


def combinations(*, checks: bool) -> dict[str, list[Passes]]:
    """Passes of each column; several where their mean counts."""
    frames = range(FRAMES)
    first: Passes = ("skip-resets",) if checks else ()
    found: dict[str, list[Passes]] = {"none": [()]}
    if checks:
        found["skip-resets"] = [first]
    return found | {
        "merge": [("merge",)],
        "twirl": [(f"twirl-{k}",) for k in frames],
        "decouple": [("decouple",)],
        "twirl, merge": [(f"twirl-{k}", "merge") for k in frames],
        "merge, decouple": [("merge", "decouple")],
        "all": [(*first, f"twirl-{k}", "merge", "decouple", "hold-reads") for k in frames],
    }


def devices(*, smoke: bool) -> dict[str, Any]:
    if smoke:
        return {"heavy-hex, 57": GenericBackendV2(57, coupling_map=CouplingMap.from_heavy_hex(5), seed=1)}
    from qiskit_ibm_runtime.fake_provider import FakeFez, FakeSherbrooke, FakeTorino

    return {type(each).__name__: each for each in (FakeTorino(), FakeFez(), FakeSherbrooke())}


def images(*, smoke: bool, size: Any = 8) -> tuple[np.ndarray, ...]:
    """Images of two digits, 8x8 or smaller: those of MNIST, or scikit-learn's."""
    name = "digits" if smoke or "QTNML_DATA" not in os.environ else "mnist"
    found = load_dataset(name, classes=(3, 5), size=size)
    return found.X_train, found.y_train, found.X_test[:1000], found.y_test[:1000]


def seen(
    compiled: CompiledCircuit, noise: DeviceNoise, clf: Any, X: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    noisy, log_success = NoisyCircuit(compiled, noise).evaluate(compiled.angles(X))
    right = clf.classes_[noisy[:, : len(clf.classes_)].argmax(axis=1)] == y
    success = np.exp(log_success)
    found = compared(clf.outcome_probabilities(X), noisy, success)
    return {
        "accuracy": float(right.mean()),
        "deviation": found.deviation,
        "contrast": found.contrast,
        "success": float(success.mean()),
        "sx": sum(step.name == "sx" for step in compiled.program.steps),
        "two-qubit": compiled.two_qubit_gates,
        "duration": compiled.duration() * 1e6,
    }


def mean(each: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def on_trees(backends: dict[str, Any], *, smoke: bool, only: str = "") -> Iterator[dict[str, Any]]:
    for name, (bond, how, model) in TREES.items():
        if not name.startswith(only):
            continue
        if smoke and not name.startswith(("7 qubits", "4 qubits")):
            continue
        # Without resets all qubits of a post-selected tree hang together, and only a small one is exact.
        X, y, X_test, y_test = images(smoke=smoke, size=(2, 4) if model else 8)
        clf = TreeClassifier(bond, epochs=3 if smoke else 20, random_state=0, **model).fit(X, y)
        for where, backend in backends.items():
            noise, began = DeviceNoise.from_backend(backend), time.perf_counter()
            row = {
                "tree": name,
                "device": where,
                "without noise": float((clf.predict(X_test) == y_test).mean()),
            }
            compiled = clf.compile(target=backend, samples=X[:CHOSEN_BY], **how)
            row["qubits"] = compiled.num_qubits
            try:
                for column, each in combinations(checks=bool(model)).items():
                    rewritten = [compiled.with_passes(passes) for passes in each]
                    assert max(one.verify(X[:4]) for one in rewritten) < 1e-9
                    row[column] = mean([seen(one, noise, clf, X_test, y_test) for one in rewritten])
                auto = clf.compile(target=backend, samples=X[:CHOSEN_BY], passes="auto", **how)
                row["auto"] = seen(auto, noise, clf, X_test, y_test) | {"passes": ", ".join(auto.passes)}
                row["drifts"] = drifts(compiled, noise, clf, X_test, y_test)
            except InvalidInputError as error:
                row["refused"] = str(error)
            row["seconds"] = time.perf_counter() - began
            print(json.dumps(row), flush=True)
            yield row


def drifts(
    compiled: CompiledCircuit, noise: DeviceNoise, clf: Any, X: np.ndarray, y: np.ndarray
) -> dict[str, Any]:
    """The same devices with frequencies that are off by a constant while a shot runs."""
    found = {}
    assert compiled.device is not None
    rates = np.random.default_rng(0).normal(0, DETUNING, (DRIFTS, compiled.device.num_qubits))
    for column, passes in (("none", ()), ("merge", ("merge",)), ("merge, decouple", ("merge", "decouple"))):
        rewritten = compiled.with_passes(passes)
        each = [
            seen(
                replace(rewritten, program=drifting(rewritten.trained_program, compiled.device, rate)),
                noise,
                clf,
                X,
                y,
            )
            for rate in rates
        ]
        found[column] = mean(each)
    return found


def drifting(program: Program, device: Device, rates: np.ndarray) -> Program:
    """Every wait turns the qubit about Z by its own rate (rad/s)."""
    line = timeline(program, device)
    operations: list[Operation] = []
    for row, operation in flat_steps(program):
        operations.append(operation)
        for qubit, seconds in zip(operation.qubits, () if row is None else line.waits[row], strict=False):
            if seconds and not isinstance(operation, Reset | Node):
                operations.append(Gate(RZGate(rates[qubit] * seconds), (qubit,)))
    return replace(program, operations=tuple(operations))


def on_born(backends: dict[str, Any], *, smoke: bool) -> Iterator[dict[str, Any]]:
    """A chain of 64 sites: reads as a scheduler places them, with and without delays that hold them."""
    X = np.round(images(smoke=smoke)[0][:500])
    born = MPSBornMachine(2, random_state=0, epochs=3 if smoke else 20).fit(X)
    strings = born.sample(200, random_state=1)
    for where, backend in backends.items():
        noise = DeviceNoise.from_backend(backend)
        for how in ({}, {"reuse_qubits": False}):
            compiled = born.compile(target=backend, samples=X[:100], **how)
            row: dict[str, Any] = {"device": where, "qubits": compiled.num_qubits}
            ideal = born.score_samples(strings)
            levels = born.levels(strings)

            def excess(
                circuit: GenerativeCircuit, ideal: Any = ideal, levels: Any = levels, noise: Any = noise
            ) -> float:
                return float((ideal - NoisyGenerativeCircuit(circuit, noise).log_likelihood(levels)).mean())

            ways: dict[str, Callable[[], GenerativeCircuit]] = {
                "reads late": lambda c=compiled, b=backend: scheduled(c, b),
                "hold-reads": lambda c=compiled, b=backend: scheduled(c.with_passes("hold-reads"), b),
                "counted on": lambda c=compiled: c,
                "feed-forward": lambda c=compiled: c.with_passes("feed-forward"),
                "merge": lambda c=compiled: c.with_passes("merge"),
                "decouple": lambda c=compiled: c.with_passes("decouple"),
                "merge, decouple": lambda c=compiled: c.with_passes(["merge", "decouple"]),
                "auto": lambda b=backend, h=how: born.compile(target=b, samples=X[:100], passes="auto", **h),
            }
            for column, made in ways.items():
                circuit = made()
                row[column] = excess(circuit)
                if column == "auto":
                    row["passes"] = ", ".join(circuit.passes)
            print(json.dumps(row), flush=True)
            yield row


def scheduled(compiled: GenerativeCircuit, backend: Any) -> GenerativeCircuit:
    """As Qiskit schedules it: all as late as possible, waits written out."""
    found = transpile(
        compiled.trained_circuit,
        backend,
        initial_layout=list(range(backend.num_qubits)),
        optimization_level=0,
        scheduling_method="alap",
    )
    return replace(compiled, program=Program.read(found, (), "outward"))


def table(rows: list[dict[str, Any]]) -> str:
    columns = [*dict.fromkeys(key for row in rows for key in row if isinstance(row[key], dict))]
    columns = [column for column in columns if column != "drifts"]
    lines = [f"| tree | device | without noise | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 3)}"]
    for row in rows:
        cells = [f"{row['tree']} ({row['qubits']})", row["device"], f"{row['without noise']:.3f}"]
        if "refused" in row:
            lines.append(f"| {' | '.join(cells)} | refused |{' |' * (len(columns) - 1)}")
            continue
        for column in columns:
            found = row.get(column)
            cells.append("" if found is None else f"{found['deviation']:.4f} ({found['accuracy']:.3f})")
        cells[-1] += f" {row['auto']['passes']}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gates_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| tree | device | sx | merge | two-qubit gates | merge | us | skip-resets | shots that count |"
        " skip-resets |"
    ]
    lines.append(f"|{'---|' * 10}")
    for row in rows:
        if "refused" in row:
            continue
        none, merged, skipped = row["none"], row["merge"], row.get("skip-resets")
        cells = [row["tree"], row["device"], f"{none['sx']:.0f}", f"{merged['sx']:.0f}"]
        cells += [f"{none['two-qubit']:.0f}", f"{merged['two-qubit']:.0f}", f"{none['duration']:.1f}"]
        cells += (
            ["", "", ""]
            if skipped is None
            else [f"{skipped['duration']:.1f}", f"{none['success']:.2e}", f"{skipped['success']:.2e}"]
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def drift_table(rows: list[dict[str, Any]]) -> str:
    columns = ("none", "merge", "merge, decouple")
    lines = [f"| tree | device | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for row in rows:
        if "refused" not in row:
            cells = [
                f"{row['drifts'][c]['deviation']:.4f} ({row['drifts'][c]['accuracy']:.3f})" for c in columns
            ]
            lines.append(f"| {row['tree']} | {row['device']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def born_table(rows: list[dict[str, Any]]) -> str:
    columns = (
        "reads late",
        "hold-reads",
        "counted on",
        "feed-forward",
        "merge",
        "decouple",
        "merge, decouple",
        "auto",
    )
    lines = [f"| device | qubits | {' | '.join(columns)} |", f"|{'---|' * (len(columns) + 2)}"]
    for row in rows:
        cells = [f"{row[column]:.2f}" for column in columns]
        cells[-1] += f" {row['passes']}"
        lines.append(f"| {row['device']} | {row['qubits']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(rows: list[dict[str, Any]]) -> str:
    """How often each column is the best, and its mean error over that of no pass."""
    known = [row for row in rows if "refused" not in row]
    columns = ("merge", "twirl", "decouple", "twirl, merge", "merge, decouple", "all", "auto")
    lines = [
        "| passes | error over that without (mean) | accuracy gained (mean) | worst | best |",
        "|---|---|---|---|---|",
    ]
    for column in columns:
        ratio = np.mean([row[column]["deviation"] / row["none"]["deviation"] for row in known])
        gain = [row[column]["accuracy"] - row["none"]["accuracy"] for row in known]
        lines.append(
            f"| {column} | {ratio:.3f} | {np.mean(gain):+.4f} | {min(gain):+.4f} | {max(gain):+.4f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="seconds, one generic device, nothing written")
    parser.add_argument("--only", choices=("trees", "born"), help="measure one part anew, keep the other")
    parser.add_argument(
        "--tree", help="with --only trees, the first word of the trees that are measured anew"
    )
    arguments = parser.parse_args()
    smoke, kept = arguments.smoke, {}
    if arguments.only:
        kept = json.loads((FOLDER / "results.json").read_text())
    backends = devices(smoke=smoke)
    born = kept["born"] if arguments.only == "trees" else list(on_born(backends, smoke=smoke))
    if arguments.only == "born":
        trees = kept["trees"]
    else:
        trees = [row for row in kept.get("trees", []) if arguments.tree and row["tree"] in TREES]
        trees = [row for row in trees if not row["tree"].startswith(arguments.tree)]
        trees += on_trees(backends, smoke=smoke, only=arguments.tree or "")
    parts = {
        "Trees: mean deviation of the probabilities (accuracy)": table(trees),
        "Over all of them": summary(trees),
        "Gates, time, and shots that count": gates_table(trees),
        "With qubits that drift": drift_table(trees),
        "Born machine: nats that its strings are less likely": born_table(born),
    }
    text = "\n\n".join(f"## {title}\n\n{part}" for title, part in parts.items())
    print(text)
    if not smoke:
        (FOLDER / "results.md").write_text(f"# Passes\n\n{text}\n")
        (FOLDER / "results.json").write_text(json.dumps({"trees": trees, "born": born}, indent=1) + "\n")


if __name__ == "__main__":
    main()
