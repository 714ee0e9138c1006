"""Figures that notebooks show, with or without an import of pyplot."""

import io

from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A `matplotlib.figure.Figure` with a picture of itself for notebooks."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
