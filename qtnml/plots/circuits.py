"""Compiled circuits as figures: one box for each leaf, node, reset and read-out."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from qtnml.compile import CompiledCircuit, GenerativeCircuit, Step, overview
from qtnml.plots.shown import ShownFigure

_COLOURS = {"leaf": "#cfe3d4", "node": "#c9dbf2", "reset": "#e3e3e3", "read": "#f6dcc0", "check": "#f2c9c9"}
_MEANINGS = {
    "leaf": "prepares a feature",
    "node": "a node's gates",
    "reset": "back to |0>",
    "read": "read-out",
    "check": "must read 0",
}
_MOST_LABELLED = 20  # qubits; of more rows only the colours can be told apart
_LETTERS = 7


def plot_circuit(
    compiled: CompiledCircuit | GenerativeCircuit,
    *,
    columns: int = 24,
    feature_names: Sequence[str] | None = None,
) -> Figure:
    """Draw the schedule of a circuit at the level of nodes; the figure is as large as needed.

    Rows are qubits, with their numbers on the device if the circuit was compiled for one. Up to 20 qubits
    every box has its name. With more qubits a summary is drawn, in which colours show what acts when.

    Args:
        compiled: A network's circuit or a generative circuit.
        columns: Number of steps in a line; longer circuits continue below.
        feature_names: Names beside the boxes; x0, x1, ... by default.
    """
    steps = overview(compiled, feature_names)
    placed, length = _columns(steps, compiled.num_qubits)
    labelled = compiled.num_qubits <= _MOST_LABELLED
    columns = min(columns if labelled else 4 * columns, length)
    lines = -(-length // columns)
    cell, row = (0.55, 0.38) if labelled else (0.14, 0.11)
    width, height = max(columns * cell + 0.9, 6.5), lines * (compiled.num_qubits * row + 0.3) + 0.9
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(lines, 1, squeeze=False)[:, 0]
    names = _qubit_names(compiled)
    for line, axes in enumerate(panels):
        axes.set(xlim=(-0.6, columns - 0.4), ylim=(compiled.num_qubits - 0.4, -0.6))
        axes.hlines(range(compiled.num_qubits), -0.6, columns - 0.4, color="0.85", linewidth=0.8, zorder=0)
        axes.set_xticks([])
        axes.set_yticks(range(compiled.num_qubits) if labelled else [], names if labelled else [])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for step, column in zip(steps, placed, strict=True):
            if column // columns == line:
                _draw(axes, step, column % columns, labelled=labelled)
    panels[0].set_title(_title(compiled), fontsize=10, loc="left")
    _legend(figure, {step.kind for step in steps})
    return figure


def _columns(steps: Sequence[Step], num_qubits: int) -> tuple[list[int], int]:
    """Column of each step, as early as its qubits and those it passes are free, and the number of columns."""
    free, found = [0] * num_qubits, []
    for step in steps:
        rows = range(min(step.qubits), max(step.qubits) + 1)
        column = max(free[qubit] for qubit in rows)
        found.append(column)
        for qubit in rows:
            free[qubit] = column + 1
    return found, max(free)


def _draw(axes: Any, step: Step, column: int, *, labelled: bool) -> None:
    low, high = min(step.qubits), max(step.qubits)
    if high > low:
        axes.vlines(column, low, high, color="0.35", linewidth=1.0, zorder=1)
    for qubit in step.qubits:
        box = Rectangle(
            (column - 0.45, qubit - 0.4), 0.9, 0.8, facecolor=_COLOURS[step.kind], edgecolor="0.35", zorder=2
        )
        box.set_linewidth(0.6 if labelled else 0.0)
        axes.add_patch(box)
        if labelled:
            text = step.label if len(step.label) <= _LETTERS else f"{step.label[:3]}…{step.label[-3:]}"
            axes.text(column, qubit, text, ha="center", va="center", fontsize=7, zorder=3)


def _qubit_names(compiled: CompiledCircuit | GenerativeCircuit) -> list[str]:
    layout = getattr(compiled, "layout", None)
    places = range(compiled.num_qubits) if layout is None else layout[: compiled.num_qubits]
    return [f"q{place}" for place in places]


def _title(compiled: CompiledCircuit | GenerativeCircuit) -> str:
    if isinstance(compiled, GenerativeCircuit):
        what = f"{compiled.num_sites} sites drawn"
    else:
        what = f"{compiled.num_features} features"
    where = getattr(compiled, "device", None)
    device = "" if where is None else f" of {where.name}"
    return (
        f"{what} on {compiled.num_qubits} qubits{device}: depth {compiled.depth:,}, "
        f"{compiled.two_qubit_gates:,} two-qubit gates, {compiled.num_resets} resets"
    )


def _legend(figure: Figure, kinds: set[str]) -> None:
    shown = [kind for kind in _COLOURS if kind in kinds]
    handles = [Rectangle((0, 0), 1, 1, facecolor=_COLOURS[kind], edgecolor="0.35") for kind in shown]
    labels = [_MEANINGS[kind] for kind in shown]
    figure.legend(handles, labels, loc="outside lower left", ncols=len(shown), frameon=False, fontsize=8)
