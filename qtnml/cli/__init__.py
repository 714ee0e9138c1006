"""The `qtnml` command."""

from qtnml.cli import compiling, predicting, studying, training
from qtnml.cli.app import app, main

__all__ = ["app", "compiling", "main", "predicting", "studying", "training"]
