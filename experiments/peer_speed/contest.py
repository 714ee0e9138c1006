"""What a contestant is, and how contestants are timed side by side."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BATCH = 250


@dataclass
class Contestant:
    """One way to make a gradient step on a batch.

    Attributes:
        name: For the table.
        step: Makes one step and waits for it.
        batch: Samples of a step.
        note: What the reader must know.
        calls: Steps in one round.
    """

    name: str
    step: Callable[[], Any]
    batch: int = BATCH
    note: str = ""
    calls: int = 5


def attempt(build: Callable[[], Contestant], name: str) -> Contestant | str:
    """The contestant, or why it cannot take part."""
    try:
        return build()
    except ImportError as error:
        return f"{name} is not installed ({error}): skipped"
    except Exception as error:
        return f"{name} could not be set up: {type(error).__name__}: {str(error)[:200]}"


def _seconds(contestant: Contestant, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        contestant.step()
    return (time.perf_counter() - began) / calls


def race(contest: str, contestants: list[Contestant | str], rounds: int) -> list[dict[str, Any]]:
    """Microseconds per sample, contestants in turn, medians over rounds; ratios to the first."""
    rows: list[dict[str, Any]] = []
    running: list[Contestant] = []
    for contestant in contestants:
        if isinstance(contestant, str):
            print(contestant, flush=True)
            rows.append({"contest": contest, "contestant": contestant.split(" ")[0], "note": contestant})
            continue
        first = _seconds(contestant, 1)
        contestant.calls = max(1, min(contestant.calls, int(0.5 / _seconds(contestant, 1))))
        rows.append({"contest": contest, "contestant": contestant.name, "first_call_s": round(first, 2)})
        rows[-1]["note"] = contestant.note
        running.append(contestant)
    times: dict[str, list[float]] = {contestant.name: [] for contestant in running}
    for _ in range(rounds):
        for contestant in running:
            times[contestant.name].append(1e6 * _seconds(contestant, contestant.calls) / contestant.batch)
    ours = times[running[0].name]
    for row in rows:
        mine = times.get(row["contestant"])
        if mine:
            row["us_per_sample"] = statistics.median(mine)
            row["ratio"] = statistics.median(b / a for a, b in zip(ours, mine, strict=True))
    return rows
