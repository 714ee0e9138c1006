"""Dates and times as numbers (days since 1970) and back, and their periodic parts."""

from collections.abc import Callable, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from qtnml.arrays import NDArray
from qtnml.data.frames import Table, is_frame, library_of, made_frame
from qtnml.errors import InvalidInputError

_WEEKDAYS = np.array(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"], object)
PARTS = ("year", "month", "day", "weekday", "day_of_year", "hour")


def date_parts(
    X: Any, columns: Sequence[str] | None = None, parts: Sequence[str] = ("day_of_year", "weekday", "hour")
) -> Any:
    """A DataFrame with additional columns for the periodic parts of its dates.

    A date alone is one number, days since 1970. It gives the time, but not that Mondays are alike. Use
    periodic functions for periodic columns: `TableEncoder(functions={"sold hour": "fourier"})`.

    Args:
        X: A DataFrame of any library; it is not changed.
        columns: Names of the date columns; by default all of them.
        parts: Any of "year", "month", "day" (of the month), "weekday" (its name), "day_of_year" (from 0, with
            the time as a fraction) and "hour" (with minutes as a fraction). Each becomes a column called
            "<date> <part>"; it is missing where the date is missing.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"sold": pd.to_datetime(["2024-02-29 18:30"])})
    >>> wide = date_parts(table)
    >>> wide["sold weekday"][0], float(wide["sold hour"][0])
    ('Thursday', 18.5)
    """
    if not is_frame(X):
        raise InvalidInputError(f"date_parts takes a DataFrame, got {type(X).__name__}")
    if unknown := [part for part in parts if part not in PARTS]:
        raise InvalidInputError(f"parts are of {PARTS}, got {unknown[0]!r}")
    table = Table.of(X)
    dated = [name for name, is_date in zip(table.names, table.dates, strict=True) if is_date]
    chosen = dated if columns is None else list(columns)
    if wrong := [name for name in chosen if name not in dated]:
        raise InvalidInputError(f"column {wrong[0]!r} has no dates; those that do are {dated}")
    added = {}
    for name in chosen:
        k = table.names.index(name)
        days = np.full(len(table), np.nan)
        days[~table.missing[k]] = table.columns[k][~table.missing[k]].astype(np.float64)
        for part in parts:
            added[f"{name} {part}"] = _part(days, part)
    new = nw.from_native(made_frame(added, str(library_of(X))), eager_only=True)
    frame = nw.from_native(X, eager_only=True)
    if clash := set(frame.columns) & set(new.columns):
        raise InvalidInputError(f"there is a column called {min(clash)!r} already")
    if hasattr(X, "iloc"):  # pandas, whose rows have names
        new = nw.from_native(new.to_native().set_axis(X.index, axis=0), eager_only=True)
    return nw.concat([frame, new], how="horizontal").to_native()


def _part(days: NDArray, part: str) -> NDArray:
    missing = np.isnan(days)
    known = np.where(missing, 0.0, days)
    date = np.floor(known).astype("datetime64[D]")
    month, year = date.astype("datetime64[M]"), date.astype("datetime64[Y]")
    if part == "weekday":
        found = _WEEKDAYS[(np.floor(known).astype(np.int64) + 3) % 7]  # 1970 began on a Thursday
        found[missing] = None
        return np.asarray(found)
    numbers: dict[str, Callable[[], NDArray]] = {
        "year": lambda: 1970 + year.astype(np.int64),
        "month": lambda: 1 + (month - year.astype("datetime64[M]")).astype(np.int64),
        "day": lambda: 1 + (date - month.astype("datetime64[D]")).astype(np.int64),
        "day_of_year": lambda: known - year.astype("datetime64[D]").astype(np.int64),
        "hour": lambda: np.round((known - np.floor(known)) * 24, 9),
    }
    return np.where(missing, np.nan, numbers[part]().astype(np.float64))
