"""The command-line options of every script that runs a study."""

import argparse
from typing import Any

from qtnml.study.engine import ENGINES


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add --engine, --workers and --scheduler."""
    parser.add_argument("--engine", choices=ENGINES, default="loky", help="where the tasks run")
    parser.add_argument("--workers", type=int, help="tasks at once (default: one per core)")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, for --engine dask")


def engine_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Values of these options as arguments of `run_study`."""
    return {"engine": arguments.engine, "workers": arguments.workers, "scheduler": arguments.scheduler}
