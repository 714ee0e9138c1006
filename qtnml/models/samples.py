"""New samples for a trained model, read the way its training data were read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qtnml.arrays import NDArray
from qtnml.data import load_dataset, read_samples
from qtnml.data.mixed import named_table, read_table, thresholded
from qtnml.data.tables import CsvTable
from qtnml.errors import InvalidInputError, PixelOrderWarning, warn_user
from qtnml.models.training import TrainedEstimator


def samples_for(model: TrainedEstimator, source: str, **given: Any) -> tuple[Any, NDArray | None]:
    """Read samples in the source's own units, and their labels if there are any.

    Args:
        model: Its `notes_` (classes, size, order, target, header, feature_names) say how to read.
        source: A `.csv` or `.npy` file, read whole, or a data set whose test part is read.
        given: Entries to use instead of the notes; None leaves a note as it is.

    Raises:
        InvalidInputError: Another number of features, or labels the model never saw.
    """
    how = getattr(model, "notes_", {}) | {name: value for name, value in given.items() if value is not None}
    path, target = Path(source), how.get("target")
    X: Any
    y: NDArray | None
    if getattr(model, "table_", None) is not None:
        X, y = _of_table(model, path, how)
    elif path.is_file() and path.name.lower().endswith((".csv", ".csv.gz", ".npy")):
        names = how.get("feature_names", ())
        header = how.get("header")
        X, y = read_samples(path, model.n_features_in_, feature_names=names, target=target, header=header)
    else:
        data = load_dataset(source, size=how.get("size"), order=how.get("order", "z"), target=target)
        if data.image_shape is not None and "order" not in how:
            warn_user(
                "the model does not say in which order it takes pixels (it was not written by `qtnml "
                "train`); z order is taken: give --order raster, snake, z or patches",
                PixelOrderWarning,
            )
        X, y = data.raw(data.X_test), data.y_test
    if isinstance(X, np.ndarray) and X.shape[1] != model.n_features_in_:
        raise InvalidInputError(
            f"{source} has {X.shape[1]} features, the model takes {model.n_features_in_}; give the --size it "
            "was trained with"
        )
    if y is None:
        return X, None
    if not hasattr(model, "classes_"):
        wanted = how.get("classes")
        chosen = slice(None) if wanted is None else np.isin(y.astype(str), [str(label) for label in wanted])
        try:
            return X[chosen], np.asarray(y[chosen], dtype=np.float64)
        except ValueError as error:
            raise InvalidInputError(
                f"{source} has a target that is no number ({error}); the model predicts numbers: take the "
                "target column out, or mend the cell"
            ) from error
    return _of_classes(X, y, how.get("classes"), model.classes_, source)


def strings_for(model: Any, source: str) -> Any:
    """Read samples for a Born machine, or what is built on one, as its own training data were read.

    Args:
        model: Its `notes_` (size, threshold, columns, header) say how to read.
        source: A CSV file for a model of a table; for one of pictures a data set, whose test part is read.

    Raises:
        InvalidInputError: A table for a model of pictures, or the other way round.
    """
    model = getattr(model, "model_", model)
    is_table = getattr(model, "encoder_", None) is not None
    if is_table != is_table_file(source):
        wanted = "no CSV file: the model is of a table" if is_table else "a table: the model is of pictures"
        raise InvalidInputError(f"{source} is {wanted}")
    notes = model.notes_
    if not is_table:
        return thresholded_pictures(source, notes.get("size"), notes.get("threshold", 0.5), "test")
    return read_table(Path(source), columns=notes.get("columns"), header=notes.get("header"))[1]


def thresholded_pictures(name: str, size: int | None, threshold: float, part: str = "train") -> Any:
    """Bits of a data set's pictures: 1 where a pixel is above the threshold."""
    data = load_dataset(name, size=size)
    return thresholded(data.X_train if part == "train" else data.X_test, threshold)


def is_table_file(source: str) -> bool:
    """Whether it is a CSV file; all else is pictures."""
    return Path(source).is_file() and source.endswith((".csv", ".csv.gz"))


def _of_table(model: TrainedEstimator, path: Path, how: dict[str, Any]) -> tuple[Any, NDArray | None]:
    """Rows of a table as the model's encoder takes them, and their labels where there is the column."""
    if not (path.is_file() and path.name.lower().endswith((".csv", ".csv.gz"))):
        raise InvalidInputError(f"the model takes tables; give a CSV file, not {path}")
    assert model.table_ is not None
    names = list(how.get("feature_names") or [column.name for column in model.table_.encoder.columns_])
    X = named_table(*read_table(path, columns=names, header=how.get("header")))
    table = CsvTable.read(path, header=how.get("header"))
    target = how.get("target") or how.get("target_name")
    return X, table.labels(table.column(target)) if target in table.names else None


def _of_classes(
    X: Any, y: NDArray, classes: Sequence[object] | None, known: NDArray, source: str
) -> tuple[Any, NDArray]:
    """Keep the samples of the wanted classes, with labels of the model's own type."""
    labels = [str(label) for label in y]
    if classes is not None:
        wanted = {str(label) for label in classes}
        chosen = [k for k, label in enumerate(labels) if label in wanted]
        X, labels = X[np.array(chosen, dtype=int)], [labels[k] for k in chosen]
    places = {str(label): k for k, label in enumerate(known.tolist())}
    strange = sorted(set(labels) - set(places))
    if strange or not labels:
        found = f"labels {strange[:10]}, which the model never saw" if strange else f"no sample of {classes}"
        raise InvalidInputError(
            f"{source} has {found}; it knows {known.tolist()}: choose with --classes, or take the labels out"
        )
    return X, known[[places[label] for label in labels]]
