"""Values, tables, labels and bytes that users and strangers hand over."""

import io
import json
from typing import Any

import numpy as np
import pandas as pd

Rng = np.random.Generator
NUMBERS = (
    0, 1, -1, 2, 3, 0.5, -0.0, 1e-300, 5e-324, 1e-12, 1e-3, 0.1, 0.999, 1.5, 7, 64, 1e6, 2**31, 2**53 + 1, 1e18,
    1e300, 1.7e308, -1e300, float("inf"), float("-inf"), float("nan"), 10**400,
)  # fmt: skip
TEXTS = (
    "", "a", "b", "ä", "007", "1_0", "nan", "None", " x ", "x" * 300, "\udce9", "\x00", "0x10", "∞", "'\"", "1e5",
    "日本", "true", "[1]", "%s", "{}", "\n", "a,b", "=1+1", "-", "--help",
)  # fmt: skip


def number(rng: Rng) -> Any:
    if rng.random() < 0.3:
        return float(rng.normal()) * 10.0 ** rng.integers(-12, 12)
    return NUMBERS[rng.integers(len(NUMBERS))]


def text(rng: Rng) -> str:
    return TEXTS[rng.integers(len(TEXTS))]


def count(rng: Rng) -> Any:
    return [0, 1, 2, 3, 5, -1, 7, 100, 10**6, 2**40, 10**30][rng.integers(11)]


def choice(rng: Rng, *options: Any) -> Any:
    return options[rng.integers(len(options))]


def column(rng: Rng, rows: int) -> Any:
    """One column of a table, of any kind."""
    kind = rng.integers(14)
    if kind == 0:
        return rng.normal(size=rows)
    if kind == 1:
        return np.where(rng.random(rows) < 0.8, 0.0, rng.exponential(1e3, rows))
    if kind == 2:
        return rng.integers(-5, 50, rows)
    if kind == 3:
        return rng.random(rows) < 0.5
    if kind == 4:
        return np.array([choice(rng, "a", "b", "c", None) for _ in range(rows)], dtype=object)
    if kind == 5:
        return pd.array(np.where(rng.random(rows) < 0.2, None, rng.integers(0, 3, rows)), dtype="Int64")
    if kind == 6:
        return np.where(rng.random(rows) < 0.3, np.nan, rng.normal(size=rows))
    if kind == 7:
        return pd.Categorical([choice(rng, "x", "y") for _ in range(rows)])
    if kind == 8:
        return np.full(rows, number(rng), dtype=object)
    if kind == 9:
        return np.array([number(rng) for _ in range(rows)], dtype=object)
    if kind == 10:
        return np.array([text(rng) for _ in range(rows)], dtype=object)
    if kind == 11:
        return 1.0 + np.spacing(1.0) * rng.integers(0, 40, rows)
    if kind == 12:
        return rng.normal(size=rows) * 10.0 ** rng.integers(-300, 300)
    return rng.choice(rng.normal(size=3), rows)


def table(rng: Rng) -> Any:
    """A table as a DataFrame, an array, a masked array or lists."""
    rows, columns = int(choice(rng, 1, 2, 12, 40)), int(rng.integers(1, 5))
    parts = [column(rng, rows) for _ in range(columns)]
    names = [f"c{k}" for k in range(columns)]
    if rng.random() < 0.2:
        names[-1] = text(rng).replace("\udce9", "e")  # which pandas itself refuses in a name
    kind = rng.integers(5)
    objects = [
        pd.Series(part, dtype=object if str(getattr(part, "dtype", "")) == "object" else None)
        for part in parts
    ]
    frame = pd.DataFrame(dict(zip(names, objects, strict=True)))
    if kind == 0:
        return frame
    if kind == 1:
        return polars(frame)
    cells = np.empty((rows, columns), dtype=object)
    for k, part in enumerate(parts):
        cells[:, k] = list(part)
    if kind == 2:
        return cells
    if kind == 3:
        return cells.tolist()
    return np.ma.masked_array(rng.normal(size=(rows, columns)), mask=rng.random((rows, columns)) < 0.2)


def polars(frame: pd.DataFrame) -> Any:
    try:
        import polars as pl

        return pl.DataFrame({name: frame[name].tolist() for name in frame}, strict=False)
    except Exception:
        return frame


def samples(rng: Rng, columns: int = 3) -> Any:
    """Numbers (rows, columns), mostly sound, in some container."""
    rows = int(choice(rng, 2, 8, 30))
    X: Any = rng.random((rows, columns))
    kind = rng.integers(9)
    if kind == 0:
        X *= 10.0 ** rng.integers(-300, 300)
    elif kind == 1:
        X[rng.integers(rows), rng.integers(columns)] = float(choice(rng, np.nan, np.inf, 1e308, -1e308))
    elif kind == 2:
        X = np.round(X)
    elif kind == 3:
        X = np.full_like(X, float(choice(rng, 0.0, 1e300, 5e-324)))
    container = rng.integers(7)
    if container == 0:
        return pd.DataFrame(X, columns=[f"c{k}" for k in range(columns)])
    if container == 1:
        return X.tolist()
    if container == 2:
        return np.ma.masked_array(X, mask=rng.random(X.shape) < choice(rng, 0.0, 0.1))
    if container == 3:
        return X.astype(choice(rng, np.float32, np.float16, np.longdouble, object))
    if container == 4:
        return polars(pd.DataFrame(X, columns=[f"c{k}" for k in range(columns)]))
    return X


def labels(rng: Rng, rows: int) -> Any:
    kinds: Any = (
        [0, 1],
        ["a", "b"],
        [True, False],
        [0.0, 1.0],
        [-5, 7],
        ["", "x"],
        [2**60, 2**60 + 1],
        [1, "a"],
    )
    if rng.random() < 0.15:
        return np.array([number(rng) for _ in range(rows)], dtype=object)
    chosen = kinds[rng.integers(len(kinds))]
    found = [chosen[rng.integers(2)] for _ in range(rows)]
    return choice(rng, found, np.array(found), np.array(found, dtype=object), pd.Series(found))


def weights(rng: Rng, rows: int) -> Any:
    if rng.random() < 0.5:
        return None
    found = rng.random(rows) * 10.0 ** rng.integers(-200, 200)
    found[rng.random(rows) < 0.3] = 0.0
    if rng.random() < 0.2:
        found[0] = float(choice(rng, np.nan, np.inf, -1.0, 1e308))
    return choice(rng, found, found.tolist(), np.ma.masked_array(found, mask=rng.random(rows) < 0.1))


def mutated(rng: Rng, content: bytes) -> bytes:
    """Bytes with some of them changed, cut out or repeated."""
    data = bytearray(content)
    for _ in range(int(choice(rng, 1, 1, 3, 20))):
        if not data:
            break
        place = int(rng.integers(len(data)))
        kind = rng.integers(4)
        if kind == 0:
            data[place] = int(rng.integers(256))
        elif kind == 1:
            del data[place : place + int(choice(rng, 1, 10, 10_000))]
        elif kind == 2:
            data[place:place] = data[max(0, place - 20) : place]
        else:
            data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def json_mutated(rng: Rng, value: Any, depth: int = 0) -> Any:
    """JSON types with one part of them changed."""
    if isinstance(value, dict) and value and depth < 6 and rng.random() < 0.9:
        key = list(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: json_mutated(rng, value[key], depth + 1)}
    if isinstance(value, list) and value and depth < 6 and rng.random() < 0.8:
        place = int(rng.integers(len(value)))
        return [*value[:place], json_mutated(rng, value[place], depth + 1), *value[place + 1 :]]
    odd = [None, True, -1, 0, 1, 2, 10**30, 1e300, "", "x", [], {}, [[]], {"name": "x"}, 0.5, 2**31, [1] * 50]
    return odd[rng.integers(len(odd))]


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def csv_text(rng: Rng) -> str:
    rows, columns = int(choice(rng, 0, 1, 3, 20)), int(rng.integers(1, 5))
    lines = [",".join(str(cell(rng)) for _ in range(columns)) for _ in range(rows)]
    if rng.random() < 0.7:
        lines.insert(0, ",".join(f"c{k}" for k in range(columns)))
    if rng.random() < 0.1 and lines:
        lines[-1] += ",extra"
    return "\n".join(lines).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def cell(rng: Rng) -> Any:
    kind = rng.integers(6)
    if kind < 3:
        return round(float(rng.normal()), 2)
    if kind == 3:
        return int(rng.integers(3))
    return choice(rng, number(rng) if rng.random() < 0.95 else "9" * 5000, text(rng))


def as_json(value: Any) -> str:
    return json.dumps(value, default=str)
