"""`qtnml circuits`: the zoo of trained circuits, listed, shown and checked."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qtnml.cli.app import CIRCUITS, Json, app, report

circuits = typer.Typer(no_args_is_help=True, help="Trained circuits, ready to run: list, show, check, build.")
app.add_typer(circuits, name="circuits", rich_help_panel=CIRCUITS)

Folder = Annotated[
    Path | None,
    typer.Option(help="Where the circuits are (default: the repository's `circuits/`)."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A circuit, as `qtnml circuits list` names it.")]


@circuits.command(name="list")
def list_(folder: Folder = None, as_json: Json = False) -> None:
    """All circuits of a folder: qubits, two-qubit gates, depth; accuracy, or nats per test sample.

    Example: qtnml circuits list
    """
    from qtnml.zoo import default_folder, draws, read_cards

    cards = read_cards(folder or default_folder())
    if as_json:
        print(json.dumps({"circuits": cards}))
        return
    table = Table(box=SIMPLE, show_edge=False)
    for name in ("circuit", "qubits", "features", "2q gates", "depth", "accuracy"):
        table.add_column(name, justify="left" if name == "circuit" else "right", overflow="fold")
    for card in cards:
        facts = card["resources"]
        counts = (facts["qubits"], facts["features"], facts["two_qubit_gates"], facts["depth"])
        good = (
            f"{-card['likelihood']['exact']:.2f} nats" if draws(card) else f"{card['accuracy']['exact']:.4f}"
        )
        table.add_row(escape(card["name"]), *(f"{count:,}" for count in counts), good)
    Console().print(table)


@circuits.command()
def show(name: Name, folder: Folder = None, as_json: Json = False) -> None:
    """One circuit's card.

    Example: qtnml circuits show digits_3v5_tree_v1_7q
    """
    from qtnml.zoo import default_folder, read_card

    card = read_card(folder or default_folder(), name)
    report(f"Circuit {name}", _flat(card), card, as_json)


@circuits.command()
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which ones (default: all)."),
    ] = None,
    folder: Folder = None,
    samples: Annotated[int, typer.Option(min=1, help="Test samples to measure on Aer.")] = 5,
    shots: Annotated[int, typer.Option(min=1, help="Measurements per sample.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shots.")] = 0,
    as_json: Json = False,
) -> None:
    """Rebuild circuits from their weights, compare them gate by gate, and measure their accuracy on Aer.

    Reading OpenQASM 3 takes the package qiskit-qasm3-import. The exit status is 1 if any circuit does not
    fit its model and card.

    Example: qtnml circuits check digits_3v5_tree_v1_7q
    """
    from qtnml.zoo import check_circuit, default_folder, read_cards

    where = folder or default_folder()
    results = []
    for name in names or [card["name"] for card in read_cards(where)]:
        typer.echo(f"checking {name}", err=True)
        results.append(check_circuit(where, name, samples=samples, shots=shots, seed=seed))
    rows = {result.name: f"{'ok' if result.passed else 'FAILED'}: {result}" for result in results}
    report("Circuits checked", rows, {"checks": [result.to_dict() for result in results]}, as_json)
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@circuits.command()
def build(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Which ones (default: all)."),
    ] = None,
    folder: Folder = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to (default: the same)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compile circuits again from their models and cards, and write their files.

    Nothing is trained. After a change of the compiler this brings a folder up to date; `qtnml circuits check`
    says where the files differ from what would be compiled now.

    Example: qtnml circuits build digits_3v5_tree_v1_7q -o /tmp/circuits
    """
    from qtnml.zoo import default_folder, read_cards, rebuild_circuit

    where, rows, facts = folder or default_folder(), dict[str, str](), dict[str, Any]()
    for name in names or [card["name"] for card in read_cards(where)]:
        typer.echo(f"building {name}", err=True)
        compiled = rebuild_circuit(where, name, into=output)
        rows[name] = str(compiled)
        facts[name] = compiled.report().to_dict()
    report(f"Circuits written to {output or where}", rows, facts, as_json)


def _flat(card: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested entries in one table."""
    rows: dict[str, str] = {}
    for key, value in card.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, dict):
            rows |= _flat(value, f"{name}: ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value, start=1):
                rows |= _flat(item, f"{name} {number}: ")
        else:
            rows[name] = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return rows
