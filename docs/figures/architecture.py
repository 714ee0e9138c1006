"""The rooms of the package and who imports whom, from the code's own imports (transitive reduction).

python docs/figures/architecture.py       # writes docs/figures/architecture.png
"""

import ast
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "qtnml"
_BASE = {"registry", "storage", "shown", "progress", "arrays", "errors"}  # imported from everywhere
_WORDS = {
    "data": "data sets, tables",
    "encoding": "features to states",
    "gates": "synthesis",
    "structure": "trees",
    "ansatz": "unitaries of nodes",
    "contract": "contraction",
    "born": "likelihoods, sweeps",
    "program": "schedule, passes",
    "noise": "exact noise",
    "compile": "circuits",
    "states": "states in and out",
    "shallow": "few gates",
    "graphs": "structure search",
    "train": "training loop",
    "backends": "simulators, devices",
    "study": "many trainings",
    "explain": "explanations",
    "ledger": "database",
    "jobs": "plans, budgets",
    "hybrid": "training on devices",
    "mitigation": "error mitigation",
    "models": "estimators",
    "plots": "figures",
    "demo": "first command",
    "zoo": "circuits/",
    "cli": "command line",
}


def layers() -> list[list[str]]:
    """Rooms from the top to the bottom, as the import contract of pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return [[room.strip() for room in layer.split("|")] for layer in contract["layers"]]


def imports() -> Counter[tuple[str, str]]:
    """(room, room it imports from) -> statements."""
    found: Counter[tuple[str, str]] = Counter()
    for path in PACKAGE.rglob("*.py"):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qtnml."):
                other = str(node.module).split(".")[1]
                if other != room and room != "__init__":
                    found[room, other] += 1
    return found


def lines_of(room: str) -> int:
    """Lines of code, comments and blank ones included."""
    path = PACKAGE / room
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    return sum(len(file.read_text().splitlines()) for file in files)


def needed(edges: Counter[tuple[str, str]], order: list[str]) -> set[tuple[str, str]]:
    """Imports that no chain of other imports implies (the transitive reduction)."""
    reach: dict[str, set[str]] = {}
    kept = set()
    for room in reversed(order):
        below = sorted({b for a, b in edges if a == room and b in order}, key=order.index)
        found: set[str] = set()
        for other in below:  # from the top: what an upper one reaches is implied
            if other not in found:
                kept.add((room, other))
            found |= {other} | reach[other]
        reach[room] = found
    return kept


def main() -> None:
    """Draw."""
    rows = [[room for room in row if room not in _BASE] for row in layers()]
    rows = [row for row in rows if row]
    # Rooms that do not know each other share a row, so that the figure is wide instead of high.
    edges = imports()
    shown: list[list[str]] = []
    for row in rows:
        if shown and not any((a, b) in edges for a in shown[-1] for b in row) and len(shown[-1] + row) <= 4:
            shown[-1] = shown[-1] + row
        else:
            shown.append(list(row))
    order = [room for row in shown for room in row]
    places = {
        room: (
            (column - (len(row) - 1) / 2) * 2.6 + (0.5 if len(row) == 1 and number % 2 else 0.0),
            -float(number),
        )
        for number, row in enumerate(shown)
        for column, room in enumerate(row)
    }
    figure = Figure(figsize=(8.5, 0.62 * len(shown) + 1.2), layout="constrained")
    axes: Any = figure.subplots()
    for room, other in needed(edges, order):
        (x, y), (below_x, below_y) = places[room], places[other]
        far = y - below_y > 1.5
        arrow = FancyArrowPatch(
            (x, y - 0.3),
            (below_x, below_y + 0.3),
            connectionstyle=f"arc3,rad={(0.25 if x + below_x >= 0.3 else -0.25) if far else 0.0}",
            arrowstyle="-|>",
            mutation_scale=7,
            linewidth=0.9,
            color="#1f5fa8",
            zorder=1,
        )
        axes.add_patch(arrow)
    for room, (x, y) in places.items():
        box = FancyBboxPatch(
            (x - 1.0, y - 0.25), 2.0, 0.5, boxstyle="round,pad=0.04", facecolor="#eef3f9", edgecolor="0.35"
        )
        axes.add_patch(box)
        axes.text(x, y + 0.08, room, ha="center", va="center", fontsize=9.5, zorder=3)
        told = f"{_WORDS[room]}, {lines_of(room):,} lines"
        axes.text(x, y - 0.15, told, ha="center", va="center", fontsize=6, color="0.35", zorder=3)
    base = ", ".join(room for row in layers() for room in row if room in _BASE)
    axes.text(0, -len(shown) + 0.1, f"below all of them: {base}", ha="center", fontsize=8, color="0.35")
    axes.set(xlim=(-6.2, 6.2), ylim=(-len(shown) - 0.2, 0.6))
    axes.axis("off")
    figure.savefig(Path(__file__).parent / "architecture.png", dpi=130)


if __name__ == "__main__":
    main()
