"""The six data sets of arXiv:1907.03741 and the curves of its figure."""

import ast
import re
from pathlib import Path

import numpy as np

# Negative log-likelihood per sample in nats at ranks 1 to 12, read off the authors' poster (poster.png of
# github glivan/tensor_networks_for_probabilistic_modeling, to about 0.05): complex locally purified states,
# on or above whose curve that of complex Born machines lies, and of real ones (None where curves overlap).
PUBLISHED: dict[str, dict[str, list[float | None]]] = {
    "biofam": {
        "complex": [17.43, 11.04, 8.31, 6.87, 6.22, 5.92, 5.83, 5.78, 5.69, 5.66, 5.72, 5.70],
        "real": [None, 11.38, 8.81, 7.24, 6.45, 6.14, None, None, None, None, None, 5.87],
    },
    "lymphography": {
        "complex": [15.57, 13.26, 12.12, 11.37, 10.73, 10.31, 9.95, 9.62, 9.30, 9.11, 8.86, 8.68],
        "real": [15.70, 13.62, 12.63, 11.82, 11.28, 10.49, 10.16, 9.93, None, 9.31, 9.17, 9.11],
    },
    "spect": {
        "complex": [13.99, 12.03, 11.06, 10.39, 9.89, 9.45, 9.12, 8.79, 8.56, 8.31, 8.13, 7.94],
        "real": [None, 12.51, 11.69, 10.88, 10.25, 9.86, 9.38, 8.99, 8.79, 8.54, 8.27, 8.14],
    },
    "votes": {
        "complex": [13.96, 10.14, 9.38, 8.99, 8.67, 8.45, 8.23, 8.09, 7.95, 7.80, 7.68, 7.57],
        "real": [None, 10.52, 9.67, 9.30, 8.90, 8.68, 8.44, 8.25, 8.09, 8.14, 7.85, 7.73],
    },
    "tumor": {
        "complex": [9.60, 8.69, 8.20, 7.87, 7.61, 7.41, 7.23, 7.07, 6.94, 6.83, 6.67, 6.59],
        "real": [None, 9.01, 8.53, 8.20, 7.93, 7.57, 7.48, 7.18, 7.07, 6.93, 6.89, 6.55],
    },
    "flare": {
        "complex": [7.84, 6.61, 5.98, 5.74, 5.64, 5.56, 5.52, 5.47, 5.44, 5.40, 5.38, 5.33],
        "real": [None, None, 6.11, 5.83, 5.71, 5.64, 5.65, 5.56, 5.52, 5.51, 5.48, 5.46],
    },
}
READ_TO = 0.05


def table(path: Path) -> np.ndarray:
    """Levels (rows, columns) of one of the authors' files.

    They are NumPy arrays pickled as text. A pickle may run anything, so it is read as the text it is.
    """
    text = path.read_text(encoding="latin1")
    rows, columns = (int(v) for v in re.findall(r"L(\d+)L\n", text)[:2])
    kind = re.search(r"S'([fiO])8'", text)
    layout = re.search(r"\nbI0([01])\n", text)
    if kind is None or layout is None:
        raise SystemExit(f"{path} is not one of the authors' files")
    body, is_by_column = (
        text[layout.end() :],
        layout[1] == "1" and kind[1] != "O",
    )  # lists of objects go by rows
    if kind[1] == "O":
        cells = np.array([int(v) for v in re.findall(r"L(\d+)L\n", body)])
    else:
        raw = ast.literal_eval("b" + body[1 : body.index("'\n", 2) + 1])
        cells = np.frombuffer(raw, f"<{kind[1]}8").astype(np.int64)
    return cells.reshape((rows, columns), order="F" if is_by_column else "C")
