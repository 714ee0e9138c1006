"""Accuracy against the number of physical qubits, for three generations of devices; see README.md.

python experiments/reuse_tradeoff/run.py [--smoke]
"""

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from qiskit.circuit import Measure, Parameter, Reset
from qiskit.circuit.library import CZGate, RZGate, SXGate, XGate
from qiskit.transpiler import CouplingMap, InstructionProperties, QubitProperties, Target

from qtnml import TreeClassifier, load_dataset
from qtnml.compile import CompiledCircuit
from qtnml.errors import ClippedDataWarning, InvalidInputError
from qtnml.noise import DeviceNoise, NoisyCircuit

FOLDER = Path(__file__).parent
COMPARED = 64  # training images that passes are compared on
WIDTHS = (7, 8, 10, 12, 16, 20, 24, 32, 48, 64)
# Round numbers: about five years ago, today's better ones, and what is announced for the next years.
GENERATIONS = {
    "past": DeviceNoise(
        t1=60e-6,
        t2=60e-6,
        one_qubit_time=70e-9,
        two_qubit_time=400e-9,
        reset_time=4e-6,
        readout_time=4e-6,
        one_qubit_error=5e-4,
        two_qubit_error=1.2e-2,
        reset_error=0.03,
        readout_error=0.03,
        name="past",
    ),
    "present": DeviceNoise(
        t1=180e-6,
        t2=140e-6,
        one_qubit_time=64e-9,
        two_qubit_time=70e-9,
        reset_time=1.7e-6,
        readout_time=1.6e-6,
        one_qubit_error=3e-4,
        two_qubit_error=3.5e-3,
        reset_error=0.01,
        readout_error=0.012,
        name="present",
    ),
    "next": DeviceNoise(
        t1=500e-6,
        t2=500e-6,
        one_qubit_time=50e-9,
        two_qubit_time=60e-9,
        reset_time=0.5e-6,
        readout_time=0.5e-6,
        one_qubit_error=1e-4,
        two_qubit_error=8e-4,
        reset_error=0.003,
        readout_error=0.005,
        name="next",
    ),
}


def heavy_hex(noise: DeviceNoise) -> Target:
    """A heavy-hexagonal device of 115 qubits with these numbers on every qubit and pair."""
    coupling = CouplingMap.from_heavy_hex(7)
    size = coupling.size()
    target = Target(
        num_qubits=size,
        description=noise.name,
        qubit_properties=[QubitProperties(t1=noise.t1, t2=noise.t2) for _ in range(size)],
    )
    one = InstructionProperties(duration=noise.one_qubit_time / 2, error=noise.one_qubit_error / 2)
    target.add_instruction(
        RZGate(Parameter("t")), {(q,): InstructionProperties(0.0, 0.0) for q in range(size)}
    )
    for gate in (SXGate(), XGate()):
        target.add_instruction(gate, {(q,): one for q in range(size)})
    two = InstructionProperties(duration=noise.two_qubit_time, error=noise.two_qubit_error)
    target.add_instruction(CZGate(), {tuple(pair): two for pair in coupling.get_edges()})
    read = InstructionProperties(duration=noise.readout_time, error=noise.readout_error)
    target.add_instruction(Measure(), {(q,): read for q in range(size)})
    # Its error here is the infidelity the compiler counts; the noise below knows what it is.
    reset = InstructionProperties(duration=noise.reset_time, error=noise.reset_error)
    target.add_instruction(Reset(), {(q,): reset for q in range(size)})
    return target


def on_device(noise: DeviceNoise, target: Target) -> DeviceNoise:
    """The target's calibration, with the errors of resets that a target cannot say."""
    return replace(DeviceNoise.from_backend(target), reset_error=noise.reset_error)


def accuracy(compiled: CompiledCircuit, noise: DeviceNoise, X: Any, labels: Any) -> tuple[float, float]:
    """Accuracy, and mean probability of the right class."""
    proba = NoisyCircuit(compiled, noise).probabilities(X)
    right = proba[np.arange(len(labels)), labels]
    return float((proba.argmax(axis=1) == labels).mean()), float(right.mean())


def study(
    clf: TreeClassifier, X: Any, labels: Any, widths: tuple[int, ...], samples: Any
) -> list[dict[str, Any]]:
    rows = []
    for name, noise in GENERATIONS.items():
        target = heavy_hex(noise)
        device = on_device(noise, target)
        chosen = clf.compile(target=target)
        for width in widths:
            free = clf.compile(num_qubits=width)
            ideal, right = accuracy(free, noise, X, labels)
            routed = routed_circuit(clf, target, width)
            same = (routed.num_qubits, routed.two_qubit_gates) == (
                chosen.num_qubits,
                chosen.two_qubit_gates,
            )
            row = {
                "generation": name,
                "width": width,
                "any pair: accuracy": ideal,
                "any pair: probability": right,
                "any pair: CX": free.two_qubit_gates,
                "heavy-hex: qubits": routed.num_qubits,
                "heavy-hex: CZ": routed.two_qubit_gates,
                "estimated success": routed.estimated_success,
                "chosen": same,
            }
            try:
                found, exact = accuracy(routed, device, X, labels), True
            except InvalidInputError:
                found, exact = approximated(free, noise, routed, X, labels), False
            row |= {"heavy-hex: accuracy": found[0], "heavy-hex: probability": found[1], "exact": exact}
            row |= with_passes(clf, target, width, device, X, labels, samples)
            rows.append(row)
            print(row, flush=True)
    return rows


def routed_circuit(clf: TreeClassifier, target: Target, width: int, **passes: Any) -> CompiledCircuit:
    """On exactly so many qubits where the compiler has such a circuit, else on as many as it takes."""
    reuse = width < 64
    return clf.compile(target=target, reuse_qubits=reuse, num_qubits=width if reuse else None, **passes)


def with_passes(
    clf: TreeClassifier, target: Target, width: int, noise: DeviceNoise, X: Any, labels: Any, samples: Any
) -> dict[str, Any]:
    """The passes that do best on training images, on test images."""
    try:
        compiled = routed_circuit(clf, target, width, passes="auto", samples=samples)
        found = accuracy(compiled, noise, X, labels)
    except InvalidInputError:  # no exact distribution to compare by
        return {"passes: accuracy": None, "passes: probability": None, "passes": None}
    names = ", ".join(compiled.passes)
    return {"passes: accuracy": found[0], "passes: probability": found[1], "passes": names}


def approximated(
    free: CompiledCircuit, noise: DeviceNoise, routed: CompiledCircuit, X: Any, labels: Any
) -> tuple[float, float]:
    """SWAPs carry noise across wires, which no exact map knows: here every gate on two qubits errs more
    instead,
    by as much as there are more of them, and takes as much longer."""
    ratio = routed.two_qubit_gates / free.two_qubit_gates
    slower = replace(
        noise,
        two_qubit_error=min(1.0, ratio * noise.two_qubit_error),
        two_qubit_time=ratio * noise.two_qubit_time,
    )
    return accuracy(free, slower, X, labels)


def table(rows: list[dict[str, Any]]) -> str:
    def shown(value: Any) -> str:
        return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)

    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(shown, row.values()))} |" for row in rows)])


def figure(rows: list[dict[str, Any]], clean: float) -> Figure:
    """Probability of the right class and accuracy against width."""
    drawn = Figure(figsize=(12, 6.4), layout="constrained")
    grid = drawn.subplots(2, len(GENERATIONS), sharex=True)
    for column, name in enumerate(GENERATIONS):
        mine = [row for row in rows if row["generation"] == name]
        for axes, value in zip(grid[:, column], ("probability", "accuracy"), strict=True):
            axes.plot(
                [r["width"] for r in mine], [r[f"any pair: {value}"] for r in mine], "o-", color="#1f5fa8",
                label="every pair coupled",
            )  # fmt: skip
            for exact, marker, label in (
                (True, "s", "heavy-hex, exact"),
                (False, "^", "heavy-hex, many SWAPs (approximate)"),
            ):
                part = [r for r in mine if r["exact"] is exact]
                points = sorted({(r["heavy-hex: qubits"], r[f"heavy-hex: {value}"]) for r in part})
                axes.plot(
                    *zip(*points, strict=True) if points else ([], []), marker, color="#d9822b", label=label
                )
            helped = sorted(
                {(r["heavy-hex: qubits"], r[f"passes: {value}"]) for r in mine if r["passes"] is not None}
            )
            axes.plot(
                *zip(*helped, strict=True), "D", color="#2c8a6b", markersize=5, label="heavy-hex, passes"
            )
            best = [r for r in mine if r["chosen"]][:1]
            axes.plot(
                [r["heavy-hex: qubits"] for r in best], [r[f"heavy-hex: {value}"] for r in best], "*",
                markersize=15, color="#b3261e", label="the compiler's choice", zorder=4,
            )  # fmt: skip
            axes.set(xscale="log", ylabel=f"{value}")
            axes.set_xticks([7, 12, 24, 64], ["7", "12", "24", "64"])
            axes.minorticks_off()
            axes.grid(color="0.93")
            axes.spines[["top", "right"]].set_visible(False)
        grid[0, column].set_title(name)
        grid[1, column].axhline(clean, color="0.6", linestyle=":")
        grid[1, column].set(xlabel="physical qubits")
    grid[0, 0].legend(frameon=False, fontsize=8)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="the built-in digits, two widths, prints only")
    small = parser.parse_args().smoke
    data = load_dataset("digits" if small else "mnist", size=8, classes=(3, 5), order="z")
    clf = TreeClassifier(epochs=10 if small else 40, feature_range=(0, 1), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ClippedDataWarning)
        clf.fit(data.X_train, data.y_train)
        labels = np.searchsorted(clf.classes_, data.y_test)
        clean = clf.score(data.X_test, data.y_test)
        rows = study(clf, data.X_test, labels, (7, 64) if small else WIDTHS, data.X_train[:COMPARED])
    print(table(rows))
    if not small:
        (FOLDER / "results.md").write_text(f"Accuracy without noise: {clean:.4f}\n\n{table(rows)}\n")
        (FOLDER / "results.json").write_text(json.dumps({"clean": clean, "rows": rows}, indent=1) + "\n")
        figure(rows, clean).savefig(FOLDER / "tradeoff.png", dpi=110)


if __name__ == "__main__":
    main()
