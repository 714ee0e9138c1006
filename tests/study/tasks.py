"""Functions that studies in the tests run; workers import or receive them."""

import os
import signal
from pathlib import Path
from typing import Any


def square(settings: dict[str, Any]) -> dict[str, Any]:
    if settings.get("log"):
        with Path(settings["log"]).open("a") as file:
            file.write(f"{settings['x']}\n")
    if settings["x"] == settings.get("bad"):
        raise ValueError("no square today")
    return {"square": settings["x"] ** 2}


def square_or_die(settings: dict[str, Any]) -> dict[str, Any]:
    """The first time one task is tried it kills its whole worker."""
    marker = Path(settings["marker"])
    if settings["x"] == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"square": settings["x"] ** 2, "pid": os.getpid()}
