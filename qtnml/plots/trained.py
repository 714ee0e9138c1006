"""Figures of trained classifiers: training, predictions, noise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml.arrays import NDArray
from qtnml.data import Dataset
from qtnml.models.noise_study import NoiseStudy
from qtnml.noise import Sensitivity
from qtnml.plots.shown import ShownFigure
from qtnml.train import EpochRecord

_TRAINING, _VALIDATION, _WRONG = "#1f5fa8", "#d9822b", "#b3261e"
_SOURCES = ("#1f5fa8", "#6fa8dc", "#d9822b", "#3a7d44", "#8e5aa8", "#9a9a9a")


def plot_training(history: Sequence[EpochRecord], best_epoch: int) -> Figure:
    """Plot loss and error rate by epoch; the best epoch is marked."""
    figure = ShownFigure(figsize=(9, 3.6), layout="constrained")
    losses, errors = figure.subplots(1, 2)
    epochs = [record.epoch for record in history]
    for axes, name in ((losses, "loss"), (errors, "accuracy")):
        series = [(name, "training", _TRAINING), (f"validation_{name}", "validation", _VALIDATION)]
        for field, label, colour in series:
            values = [getattr(record, field) for record in history]
            if values and values[0] is not None:
                shown = values if name == "loss" else [100 * (1 - value) for value in values]
                axes.plot(epochs, shown, color=colour, label=label, linewidth=1.6)
        if best_epoch >= 0:
            axes.axvline(best_epoch + 1, color="0.6", linestyle=":", label=f"kept: epoch {best_epoch + 1}")
        axes.set(xlabel="epoch", ylabel="loss" if name == "loss" else "error rate (%)")
        axes.spines[["top", "right"]].set_visible(False)
    losses.set_yscale("log")
    errors.set_ylim(bottom=0)
    losses.legend(frameon=False)
    return figure


def plot_samples(
    data: Dataset, X: NDArray, y: NDArray, proba: NDArray, classes: NDArray, *, title: str = ""
) -> Figure:
    """Plot pictures with the predicted probabilities of their classes; wrong predictions are red."""
    columns = min(8, len(X))
    rows = -(-len(X) // columns)
    figure = ShownFigure(figsize=(1.5 * columns, 2.1 * rows), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes[len(X) :]:
        axis.axis("off")
    for axis, image, label, row in zip(axes, data.image(X), y, proba, strict=False):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color("0.8")
        likeliest = np.argsort(row)[::-1][:2]
        text = "\n".join(f"{classes[k]}: {row[k]:.2f}" for k in likeliest)
        right = classes[likeliest[0]] == label
        axis.set_title(text, fontsize=9, color="0.15" if right else _WRONG)
    figure.suptitle(title or "Predicted probabilities (red: wrong)", fontsize=11)
    return figure


def plot_confusion(y: NDArray, predicted: NDArray, classes: NDArray, *, title: str = "") -> Figure:
    """Plot the confusion matrix: counts of true class (rows) by predicted class (columns)."""
    counts = np.array([[np.sum((y == t) & (predicted == p)) for p in classes] for t in classes])
    side = max(3.4, 0.55 * len(classes) + 1.8)
    figure = ShownFigure(figsize=(side, side), layout="constrained")
    axes: Any = figure.subplots()
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "0.2")
    names = [str(label) for label in classes]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize=10)
    return figure


def plot_noise_study(study: NoiseStudy, *, value: str = "accuracy", title: str = "") -> Figure:
    """Plot a noise study: for one axis lines with bands over seeds, for two axes a map of each model.

    Further axes are at their first value.
    """
    bands = study.bands(value)
    if len(study.axes) == 1:
        return _noise_lines(study, bands, value, title)
    figure = ShownFigure(figsize=(4.6 * len(bands), 4.0), layout="constrained")
    for axes, (model, points) in zip(
        np.atleast_1d(figure.subplots(1, len(bands))), bands.items(), strict=True
    ):
        first = next(iter(points))[2:]
        shown = {point[:2]: values[0] for point, values in points.items() if point[2:] == first}
        xs, ys = (sorted({point[k] for point in shown}) for k in (0, 1))
        grid = np.array([[shown[x, y] for x in xs] for y in ys])
        image = axes.imshow(grid, origin="lower", aspect="auto", cmap="viridis")
        for (row, column), number in np.ndenumerate(grid):
            dark = number < (grid.min() + grid.max()) / 2
            axes.text(
                column,
                row,
                f"{number:.3f}",
                ha="center",
                va="center",
                color="white" if dark else "0.1",
                fontsize=7,
            )
        axes.set_xticks(range(len(xs)), [f"{x:.3g}" for x in xs], rotation=45)
        axes.set_yticks(range(len(ys)), [f"{y:.3g}" for y in ys])
        axes.set(xlabel=_axis_name(study.axes[0]), ylabel=_axis_name(study.axes[1]))
        axes.set_title(model, fontsize=10)
        figure.colorbar(image, ax=axes, label=value.replace("_", " "))
    figure.suptitle(title)
    return figure


def _noise_lines(study: NoiseStudy, bands: Any, value: str, title: str) -> Figure:
    figure = ShownFigure(figsize=(6.4, 4.0), layout="constrained")
    axes: Any = figure.subplots()
    for model, points in bands.items():
        xs = sorted(points)
        mean, low, high = (np.array([points[x][k] for x in xs]) for k in range(3))
        (line,) = axes.plot([x[0] for x in xs], mean, "o-", markersize=4, label=model)
        axes.fill_between([x[0] for x in xs], low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    values = [row[study.axes[0]] for row in study.rows]
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_xscale("log")
    axes.set(xlabel=_axis_name(study.axes[0]), ylabel=value.replace("_", " "), title=title)
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def _axis_name(axis: str) -> str:
    if axis in ("t1", "t2"):
        return f"{axis.upper()} (s)"
    return axis.replace("_", " ") + (" (s)" if axis.endswith("time") else "")


def plot_sensitivity(found: Sensitivity, *, title: str = "") -> Figure:
    """Plot the loss due to each qubit by source of noise, worst qubit first."""
    order = np.argsort(-found.by_qubit.sum(axis=1))
    figure = ShownFigure(figsize=(max(5.0, 0.32 * len(order) + 2.5), 3.8), layout="constrained")
    axes: Any = figure.subplots()
    bottom = np.zeros(len(order))
    for column, source in enumerate(found.sources):
        heights = found.by_qubit[order, column]
        axes.bar(range(len(order)), heights, bottom=bottom, label=source, color=_SOURCES[column])
        bottom += heights
    axes.set_xticks(range(len(order)), [str(found.qubits[k]) for k in order])
    axes.set(xlabel="qubit", ylabel="lost probability (first order)", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    return figure
