"""The README's picture: a trained tree over 16 pixels, and its circuit on 5 qubits.

python docs/figures/overview.py       # writes docs/figures/overview.png
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from qtnml import TreeClassifier, load_dataset
from qtnml.plots import plot_circuit, plot_network


def pixels(figure: Any) -> np.ndarray:
    """A figure as an image without its margins."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=150)
    buffer.seek(0)
    found = matplotlib.image.imread(buffer)[..., :3]
    ink = found.min(axis=-1) < 0.99
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def main() -> None:
    """Train, compile, draw."""
    data = load_dataset("digits", classes=(3, 5), size=4, order="z")
    clf = TreeClassifier(epochs=60, random_state=0).fit(data.X_train, data.y_train)
    accuracy = clf.score(data.X_test, data.y_test)
    compiled = clf.compile()
    tree = pixels(plot_network(clf, title=f"1. Train: a tree over 16 pixels, test accuracy {accuracy:.3f}"))
    drawn = plot_circuit(compiled, columns=18)
    drawn.axes[0].set_title(
        f"2. Compile, exactly: {compiled.num_qubits} qubits, {compiled.two_qubit_gates} CX, "
        f"{compiled.num_resets} resets",
        fontsize=11,
        loc="left",
    )
    circuit = pixels(drawn)
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=(0.8, 1.2))
    for axes, image in zip(panels, (tree, circuit), strict=True):
        axes.imshow(image, interpolation="antialiased")
        axes.axis("off")
    figure.savefig(Path(__file__).parent / "overview.png", dpi=130)


if __name__ == "__main__":
    main()
