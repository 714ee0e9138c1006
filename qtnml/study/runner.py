"""The loop over a study's tasks: finished tasks are skipped, and new results are stored at once."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from qtnml.errors import StudyError
from qtnml.study.engine import engine_context, unordered
from qtnml.study.results import ResultsFile, task_key

Settings = dict[str, Any]
Result = dict[str, Any]


def run_study(
    function: Callable[[Settings], Result],
    tasks: Sequence[Settings],
    path: str | os.PathLike[str],
    *,
    engine: str = "loky",
    workers: int | None = None,
    scheduler: str | None = None,
    on_result: Callable[[Settings, Result], None] | None = None,
) -> list[Result]:
    """Run `function` on every task that has no result yet.

    If you start it again with the same file after a crash, it runs the remaining tasks. A failed task does
    not stop the others. It has no result and is tried again next time.

    Args:
        function: Maps settings to a result, both JSON types. Workers must be able to import it.
        tasks: Settings of each task; equal settings run once.
        path: File of JSON lines, to which results are appended.
        engine, workers, scheduler: See `engine_context`.
        on_result: Called after a result is on disk.

    Returns:
        Results in the order of `tasks`.

    Raises:
        StudyError: Tasks failed; all others are done and on disk.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run_study(lambda s: {"square": s["x"] ** 2}, [{"x": 2}, {"x": 3}], f"{folder}/r", engine="serial")
    [{'square': 4}, {'square': 9}]
    """
    file = ResultsFile(path)
    done = file.read()
    pending = {task_key(task): task for task in tasks if task_key(task) not in done}
    failures: list[tuple[Settings, str]] = []
    with engine_context(engine, workers, scheduler) as jobs:
        for task, result, error in unordered(partial(_attempt, function), list(pending.values()), jobs):
            if error is not None:
                failures.append((task, error))
                continue
            file.append(task, result)
            done[task_key(task)] = result
            if on_result is not None:
                on_result(task, result)
    if failures:
        first, error = failures[0]
        others = f", the others are in {path}" if done else ""
        raise StudyError(f"{len(failures)} of {len(tasks)} tasks failed{others}; the first, {first}: {error}")
    return [done[task_key(task)] for task in tasks]


def _attempt(
    function: Callable[[Settings], Result], task: Settings
) -> tuple[Settings, Result | None, str | None]:
    try:
        result = dict(function(task))
        json.dumps(result, allow_nan=False)  # what cannot be written down is this task's failure alone
        return task, result, None
    except Exception as error:
        return task, None, f"{type(error).__name__}: {error}"
