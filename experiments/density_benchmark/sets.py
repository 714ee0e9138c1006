"""The usual binary sets of density estimation, from files, and what others have published of them."""

import gzip
import os
from pathlib import Path

import numpy as np

#: Mean test log-likelihoods, nats. The mixture of Chow-Liu trees is from a course report (H. Kokel, 2018);
#: Strudel and HCLT from the logs of the authors of "Tractable Regularization of Probabilistic Circuits"
#: (NeurIPS 2021).
PUBLISHED = {
    "nltcs": {"mixture of trees": -6.0803, "Strudel": -6.0620, "HCLT": -5.9994},
    "msnbc": {"mixture of trees": -6.538, "Strudel": -6.0453, "HCLT": -6.0577},
    "kdd": {"mixture of trees": -2.1905, "Strudel": -2.1721, "HCLT": -2.1409},
    "plants": {"mixture of trees": -12.8192, "Strudel": -13.5621, "HCLT": -14.2648},
    "jester": {"mixture of trees": -53.1549, "Strudel": -55.2541, "HCLT": -52.3764},
    "accidents": {"mixture of trees": -29.8214, "Strudel": -29.3682, "HCLT": -26.7362},
    "kosarek": {"Strudel": -10.9194, "HCLT": -10.5977},
}


def folder_of(given: Path | None) -> Path:
    """Where the sets are: a folder, or `debd` in the toolkit's data folder."""
    return given or Path(os.environ.get("QTNML_DATA", ".")) / "debd"


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test rows of a set, 0 and 1.

    Files are NAME.train.csv.gz and so on, or as the public repositories have them: NAME/NAME.train.data.
    """
    return tuple(_rows(folder, name, part) for part in ("train", "valid", "test"))  # type: ignore[return-value]


def _rows(folder: Path, name: str, part: str) -> np.ndarray:
    packed = folder / f"{name}.{part}.csv.gz"
    if packed.exists():
        with gzip.open(packed, "rt") as lines:
            return np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2)
    return np.loadtxt(folder / name / f"{name}.{part}.data", delimiter=",", dtype=np.int64, ndmin=2)


def made_up(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two noisy patterns of ten bits, for a trial run."""
    patterns = rng.integers(0, 2, (2, 10))
    parts = []
    for rows in (400, 100, 200):
        X = patterns[rng.integers(0, 2, rows)]
        parts.append(X ^ (rng.random(X.shape) < 0.1))
    return parts[0], parts[1], parts[2]
