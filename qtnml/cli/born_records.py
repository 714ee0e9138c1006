"""Tables that the `qtnml born` commands read, and those they write."""

import csv
import io
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from qtnml.errors import InvalidInputError

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A file that `qtnml born fit` wrote.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv table (numbers, text, empty cells), or pictures as bits: digits, mnist, fashion-mnist, "
        "or the path of .npz or IDX pictures.",
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="CSV file to write.")]


def loaded_born(path: Path) -> Any:
    """The Born machine or joint classifier of a file."""
    from qtnml.models import BornClassifier, BornMachine, load_model

    model = load_model(path)
    if not isinstance(model, BornMachine | BornClassifier):
        raise InvalidInputError(
            f"{path} holds a model of the class {type(model).__name__}; this command takes Born "
            "machines, which `qtnml born fit` makes"
        )
    return model


def of_records(model: Any, path: Path) -> Any:
    """A model of records alone."""
    if hasattr(model, "classes_"):
        raise InvalidInputError(f"{path} is a model of records and classes; fit one without --label for this")
    return model


def labels_of(data: str, column: str, header: bool | None) -> Any:
    """The labels in a column of a table."""
    from qtnml.data.tables import CsvTable

    table = CsvTable.read(Path(data), header=header)
    return table.labels(table.column(column))


def table_of(model: Any, data: str) -> Any:
    """What the file of a table holds, every column; None of pictures."""
    from qtnml.data.tables import CsvTable
    from qtnml.models.samples import is_table_file

    notes = getattr(model, "model_", model).notes_
    return CsvTable.read(Path(data), header=notes.get("header")) if is_table_file(data) else None


def other_columns(model: Any, data: str) -> dict[str, list[str]]:
    """Columns of a table that the model was not trained on, as they stand there."""
    table = table_of(model, data)
    known = getattr(model, "model_", model).notes_.get("columns")
    if table is None or known is None:
        return {}
    return {name: [row[k] for row in table.rows] for k, name in enumerate(table.names) if name not in known}


def beside(rows: list[list[Any]], others: dict[str, list[str]]) -> list[list[Any]]:
    """Rows, which begin with their number in the table, and that row's other cells."""
    return [[*row, *(cells[int(row[0])] for cells in others.values())] for row in rows]


def rounded(cells: Any) -> Any:
    """Drawn numbers to six digits, as objects."""
    rows = np.asarray(cells).tolist()
    short = [[float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row] for row in rows]
    found = np.empty((len(rows), len(rows[0])), dtype=object)
    found[:] = short
    return found


def is_missing(cell: Any) -> bool:
    """Whether a cell is None or NaN."""
    return cell is None or cell != cell


def as_csv(names: list[str], rows: list[list[Any]]) -> str:
    """A table as text."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[plain(cell) for cell in row] for row in rows])
    return buffer.getvalue()


def plain(cell: Any) -> Any:
    """A cell as a file has it: a moment at midnight is a date."""
    return cell.isoformat(sep=" ").removesuffix(" 00:00:00") if isinstance(cell, datetime) else cell


def write_csv(path: Path, names: list[str], rows: list[list[Any]]) -> None:
    """Write a table as a CSV file, atomically."""
    from qtnml.storage import write_atomically

    write_atomically(path, as_csv(names, rows).encode())
