"""Writes the four files of a trained circuit, and makes them again from the model and the card."""

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qtnml.compile import GenerativeCircuit, export_circuit
from qtnml.gates import Synthesis
from qtnml.models import CircuitBornMachine, load_model, samples_for, strings_for
from qtnml.storage import write_atomically
from qtnml.zoo.cards import read_card


def write_circuit(folder: Path, name: str, model: Any, *, made_by: list[str], **compiling: Any) -> Any:
    """Compile a fitted classifier or Born machine and write its four files.

    Args:
        folder: Folder to write to.
        name: Name of the files.
        model: Fitted model, with `notes_` that say how its data are read.
        made_by: Commands that make it again, for the card.
        compiling: Options reuse_qubits, num_qubits, and a `Synthesis`.

    Returns:
        The `CompiledCircuit` or `GenerativeCircuit`.
    """
    synthesis = compiling.get("synthesis") or Synthesis()
    compiled = model.compile(**compiling)
    resources = compiled.report().to_dict()
    del resources["idle"], resources["layout"]
    what = _drawing(model) if isinstance(compiled, GenerativeCircuit) else _deciding(model, compiled)
    card = {
        "name": name,
        **what,
        "data": model.notes_,
        "compile": {
            "reuse_qubits": bool(compiling.get("reuse_qubits", True)),
            "num_qubits": compiling.get("num_qubits"),
            "synthesis": asdict(synthesis),
        },
        "resources": resources,
        "made_by": made_by,
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("qtnml", "qiskit", "numpy", "jax")},
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / f"{name}.qtnml")
    export_circuit(compiled, folder / f"{name}.qasm")
    export_circuit(compiled, folder / f"{name}.qpy", free_weights=True)
    write_atomically(folder / f"{name}.json", (json.dumps(card, indent=1) + "\n").encode())
    return compiled


def rebuild_circuit(folder: Path, name: str, *, into: Path | None = None) -> Any:
    """Compile a circuit again from its model and card, and write its files.

    Args:
        folder: Folder of the model and the card.
        name: Name of the circuit.
        into: Folder to write to; the same folder by default.

    Raises:
        CircuitFileError: A file is missing or damaged.
    """
    card = read_card(folder, name)
    model = load_model(folder / f"{name}.qtnml")
    how = how_compiled(model, card)
    return write_circuit(into or folder, name, model, made_by=card.get("made_by", []), **how)


def how_compiled(model: Any, card: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `compile` that made a card's circuit; gates that are given need no synthesis."""
    how = dict(card["compile"])
    synthesis = Synthesis(**how.pop("synthesis"))
    return how if isinstance(model, CircuitBornMachine) else how | {"synthesis": synthesis}


def _deciding(model: Any, compiled: Any) -> dict[str, Any]:
    """What the card says of a classifier."""
    X, y = samples_for(model, model.notes_["data"])
    assert y is not None
    return {
        "model": (
            f"{type(model).__name__}, V={model.model_.topology.widest}, ansatz {model.model_.ansatz.name!r}"
        ),
        "encoding": f"{compiled.encoding.name}: one angle per data qubit; NAME.qasm says which",
        "read_out": {
            format(k, f"0{len(compiled.schedule.measured)}b"): str(label)
            for k, label in enumerate(model.classes_)
        },
        "accuracy": {"test_samples": len(y), "exact": model.score(X, y)},
    }


def _drawing(model: Any) -> dict[str, Any]:
    """What the card says of a Born machine; its likelihood in nats per sample."""
    X = strings_for(model, model.notes_["data"])
    if isinstance(model, CircuitBornMachine):
        kind = f"{type(model).__name__}, {len(model.blocks_.pairs)} gates of SU(4)"
    else:
        kind = f"{type(model).__name__}, bonds up to {max(model.bond_dims_)}"
    return {
        "model": kind,
        "read_out": "one site after the other; NAME.qasm says which bits are which site's",
        "likelihood": {"test_samples": len(X), "exact": float(model.score(X))},
    }
