"""Trained models on devices: the circuit that is chosen, the best there was, and Qiskit's; see README.md.

python experiments/compiler_devices/run.py [--smoke]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from qiskit.circuit import Measure, Parameter, Reset
from qiskit.circuit.library import RXGate, RZGate, RZZGate, SXGate
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap, InstructionProperties, QubitProperties, Target
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from qtnml import MPSClassifier, Synthesis, TreeClassifier
from qtnml.compile.circuit import network_source
from qtnml.compile.expected import compared
from qtnml.compile.on_device import candidates
from qtnml.errors import InvalidInputError
from qtnml.noise import DeviceNoise, NoisyCircuit
from qtnml.program import device_of

FOLDER = Path(__file__).parent
MODELS = {
    "tree, 64 pixels, V=1": (TreeClassifier, 1, 8),
    "tree, 16 pixels, V=2": (TreeClassifier, 2, 4),
    "chain, 16 pixels, V=1": (MPSClassifier, 1, 4),
}
PAIRS = ((3, 5), (4, 9), (1, 7))
CHOSEN_BY = 64  # training images that candidates are compared on


def trap() -> Target:
    """Round numbers of ion traps: all qubits joined, slow and good gates, little relaxation."""
    size, pairs = 64, [(a, b) for a in range(64) for b in range(a)]
    lasting = [QubitProperties(t1=100.0, t2=1.0) for _ in range(size)]
    target = Target(num_qubits=size, qubit_properties=lasting, description="ion trap")
    for gate in (SXGate(), RXGate(Parameter("a"))):
        target.add_instruction(
            gate, {(q,): InstructionProperties(duration=10e-6, error=1e-4) for q in range(size)}
        )
    target.add_instruction(
        RZGate(Parameter("b")), {(q,): InstructionProperties(duration=0.0, error=0.0) for q in range(size)}
    )
    target.add_instruction(
        RZZGate(Parameter("c")), {pair: InstructionProperties(duration=200e-6, error=3e-3) for pair in pairs}
    )
    target.add_instruction(
        Measure(), {(q,): InstructionProperties(duration=300e-6, error=3e-3) for q in range(size)}
    )
    target.add_instruction(
        Reset(), {(q,): InstructionProperties(duration=100e-6, error=1e-3) for q in range(size)}
    )
    return target


def devices(*, smoke: bool) -> dict[str, Any]:
    if smoke:
        return {"heavy-hex, 57": GenericBackendV2(57, coupling_map=CouplingMap.from_heavy_hex(5), seed=1)}
    from qiskit_ibm_runtime.fake_provider import FakeFez, FakeSherbrooke, FakeTorino

    backends = (FakeTorino(), FakeFez(), FakeSherbrooke())
    return {type(each).__name__: each for each in backends} | {"ion trap": trap()}


def digits(pair: tuple[int, int], side: int) -> list[np.ndarray]:
    """Images of two digits, as 8x8 or 4x4 pixels."""
    X, y = load_digits(return_X_y=True)
    keep = np.isin(y, pair)
    X = X[keep].reshape(-1, side, 8 // side, side, 8 // side).mean(axis=(2, 4)).reshape(-1, side * side) / 16
    return train_test_split(X, y[keep], test_size=0.3, random_state=0, stratify=y[keep])  # type: ignore[no-any-return]


def seen(compiled: Any, noise: DeviceNoise, clf: Any, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Exact accuracy and contrast on test images; None where the circuit hangs together too widely."""
    try:
        found = NoisyCircuit(compiled, noise).probabilities(X)
    except InvalidInputError:
        return {"method": compiled.method, "qubits": compiled.num_qubits, "accuracy": None, "contrast": None}
    right = clf.classes_[found[:, : len(clf.classes_)].argmax(axis=1)] == y
    expected = compared(clf.outcome_probabilities(X), found, np.ones(len(X)))
    return {
        "method": compiled.method,
        "qubits": compiled.num_qubits,
        "accuracy": float(right.mean()),
        "contrast": expected.contrast,
        "decided": expected.decided,
        "estimated_success": compiled.estimated_success,
    }


def measure(name: str, pair: tuple[int, int], where: str, backend: Any, epochs: int) -> dict[str, Any]:
    kind, bond, side = MODELS[name]
    X, X_test, y, y_test = digits(pair, side)
    clf = kind(bond, epochs=epochs, random_state=PAIRS.index(pair)).fit(X, y)
    noise, device = DeviceNoise.from_backend(backend), device_of(backend)
    began = time.perf_counter()
    chosen = {
        "chosen": clf.compile(target=backend, samples=X[:CHOSEN_BY]),
        "without samples": clf.compile(target=backend),
    }
    seconds = (time.perf_counter() - began) / 2
    source = network_source(clf.model_, clf.params_, scaler=clf.scaler_, samples=X[:CHOSEN_BY])
    every = candidates(source, device, Synthesis(), reuse_qubits=True, most=device.num_qubits)
    looked_at = [seen(each, noise, clf, X_test, y_test) for each in every]
    known = [each for each in looked_at if each["accuracy"] is not None]
    qiskits = [each for each in known if "Qiskit" in each["method"]]
    by_estimate = max(zip(every, looked_at, strict=True), key=lambda pair: pair[0].estimated_success or 0)[1]
    return {
        "model": name,
        "digits": f"{pair[0]} or {pair[1]}",
        "device": where,
        "without noise": float((clf.predict(X_test) == y_test).mean()),
        **{key: seen(each, noise, clf, X_test, y_test) for key, each in chosen.items()},
        "best": max(known, key=lambda each: (each["accuracy"], each["contrast"])),
        "by estimated success": by_estimate,
        "Qiskit's": max(qiskits, key=lambda each: (each["accuracy"], each["contrast"])) if qiskits else None,
        "candidates": len(every),
        "refused": len(every) - len(known),
        "seconds": seconds,
    }


def cell(found: dict[str, Any] | None) -> str:
    if found is None or found["accuracy"] is None:
        return "refused"
    return f"{found['accuracy']:.3f} ({found['contrast']:.2f}, {found['qubits']} qubits)"


def table(rows: list[dict[str, Any]]) -> str:
    shown = ("chosen", "without samples", "best", "by estimated success", "Qiskit's")
    columns = ["model", "digits", "device", "without noise", *shown, "candidates (refused)", "seconds"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [row["model"], row["digits"], row["device"], f"{row['without noise']:.3f}"]
        cells += [cell(row[key]) for key in shown]
        cells += [f"{row['candidates']} ({row['refused']})", f"{row['seconds']:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for key in shown[:2] + shown[3:]:
        lost = [
            row["best"]["accuracy"] - row[key]["accuracy"]
            for row in rows
            if row[key] is not None and row[key]["accuracy"] is not None
        ]
        if lost:
            often = sum(each > 0.01 for each in lost)
            lines.append(
                f"- {key}: accuracy below the best by {max(lost):.3f} at most and {np.mean(lost):.4f} on "
                f"average, by more than 0.01 in {often} of {len(lost)} rows (there are {len(rows)})"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one model on one generic device, prints only")
    parser.add_argument(
        "--device", help="measure one device anew (FakeTorino, ion trap, ...), keep the others"
    )
    arguments = parser.parse_args()
    smoke, only, rows = arguments.smoke, arguments.device, []
    if only:
        rows = [r for r in json.loads((FOLDER / "results.json").read_text()) if r["device"] != only]
    chosen = {where: each for where, each in devices(smoke=smoke).items() if only in (None, where)}
    for where, backend in chosen.items():
        for name in ["chain, 16 pixels, V=1"] if smoke else MODELS:
            for pair in PAIRS[:1] if smoke else PAIRS:
                rows.append(measure(name, pair, where, backend, 3 if smoke else 20))
                print(table(rows[-1:]).splitlines()[2], flush=True)
                if not smoke:
                    (FOLDER / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
                    (FOLDER / "results.md").write_text(table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
