"""The `qtnml` command."""

from qtnml.cli import (
    born_answers,
    born_fit,
    circuits,
    compiling,
    jobs,
    ledger,
    noise,
    predicting,
    studying,
    training,
)
from qtnml.cli.app import app, main, tidy_help

for _group in (app, born_fit.born, jobs.jobs, circuits.circuits):
    tidy_help(_group)

__all__ = [
    "app",
    "born_answers",
    "born_fit",
    "circuits",
    "compiling",
    "jobs",
    "ledger",
    "main",
    "noise",
    "predicting",
    "studying",
    "training",
]
