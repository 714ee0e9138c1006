"""The `qtnml` command."""

from qtnml.cli import circuits, compiling, generative, jobs, ledger, noise, predicting, studying, training
from qtnml.cli.app import app, main, tidy_help

for _group in (app, generative.born, jobs.jobs, circuits.circuits):
    tidy_help(_group)

__all__ = [
    "app",
    "circuits",
    "compiling",
    "generative",
    "jobs",
    "ledger",
    "main",
    "noise",
    "predicting",
    "studying",
    "training",
]
