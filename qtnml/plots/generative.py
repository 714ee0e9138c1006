"""Figures of generative models: what a model learnt, why a record is unlikely, samples as pictures."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qtnml.arrays import NDArray
from qtnml.errors import InvalidInputError
from qtnml.explain import ModelExplanation, RecordExplanation
from qtnml.plots.shown import ShownFigure

_OWN, _EXPECTED, _ALONE = "#b3261e", "#1f5fa8", "0.65"
_MOST_BARS, _MOST_NAMES, _MOST_SPECTRA = 20, 24, 6


def plot_explanation(found: ModelExplanation, *, title: str = "") -> Figure:
    """Plot marginals, mutual information of all pairs, entropy of every bond, and entanglement spectra."""
    figure = ShownFigure(figsize=(12, 8.4), layout="constrained")
    (marginals, information), (entropies, spectra) = figure.subplots(2, 2)
    _marginals(marginals, found)
    shown = found.classical_information.copy()
    np.fill_diagonal(shown, np.nan)
    image = information.imshow(shown, cmap="magma_r")
    information.set_title("mutual information of two features (nats)", fontsize=10)
    if len(found.names) <= _MOST_NAMES:
        information.set_xticks(range(len(found.names)), found.names, rotation=90, fontsize=7)
        information.set_yticks(range(len(found.names)), found.names, fontsize=7)
    figure.colorbar(image, ax=information)
    bonds = np.arange(len(found.bond_entropies))
    entropies.bar(bonds, found.bond_entropies, color=_EXPECTED)
    entropies.set(xlabel="bond (numbered as the features are)", ylabel="nats")
    entropies.set_title("von Neumann entropy of each bond", fontsize=10)
    for bond in np.argsort(-found.bond_entropies)[:_MOST_SPECTRA]:
        squares = found.schmidt_values[bond] ** 2
        kept = squares > 1e-12
        ranks = np.arange(1, len(squares) + 1)[kept]
        exponent = found.decays[bond].exponent
        label = f"bond {bond}" + ("" if np.isnan(exponent) else f": rank^-{exponent:.1f}")
        spectra.plot(ranks, squares[kept], "o-", markersize=3, label=label)
    spectra.set(xscale="log", yscale="log", xlabel="rank", ylabel="squared Schmidt value")
    spectra.set_title("entanglement spectra of the most entangled bonds", fontsize=10)
    if len(bonds):
        spectra.legend(frameon=False, fontsize=8)
    for axes in (marginals, entropies, spectra):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title or f"What the model learnt of {len(found.names)} features")
    return figure


def _marginals(axes: Any, found: ModelExplanation) -> None:
    """P(level) of each feature as stacked bars; of many bits P(1) as a line."""
    if len(found.names) > _MOST_NAMES:
        axes.plot([1 - p[0] for p in found.marginals], color=_EXPECTED, linewidth=1)
        axes.set(xlabel="feature", ylabel="P(not the first level)", ylim=(0, 1))
    else:
        places, bottom = np.arange(len(found.names)), np.zeros(len(found.names))
        most = max(len(p) for p in found.marginals)
        for level in range(most):
            heights = np.array([p[level] if level < len(p) else 0.0 for p in found.marginals])
            shade = 0.25 + 0.6 * level / max(most - 1, 1)
            axes.bar(places, heights, bottom=bottom, color=str(shade), edgecolor="white", linewidth=0.5)
            bottom += heights
        axes.set_xticks(places, found.names, rotation=90, fontsize=7)
        axes.set(ylabel="probability of levels (dark: low)")
    axes.set_title("marginals", fontsize=10)


def plot_record(found: RecordExplanation, *, title: str = "") -> Figure:
    """Plot the most surprising features: probability of the value given all others, and on its own."""
    features = found.ranked[:_MOST_BARS]
    figure = ShownFigure(figsize=(9, 1.6 + 0.42 * max(len(features), 3)), layout="constrained")
    axes: Any = figure.subplots()
    places = np.arange(len(features))[::-1].astype(float)
    floor = 1e-6
    for shift, colour, label, values in (
        (0.27, _EXPECTED, "likeliest value given the others", [f.expected_probability for f in features]),
        (0.0, _ALONE, "this value on its own", [f.marginal for f in features]),
        (-0.27, _OWN, "this value given the others", [f.conditional for f in features]),
    ):
        axes.barh(places + shift, np.maximum(values, floor), height=0.25, color=colour, label=label, left=0)
    names = [
        f"{f.name} = {f.shown}" + ("" if f.value == f.expected else f"  (expected {f.expected})")
        for f in features
    ]
    axes.set_yticks(places, names, fontsize=8)
    axes.set(xscale="log", xlim=(floor / 2, 1.2), xlabel=f"probability (bars end at {floor:g})")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.4, -0.18), ncols=3)
    axes.set_title(title or f"Why this record has ln P = {found.log_likelihood:.1f} nats", fontsize=11)
    return figure


def plot_strings(strings: NDArray, shape: tuple[int, int], *, columns: int = 10, title: str = "") -> Figure:
    """Plot strings of bits as pictures of a shape (rows, columns); missing values (NaN) are grey."""
    strings = np.asarray(strings, dtype=float)
    if strings.ndim != 2 or not len(strings) or strings.shape[1] != shape[0] * shape[1]:
        raise InvalidInputError(
            f"pictures of {shape} take strings of {shape[0] * shape[1]} bits, got shape {strings.shape}"
        )
    rows = -(-len(strings) // columns)
    figure = ShownFigure(figsize=(1.1 * columns, 1.15 * rows + 0.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axis in axes:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_color("0.8")
    for axis, string in zip(axes, strings, strict=False):
        shown = np.where(np.isnan(string), 0.5, 1 - string)
        axis.imshow(shown.reshape(shape), cmap="gray", vmin=0, vmax=1)
    for axis in axes[len(strings) :]:
        axis.axis("off")
    figure.suptitle(title)
    return figure
