"""Progress bars, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text


@contextmanager
def progress_bar(label: str, total: int, *, show: bool) -> Iterator[Callable[[int, str], None]]:
    """Yield `advance(done, text)`, done so far of `total`; draws nothing unless `show`."""
    if not show:
        yield lambda _done, _text: None
        return
    # All but the bar, which gives way, fits 80 columns.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        _Time(),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(label, total=total, text="")

        def advance(done: int, text: str) -> None:
            display.update(task, completed=done, text=text)

        yield advance


class _Time(ProgressColumn):
    """The time that is left; at the end the time it took."""

    max_refresh = 0.5  # seconds, so that the estimate can be read

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text(f"in {_clock(task.finished_time)}", style="progress.elapsed")
        return Text(f"{_clock(task.time_remaining)} left", style="progress.remaining")


def _clock(seconds: float | None) -> str:
    return "-:--:--" if seconds is None else str(timedelta(seconds=int(seconds)))
