"""The `qtnml` command."""

from qtnml.cli import circuits, compiling, generative, jobs, ledger, noise, predicting, studying, training
from qtnml.cli.app import app, main

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
