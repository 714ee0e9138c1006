"""Cards of a folder of trained circuits: finding and reading them."""

import json
from pathlib import Path
from typing import Any

from qtnml.errors import CircuitFileError
from qtnml.gates import Synthesis

RESOURCES = ("features", "qubits", "two_qubit_gates", "depth", "resets")


def default_folder() -> Path:
    """Default folder of circuits: the repository's `circuits/`, or that of the working directory."""
    beside = Path(__file__).parents[2] / "circuits"
    return beside if beside.is_dir() else Path("circuits")


def read_cards(folder: Path) -> list[dict[str, Any]]:
    """All cards of a folder, by name.

    Raises:
        CircuitFileError: There is no folder, or no card in it.
    """
    cards = [read_card(folder, path.stem) for path in sorted(folder.glob("*.json"))]
    if not cards:
        raise CircuitFileError(f"no circuit cards in {folder}; name the folder with --folder")
    return cards


def read_card(folder: Path, name: str) -> dict[str, Any]:
    """The card of one circuit.

    Raises:
        CircuitFileError: There is no card, or it is damaged.
    """
    path = folder / f"{name}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        _check_card(card, name)
    except FileNotFoundError:
        known = sorted(other.stem for other in folder.glob("*.json"))
        raise CircuitFileError(f"no circuit {name!r} in {folder}; there are {known}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CircuitFileError(f"{path} is damaged ({type(error).__name__}: {error})") from error
    return dict(card)


def draws(card: dict[str, Any]) -> bool:
    """Whether a card describes a generative circuit."""
    return "likelihood" in card


def _check_card(card: Any, name: str) -> None:
    """What is read of it later must be there, of its type."""
    if card["name"] != name:
        raise ValueError(f"it is of {card['name']!r}")
    for key in RESOURCES:
        int(card["resources"][key])
    float(card["likelihood" if draws(card) else "accuracy"]["exact"])
    str(card["model"]), card["data"]["data"]
    if not draws(card):
        card["data"]["classes"]
    Synthesis(**card["compile"]["synthesis"])
    if set(card["compile"]) != {"reuse_qubits", "num_qubits", "synthesis"}:
        raise ValueError("its `compile` has other entries than reuse_qubits, num_qubits, synthesis")
